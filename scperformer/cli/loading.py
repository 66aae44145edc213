"""The models that the command line names, loaded."""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scperformer.errors import ConfigurationError, ModelError
from scperformer.networks.contract import Network
from scperformer.networks.loading import (
    LoadedModel,
    load_folder,
    load_module,
    load_weights_file,
)
from scperformer.networks.registry import DEFAULT_MODEL, find_model


def load_model(options: argparse.Namespace, default: str = DEFAULT_MODEL) -> LoadedModel:
    """Load the model chosen by the options of `options.add_model_options`, or the default.

    Raises:
        ConfigurationError: options that contradict one another.
        ModelError: the model cannot be loaded.
    """
    chosen = [word for word in ("model_name", "weights", "model") if getattr(options, word)]
    if options.model_name:
        chosen += [word for word in ("cnn", "gpd") if getattr(options, word)]
    if len(chosen) > 1:
        names = " and ".join(f"--{word.replace('_', '-')}" for word in chosen)
        raise ConfigurationError(f"{names} exclude each other; give one of them")
    if options.loader_argv is not None and not options.model:
        raise ConfigurationError("--loader-argv has no meaning without --model")
    with _importing_much(options):
        if options.model:
            return _load_custom(options.model, options.loader_argv)
        if options.weights:
            return load_weights_file(_network(options), Path(options.weights))
        return _load_named(options.model_name or _network(options, default))


def from_anywhere(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options with what is a path made absolute: for processes that run elsewhere."""
    paths = {"inputs": [path.absolute() for path in getattr(options, "inputs", ())]}
    for word in ("model_name", "weights", "model"):
        name = getattr(options, word)
        if name and os.path.exists(name):
            paths[word] = os.path.abspath(name)
    return argparse.Namespace(**{**vars(options), **paths})


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


def load_models(options: argparse.Namespace, default: str = DEFAULT_MODEL) -> list[NamedModel]:
    """Load all models that `evaluate` is told to score; none if that was asked for.

    Raises:
        ConfigurationError: options that contradict one another.
        ModelError: a model cannot be loaded.
    """
    if options.no_model:
        return []
    names = options.model_name
    if not (names or options.model or options.weights):
        names = [default]
    loaded: list[NamedModel] = []
    taken: set[str] = set()

    def add(name: str, source: str, model: LoadedModel) -> None:
        own = unique_name(name or model.classifier.name, taken)
        loaded.append(NamedModel(own, source, model))

    with _importing_much(options):
        for name, source in map(split_name, names):
            add(name, source, _load_named(source))
        for name, source in map(split_name, options.model):
            add(name, source, _load_custom(source, options.loader_argv))
        for name, source in map(split_name, options.weights):
            network, colon, path = source.partition(":")
            if not colon or network not in list(Network):
                network, path = _network(options), source
            add(name, path, load_weights_file(network, Path(path)))
    return loaded


def split_name(text: str) -> tuple[str, str]:
    """Split ``NAME=FILE``; without a name it is empty.

    What stands before ``=`` is a name if it has no path separator in it.
    """
    name, equals, rest = text.partition("=")
    return (name, rest) if equals and name and os.sep not in name else ("", text)


def unique_name(wanted: str, taken: set[str]) -> str:
    """Return the name, with a number behind it if it is taken, and take it."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    taken.add(name)
    return name


@contextmanager
def _importing_much(options: argparse.Namespace) -> Iterator[None]:
    """Keep the garbage collector away from what is imported, then and later; heed ``--cpu``.

    TensorFlow makes a million objects that live as long as the process: looking for
    garbage among them takes a fifth of the start-up, and as long again at the exit.
    """
    if options.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def _network(options: argparse.Namespace, default: str = Network.PERFORMER) -> str:
    return "cnn" if options.cnn else "gpd" if options.gpd else default


def _load_named(name: str) -> LoadedModel:
    """Load a model of the registry or a model folder."""
    if name.endswith((".py", ".onnx")):
        raise ConfigurationError(
            f"--model-name: got {name!r}; wanted a model of the registry or a model folder. A "
            "Python module with load_model(**arguments), or an .onnx file, is named by "
            f"--model {name}"
        )
    return load_folder(name)


def _load_custom(module: str, arguments: str | None) -> LoadedModel:
    """Load somebody else's model by its loader."""
    if _is_model_of_ours(module):
        raise ConfigurationError(
            f"--model: got {module!r}, a model of the registry or a model folder; wanted a Python "
            f"module with load_model(**arguments). Say --model-name {module}"
        )
    return load_module(module, arguments or "")


def _is_model_of_ours(name: str) -> bool:
    path = name.replace(".", "/")
    if name.endswith((".py", ".onnx")) or any(
        Path(file).is_file() for file in (f"{path}.py", f"{path}/__init__.py")
    ):
        return False
    try:
        find_model(name)
    except ModelError:
        return False
    return True
