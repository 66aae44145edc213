"""The model that the command line names, loaded."""

from __future__ import annotations

import argparse
import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scperformer.config import CONTEXT_SHIFT_SAMPLES
from scperformer.core.triggers import Thresholds
from scperformer.errors import ConfigurationError
from scperformer.networks.loading import LoadedModel, load_folder, load_weights_file

__all__ = ["LoadedModel", "load_model"]

ORIGINAL_THRESHOLD = 0.95
_log = logging.getLogger(__name__)


def load_model(options: argparse.Namespace) -> LoadedModel:
    """Load the model chosen by the options of `options.add_model_options`.

    Raises:
        ConfigurationError: options that contradict one another.
        ModelError: the model cannot be loaded.
    """
    if options.cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    chosen = [word for word in ("model_name", "weights", "model") if getattr(options, word)]
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
        return _load_custom(options.model, options.loader_argv)
    network = "cnn" if options.cnn else "gpd" if options.gpd else "performer"
    if options.weights:
        return load_weights_file(network, Path(options.weights))
    return load_folder(options.model_name or network, context=uses_context(options))


def uses_context(options: argparse.Namespace) -> bool:
    """Tell whether a model's context stage shall be used; it works at one shift alone."""
    if getattr(options, "no_context", False):
        return False
    shift = getattr(options, "shift_samples", CONTEXT_SHIFT_SAMPLES)
    if shift != CONTEXT_SHIFT_SAMPLES:
        _log.info(
            "no context stage at --shift %s: it works at %s; the network answers alone",
            shift,
            CONTEXT_SHIFT_SAMPLES,
        )
    return shift == CONTEXT_SHIFT_SAMPLES


def _load_custom(module: str, arguments: str | None) -> LoadedModel:
    from scperformer.networks.custom import load_custom  # noqa: PLC0415

    thresholds = Thresholds.constant(ORIGINAL_THRESHOLD, ORIGINAL_THRESHOLD)
    return LoadedModel(load_custom(module, arguments or ""), thresholds)
