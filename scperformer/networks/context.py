"""The weights of the context stage: names, shapes, reading and writing.

They lie in the weights file of the network that they belong to, in the group
``context``. What the stage computes is written down in `scperformer.core.context`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from scperformer import hdf5
from scperformer.core.context import (
    HIDDEN,
    KERNEL,
    ContextShape,
)
from scperformer.errors import WeightsError
from scperformer.networks.contract import DIM
from scperformer.networks.weights import CONTEXT_GROUP as GROUP
from scperformer.types import CLASSES

Arrays = dict[str, NDArray[np.float32]]


def context_shapes(shape: ContextShape) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a stage's weights by name."""
    channels = shape.channels
    shapes: dict[str, tuple[int, ...]] = {
        "input/kernel": (shape.n_features, channels),
        "input/bias": (channels,),
    }
    for number in range(1, shape.layers + 1):
        shapes[f"layer_{number}/kernel"] = (KERNEL, channels, channels)
        shapes[f"layer_{number}/bias"] = (channels,)
    shapes |= {"hidden/kernel": (channels, HIDDEN), "hidden/bias": (HIDDEN,)}
    shapes |= {"logits/kernel": (HIDDEN, len(CLASSES)), "logits/bias": (len(CLASSES),)}
    shapes["logits/gain"] = (len(CLASSES),)
    if shape.embedding:
        shapes |= {
            "embedding/kernel": (DIM, shape.embedding),
            "embedding/bias": (shape.embedding,),
        }
    return shapes


def context_parameters(shape: ContextShape) -> int:
    """Return the number of a stage's parameters."""
    return sum(int(np.prod(size)) for size in context_shapes(shape).values())


def write_context(path: Path, shape: ContextShape, weights: Mapping[str, Any]) -> None:
    """Add a stage's weights to the weights file of its network, which has none yet.

    Raises:
        WeightsError: they are not those of a stage of that shape.
    """
    arrays = {name: np.asarray(value, dtype=np.float32) for name, value in weights.items()}
    _check(arrays, shape, path)
    with h5py.File(path, "a", libver="earliest") as file:
        for name in context_shapes(shape):
            file.create_dataset(f"{GROUP}/{name}", data=arrays[name], track_times=False)


def read_context(path: Path, shape: ContextShape) -> Arrays:
    """Read a stage's weights.

    Raises:
        WeightsError: there are none, or not those of a stage of that shape.
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


def _check(arrays: Mapping[str, NDArray[np.float32]], shape: ContextShape, path: Path) -> None:
    wanted = context_shapes(shape)
    found = {name: array.shape for name, array in arrays.items()}
    if found != wanted:
        odd = sorted(map(str, set(found.items()) ^ set(wanted.items())))[:3]
        raise WeightsError(
            f"{path}: not the weights of a context stage with {shape.channels} channels, "
            f"{shape.layers} layers and {shape.embedding} numbers of embedding: {odd}; "
            "the card and the file do not belong together"
        )
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise WeightsError(f"{path}: the context stage has values that are not finite")
