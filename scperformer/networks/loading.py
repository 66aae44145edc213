"""A model folder or a weights file made ready to pick.

TensorFlow is imported only for networks on windows that are not exported, and only after the
card and the weights have been found good.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scperformer.config import DEFAULT_FILTER, Settings
from scperformer.core.pipeline import Pipeline
from scperformer.core.statistics import Observer
from scperformer.core.streaming import StreamingNetwork
from scperformer.core.triggers import Thresholds
from scperformer.errors import ConfigurationError, ModelError
from scperformer.networks.manifest import (
    Manifest,
    check_graph_file,
    check_weights_file,
    default_manifest,
    read_manifest,
)
from scperformer.networks.registry import find_model
from scperformer.networks.streaming import read_streaming
from scperformer.networks.weights import try_weights
from scperformer.types import Classifier, SensorId

ORIGINAL_THRESHOLD = 0.95
"""The original program's, for models without a card."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready for the pipeline.

    Attributes:
        classifier: the network.
        thresholds: what its card recommends.
        own_filter: the filter that it was trained with.
    """

    classifier: Classifier | StreamingNetwork
    thresholds: Thresholds
    own_filter: str = DEFAULT_FILTER

    @property
    def window_classifier(self) -> Classifier:
        """The network, if it answers windows.

        Raises:
            ConfigurationError: it follows a stream and cannot answer windows on their own.
        """
        if isinstance(self.classifier, StreamingNetwork):
            raise ConfigurationError(
                f"{self.classifier.name}: a network that follows a stream, which cannot answer "
                "windows on their own; name a model on windows, such as --model-name performer"
            )
        return self.classifier

    def pipeline(
        self,
        settings: Settings,
        *,
        settings_for: Callable[[SensorId], Settings | None] | None = None,
        observer: Observer | None = None,
        owner: str = "",
        clock: Callable[[], float] = lambda: 0.0,
    ) -> Pipeline:
        """Make the pipeline that picks with this model; see `Pipeline`."""
        return Pipeline(
            self.classifier,
            thresholds=self.thresholds,
            own_filter=self.own_filter,
            settings=settings,
            settings_for=settings_for,
            observer=observer,
            owner=owner,
            clock=clock,
        )


def load_folder(name: str, *, warm_up: bool = False) -> LoadedModel:
    """Load a model of the registry or a model folder.

    Args:
        name: the model's name or its folder.
        warm_up: compile it now, so that no record waits for that later.

    Raises:
        ModelError: there is no such model, or it cannot be used.
    """
    folder = find_model(name)
    manifest = read_manifest(folder)
    if not manifest.graph_sha256:
        return _load(manifest, check_weights_file(manifest, folder), warm_up=warm_up)
    from scperformer.networks.onnx import OnnxClassifier  # noqa: PLC0415 - for exported models only

    classifier = OnnxClassifier(manifest, check_graph_file(manifest, folder))
    return LoadedModel(classifier, Thresholds(manifest.thresholds), manifest.filter_id)


def load_weights_file(network: str, weights: Path) -> LoadedModel:
    """Load a weights file that has no card, such as the original authors'.

    Raises:
        ConfigurationError: no such network.
        WeightsError: the file cannot be used as weights of that network.
    """
    manifest = default_manifest(network, weights)
    try_weights(weights)
    return _load(manifest, weights, warm_up=False)


def load_module(module: str, arguments: str = "") -> LoadedModel:
    """Load somebody else's model by its ``load_model(**arguments)``; see `load_custom`.

    Raises:
        ConfigurationError: arguments that are not usable.
        ModelError: it cannot be loaded.
    """
    from scperformer.networks.custom import load_custom  # noqa: PLC0415

    thresholds = Thresholds.constant(ORIGINAL_THRESHOLD, ORIGINAL_THRESHOLD)
    return LoadedModel(load_custom(module, arguments), thresholds)


def _load(manifest: Manifest, weights: Path, *, warm_up: bool) -> LoadedModel:
    thresholds = Thresholds(manifest.thresholds)
    if manifest.streaming is not None:
        shape = manifest.streaming.shape
        network = StreamingNetwork(
            shape,
            read_streaming(weights, shape),
            name=manifest.name,
            sha256=manifest.weights_sha256,
            calibration=manifest.streaming.calibration,
        )
        return LoadedModel(network, thresholds, manifest.filter_id)
    try:
        from scperformer.networks.classifier import CompiledClassifier  # noqa: PLC0415 - TensorFlow
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{manifest.name}: a network on windows, which needs TensorFlow ({error}): "
            "'pip install scperformer' brings it; or export the model where TensorFlow is, by "
            "'scperformer models export'; the model 'streaming' does without"
        ) from error
    classifier = CompiledClassifier.from_file(manifest, weights)
    if warm_up:
        classifier.warm_up()
    return LoadedModel(classifier, thresholds, manifest.filter_id)
