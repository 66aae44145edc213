"""The network `performer` as one fused computation for XLA on a CPU.

It answers what the Keras model answers, to rounding, with less arithmetic: scales and
layer-norm gains are folded into the weights, the residual stream is kept centred where
that is free, attention is computed token by token (12 x 12 products are fewer than by
way of the 24 x 24 memory of FAVOR+), and only the class token goes through the last
block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.networks.contract import BLOCKS, DIM, HEADS, PATCH, PATCHES
from scperformer.networks.tensorflow_alone import tf
from scperformer.stft import DECIBEL_FLOOR, DECIBEL_SCALE

TOKENS = PATCHES + 1
HEAD = DIM // HEADS
KERNEL_OFFSET = 1e-3
LAYER_NORM_EPSILON = 1e-6

# XLA's CPU backend writes an elementwise result over its only input where the sizes
# agree, and the loop that comes of it runs without vector instructions: ten times slower
# for erf. Columns that are computed and cut off keep the sizes apart.
_SPARE_COLUMNS = 8
_LANES = 8
_ROOT_HALF = math.sqrt(0.5)

Array = NDArray[np.floating]
Weights = Mapping[str, Array]


class Dense:
    """A dense layer over the last axis, (..., inputs) -> (..., outputs).

    Args:
        kernel: (inputs, outputs).
        bias: (outputs,), none if None.
        spare: compute columns that are cut off; see the head of this module.
    """

    def __init__(self, kernel: Array, bias: Array | None = None, *, spare: bool = False) -> None:
        self._outputs = kernel.shape[1]
        self._spare = spare
        if spare:
            kernel = np.pad(kernel, ((0, 0), (0, _SPARE_COLUMNS)))
        self._kernel = _constant(kernel)
        self._bias = None if bias is None else _constant(bias)

    def __call__(self, values: Any) -> Any:
        """Apply the layer."""
        leading = values.shape[:-1]
        result = tf.matmul(tf.reshape(values, (-1, values.shape[-1])), self._kernel)
        if self._spare:
            result = result[:, : self._outputs]
        result = tf.reshape(result, (*leading, self._outputs))
        return result if self._bias is None else result + self._bias


class Perceptron:
    """Two dense layers with the exact gelu behind each.

    With ``u = x sqrt(1/2)``, ``gelu(x) = sqrt(1/2) u (1 + erf(u))``: the factors go into
    the kernels, the last one is applied by the caller.
    """

    def __init__(self, first: tuple[Array, Array], second: tuple[Array, Array]) -> None:
        half, root = 0.5, _ROOT_HALF
        self._first = Dense(first[0] * root, first[1] * root, spare=True)
        self._second = Dense(second[0] * half, second[1] * root)

    def __call__(self, values: Any) -> Any:
        """Return gelu(second(gelu(first(values)))) / sqrt(1/2)."""
        return _gelu(self._second(_gelu(self._first(values))))


class FullBlock:
    """An encoder block for all tokens, (n, 12, 48) -> (n, 12, 48).

    Args:
        weights: of the network.
        name: the block's path.
        centred: the tokens come with a mean of zero and may leave the attention so.
    """

    def __init__(self, weights: Weights, name: str, *, centred: bool) -> None:
        self._centred = centred
        parts = _BlockWeights(weights, name)
        self._query, self._key = Dense(*parts.folded("query")), Dense(*parts.folded("key"))
        value, value_bias = parts.folded("value")
        # Attention weights add up to 1, so the values' bias passes through to the output.
        self._value = Dense(value)
        output = parts.output @ _CENTRE if centred else parts.output
        heads = np.split(output, HEADS)
        self._outputs = [Dense(heads[0], value_bias @ output)]
        self._outputs += [Dense(head) for head in heads[1:]]
        self._perceptron = Perceptron(*parts.perceptron())

    def __call__(self, tokens: Any) -> Any:
        """Apply the block."""
        normal = _normalised(tokens, centred=self._centred)
        query, key = _kernel(self._query(normal)), _kernel(self._key(normal))
        values = self._value(normal)
        likeness = _head_products(query[:, :, None], key[:, None])  # n, query, key, head
        share = 1.0 / _added(likeness[:, :, j] for j in range(TOKENS))
        for head, output in enumerate(self._outputs):
            part = slice(head * HEAD, (head + 1) * HEAD)
            mixed = _added(
                likeness[:, :, j, head, None] * values[:, None, j, part] for j in range(TOKENS)
            )
            tokens += output(mixed * share[:, :, head, None])
        return tokens + _ROOT_HALF * self._perceptron(_normalised(tokens, centred=self._centred))


class LastBlock:
    """The last encoder block for the class token alone, (n, 12, 48) -> (n / 8, 8, 48).

    The values' projection is applied behind the mixing, where there is one token left.
    """

    def __init__(self, weights: Weights, name: str) -> None:
        parts = _BlockWeights(weights, name)
        self._query, self._key = Dense(*parts.folded("query")), Dense(*parts.folded("key"))
        value, value_bias = parts.folded("value")
        values, outputs = np.split(value, HEADS, axis=1), np.split(parts.output, HEADS)
        self._outputs = [Dense(values[0] @ outputs[0], value_bias @ parts.output)]
        self._outputs += [Dense(v @ o) for v, o in zip(values[1:], outputs[1:], strict=True)]
        self._perceptron = Perceptron(*parts.perceptron())

    def __call__(self, tokens: Any) -> Any:
        """Apply the block; windows come in groups of eight (see `_in_lanes`)."""
        normal = _normalised(tokens)
        key = _kernel(self._key(normal))
        query = _kernel(self._query(normal[:, 0]))
        likeness = _head_products(query[:, None], key)  # n, key, head
        share = 1.0 / _added(likeness[:, j] for j in range(TOKENS))
        token = _in_lanes(tokens[:, 0])
        for head, output in enumerate(self._outputs):
            mixed = _added(likeness[:, j, head, None] * normal[:, j] for j in range(TOKENS))
            token += _in_lanes(output(mixed * share[:, head, None]))
        return token + _ROOT_HALF * self._perceptron(_normalised(token))


def performer_graph(
    weights: Weights, embedding: tuple[Array, Array] | None = None
) -> Callable[[Any, Any], Any]:
    """Make the computation.

    Args:
        weights: under the paths of `contract.weight_shapes`.
        embedding: kernel (48, e) and bias (e,) of what a context stage reads of the
            input of the last layer.

    Returns:
        A function of patches (n, 11, 198) in decibels of unnormalised samples and the
        decibels of the windows' peaks (n,), both float32, n a multiple of 8; it answers
        (n, 3) float32 probabilities, or (n, 3 + e) with the embedding behind them.
    """
    weights = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    positions = weights["position_embedding/embeddings"]
    embed_patches = Dense(weights["patch_embedding/kernel"] @ _CENTRE / DECIBEL_SCALE)
    shift = _constant((positions[1:] + weights["patch_embedding/bias"]) @ _CENTRE)
    class_token = _constant((positions[:1] + weights["class_token/token"][0]) @ _CENTRE)
    names = [f"block_{number}" for number in range(1, BLOCKS + 1)]
    blocks: list[Callable[[Any], Any]] = [
        FullBlock(weights, name, centred=name == names[0]) for name in names[:-1]
    ]
    blocks.append(LastBlock(weights, names[-1]))
    first = _fold(weights, "norm", weights["dense_1/kernel"], weights["dense_1/bias"])
    head = Perceptron(first, (weights["dense_2/kernel"], weights["dense_2/bias"]))
    logits = Dense(weights["logits/kernel"] * _ROOT_HALF, weights["logits/bias"])
    embed = None if embedding is None else Dense(embedding[0] * _ROOT_HALF, embedding[1])

    def answer(patches: Any, peak_decibels: Any) -> Any:
        n = patches.shape[0]
        decibels = tf.maximum(patches - peak_decibels[:, None, None], DECIBEL_FLOOR)
        tokens = embed_patches(tf.reshape(decibels, (n, PATCHES, PATCH))) + shift
        tokens = tf.concat([tf.broadcast_to(class_token, (n, 1, DIM)), tokens], axis=1)
        for block in blocks:
            tokens = block(tokens)
        features = head(_normalised(tokens))
        probabilities = tf.nn.softmax(tf.reshape(logits(features), (n, -1)))
        if embed is None:
            return probabilities
        seen = tf.tanh(tf.reshape(embed(features), (n, -1)))
        return tf.concat([probabilities, seen], axis=1)

    return answer


class _BlockWeights:
    """The weights of one encoder block, its layer norm folded into what reads it."""

    def __init__(self, weights: Weights, name: str) -> None:
        self._weights = weights
        self._name = name
        self.output = weights[f"{name}/attention/output/kernel"].reshape(DIM, DIM)

    def folded(self, projection: str) -> tuple[Array, Array]:
        """Kernel and bias of a projection of the attention."""
        kernel = self._weights[f"{self._name}/attention/{projection}/kernel"]
        return _fold(self._weights, f"{self._name}/norm", kernel.reshape(DIM, DIM), np.zeros(DIM))

    def perceptron(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Kernels and biases of the two dense layers."""
        first, second = f"{self._name}/dense_1", f"{self._name}/dense_2"
        weights = self._weights
        return (
            _fold(
                weights, f"{self._name}/norm", weights[f"{first}/kernel"], weights[f"{first}/bias"]
            ),
            (weights[f"{second}/kernel"], weights[f"{second}/bias"]),
        )


_CENTRE: Array = np.eye(DIM) - 1.0 / DIM


def _fold(weights: Weights, norm: str, kernel: Array, bias: Array) -> tuple[Array, Array]:
    """Put a layer norm's gain and shift into the dense layer behind it."""
    gamma, beta = weights[f"{norm}/gamma"], weights[f"{norm}/beta"]
    return gamma[:, None] * kernel, beta @ kernel + bias


def _constant(value: Array) -> Any:
    return tf.constant(value.astype(np.float32))


def _added(terms: Iterable[Any]) -> Any:
    """Add terms one by one: XLA makes one loop with vector instructions of it."""
    total, *rest = terms
    for term in rest:
        total += term
    return total


def _last_axis_sum(values: Any) -> Any:
    """Add up the last axis (48 values), keeping it: a few wide additions, then a short sum."""
    parts = DIM // _LANES
    split = tf.reshape(values, (*values.shape[:-1], parts, _LANES))
    return tf.reduce_sum(_added(split[..., i, :] for i in range(parts)), axis=-1, keepdims=True)


def _normalised(values: Any, *, centred: bool = False) -> Any:
    """Layer normalisation without gain and shift, which are folded into what follows."""
    if not centred:
        values -= _last_axis_sum(values) / DIM
    variance = _last_axis_sum(values * values) / DIM
    return values * tf.math.rsqrt(variance + LAYER_NORM_EPSILON)


def _kernel(values: Any) -> Any:
    """FAVOR+'s ReLU kernel, heads apart: (..., 48) -> (..., 2, 24)."""
    heads = tf.reshape(values, (*values.shape[:-1], HEADS, HEAD))
    return tf.nn.relu(heads) + KERNEL_OFFSET


def _head_products(query: Any, key: Any) -> Any:
    """Scalar products over the last axis (24 values) in three wide parts."""
    parts = [slice(start, start + _LANES) for start in range(0, HEAD, _LANES)]
    return tf.reduce_sum(_added(query[..., part] * key[..., part] for part in parts), axis=-1)


def _gelu(scaled: Any) -> Any:
    return scaled * (1.0 + tf.math.erf(scaled))


def _in_lanes(values: Any) -> Any:
    """(n, 48) -> (n / 8, 8, 48): XLA makes better loops for three axes than for two."""
    return tf.reshape(values, (-1, _LANES, values.shape[-1]))
