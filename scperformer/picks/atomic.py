"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from scperformer.errors import OutputError


class AtomicFile:
    """A file written under a hidden name beside its own, and renamed when complete.

    As a context manager it commits, or discards if an exception came.

    Args:
        path: the file to be; one that exists is replaced at `commit`.

    Raises:
        OutputError: the folder is missing or cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise OutputError(f"{path}: is a folder; name a file")
        if target.exists() and not target.is_file():
            raise OutputError(f"{path}: is a device or a pipe; name a file")
        self._target = target
        self._hidden = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            self.file: BinaryIO = self._hidden.open("xb")
        except OSError as error:
            raise OutputError(
                f"{path}: cannot write in the folder {target.parent} ({error.strerror}); "
                "make the folder, or name another"
            ) from error

    def commit(self) -> None:
        """Bring the bytes to the disk and give the file its name.

        Raises:
            OutputError: the disk is full, or the folder has gone.
        """
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
            self._hidden.replace(self._target)
            _sync_folder(self._target.parent)
        except OSError as error:
            self.discard()
            raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from error

    def discard(self) -> None:
        """Leave no trace."""
        with suppress(OSError):
            self.file.close()
        self._hidden.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def _sync_folder(folder: Path) -> None:
    """Make the renaming last through a power cut, where the file system lets us."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
