"""The compiled classifier: a network on windows computed by TensorFlow's XLA."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.networks.contract import Network
from scperformer.networks.convolutions import cnn, gpd
from scperformer.networks.engine import TILE_SIZES, Compute, Floats
from scperformer.networks.manifest import Manifest
from scperformer.networks.performer import Performer, apply
from scperformer.networks.runtime import first_compilation, tf
from scperformer.networks.weights import read_weights
from scperformer.networks.window_classifier import WindowClassifier
from scperformer.stft import DECIBEL_FLOOR, DECIBEL_SCALE

GPU_TILE_SIZES = (64, 2064)
"""Batch sizes for a GPU, which takes a whole batch in one call."""

Weights = Mapping[str, NDArray[np.float32]]
Graph = Callable[[Any, Any], Any]


class CompiledClassifier(WindowClassifier):
    """Answers windows with a network compiled by XLA, which takes seconds for a batch size.

    The answer to a window is that of the Keras model to the window divided by its peak.

    Args:
        manifest: the model's card.
        weights: under the paths of `contract.weight_shapes`.
        threads: tiles that are worked on at once, by default one for each processor.
    """

    def __init__(self, manifest: Manifest, weights: Weights, *, threads: int | None = None) -> None:
        _prepare_tensorflow()
        network = graph(manifest.network, weights)
        super().__init__(
            manifest,
            lambda shape: _compile(network, shape),
            sizes=default_sizes(),
            threads=threads,
        )

    @classmethod
    def from_file(
        cls, manifest: Manifest, path: Path, *, threads: int | None = None
    ) -> CompiledClassifier:
        """Make it from a weights file of either format; the checksum is not looked at.

        Raises:
            WeightsError: the file cannot be used as weights of the card's network.
        """
        return cls(manifest, read_weights(path, manifest.network), threads=threads)


def default_sizes() -> tuple[int, ...]:
    """Return the batch sizes for the device that TensorFlow will use."""
    return GPU_TILE_SIZES if tf.config.get_visible_devices("GPU") else TILE_SIZES


def _prepare_tensorflow() -> None:
    """Have a tile computed in the thread that asks for it, and in full float32.

    Several tiles at once fill the processors better than threads of TensorFlow's own, and
    leave one to the records' bookkeeping. Who has set a number keeps it; so it stays once
    TensorFlow has begun. A GPU would otherwise round the factors of products to 10 bits.
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)
    chosen = tf.config.threading.get_intra_op_parallelism_threads()
    if not chosen and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def _compile(network: Graph, shape: tuple[int, ...]) -> Compute:
    signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape[:1], tf.float32)]
    function = tf.function(network, input_signature=signature, jit_compile=True, autograph=False)
    with first_compilation():
        function(tf.ones(shape), tf.ones(shape[:1]))

    def compute(features: Floats, scales: Floats) -> Floats:
        answers: Floats = function(_in_place(features), _in_place(scales)).numpy()
        return answers

    return compute


def _in_place(values: Floats) -> Any:
    """Return a tensor on the memory of an array."""
    return tf.experimental.dlpack.from_dlpack(values.__dlpack__())


def graph(network: Network, weights: Weights) -> Graph:
    """Return the function of features and scales, as the network's source reads them."""
    if network is not Network.PERFORMER:
        constants = {path: tf.constant(value) for path, value in weights.items()}
        if network is Network.GPD:
            return lambda windows, peaks: tf.nn.softmax(
                gpd(constants, windows / peaks[:, None, None])
            )
        return lambda columns, peaks: tf.nn.softmax(
            cnn(constants, _levels(columns - peaks[:, None, None, None]))
        )
    performer = Performer({path: tf.constant(value, tf.float64) for path, value in weights.items()})

    def answer(patches: Any, peaks: Any) -> Any:
        seen = performer.stages(_levels(patches - peaks[:, None, None]))[-1]
        return tf.nn.softmax(apply(performer.logits, seen))

    return answer


def _levels(decibels: Any) -> Any:
    return tf.maximum(decibels, DECIBEL_FLOOR) / DECIBEL_SCALE
