"""The networks `cnn` and `gpd` as computations for XLA on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.networks.contract import CNN_FILTERS, GPD_FILTERS, GPD_UNITS
from scperformer.networks.tensorflow_alone import tf
from scperformer.stft import DECIBEL_FLOOR, DECIBEL_SCALE

BATCH_NORM_EPSILON = 1e-3

Array = NDArray[np.floating]
Weights = Mapping[str, Array]


def cnn_graph(weights: Weights) -> Callable[[Any, Any], Any]:
    """Make the computation of `cnn`; batch norms are folded into the convolutions.

    Args:
        weights: under the paths of `contract.weight_shapes`.

    Returns:
        A function of spectrograms (n, 22, 33, 3) in decibels of unnormalised samples and
        the decibels of the windows' peaks (n,), both float32; it answers (n, 3) float32
        probabilities.
    """
    weights = _wide(weights)
    stages = []
    for number in range(1, len(CNN_FILTERS) + 1):
        gain, shift = _batch_norm(weights, number)
        kernel, bias = weights[f"conv_{number}/kernel"], weights[f"conv_{number}/bias"]
        stages.append((_constant(kernel * gain), _constant(bias * gain + shift)))
    dense, logits = _dense(weights, "dense_1"), _dense(weights, "logits")

    def answer(spectrograms: Any, peak_decibels: Any) -> Any:
        decibels = spectrograms - peak_decibels[:, None, None, None]
        features = tf.maximum(decibels, DECIBEL_FLOOR) / DECIBEL_SCALE
        for kernel, bias in stages:
            features = tf.nn.relu(tf.nn.conv2d(features, kernel, 1, "SAME") + bias)
            features = _halved(_halved(features, axis=1), axis=2)
        features = tf.nn.relu(_apply(dense, tf.reshape(features, (features.shape[0], -1))))
        return tf.nn.softmax(_apply(logits, features))

    return answer


def gpd_graph(weights: Weights) -> Callable[[Any, Any], Any]:
    """Make the computation of `gpd`.

    Args:
        weights: under the paths of `contract.weight_shapes`.

    Returns:
        A function of windows (n, 400, 3) and their peaks (n,), both float32; it answers
        (n, 3) float32 probabilities.
    """
    weights = _wide(weights)
    stages = []
    for number in range(1, len(GPD_FILTERS) + 1):
        gain, shift = _batch_norm(weights, number)
        stages.append((*_dense(weights, f"conv_{number}"), _constant(gain), _constant(shift)))
    layers = []
    for number in range(1, len(GPD_UNITS) + 1):
        gain, shift = _batch_norm(weights, len(GPD_FILTERS) + number)
        layers.append((_dense(weights, f"dense_{number}"), _constant(gain), _constant(shift)))
    logits = _dense(weights, "logits")

    def answer(windows: Any, peaks: Any) -> Any:
        features = windows / peaks[:, None, None]
        for kernel, bias, gain, shift in stages:
            features = _halved(tf.nn.conv1d(features, kernel, 1, "SAME") + bias, axis=1)
            features = tf.nn.relu(features) * gain + shift
        features = tf.reshape(features, (features.shape[0], -1))
        for dense, gain, shift in layers:
            features = tf.nn.relu(_apply(dense, features)) * gain + shift
        return tf.nn.softmax(_apply(logits, features))

    return answer


def _wide(weights: Weights) -> dict[str, Array]:
    return {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}


def _constant(value: Array) -> Any:
    return tf.constant(value.astype(np.float32))


def _dense(weights: Weights, name: str) -> tuple[Any, Any]:
    return _constant(weights[f"{name}/kernel"]), _constant(weights[f"{name}/bias"])


def _apply(dense: tuple[Any, Any], features: Any) -> Any:
    return tf.matmul(features, dense[0]) + dense[1]


def _batch_norm(weights: Weights, number: int) -> tuple[Array, Array]:
    """Return gain and shift of a batch norm in inference."""
    gamma, beta, mean, variance = (
        weights[f"batch_norm_{number}/{part}"]
        for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    gain = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
    return gain, beta - mean * gain


def _halved(features: Any, *, axis: int) -> Any:
    """Max pooling by two along an axis as one wide maximum; an odd last value is dropped."""
    shape = list(features.shape)
    pairs = shape[axis] // 2
    kept = tf.gather(features, range(2 * pairs), axis=axis) if shape[axis] % 2 else features
    split = tf.reshape(kept, [*shape[:axis], pairs, 2, *shape[axis + 1 :]])
    first, second = tf.unstack(split, axis=axis + 1)
    return tf.maximum(first, second)
