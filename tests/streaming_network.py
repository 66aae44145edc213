"""Small streaming networks with random weights, made without TensorFlow."""

from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from scperformer.core.streaming import StreamingNetwork
from scperformer.core.streaming_shape import UNCALIBRATED, Calibration, StreamingShape
from scperformer.networks.contract import Network, streaming_shapes
from scperformer.networks.manifest import (
    WEIGHTS_FILE,
    Manifest,
    StreamingCard,
    file_sha256,
    write_manifest,
)
from scperformer.networks.streaming import write_streaming

SHAPE = StreamingShape(channels=8, dilations=(1, 2, 4), memories=(1, 2), look_ahead=3)

Weights = dict[str, NDArray[np.float32]]


def random_streaming_weights(
    shape: StreamingShape = SHAPE, seed: int = 0, *, decisive: float = 1.0
) -> Weights:
    """Weights for numbers of about 1; the answers are the surer, the larger `decisive` is."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, size in streaming_shapes(shape).items():
        if name.endswith("bias"):
            values = rng.normal(scale=0.1, size=size)
        else:
            values = rng.normal(scale=np.prod(size[:-1]) ** -0.5, size=size)
        weights[name] = values.astype(np.float32)
    weights["output/kernel"] *= np.float32(decisive)
    return weights


def make_network(
    shape: StreamingShape = SHAPE,
    seed: int = 0,
    *,
    decisive: float = 1.0,
    calibration: Calibration = UNCALIBRATED,
) -> StreamingNetwork:
    weights = random_streaming_weights(shape, seed, decisive=decisive)
    return StreamingNetwork(shape, weights, name="random", sha256="1" * 64, calibration=calibration)


def streaming_folder(
    folder: Path,
    *,
    seed: int = 0,
    decisive: float = 1.0,
    calibration: Calibration = UNCALIBRATED,
    filter_id: str = "BW_HP(4,1)",
) -> Manifest:
    """Write a model with such weights; return its card."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / WEIGHTS_FILE
    write_streaming(path, SHAPE, random_streaming_weights(seed=seed, decisive=decisive))
    card = Manifest(
        name="random",
        network=Network.STREAMING,
        thresholds=MappingProxyType(dict.fromkeys((3, 2, 1), (0.3, 0.3))),
        streaming=StreamingCard(shape=SHAPE, calibration=calibration),
        weights_sha256=file_sha256(path),
        filter_id=filter_id,
    )
    write_manifest(card, folder)
    return card
