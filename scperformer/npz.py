"""NumPy archives (``.npz``) that may be damaged: nothing is unpickled, no size is believed."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    SyntaxError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    MemoryError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What damaged archives raise."""

_SUFFIX = ".npy"
_MOST_HEADER_BYTES = 10_000


class NpzFile(Mapping[str, NDArray[Any]]):
    """An open archive; an array is read when it is asked for.

    Args:
        path: the file.

    Raises:
        One of `DAMAGED`: no archive.
    """

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        self._names = [
            name.removesuffix(_SUFFIX) for name in self._zip.namelist() if name.endswith(_SUFFIX)
        ]

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read an array.

        Raises:
            One of `DAMAGED`: it is not there, cannot be read, holds objects, or is larger
                than its member of the archive or half of the machine's memory.
        """
        info = self._zip.getinfo(name + _SUFFIX)
        with self._zip.open(info) as file:
            _check_header(file, info.file_size)  # type: ignore[arg-type]
        with self._zip.open(info) as file:
            return npy.read_array(file, allow_pickle=False, max_header_size=_MOST_HEADER_BYTES)


def _check_header(file: BinaryIO, n_bytes: int) -> None:
    """Compare what the header promises with the bytes that there are."""
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"an array in the format {version}")
    shape, _, dtype = read(file, max_header_size=_MOST_HEADER_BYTES)
    promised = prod(shape) * dtype.itemsize
    if promised != n_bytes - file.tell():
        raise ValueError(f"a header that promises {promised} bytes before {n_bytes - file.tell()}")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if promised > memory // 2:
        raise MemoryError(f"an array of {promised} bytes; this machine has {memory}")
    if np.dtype(dtype).hasobject:
        raise ValueError("an array of objects")
