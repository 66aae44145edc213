"""The model that the command line names, loaded."""

from __future__ import annotations

import argparse
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scperformer.config import CONTEXT_SHIFT_SAMPLES
from scperformer.core.triggers import Thresholds
from scperformer.errors import ConfigurationError, ModelError
from scperformer.networks.loading import LoadedModel, load_folder, load_weights_file
from scperformer.networks.registry import find_model

__all__ = ["LoadedModel", "load_custom_model", "load_model", "load_named_model"]

ORIGINAL_THRESHOLD = 0.95


def load_model(options: argparse.Namespace) -> LoadedModel:
    """Load the model chosen by the options of `options.add_model_options`.

    Raises:
        ConfigurationError: options that contradict one another.
        ModelError: the model cannot be loaded.
    """
    if options.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    chosen = [word for word in ("model_name", "weights", "model") if getattr(options, word)]
    if options.model_name:
        chosen += [word for word in ("cnn", "gpd") if getattr(options, word)]
    if len(chosen) > 1:
        names = " and ".join(f"--{word.replace('_', '-')}" for word in chosen)
        raise ConfigurationError(f"{names} exclude each other; give one of them")
    if options.loader_argv is not None and not options.model:
        raise ConfigurationError("--loader-argv has no meaning without --model")
    with importing_much():
        return _load(options)


@contextmanager
def importing_much() -> Iterator[None]:
    """Keep the garbage collector away from what is imported, then and later.

    TensorFlow makes a million objects that live as long as the process: looking for
    garbage among them takes a fifth of the start-up, and as long again at the exit.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


def _load(options: argparse.Namespace) -> LoadedModel:
    if options.model:
        return load_custom_model(options.model, options.loader_argv)
    network = "cnn" if options.cnn else "gpd" if options.gpd else "performer"
    if options.weights:
        return load_weights_file(network, Path(options.weights))
    return load_named_model(options.model_name or network, options)


def load_named_model(name: str, options: argparse.Namespace) -> LoadedModel:
    """Load a model of the registry or a model folder, its context stage as options say.

    Raises:
        ConfigurationError: that is a Python module.
        ModelError: there is no such model, or it cannot be used.
    """
    if name.endswith(".py"):
        raise ConfigurationError(
            f"--model-name: got {name!r}; wanted a model of the registry or a model folder. A "
            f"Python module with load_model(**arguments) is named by --model {name}"
        )
    shift_samples = getattr(options, "shift_samples", CONTEXT_SHIFT_SAMPLES)
    context = not getattr(options, "no_context", False)
    return load_folder(name, context=context, shift_samples=shift_samples)


def load_custom_model(module: str, arguments: str | None) -> LoadedModel:
    """Load somebody else's model by its loader.

    Raises:
        ConfigurationError: that is a model of the registry, or the arguments are not readable.
        ModelError: the model cannot be loaded.
    """
    from scperformer.networks.custom import load_custom  # noqa: PLC0415

    if _is_model_of_ours(module):
        raise ConfigurationError(
            f"--model: got {module!r}, a model of the registry or a model folder; wanted a Python "
            f"module with load_model(**arguments). Say --model-name {module}"
        )
    thresholds = Thresholds.constant(ORIGINAL_THRESHOLD, ORIGINAL_THRESHOLD)
    return LoadedModel(load_custom(module, arguments or ""), thresholds)


def _is_model_of_ours(name: str) -> bool:
    path = name.replace(".", "/")
    if any(Path(file).is_file() for file in (f"{path}.py", f"{path}/__init__.py")):
        return False
    if name.endswith(".py"):
        return False
    try:
        find_model(name)
    except ModelError:
        return False
    return True
