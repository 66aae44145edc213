"""The networks' cores in the form that trains fastest.

For `performer` without dropout the core is written out in plain TensorFlow: every
dense layer one flat matrix product, the attention as two batched products of
12 x 12 and 12 x 24 matrices, and the last block for the class token alone, the only
one that is read. A step takes less than half of the Keras core's time; a test
compares the two. All other cores are called as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from scperformer.networks.contract import BLOCKS, DIM, HEADS, PATCH, PATCH_BINS, PATCHES, Network
from scperformer.networks.layers import KERNEL_OFFSET, LAYER_NORM_EPSILON
from scperformer.stft import FRAMES

# isort: split
import tensorflow as tf

Forward = Callable[[Any], Any]
StagedForward = Callable[[Any], tuple[Any, list[Any]]]


def training_forward(core: Any, network: Network, *, dropout: bool) -> Forward:
    """Return a function from features to (n, 3) logits that shares the core's weights.

    Args:
        core: core of a network, see `networks.architectures.core_of`.
        network: which one it is.
        dropout: the core has dropout layers that shall work.
    """
    if network is Network.PERFORMER and not dropout:
        weights = {variable.path: variable for variable in core.weights}
        return lambda features: _performer(weights, features)[0]
    return lambda features: core(features, training=True)


def inference_forward(core: Any, network: Network) -> Forward:
    """Return a function from features to (n, 3) logits that never trains."""
    if network is Network.PERFORMER:
        return training_forward(core, network, dropout=False)
    return lambda features: core(features, training=False)


def staged_forward(core: Any) -> StagedForward:
    """Return a function from features to logits and to what `performer` computes on the way.

    Args:
        core: of `performer`, without dropout.

    Returns:
        A function that answers (n, 3) logits and the stages: the tokens in front of and
        behind the first block, both (n, 12, 48), the class token behind the last block
        and the input of the logits, both (n, 48).
    """
    weights = {variable.path: variable for variable in core.weights}
    return lambda features: _performer(weights, features)


def _performer(weights: dict[str, Any], features: Any) -> tuple[Any, list[Any]]:
    shape = (-1, FRAMES, PATCHES, features.shape[-1] * PATCH_BINS)
    patches = tf.reshape(tf.transpose(tf.reshape(features, shape), (0, 2, 1, 3)), (-1, PATCH))
    tokens = _dense(weights, "patch_embedding", patches)
    tokens = tf.reshape(tokens, (-1, PATCHES, DIM))
    first = tf.tile(weights["class_token/token"], (tf.shape(tokens)[0], 1, 1))
    tokens = tf.concat([first, tokens], axis=1) + weights["position_embedding/embeddings"]
    stages = [tokens]
    for number in range(1, BLOCKS + 1):
        tokens = _block(weights, f"block_{number}", tokens, first_only=number == BLOCKS)
        stages.append(tokens)
    stages[-1] = tf.reshape(tokens, (-1, DIM))
    token = _norm(weights, "norm", stages[-1])
    for name in ("dense_1", "dense_2"):
        token = _gelu(_dense(weights, name, token))
    stages.append(token)
    return _dense(weights, "logits", token), stages


def _block(weights: dict[str, Any], name: str, tokens: Any, *, first_only: bool) -> Any:
    """One encoder block, (n, 12, 48) to (n, 12, 48), or to (n, 1, 48) for token 0 alone."""
    normed = _norm(weights, f"{name}/norm", tokens)
    asking = normed[:, :1] if first_only else normed
    query = tf.nn.relu(_heads(weights, f"{name}/attention/query", asking)) + KERNEL_OFFSET
    key = tf.nn.relu(_heads(weights, f"{name}/attention/key", normed)) + KERNEL_OFFSET
    value = _heads(weights, f"{name}/attention/value", normed)
    score = tf.matmul(query, key, transpose_b=True)
    answer = tf.matmul(score, value) / tf.reduce_sum(score, axis=-1, keepdims=True)
    flat = tf.reshape(tf.transpose(answer, (0, 2, 1, 3)), (-1, DIM))
    kernel = tf.reshape(weights[f"{name}/attention/output/kernel"], (DIM, DIM))
    asked = tf.reshape(tokens[:, :1] if first_only else tokens, (-1, DIM))
    asked = asked + tf.matmul(flat, kernel)
    hidden = _gelu(_dense(weights, f"{name}/dense_1", _norm(weights, f"{name}/norm", asked)))
    answered = asked + _gelu(_dense(weights, f"{name}/dense_2", hidden))
    return tf.reshape(answered, (-1, 1 if first_only else PATCHES + 1, DIM))


def _heads(weights: dict[str, Any], name: str, tokens: Any) -> Any:
    """Project (n, k, 48) tokens to (n, 2, k, 24)."""
    kernel = tf.reshape(weights[f"{name}/kernel"], (DIM, DIM))
    projected = tf.matmul(tf.reshape(tokens, (-1, DIM)), kernel)
    shape = (-1, tokens.shape[1], HEADS, DIM // HEADS)
    return tf.transpose(tf.reshape(projected, shape), (0, 2, 1, 3))


def _dense(weights: dict[str, Any], name: str, values: Any) -> Any:
    return tf.matmul(values, weights[f"{name}/kernel"]) + weights[f"{name}/bias"]


def _norm(weights: dict[str, Any], name: str, values: Any) -> Any:
    centred = values - tf.reduce_mean(values, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    scaled = centred * tf.math.rsqrt(variance + LAYER_NORM_EPSILON)
    return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def _gelu(values: Any) -> Any:
    return 0.5 * values * (1.0 + tf.math.erf(values * math.sqrt(0.5)))
