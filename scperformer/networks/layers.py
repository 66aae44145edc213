"""Keras layers that the networks are built from.

The encoder is that of Stepnov, Chernykh and Konovalov (2021, doi 10.3390/s21186290);
its attention is FAVOR+ with the ReLU kernel and no random projection (Choromanski
et al. 2021, "Rethinking Attention with Performers", section 2.2 and appendix D.2).
"""

from __future__ import annotations

import math
from typing import Any

import scperformer.networks.runtime  # noqa: F401  (sets the backend before keras comes)

# isort: split
import keras
from keras import ops

LAYER_NORM_EPSILON = 1e-6
KERNEL_OFFSET = 1e-3
DROPOUT_RATE = 0.1


class PeakNormalization(keras.layers.Layer):  # type: ignore[misc]
    """Divide each window by its largest absolute sample over all components.

    Input and output: (batch, samples, components) float32. A window of zeros stays
    zeros.
    """

    def call(self, windows: Any) -> Any:
        """Return windows whose largest absolute sample is 1."""
        peak = ops.max(ops.abs(windows), axis=(1, 2), keepdims=True)
        return windows / ops.where(peak > 0, peak, ops.ones_like(peak))


class ClassToken(keras.layers.Layer):  # type: ignore[misc]
    """Put one learned token in front: (batch, n, dim) -> (batch, n + 1, dim)."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the token, (1, 1, dim)."""
        self.token = self.add_weight(
            shape=(1, 1, input_shape[-1]),
            initializer=keras.initializers.RandomNormal(stddev=0.05),
            name="token",
        )

    def call(self, tokens: Any) -> Any:
        """Return the tokens with the class token as token 0."""
        first = ops.broadcast_to(self.token, (ops.shape(tokens)[0], 1, tokens.shape[-1]))
        return ops.concatenate([first, tokens], axis=1)


class PositionEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """Add a learned vector to each token: (batch, n, dim) -> the same."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the table, (n, dim)."""
        self.embeddings = self.add_weight(
            shape=tuple(input_shape[1:]),
            initializer=keras.initializers.RandomUniform(-0.05, 0.05),
            name="embeddings",
        )

    def call(self, tokens: Any) -> Any:
        """Return the tokens with their positions' vectors added."""
        return tokens + self.embeddings


class FavorAttention(keras.layers.Layer):  # type: ignore[misc]
    """Linear self-attention, FAVOR+ with the ReLU kernel, without biases.

    With ``phi(x) = relu(x) + 0.001`` the answer of query i is
    ``sum_j phi(q_i).phi(k_j) v_j / sum_j phi(q_i).phi(k_j)``, computed by way of
    ``sum_j phi(k_j) v_j^T``, and projected to the output.

    Args:
        dim: length of a token, input and output.
        heads: number of heads, a divisor of `dim`.
    """

    def __init__(self, dim: int, heads: int, **options: Any) -> None:
        super().__init__(**options)
        limit = math.sqrt(6.0 / (dim + dim))
        uniform = keras.initializers.RandomUniform
        projections = [
            keras.layers.EinsumDense(
                "bnd,dhk->bnhk",
                output_shape=(None, heads, dim // heads),
                kernel_initializer=uniform(-limit, limit),
                name=name,
            )
            for name in ("query", "key", "value")
        ]
        self.query, self.key, self.value = projections
        self.projection = keras.layers.EinsumDense(
            "bnhk,hkd->bnd",
            output_shape=(None, dim),
            kernel_initializer=uniform(-limit, limit),
            name="output",
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the four projections."""
        for layer in (self.query, self.key, self.value):
            layer.build(input_shape)
        self.projection.build(self.value.compute_output_shape(input_shape))

    def call(self, tokens: Any) -> Any:
        """Return (batch, n, dim) for (batch, n, dim)."""
        query = ops.relu(self.query(tokens)) + KERNEL_OFFSET
        key = ops.relu(self.key(tokens)) + KERNEL_OFFSET
        memory = ops.einsum("bnhk,bnhv->bhkv", key, self.value(tokens))
        numerator = ops.einsum("bnhk,bhkv->bnhv", query, memory)
        normaliser = ops.einsum("bnhk,bhk->bnh", query, ops.sum(key, axis=1))
        return self.projection(numerator / ops.expand_dims(normaliser, -1))


class EncoderBlock(keras.layers.Layer):  # type: ignore[misc]
    """Attention and a two-layer perceptron, each with a residual around it.

    Both read their input through the same LayerNorm, as the authors' network does.

    Args:
        dim: length of a token, input and output.
        heads: number of attention heads.
        hidden: width of the perceptron's first layer.
        dropout: rate of dropout after each of the perceptron's layers.
    """

    def __init__(
        self, dim: int, heads: int, hidden: int, dropout: float = DROPOUT_RATE, **options: Any
    ) -> None:
        super().__init__(**options)
        self.norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="norm")
        self.attention = FavorAttention(dim, heads, name="attention")
        self.dense_1 = keras.layers.Dense(hidden, activation=exact_gelu, name="dense_1")
        self.dropout_1 = keras.layers.Dropout(dropout, name="dropout_1")
        self.dense_2 = keras.layers.Dense(dim, activation=exact_gelu, name="dense_2")
        self.dropout_2 = keras.layers.Dropout(dropout, name="dropout_2")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build the sublayers."""
        for layer in (self.norm, self.attention, self.dense_1):
            layer.build(input_shape)
        self.dense_2.build(self.dense_1.compute_output_shape(input_shape))

    def call(self, tokens: Any, training: bool = False) -> Any:
        """Return (batch, n, dim) for (batch, n, dim)."""
        tokens = tokens + self.attention(self.norm(tokens))
        hidden = self.dropout_1(self.dense_1(self.norm(tokens)), training=training)
        return tokens + self.dropout_2(self.dense_2(hidden), training=training)


class FirstToken(keras.layers.Layer):  # type: ignore[misc]
    """Take token 0: (batch, n, dim) -> (batch, dim)."""

    def call(self, tokens: Any) -> Any:
        """Return the class token."""
        return tokens[:, 0]


def exact_gelu(values: Any) -> Any:
    """Gaussian error linear unit with the error function, not its tanh approximation."""
    return ops.gelu(values, approximate=False)
