"""Models by name or folder, loaded and compiled."""

from __future__ import annotations

import logging

from scperformer.networks.loading import LoadedModel, load_folder

__all__ = ["LoadedModel", "load_model"]

_log = logging.getLogger(__name__)


def load_model(name: str, *, context: bool = True) -> LoadedModel:
    """Load a model and compile it, so that no record waits for that later.

    Args:
        name: of the registry, or a model folder.
        context: use its context stage, if it has one.

    Raises:
        ModelError: there is no such model, or it cannot be used.
    """
    model = load_folder(name, warm_up=True, context=context)
    _log.info("model %s loaded from %s", model.classifier.name, name)
    return model
