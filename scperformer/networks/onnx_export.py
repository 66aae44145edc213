"""Writing networks on windows for ONNX Runtime. This needs TensorFlow and tf2onnx."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.atomic import whole_folder, write_bytes
from scperformer.core.inference import classify_windows
from scperformer.errors import ConfigurationError, ModelError
from scperformer.networks.classifier import CompiledClassifier, graph
from scperformer.networks.manifest import (
    GRAPH_FILE,
    Manifest,
    check_weights_file,
    file_sha256,
    read_manifest,
    write_manifest,
)
from scperformer.networks.onnx import OnnxClassifier
from scperformer.networks.registry import find_model
from scperformer.networks.runtime import first_compilation, tf
from scperformer.networks.weights import Weights, read_weights
from scperformer.networks.window_classifier import SOURCES
from scperformer.types import N_COMPONENTS, WINDOW_SAMPLES

EXTRA = "scperformer[onnx-export]"
OPSET = 18
"""Of the graph's operators: ONNX Runtime has known it since 1.14."""

LARGEST_DIFFERENCE = 1e-5
"""Of a probability, between both ways to compute the network."""

_CHECKED_WINDOWS = 256


def export(name: str, into: Path) -> Manifest:
    """Write a model folder anew with a graph beside its weights, which ONNX Runtime computes.

    Picks keep their public ids: these tell the weights, which are the same.

    Args:
        name: of a model on windows, or its folder.
        into: the folder to be.

    Returns:
        Its card.

    Raises:
        ConfigurationError: the model needs no export, or the folder is there already.
        ModelError: the model cannot be used, tf2onnx is missing, or the graph answers otherwise.
        OutputError: the folder cannot be written.
    """
    folder = find_model(name)
    card = read_manifest(folder)
    if card.streaming is not None:
        raise ConfigurationError(
            f"{card.name}: a streaming network, which picks without TensorFlow as it is; "
            "wanted a model on windows"
        )
    if into.exists():
        raise ConfigurationError(f"{into}: there is something of that name; name another folder")
    weights_file = check_weights_file(card, folder)
    weights = read_weights(weights_file, card.network)
    with whole_folder(into, what="model folder", remedy="name another with -o") as hidden:
        path = hidden / GRAPH_FILE
        with first_compilation():
            write_bytes(path, _converted(card, weights), durable=True)
            _check(card, weights, path)
        for file in (weights_file, *folder.glob("LICENSE*")):
            shutil.copy(file, hidden)
        card = replace(card, graph_sha256=file_sha256(path))
        write_manifest(card, hidden)
    return card


def _converted(card: Manifest, weights: Weights) -> bytes:
    """Return the network's graph, from what its source reads to probabilities."""
    try:
        import tf2onnx  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelError(f"export needs tf2onnx ({error}): pip install '{EXTRA}'") from error
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    signature = [
        tf.TensorSpec((None, *SOURCES[card.network].shape), tf.float32, name="features"),
        tf.TensorSpec((None,), tf.float32, name="scales"),
    ]

    def answer(features: Any, scales: Any) -> Any:
        # Made in here, while it is traced, for weights to become constants and not inputs.
        return graph(card.network, weights)(features, scales)

    function = tf.function(answer, input_signature=signature, autograph=False)
    model, _ = tf2onnx.convert.from_function(function, signature, opset=OPSET)
    content: bytes = model.SerializeToString()
    return content


def _check(card: Manifest, weights: Weights, path: Path) -> None:
    """Check that ONNX Runtime answers as TensorFlow does.

    Raises:
        ModelError: it cannot, or answers otherwise.
    """
    windows = _windows(_CHECKED_WINDOWS)
    ours, theirs = (
        classify_windows(classifier, windows)
        for classifier in (OnnxClassifier(card, path), CompiledClassifier(card, weights))
    )
    difference = float(np.abs(ours - theirs).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise ModelError(
            f"{card.name}: exported, it answers differently by {difference:.2g}; wanted at most "
            f"{LARGEST_DIFFERENCE:g}; try other versions of tf2onnx or ONNX Runtime"
        )


def _windows(n: int) -> NDArray[np.float32]:
    """Return noise that grows somewhere, (n, 400, 3)."""
    random = np.random.default_rng(0)
    windows = random.normal(size=(n, WINDOW_SAMPLES, N_COMPONENTS))
    onset = random.integers(0, WINDOW_SAMPLES, size=(n, 1, 1))
    is_event = np.arange(WINDOW_SAMPLES)[:, None] >= onset
    windows *= np.where(is_event, random.uniform(1.0, 50.0, size=(n, 1, N_COMPONENTS)), 1.0)
    return windows.astype(np.float32)
