"""HDF5 files that may be damaged: what they raise, and how much they may make of themselves."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer import trial

DAMAGED = (
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)
"""What h5py raises on damaged files."""

# Deflate makes of a byte 1032 bytes at most.
_MOST_GROWTH = 2048
_LARGEST_CHUNK_BYTES = 1 << 28
_MOST_ROWS = 256


def check_size(data: Any) -> None:
    """Check that a dataset is not larger than its file can hold, however well compressed.

    Raises:
        ValueError: it is.
    """
    n_bytes = int(data.size or 0) * data.dtype.itemsize
    held = Path(data.file.filename).stat().st_size
    if n_bytes > _MOST_GROWTH * held:
        raise ValueError(f"{data.name} claims {n_bytes} bytes, in a file of {held}")


def check_chunks(data: Any) -> None:
    """Check that a dataset can be read part by part.

    Raises:
        ValueError: a part of it is too large to be held in memory.
    """
    n_bytes = prod(data.chunks or (1,)) * data.dtype.itemsize
    if n_bytes > _LARGEST_CHUNK_BYTES:
        raise ValueError(f"{data.name} has chunks of {n_bytes} bytes")


def read_whole(data: Any) -> NDArray[Any]:
    """Read a dataset.

    Raises:
        One of `DAMAGED`: it cannot be read, or claims to be larger than its file can hold.
    """
    check_size(data)
    return np.asarray(data[()])


def trial_fault(path: Path) -> str:
    """Read all of a file in another process; say what became of that, empty if it is well."""
    return trial.fault(f"{__name__}:read_everything", path)


def read_everything(path: Path) -> None:
    """Read attributes, and of each dataset the first and the last part.

    Raises:
        One of `DAMAGED`: something cannot be read.
    """
    import h5py  # noqa: PLC0415 - only in the helper process

    def look(name: str, item: Any) -> None:
        del name
        for value in item.attrs.values():
            del value
        if isinstance(item, h5py.Dataset) and item.shape:
            check_chunks(item)
            part = min(item.chunks[0] if item.chunks else 1, _MOST_ROWS)
            item[:part], item[-part:]

    with h5py.File(path, "r") as file:
        for value in file.attrs.values():
            del value
        file.visititems(look)
