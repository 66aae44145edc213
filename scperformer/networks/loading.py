"""A model folder or a weights file made ready to answer windows.

TensorFlow is imported only after the card and the weights have been found good.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scperformer.core.triggers import Thresholds
from scperformer.networks.manifest import (
    Manifest,
    check_weights_file,
    default_manifest,
    read_manifest,
)
from scperformer.networks.registry import find_model
from scperformer.types import Classifier


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A classifier and the thresholds that its card recommends."""

    classifier: Classifier
    thresholds: Thresholds


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
    return _load(manifest, check_weights_file(manifest, folder), warm_up=warm_up)


def load_weights_file(network: str, weights: Path) -> LoadedModel:
    """Load a weights file that has no card, such as the original authors'.

    Raises:
        ConfigurationError: no such network.
        WeightsError: the file cannot be used as weights of that network.
    """
    return _load(default_manifest(network, weights), weights, warm_up=False)


def _load(manifest: Manifest, weights: Path, *, warm_up: bool) -> LoadedModel:
    from scperformer.networks.classifier import CompiledClassifier  # noqa: PLC0415 - TensorFlow

    classifier = CompiledClassifier.from_file(manifest, weights)
    if warm_up:
        classifier.warm_up()
    return LoadedModel(classifier, Thresholds(manifest.thresholds))
