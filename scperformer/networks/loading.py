"""A model folder or a weights file made ready to answer windows.

TensorFlow is imported only after the card and the weights have been found good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scperformer.config import CONTEXT_SHIFT_SAMPLES, Settings
from scperformer.core.context import ContextStage
from scperformer.core.pipeline import Pipeline
from scperformer.core.statistics import Observer
from scperformer.core.triggers import Thresholds
from scperformer.networks.context import read_context
from scperformer.networks.manifest import (
    Manifest,
    check_weights_file,
    default_manifest,
    read_manifest,
)
from scperformer.networks.registry import find_model
from scperformer.networks.weights import try_weights
from scperformer.types import Classifier, SensorId

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready for the pipeline.

    Attributes:
        classifier: the network.
        thresholds: what its card recommends, with the context stage or without.
        context: the stage behind the network; None if it has none or shall not be used.
    """

    classifier: Classifier
    thresholds: Thresholds
    context: ContextStage | None = None

    def pipeline(
        self,
        settings: Settings,
        *,
        settings_for: Callable[[SensorId], Settings | None] | None = None,
        observer: Observer | None = None,
        owner: str = "",
    ) -> Pipeline:
        """Make the pipeline that picks with this model; see `Pipeline`."""
        return Pipeline(
            self.classifier,
            thresholds=self.thresholds,
            context=self.context,
            settings=settings,
            settings_for=settings_for,
            observer=observer,
            owner=owner,
        )


def load_folder(
    name: str,
    *,
    warm_up: bool = False,
    context: bool = True,
    shift_samples: int = CONTEXT_SHIFT_SAMPLES,
) -> LoadedModel:
    """Load a model of the registry or a model folder.

    Args:
        name: the model's name or its folder.
        warm_up: compile it now, so that no record waits for that later.
        context: use its context stage, if it has one.
        shift_samples: samples between windows; a context stage works at one shift alone,
            at any other the network answers without it, which the log says.

    Raises:
        ModelError: there is no such model, or it cannot be used.
    """
    folder = find_model(name)
    manifest = read_manifest(folder)
    weights = check_weights_file(manifest, folder)
    stage = None
    wanted = context and manifest.context is not None
    if wanted and shift_samples != CONTEXT_SHIFT_SAMPLES:
        _log.info(
            "%s: a shift of %d samples leaves out the context stage, which works at %d alone",
            manifest.name,
            shift_samples,
            CONTEXT_SHIFT_SAMPLES,
        )
    elif wanted and manifest.context is not None:
        shape = manifest.context.shape
        stage = ContextStage(shape, read_context(weights, shape))
    return _load(manifest, weights, warm_up=warm_up, context=stage)


def load_weights_file(network: str, weights: Path) -> LoadedModel:
    """Load a weights file that has no card, such as the original authors'.

    Raises:
        ConfigurationError: no such network.
        WeightsError: the file cannot be used as weights of that network.
    """
    manifest = default_manifest(network, weights)
    try_weights(weights)
    return _load(manifest, weights, warm_up=False)


def _load(
    manifest: Manifest, weights: Path, *, warm_up: bool, context: ContextStage | None = None
) -> LoadedModel:
    from scperformer.networks.classifier import CompiledClassifier  # noqa: PLC0415 - TensorFlow

    embedding = None if context is None else context.embedding
    classifier = CompiledClassifier.from_file(manifest, weights, embedding=embedding)
    if warm_up:
        classifier.warm_up()
    recommended = manifest.thresholds
    if context is not None and manifest.context is not None:
        recommended = manifest.context.thresholds
    return LoadedModel(classifier, Thresholds(recommended), context)
