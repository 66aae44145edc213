"""The arithmetic of the networks `cnn` and `gpd`, for training and for answers alike.

Stepnov, Chernykh and Konovalov (2021, doi 10.3390/s21186290) for `cnn`; Ross, Meier,
Hauksson and Heaton (2018, doi 10.1785/0120180080) for `gpd`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from scperformer.networks.contract import CNN_FILTERS, GPD_FILTERS, GPD_UNITS
from scperformer.networks.performer import Drop, Weights, apply, dense, unchanged
from scperformer.networks.runtime import tf

BATCH_NORM_EPSILON = 1e-3

Moments = Callable[[str, Any], tuple[Any, Any]]
"""Answers the mean and the variance that a batch norm, named, brings its values to."""


def cnn(
    weights: Weights, spectrograms: Any, *, moments: Moments | None = None, drop: Drop = unchanged
) -> Any:
    """Compute the network `cnn`.

    Args:
        weights: tensors or variables under the paths of `contract.weight_shapes`.
        spectrograms: (n, 22, 33, 3) float32, decibels divided by 50.
        moments: of batch norms in training, by default the moving ones of the weights.
        drop: dropout, where there shall be any.

    Returns:
        (n, 3) float32 logits.
    """
    features = spectrograms
    for number in range(1, len(CNN_FILTERS) + 1):
        kernel, bias = dense(weights, f"conv_{number}")
        features = tf.nn.conv2d(features, kernel, 1, "SAME") + bias
        features = tf.nn.relu(_batch_norm(weights, number, features, moments))
        features = _halved(_halved(features, axis=1), axis=2)
    features = drop(_flat(features))
    features = drop(tf.nn.relu(_apply(weights, "dense_1", features)))
    return _apply(weights, "logits", features)


def gpd(
    weights: Weights, windows: Any, *, moments: Moments | None = None, drop: Drop = unchanged
) -> Any:
    """Compute the network `gpd`, which has no dropout.

    Args:
        weights: as those of `cnn`.
        windows: (n, 400, 3) float32, divided by their peaks.
        moments: as those of `cnn`.
        drop: not used.

    Returns:
        (n, 3) float32 logits.
    """
    del drop
    features = windows
    for number in range(1, len(GPD_FILTERS) + 1):
        kernel, bias = dense(weights, f"conv_{number}")
        features = _halved(tf.nn.conv1d(features, kernel, 1, "SAME") + bias, axis=1)
        features = _batch_norm(weights, number, tf.nn.relu(features), moments)
    features = _flat(features)
    for number in range(1, len(GPD_UNITS) + 1):
        features = tf.nn.relu(_apply(weights, f"dense_{number}", features))
        features = _batch_norm(weights, len(GPD_FILTERS) + number, features, moments)
    return _apply(weights, "logits", features)


def _apply(weights: Weights, name: str, features: Any) -> Any:
    return apply(dense(weights, name), features)


def _batch_norm(weights: Weights, number: int, values: Any, moments: Moments | None) -> Any:
    name = f"batch_norm_{number}"
    if moments is None:
        mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
    else:
        mean, variance = moments(name, values)
    gain = weights[f"{name}/gamma"] * tf.math.rsqrt(variance + BATCH_NORM_EPSILON)
    return values * gain + (weights[f"{name}/beta"] - mean * gain)


def _flat(features: Any) -> Any:
    return tf.reshape(features, (-1, math.prod(features.shape[1:])))


def _halved(features: Any, *, axis: int) -> Any:
    """Max pooling by two along an axis as one wide maximum; an odd last value is dropped."""
    shape = list(features.shape)
    pairs = shape[axis] // 2
    kept = tf.gather(features, range(2 * pairs), axis=axis) if shape[axis] % 2 else features
    split = tf.reshape(kept, [-1, *shape[1:axis], pairs, 2, *shape[axis + 1 :]])
    first, second = tf.unstack(split, axis=axis + 1)
    return tf.maximum(first, second)
