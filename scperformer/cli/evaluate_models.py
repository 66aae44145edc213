"""The models that `evaluate` is told to score."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scperformer.cli.loading import load_custom_model, load_named_model
from scperformer.networks.contract import Network
from scperformer.networks.loading import LoadedModel, load_weights_file
from scperformer.networks.registry import DEFAULT_MODEL


@dataclass(frozen=True, slots=True, eq=False)
class NamedModel:
    """A model and what it is called.

    Attributes:
        name: in the report; no two are the same.
        source: the model's folder, file or module.
        model: loaded.
    """

    name: str
    source: str
    model: LoadedModel


def split_name(text: str) -> tuple[str, str]:
    """Split ``NAME=FILE``; without a name it is empty.

    What stands before ``=`` is a name if it has no path separator in it.
    """
    name, equals, rest = text.partition("=")
    return (name, rest) if equals and name and os.sep not in name else ("", text)


def load_models(options: argparse.Namespace) -> list[NamedModel]:
    """Load all models; none if that was asked for.

    Raises:
        ConfigurationError: options that contradict one another.
        ModelError: a model cannot be loaded.
    """
    if options.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if options.no_model:
        return []
    if not options.model_names and not options.modules and not options.weights:
        options.model_names = [DEFAULT_MODEL]
    network = "cnn" if options.cnn else "gpd" if options.gpd else "performer"
    loaded: list[NamedModel] = []
    taken: set[str] = set()
    for text in options.model_names:
        name, source = split_name(text)
        loaded.append(_named(load_named_model(source, options), name, source, taken))
    for text in options.modules:
        name, source = split_name(text)
        model = load_custom_model(source, options.loader_argv)
        loaded.append(_named(model, name, source, taken))
    for text in options.weights:
        name, source = split_name(text)
        own, path = _split_network(source, network)
        loaded.append(_named(load_weights_file(own, Path(path)), name, path, taken))
    return loaded


def unique_name(wanted: str, taken: set[str]) -> str:
    """Return the name, with a number behind it if it is taken, and take it."""
    candidates: Iterator[str] = (f"{wanted}-{number}" for number in range(2, 10_000))
    name = wanted if wanted not in taken else next(c for c in candidates if c not in taken)
    taken.add(name)
    return name


def _named(model: LoadedModel, name: str, source: str, taken: set[str]) -> NamedModel:
    return NamedModel(unique_name(name or model.classifier.name, taken), source, model)


def _split_network(text: str, default: str) -> tuple[str, str]:
    network, colon, path = text.partition(":")
    return (network, path) if colon and network in list(Network) else (default, text)
