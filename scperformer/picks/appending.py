"""Files that grow by whole lines and survive a crash at any moment."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from scperformer.errors import OutputError

_BLOCK_BYTES = 1 << 16


class AppendFile:
    """A file of lines to which lines are added, each call on the disk when it returns.

    A last line without its end, left by a crash, is cut off when the file is opened.
    A call that fails leaves nothing behind.

    Args:
        path: the file; made if it does not exist.

    Raises:
        OutputError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = self._open()
        self._whole: int | None = None

    def _open(self) -> int:
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            size = os.fstat(handle).st_size
            whole = _end_of_last_line(handle, size)
            if whole < size:
                os.ftruncate(handle, whole)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be opened for writing ({error.strerror}); "
                "name a file in a folder that exists and can be written to"
            ) from error
        return handle

    @property
    def size(self) -> int:
        """Length of the file in bytes."""
        return os.fstat(self._handle).st_size

    def append(self, lines: bytes) -> None:
        """Add whole lines; they are on the disk when it returns.

        Raises:
            OutputError: nothing was added; the disk may be full.
        """
        try:
            self._mend()
            self._whole = self.size
            _write_all(self._handle, lines)
            os.fsync(self._handle)
            self._whole = None
        except OSError as error:
            with suppress(OSError):
                self._mend()
            raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _mend(self) -> None:
        """Cut off what a failed call has left."""
        if self._whole is not None:
            os.ftruncate(self._handle, self._whole)
            self._whole = None

    def follow(self) -> None:
        """Open the file anew if it was moved away or removed, as log rotation does.

        Raises:
            OutputError: it cannot be opened again.
        """
        own = os.fstat(self._handle)
        try:
            there = self.path.stat()
        except OSError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (own.st_dev, own.st_ino):
            handle = self._open()
            os.close(self._handle)
            self._handle = handle

    def tail(self, n_bytes: int) -> list[bytes]:
        """Return the whole lines among the last `n_bytes`, without their ends."""
        size = self.size
        start = max(size - n_bytes, 0)
        data = _read(self._handle, start, size - start)
        lines = data.split(b"\n")[:-1]
        return lines[1:] if start else lines

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _read(handle: int, start: int, n_bytes: int) -> bytes:
    parts: list[bytes] = []
    while n_bytes > 0 and (part := os.pread(handle, min(n_bytes, 1 << 24), start)):
        parts.append(part)
        start += len(part)
        n_bytes -= len(part)
    return b"".join(parts)


def _end_of_last_line(handle: int, size: int) -> int:
    """Find the byte after the last line end."""
    end = size
    while end > 0:
        start = max(end - _BLOCK_BYTES, 0)
        found = _read(handle, start, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
