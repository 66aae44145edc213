"""Waveform files as they lie on the disk: plain, or packed by gzip, bzip2 or xz.

A packed file is unpacked onto the disk, piece by piece, and read from there; the
copy goes when nobody reads it any more. How much may come out of a file is bounded: a
few kilobytes can hold a petabyte of zeros.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tempfile
import weakref
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from scperformer.errors import InputError
from scperformer.waveforms import mseed

MOST_UNPACKED_BYTES = 1 << 30
PACKED_SUFFIXES = frozenset({".gz", ".bz2", ".xz"})
_PIECE_BYTES = 1 << 16

_Unpacker = type[gzip.GzipFile] | type[bz2.BZ2File] | type[lzma.LZMAFile]
_UNPACKERS: dict[bytes, _Unpacker] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_NOT_UNPACKED = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x9d": "packed by compress",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
}
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"


class WaveformSource:
    """A file whose waveforms may be read; a packed one has been unpacked.

    Attributes:
        path: the file's name.
        place: where to read it: the file itself, or what was unpacked, which is there
            as long as this object.
        fault: why its end is missing; empty if it is not.
    """

    def __init__(self, path: Path, place: Path, *, fault: str = "") -> None:
        self.path = path
        self.place = place
        self.fault = fault

    @property
    def is_packed(self) -> bool:
        """Whether the place is a copy."""
        return self.place != self.path


def open_source(path: Path) -> WaveformSource:
    """Find out how a file is packed; unpack it if need be.

    Raises:
        OSError: it cannot be read, or there is no room to unpack it.
        InputError: it is no file, or packed in a way that is not unpacked here.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise InputError("a folder where a file belongs")
    if not stat.S_ISREG(mode):
        raise InputError("no file but a pipe, socket or device")
    with path.open("rb") as file:
        head = file.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    if head[_TAR_MAGIC_AT:] == _TAR_MAGIC:
        raise InputError("a tar archive, which is not unpacked here")
    if not head.startswith((*_NOT_UNPACKED, *_UNPACKERS)) or mseed.is_mseed(path):
        # Records behind a few damaged bytes that look like a packer's are records.
        return WaveformSource(path, path)
    for magic, unpacker in _UNPACKERS.items():
        if head.startswith(magic):
            return _unpacked(path, unpacker)
    kind = next(what for magic, what in _NOT_UNPACKED.items() if head.startswith(magic))
    raise InputError(f"{kind}, which is not unpacked here")


def _unpacked(path: Path, unpacker: _Unpacker) -> WaveformSource:
    handle, name = tempfile.mkstemp(prefix="scperformer-")
    source = WaveformSource(path, Path(name))
    weakref.finalize(source, _remove, name)
    with os.fdopen(handle, "wb") as copy, unpacker(path) as packed:
        source.fault = _copy(packed, copy)
    return source


def _copy(packed: gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile, copy: BinaryIO) -> str:
    """Unpack up to the end or to the first damage; return what is wrong.

    Raises:
        OSError: the disk is full.
        InputError: too much comes out.
    """
    n_bytes = 0
    while True:
        try:
            piece = packed.read1(_PIECE_BYTES)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            return f"packed data are damaged or cut short after {n_bytes} bytes unpacked ({error})"
        if not piece:
            return ""
        n_bytes += len(piece)
        if n_bytes > MOST_UNPACKED_BYTES:
            raise InputError(f"more than {MOST_UNPACKED_BYTES >> 20} MiB when unpacked")
        copy.write(piece)


def _remove(name: str) -> None:
    with suppress(OSError):
        os.unlink(name)
