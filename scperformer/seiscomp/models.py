"""Models by name or folder, loaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from scperformer.core.triggers import Thresholds
from scperformer.networks.manifest import check_weights_file, read_manifest
from scperformer.networks.registry import find_model
from scperformer.types import Classifier

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A classifier and the thresholds that its card recommends."""

    classifier: Classifier
    thresholds: Thresholds


def load_model(name: str) -> LoadedModel:
    """Load a model and compile it, so that no record waits for that later.

    Raises:
        ModelError: there is no such model, or it cannot be used.
    """
    folder = find_model(name)
    manifest = read_manifest(folder)
    weights = check_weights_file(manifest, folder)
    from scperformer.networks.classifier import CompiledClassifier  # noqa: PLC0415 - TensorFlow

    classifier = CompiledClassifier.from_file(manifest, weights)
    classifier.warm_up()
    _log.info("model %s (%s) loaded from %s", manifest.name, manifest.version, folder)
    return LoadedModel(classifier, Thresholds(manifest.thresholds))
