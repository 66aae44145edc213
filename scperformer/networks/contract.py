"""The numeric contract: what a window becomes before a network sees it, and every weight.

Numbers only; nothing here imports TensorFlow. The released weights depend on them.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any

from scperformer.config import DEFAULT_FILTER
from scperformer.core.streaming_shape import EXPANSION, FEATURES, KERNEL, StreamingShape
from scperformer.errors import ConfigurationError
from scperformer.stft import (
    BINS,
    DECIBEL_FLOOR,
    DECIBEL_SCALE,
    FRAME_SAMPLES,
    FRAMES,
    HOP_SAMPLES,
    LEVEL_COLUMNS,
)
from scperformer.types import CLASSES, N_COMPONENTS, SAMPLING_RATE_HZ, WINDOW_SAMPLES

PATCH_BINS = 3
PATCHES = BINS // PATCH_BINS
PATCH = FRAMES * PATCH_BINS * N_COMPONENTS
DIM = 48
HIDDEN = 96
HEADS = 2
BLOCKS = 2

CNN_FILTERS = (32, 64, 128)
CNN_KERNEL = 3
CNN_UNITS = 80

GPD_FILTERS = (32, 64, 128, 256)
GPD_KERNELS = (21, 15, 11, 9)
GPD_UNITS = (200, 200)

Shape = tuple[int, ...]


class Network(StrEnum):
    """The networks that there are."""

    PERFORMER = "performer"
    CNN = "cnn"
    GPD = "gpd"
    STREAMING = "streaming"


WINDOW_NETWORKS = (Network.PERFORMER, Network.CNN, Network.GPD)
"""Those that answer windows, each for itself; their sizes are fixed."""


def parse_window_network(name: str) -> Network:
    """Return the network on windows of that name.

    Raises:
        ConfigurationError: no such network.
    """
    if name in WINDOW_NETWORKS:
        return Network(name)
    names = ", ".join(WINDOW_NETWORKS)
    raise ConfigurationError(f"network: got {name!r}; wanted one of {names}")


def weight_shapes(network: Network) -> dict[str, Shape]:
    """Return path and shape of every weight of a network on windows, in Keras' order."""
    return {
        Network.PERFORMER: _performer_shapes,
        Network.CNN: _cnn_shapes,
        Network.GPD: _gpd_shapes,
    }[network]()


def parameter_count(network: Network) -> int:
    """Return the number of parameters of a network on windows, all of them."""
    return sum(math.prod(shape) for shape in weight_shapes(network).values())


def _performer_shapes() -> dict[str, Shape]:
    shapes = _dense("patch_embedding", PATCH, DIM)
    shapes["class_token/token"] = (1, 1, DIM)
    shapes["position_embedding/embeddings"] = (PATCHES + 1, DIM)
    for number in range(1, BLOCKS + 1):
        block = f"block_{number}"
        shapes |= _norm(f"{block}/norm")
        for name in ("query", "key", "value"):
            shapes[f"{block}/attention/{name}/kernel"] = (DIM, HEADS, DIM // HEADS)
        shapes[f"{block}/attention/output/kernel"] = (HEADS, DIM // HEADS, DIM)
        shapes |= _dense(f"{block}/dense_1", DIM, HIDDEN) | _dense(f"{block}/dense_2", HIDDEN, DIM)
    shapes |= _norm("norm") | _dense("dense_1", DIM, HIDDEN) | _dense("dense_2", HIDDEN, DIM)
    return shapes | _dense("logits", DIM, len(CLASSES))


def _cnn_shapes() -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    width, frames, bins = N_COMPONENTS, FRAMES, BINS
    for number, filters in enumerate(CNN_FILTERS, 1):
        shapes[f"conv_{number}/kernel"] = (CNN_KERNEL, CNN_KERNEL, width, filters)
        shapes[f"conv_{number}/bias"] = (filters,)
        shapes |= _batch_norm(number, filters)
        width, frames, bins = filters, frames // 2, bins // 2
    shapes |= _dense("dense_1", frames * bins * width, CNN_UNITS)
    return shapes | _dense("logits", CNN_UNITS, len(CLASSES))


def _gpd_shapes() -> dict[str, Shape]:
    shapes: dict[str, Shape] = {}
    width, samples = N_COMPONENTS, WINDOW_SAMPLES
    for number, (filters, kernel) in enumerate(zip(GPD_FILTERS, GPD_KERNELS, strict=True), 1):
        shapes[f"conv_{number}/kernel"] = (kernel, width, filters)
        shapes[f"conv_{number}/bias"] = (filters,)
        shapes |= _batch_norm(number, filters)
        width, samples = filters, samples // 2
    width *= samples
    for number, units in enumerate(GPD_UNITS, 1):
        shapes |= _dense(f"dense_{number}", width, units)
        shapes |= _batch_norm(len(GPD_FILTERS) + number, units)
        width = units
    return shapes | _dense("logits", width, len(CLASSES))


def _dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def _norm(name: str) -> dict[str, Shape]:
    return {f"{name}/gamma": (DIM,), f"{name}/beta": (DIM,)}


def _batch_norm(number: int, width: int) -> dict[str, Shape]:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    return {f"batch_norm_{number}/{name}": (width,) for name in names}


def streaming_shapes(shape: StreamingShape) -> dict[str, Shape]:
    """Return the shapes of a streaming network's weights by name."""
    c = shape.channels
    shapes = _dense("input", FEATURES, c)
    for number in range(1, len(shape.dilations) + 1):
        block = f"block_{number}"
        shapes[f"{block}/convolution/kernel"] = (KERNEL, c, c)
        shapes[f"{block}/convolution/bias"] = (c,)
        shapes |= _dense(f"{block}/mix", c, c)
        for name in ("query", "key", "value", "join"):
            shapes |= _dense(f"{block}/{name}", c, c)
        shapes |= _dense(f"{block}/expand", c, EXPANSION * c)
        shapes |= _dense(f"{block}/contract", EXPANSION * c, c)
    return shapes | _dense("output", c, len(CLASSES))


def streaming_parameters(shape: StreamingShape) -> int:
    """Return the number of a streaming network's parameters."""
    return sum(math.prod(size) for size in streaming_shapes(shape).values())


def preprocessing(network: Network, filter_id: str = DEFAULT_FILTER) -> dict[str, Any]:
    """Return what samples go through before the network, as model cards state it."""
    stft = {"frame_samples": FRAME_SAMPLES, "hop_samples": HOP_SAMPLES, "window": "hann_periodic"}
    if network is Network.STREAMING:
        return {
            "filter": filter_id,
            "normalization": "level",
            "level_columns": LEVEL_COLUMNS,
            "sampling_rate_hz": SAMPLING_RATE_HZ,
            "stft": stft,
        }
    steps: dict[str, Any] = {
        "filter": filter_id,
        "normalization": "peak",
        "sampling_rate_hz": SAMPLING_RATE_HZ,
        "window_samples": WINDOW_SAMPLES,
    }
    if network is Network.GPD:
        return steps
    return steps | {
        "decibel_floor": DECIBEL_FLOOR,
        "decibel_scale": DECIBEL_SCALE,
        "stft": stft,
    }
