"""HDF5 files that may be damaged: what they raise, and how much they may make of themselves."""

from __future__ import annotations

from contextlib import suppress
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
_MOST_ITEMS = 10_000


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

    What cannot be read is passed over: something else may be what ends the process.

    Raises:
        One of `DAMAGED`: the file cannot be opened.
    """
    import h5py  # noqa: PLC0415 - only in the helper process

    with h5py.File(path, "r") as file:
        waiting: list[Any] = [file]
        for _ in range(_MOST_ITEMS):
            if not waiting:
                return
            item = waiting.pop()
            for attribute in _names(item.attrs):
                with suppress(*DAMAGED):
                    item.attrs[attribute]
            if isinstance(item, h5py.Dataset):
                with suppress(*DAMAGED):
                    _read_ends(item)
                continue
            for name in _names(item):
                with suppress(*DAMAGED):
                    waiting.append(item[name])


def _names(group: Any) -> list[str]:
    try:
        return list(group)
    except DAMAGED:
        return []


def _read_ends(data: Any) -> None:
    if not data.shape:
        data[()]
        return
    check_chunks(data)
    part = min(data.chunks[0] if data.chunks else 1, _MOST_ROWS)
    data[:part], data[-part:]
