"""The network and its context stage over sequences, inside TensorFlow's graph.

STFT columns and maxima are computed once a sequence, as in the picker; windows are put
together from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scperformer.core.context import (
    KERNEL,
    LARGEST_LEVEL_CHANGE,
    LEAST_LOG_PROBABILITY,
    LEAST_PEAK,
    LEVEL_LAGS,
    LEVEL_SCALE,
    LOG_PROBABILITY_SCALE,
    ContextShape,
)
from scperformer.networks.context import context_shapes
from scperformer.stft import (
    BINS,
    DECIBEL_FLOOR,
    DECIBEL_SCALE,
    DECIBELS_PER_NEPER_OF_POWER,
    FRAMES,
    HOP_SAMPLES,
)
from scperformer.training.features import decibel_columns
from scperformer.types import N_COMPONENTS, WINDOW_SAMPLES

# isort: split
import keras
import tensorflow as tf

_GRAINS = WINDOW_SAMPLES // HOP_SAMPLES


def shared_features(samples: Any) -> tuple[Any, Any]:
    """Compute what the windows of sequences share.

    It belongs into a graph of its own: XLA would otherwise compute a column again for
    each of the 22 windows that contain it.

    Args:
        samples: (b, m, 3) float32 tensor of fixed shape.

    Returns:
        (b, n + 21, 33, 3) STFT columns in decibels, and (b, 3, n) each window's largest
        absolute sample of each component.
    """
    b, m, _ = samples.shape
    n_windows = (m - WINDOW_SAMPLES) // HOP_SAMPLES + 1
    n_hops = n_windows - 1 + _GRAINS
    used = samples[:, : n_hops * HOP_SAMPLES]
    hops = tf.reshape(tf.transpose(used, (0, 2, 1)), (b, N_COMPONENTS, n_hops, HOP_SAMPLES))
    grains = tf.reduce_max(tf.abs(hops), axis=3)
    return decibel_columns(hops), _largest_of(grains, _GRAINS, n_windows)


class SequenceFeatures:
    """The windows of sequences, put together from what they share.

    Args:
        columns: (b, n + 21, 33, 3), and
        peaks: (b, 3, n), both from `shared_features`.
    """

    def __init__(self, columns: Any, peaks: Any) -> None:
        self._columns = columns
        self._peaks = peaks
        self.n_windows: int = peaks.shape[2]

    def component_peaks(self, keep: Any) -> Any:
        """Largest absolute sample of each window's components, (b, n, 3); 0 if not kept."""
        return tf.transpose(tf.where(keep[:, :, None], self._peaks, 0.0), (0, 2, 1))

    def peaks(self, keep: Any) -> Any:
        """Largest absolute sample of each window over the kept components, (b, n)."""
        return tf.reduce_max(self.component_peaks(keep), axis=-1)

    def windows(self, keep: Any) -> Any:
        """Input of the network's core, (b * n, 22, 33, 3)."""
        peak = self.peaks(keep)
        peak = tf.where(peak > 0.0, peak, 1.0)
        reference = 2.0 * DECIBELS_PER_NEPER_OF_POWER * tf.math.log(peak)
        n = self.n_windows
        frames = tf.stack([self._columns[:, k : k + n] for k in range(FRAMES)], axis=2)
        levels = tf.maximum(frames - reference[:, :, None, None, None], DECIBEL_FLOOR)
        masked = tf.where(keep[:, None, None, None, :], levels, DECIBEL_FLOOR)
        return tf.reshape(masked, (-1, FRAMES, BINS, N_COMPONENTS)) / DECIBEL_SCALE


class ContextStage(keras.layers.Layer):  # type: ignore[misc]
    """The context stage with weights that can be trained.

    Args:
        shape: its size.
        seed: of the first weights.
    """

    def __init__(self, shape: ContextShape, seed: int) -> None:
        super().__init__()
        self.shape = shape
        rng = np.random.default_rng([seed, 7])
        self.parts: dict[str, Any] = {
            name: keras.Variable(_first_values(name, size, rng), name=name.replace("/", "_"))
            for name, size in context_shapes(shape).items()
        }
        self.built = True

    def embed(self, tokens: Any) -> Any:
        """Return what the stage reads of the network's last features, (b, n, 48)."""
        weights = self.parts
        if not self.shape.embedding:
            return tokens[..., :0]
        return tf.tanh(tokens @ weights["embedding/kernel"] + weights["embedding/bias"])

    def call(self, log_probabilities: Any, peaks: Any, embedding: Any) -> Any:
        """Return logits, (b, n, 3); entry i answers window i - lag.

        Args:
            log_probabilities: (b, n, 3), the network's own answers.
            peaks: (b, n, 3), largest absolute samples of the components.
            embedding: (b, n, e), from `embed`.
        """
        weights = self.parts
        own = tf.maximum(log_probabilities, LEAST_LOG_PROBABILITY)
        vertical = peaks[..., 2]
        horizontal = tf.reduce_max(peaks[..., :2], axis=-1)
        followed = (tf.reduce_max(peaks, axis=-1), vertical, horizontal)
        features = [own / LOG_PROBABILITY_SCALE, *map(level_changes, followed)]
        features += [level_ratio(vertical, horizontal), embedding]
        hidden = _dense(weights, "input", tf.concat(features, axis=-1))
        for number in range(1, self.shape.layers + 1):
            kernel = weights[f"layer_{number}/kernel"]
            mixed = sum(
                _back(hidden, k * 2 ** (number - 1)) @ kernel[KERNEL - 1 - k] for k in range(KERNEL)
            )
            hidden += tf.nn.relu(mixed + weights[f"layer_{number}/bias"])
        correction = _dense(weights, "logits", _dense(weights, "hidden", hidden), linear=True)
        return correction + weights["logits/gain"] * _back(own, self.shape.lag_windows)

    def values(self) -> Mapping[str, Any]:
        """The weights as arrays."""
        return {name: variable.numpy() for name, variable in self.parts.items()}


def level_changes(peaks: Any) -> Any:
    """Logarithm of each window's peak over those before, (b, n, 5); 0 before the first."""
    levels = _level(peaks)
    n = levels.shape[1]
    changes = []
    for lag in LEVEL_LAGS:
        change = levels[:, lag:] - levels[:, : n - lag] if lag < n else levels[:, :0]
        change = tf.clip_by_value(change, -LARGEST_LEVEL_CHANGE, LARGEST_LEVEL_CHANGE)
        changes.append(tf.pad(change / LEVEL_SCALE, ((0, 0), (min(lag, n), 0))))
    return tf.stack(changes, axis=-1)


def level_ratio(vertical: Any, horizontal: Any) -> Any:
    """Logarithm of one peak over the other, (b, n, 1); 0 where either is missing."""
    ratio = _level(vertical) - _level(horizontal)
    ratio = tf.clip_by_value(ratio, -LARGEST_LEVEL_CHANGE, LARGEST_LEVEL_CHANGE) / LEVEL_SCALE
    return tf.where((vertical > 0.0) & (horizontal > 0.0), ratio, 0.0)[..., None]


def _level(peaks: Any) -> Any:
    return tf.math.log(tf.maximum(peaks, LEAST_PEAK))


def _back(values: Any, by: int) -> Any:
    """Values `by` windows before, zeros before the first; (b, n, c)."""
    if not by:
        return values
    n = values.shape[1]
    return tf.pad(values, ((0, 0), (by, 0), (0, 0)))[:, :n]


def _dense(weights: Mapping[str, Any], name: str, values: Any, *, linear: bool = False) -> Any:
    result = values @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]
    return result if linear else tf.nn.relu(result)


def _largest_of(grains: Any, count: int, n_windows: int) -> Any:
    """Running maximum of `count` grains, (b, 3, n_windows), by doubling."""
    reached, length = grains, 1
    while length * 2 <= count:
        reached = tf.maximum(reached[:, :, :-length], reached[:, :, length:])
        length *= 2
    rest = count - length
    if rest:
        reached = tf.maximum(reached[:, :, : -rest or None], reached[:, :, rest:])
    return reached[:, :, :n_windows]


def _first_values(name: str, size: tuple[int, ...], rng: np.random.Generator) -> Any:
    if name.endswith("bias"):
        return np.zeros(size, np.float32)
    if name == "logits/gain":
        return np.full(size, 0.7, np.float32)
    fixed = {"logits/kernel": 0.01, "embedding/kernel": 0.3}
    spread = fixed.get(name, math.sqrt(1.0 / np.prod(size[:-1])))
    return rng.normal(scale=spread, size=size).astype(np.float32)
