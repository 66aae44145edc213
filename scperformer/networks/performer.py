"""The arithmetic of the network `performer`, for training and for answers alike.

Stepnov, Chernykh and Konovalov (2021, doi 10.3390/s21186290); its attention is FAVOR+
with the ReLU kernel and no random projection (Choromanski et al. 2021, "Rethinking
Attention with Performers", section 2.2 and appendix D.2).

It answers what these describe, to rounding, with less arithmetic: gains and shifts of
layer norms and the factors of gelu are folded into the weights, the residual stream is
kept centred where that is free, attention is computed token by token (12 x 12 products
are fewer than by way of the 24 x 24 memory of FAVOR+), and only the class token goes
through the last block.

XLA's CPU backend computes long sums over a last axis number by number. Sums of few wide
terms (`_added`) become loops of vector instructions; `unstack` and `split` make the
terms, because the gradient of many slices is as slow as they are fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from einops import rearrange

from scperformer.networks.contract import BLOCKS, DIM, HEADS, PATCH_BINS
from scperformer.networks.runtime import tf

KERNEL_OFFSET = 1e-3
LAYER_NORM_EPSILON = 1e-6

_LANES = 8
_ROOT_HALF = math.sqrt(0.5)

Weights = Mapping[str, Any]
Dense = tuple[Any, Any]
"""Kernel and bias of a dense layer over the last axis."""
Drop = Callable[[Any], Any]


def unchanged(values: Any) -> Any:
    """Drop nothing."""
    return values


def patches_of(spectrograms: Any) -> Any:
    """Cut (n, 22, 33, 3) spectrograms into patches of all frames and three bins, (n, 11, 198)."""
    return rearrange(spectrograms, "n frame (patch bin) c -> n patch (frame bin c)", bin=PATCH_BINS)


class Performer:
    """The network, from patches to what its last layer reads.

    Args:
        weights: tensors or variables under the paths of `contract.weight_shapes`, all of
            one float type, in which they are folded. A picker makes this once; a training
            anew in each step, whose gradients go through the folding.

    Attributes:
        logits: the last layer.
    """

    def __init__(self, weights: Weights) -> None:
        weights = {path: tf.convert_to_tensor(weight) for path, weight in weights.items()}
        positions = weights["position_embedding/embeddings"]
        kernel, bias = dense(weights, "patch_embedding")
        self._embedding = _float32(_centred(kernel), _centred(positions[1:] + bias))
        (self._class_token,) = _float32(_centred(positions[:1] + weights["class_token/token"][0]))
        names = [f"block_{number}" for number in range(1, BLOCKS + 1)]
        self._blocks = [_Block(weights, name, is_last=name == names[-1]) for name in names]
        self._head = _Perceptron(
            _folded(weights, "norm", *dense(weights, "dense_1")), dense(weights, "dense_2")
        )
        self.logits = _float32(*dense(weights, "logits"))

    def stages(self, patches: Any, drop: Drop = unchanged) -> list[Any]:
        """Compute all but the last layer.

        Args:
            patches: (n, 11, 198) float32, decibels divided by 50; see `patches_of`.
            drop: dropout, where there shall be any.

        Returns:
            The tokens in front of and behind each block but the last, (n, 12, 48), less
            their mean, which nothing looks at; the class token behind the last block and
            what the last layer reads, both (n, 48).
        """
        tokens = apply(self._embedding, patches)
        first = tf.broadcast_to(self._class_token, (tf.shape(tokens)[0], 1, DIM))
        stages = [tf.concat([first, tokens], axis=1)]
        for block in self._blocks:
            stages.append(block(stages[-1], drop))
        token = stages.pop()
        seen = self._head(drop(_normalised(token)), drop)
        return [*stages, tf.reshape(token, (-1, DIM)), tf.reshape(seen, (-1, DIM))]


class _Block:
    """An encoder block: attention and a perceptron, each with a residual around it.

    Both read their input through the same layer norm, as the authors' network does. The
    last block answers for the class token alone, and projects values behind their mixing,
    where there is one token left.
    """

    def __init__(self, weights: Weights, name: str, *, is_last: bool) -> None:
        self._is_last = is_last
        square = (DIM, DIM)
        query, key, value = (
            _folded(weights, f"{name}/norm", tf.reshape(kernel, square), 0.0)
            for part in ("query", "key", "value")
            for kernel in [weights[f"{name}/attention/{part}/kernel"]]
        )
        self._query, self._key = _float32(*query), _float32(*key)
        output = tf.reshape(weights[f"{name}/attention/output/kernel"], square)
        if not is_last:
            output = _centred(output)
        outputs = tf.split(output, HEADS)
        if is_last:
            values = tf.split(value[0], HEADS, axis=1)
            outputs = [v @ o for v, o in zip(values, outputs, strict=True)]
        # Attention weights add up to 1, so the values' bias passes through to the output.
        self._value, self._bias, *self._outputs = _float32(
            value[0], tf.tensordot(value[1], output, 1), *outputs
        )
        self._perceptron = _Perceptron(
            _folded(weights, f"{name}/norm", *dense(weights, f"{name}/dense_1")),
            dense(weights, f"{name}/dense_2"),
        )

    def __call__(self, tokens: Any, drop: Drop) -> Any:
        """Return (n, 12, 48) for (n, 12, 48), or (n, 1, 48) if this is the last block."""
        normal = _normalised(tokens, is_centred=not self._is_last)
        asking = normal
        sources = [normal] * HEADS
        if self._is_last:
            tokens, asking = tokens[:, :1], normal[:, :1]
        else:
            sources = tf.split(product(normal, self._value), HEADS, axis=-1)
        query, key = _kernel(apply(self._query, asking)), _kernel(apply(self._key, normal))
        likeness = tf.reduce_sum(query[:, :, None] * key[:, None], axis=-1)
        share = 1.0 / _added(tf.unstack(likeness, axis=2))  # n, query, head
        tokens += self._bias
        heads = (tf.split(values, HEADS, axis=-1) for values in (likeness, share))
        for likeness, share, source, output in zip(*heads, sources, self._outputs, strict=True):
            weights, values = tf.unstack(likeness, axis=2), tf.unstack(source, axis=1)
            mixed = _added(w * v[:, None] for w, v in zip(weights, values, strict=True))
            tokens += product(mixed * share, output)
        return tokens + self._perceptron(_normalised(tokens, is_centred=not self._is_last), drop)


class _Perceptron:
    """Two dense layers with the exact gelu behind each.

    With ``u = x sqrt(1/2)``, ``gelu(x) = sqrt(1/2) u (1 + erf(u))``: the factors go into
    the kernels.
    """

    def __init__(self, first: Dense, second: Dense) -> None:
        self._first = _float32(first[0] * _ROOT_HALF, first[1] * _ROOT_HALF)
        self._second = _float32(second[0] * 0.5, second[1] * _ROOT_HALF)

    def __call__(self, values: Any, drop: Drop) -> Any:
        hidden = drop(_gelu(apply(self._first, values)))
        return drop(_ROOT_HALF * _gelu(apply(self._second, hidden)))


def apply(layer: Dense, values: Any) -> Any:
    """Apply a dense layer to (n, ..., inputs)."""
    return product(values, layer[0]) + layer[1]


def product(values: Any, kernel: Any) -> Any:
    """Multiply the last axis of (n, ..., inputs) by a kernel, in one matrix product."""
    inputs, outputs = kernel.shape
    flat = tf.matmul(tf.reshape(values, (-1, inputs)), kernel)
    return tf.reshape(flat, (-1, *values.shape[1:-1], outputs))


def dense(weights: Weights, name: str) -> Dense:
    """Return kernel and bias of a dense layer or a convolution."""
    return weights[f"{name}/kernel"], weights[f"{name}/bias"]


def _folded(weights: Weights, norm: str, kernel: Any, bias: Any) -> Dense:
    """Put a layer norm's gain and shift into the dense layer behind it."""
    gamma, beta = weights[f"{norm}/gamma"], weights[f"{norm}/beta"]
    return gamma[:, None] * kernel, tf.tensordot(beta, kernel, 1) + bias


def _centred(values: Any) -> Any:
    return values - tf.reduce_mean(values, axis=-1, keepdims=True)


def _float32(*values: Any) -> tuple[Any, ...]:
    return tuple(tf.cast(value, tf.float32) for value in values)


def _added(terms: Iterable[Any]) -> Any:
    """Add terms one by one."""
    total, *rest = terms
    for term in rest:
        total += term
    return total


def _last_axis_sum(values: Any) -> Any:
    """Add up the last axis (48 values), keeping it: a few wide additions, then a short sum."""
    split = tf.reshape(values, (-1, *values.shape[1:-1], DIM // _LANES, _LANES))
    return tf.reduce_sum(_added(tf.unstack(split, axis=-2)), axis=-1, keepdims=True)


def _normalised(values: Any, *, is_centred: bool = False) -> Any:
    """Layer normalisation without gain and shift, which are folded into what follows."""
    if not is_centred:
        values -= _last_axis_sum(values) / DIM
    variance = _last_axis_sum(values * values) / DIM
    return values * tf.math.rsqrt(variance + LAYER_NORM_EPSILON)


def _kernel(values: Any) -> Any:
    """FAVOR+'s ReLU kernel, heads apart: (n, k, 48) -> (n, k, 2, 24)."""
    heads = tf.reshape(values, (-1, values.shape[1], HEADS, DIM // HEADS))
    return tf.nn.relu(heads) + KERNEL_OFFSET


def _gelu(scaled: Any) -> Any:
    return scaled * (1.0 + tf.math.erf(scaled))
