"""Weights files of streaming networks.

What the network computes is written down in `scperformer.core.streaming`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from scperformer import hdf5
from scperformer.core.streaming_shape import StreamingShape
from scperformer.errors import WeightsError
from scperformer.networks.contract import streaming_shapes

GROUP = "streaming"

Arrays = dict[str, NDArray[np.float32]]


def write_streaming(path: Path, shape: StreamingShape, weights: Mapping[str, Any]) -> None:
    """Write a network's weights file.

    Raises:
        WeightsError: they are not those of a network of that shape.
    """
    arrays = {name: np.asarray(value, dtype=np.float32) for name, value in weights.items()}
    _check(arrays, shape, path)
    with h5py.File(path, "w", libver="earliest") as file:
        for name in streaming_shapes(shape):
            file.create_dataset(f"{GROUP}/{name}", data=arrays[name], track_times=False)


def read_streaming(path: Path, shape: StreamingShape) -> Arrays:
    """Read a network's weights.

    Raises:
        WeightsError: there are none, or not those of a network of that shape.
    """
    arrays: Arrays = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = hdf5.read_whole(item).astype(np.float32, copy=False)

    try:
        with h5py.File(path, "r") as file:
            if GROUP in file:
                file[GROUP].visititems(collect)
    except hdf5.DAMAGED as error:
        raise WeightsError(f"{path}: not a readable HDF5 file: {error}") from error
    _check(arrays, shape, path)
    return arrays


def _check(arrays: Mapping[str, NDArray[np.float32]], shape: StreamingShape, path: Path) -> None:
    wanted = streaming_shapes(shape)
    found = {name: array.shape for name, array in arrays.items()}
    if found != wanted:
        odd = sorted(map(str, set(found.items()) ^ set(wanted.items())))[:3]
        raise WeightsError(
            f"{path}: not the weights of a streaming network with {shape.channels} channels and "
            f"{len(shape.dilations)} blocks: {odd}; the card and the file do not belong together"
        )
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise WeightsError(f"{path}: the weights have values that are not finite")
