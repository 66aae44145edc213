"""The streaming network inside TensorFlow's graph, over whole stretches, to be trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scperformer.core.streaming import EPSILON, LEAST_KEY, LEAST_WEIGHT
from scperformer.core.streaming_shape import BUNDLE, KERNEL, StreamingShape
from scperformer.networks.contract import streaming_shapes
from scperformer.networks.streaming import read_streaming
from scperformer.training.loop import Learner, weighted_mean

# isort: split
import keras
import tensorflow as tf

_FIRST_BIAS = (-2.0, -2.0, 2.0)
_TINY = 1e-9
_NOT_LATER = np.tri(BUNDLE, dtype=np.float32)


class StreamingLearner(Learner):
    """The network with weights that can be trained; see `core.streaming` for what it computes.

    Args:
        shape: its size.
        seed: of the first weights.
        phase_weight: how much more P and S weigh in the loss than noise.
    """

    def __init__(self, shape: StreamingShape, *, seed: int, phase_weight: float) -> None:
        super().__init__()
        self.shape = shape
        self._class_weights = tf.constant([phase_weight, phase_weight, 1.0], tf.float32)
        rng = np.random.default_rng([seed, 11])
        self.parts: dict[str, Any] = {
            name: keras.Variable(_first_values(name, size, rng), name=name.replace("/", "_"))
            for name, size in streaming_shapes(shape).items()
        }
        self.built = True

    def logits(self, features: Any) -> Any:
        """Return logits, (b, n, 3), of features (b, n, 105).

        Entry i is about column i - look_ahead.
        """
        weights = self.parts
        hidden = _dense(weights, "input", features)
        for number, dilation in enumerate(self.shape.dilations, start=1):
            name = f"block_{number}"
            normal = _normalised(hidden)
            seen = [_back(normal, (KERNEL - 1 - k) * dilation) for k in range(KERNEL)]
            kernel = weights[f"{name}/convolution/kernel"]
            mixed = tf.concat(seen, axis=-1) @ tf.reshape(kernel, (-1, kernel.shape[-1]))
            mixed = tf.nn.relu(mixed + weights[f"{name}/convolution/bias"])
            hidden += _dense(weights, f"{name}/mix", mixed)
            told = self._attention(name, _normalised(hidden))
            hidden += _dense(weights, f"{name}/join", told)
            wide = tf.nn.relu(_dense(weights, f"{name}/expand", _normalised(hidden)))
            hidden += _dense(weights, f"{name}/contract", wide)
        return _dense(weights, "output", _normalised(hidden))

    def _attention(self, name: str, values: Any) -> Any:
        """Causal linear attention over (b, n, c), bundles beginning with the first column."""
        weights, memories = self.parts, self.shape.memories
        b, n, c = values.shape
        m = -(-n // BUNDLE)
        values = tf.pad(values, ((0, 0), (0, m * BUNDLE - n), (0, 0)))
        heads = (b, m, BUNDLE, len(memories), self.shape.head_width)
        query, key = (
            tf.nn.relu(tf.reshape(_dense(weights, f"{name}/{part}", values), heads)) + LEAST_KEY
            for part in ("query", "key")
        )
        value = tf.reshape(_dense(weights, f"{name}/value", values), heads)
        value = tf.concat([value, tf.ones_like(value[..., :1])], axis=-1)
        sums = tf.einsum("bmkhd,bmkhe->bmhde", key, value)
        until = tf.cumsum(sums, axis=1, exclusive=True)
        past = tf.stack(
            [until[:, :, h] - _back(until[:, :, h], by) for h, by in enumerate(memories)], axis=2
        )
        likeness = tf.einsum("bmqhd,bmkhd->bmhqk", query, key) * _NOT_LATER
        told = tf.einsum("bmhqk,bmkhe->bmqhe", likeness, value)
        told += tf.einsum("bmqhd,bmhde->bmqhe", query, past)
        told = told[..., :-1] / (told[..., -1:] + LEAST_WEIGHT)
        return tf.reshape(told, (b, m * BUNDLE, c))[:, :n]

    def losses(self, inputs: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """Return the divergence from the targets, P and S weighing more than noise, twice."""
        answers = tf.nn.log_softmax(self.logits(inputs))
        lag = self.shape.look_ahead
        n = answers.shape[1] - lag
        targets, answers = targets[:, :n], answers[:, lag:]
        divergence = targets * (tf.math.log(targets + _TINY) - answers) * self._class_weights
        loss = weighted_mean(tf.reduce_sum(divergence, axis=-1), weights[:, :n])
        return loss, loss

    def begin_with(self, path: Path) -> None:
        """Take the weights of a file.

        Raises:
            WeightsError: they are not those of a network of this shape.
        """
        for name, values in read_streaming(path, self.shape).items():
            self.parts[name].assign(values)

    def values(self) -> Mapping[str, Any]:
        """The weights as arrays."""
        return {name: variable.numpy() for name, variable in self.parts.items()}


def _normalised(values: Any) -> Any:
    mean_square = tf.reduce_mean(tf.square(values), axis=-1, keepdims=True)
    return values * tf.math.rsqrt(mean_square + float(EPSILON))


def _back(values: Any, by: int) -> Any:
    """Values `by` places before, zeros before the first; (b, n, ...)."""
    if not by:
        return values
    n = values.shape[1]
    return tf.pad(values, ((0, 0), (by, 0), *[(0, 0)] * (len(values.shape) - 2)))[:, :n]


def _dense(weights: Mapping[str, Any], name: str, values: Any) -> Any:
    return values @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def _first_values(name: str, size: tuple[int, ...], rng: np.random.Generator) -> Any:
    if name == "output/bias":
        return np.array(_FIRST_BIAS, np.float32)
    if name.endswith("bias"):
        return np.zeros(size, np.float32)
    gain = 2.0 if name.endswith(("convolution/kernel", "expand/kernel")) else 1.0
    if name.endswith(("mix/kernel", "join/kernel", "contract/kernel")):
        gain = 0.09
    if name == "output/kernel":
        gain = 0.01
    spread = math.sqrt(gain / np.prod(size[:-1]))
    return rng.normal(scale=spread, size=size).astype(np.float32)
