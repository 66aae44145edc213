"""Files and folders that appear complete or not at all.

What is being written lies beside its place under a hidden name, ``.NAME.xxxxxxxx.part``,
and is renamed when it is complete.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from scperformer.errors import OutputError

_HIDDEN_NAME = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")


class Closing:
    """A context manager that closes in the end, or discards if an exception came."""

    def close(self) -> object:
        """Complete what is being made."""

    def discard(self) -> None:
        """Let go of what is being made; where that leaves nothing behind, as `close` does."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.close()
        else:
            self.discard()


class AtomicFile(Closing):
    """A file written under a hidden name beside its own, and renamed when complete.

    As a context manager it closes, or discards if an exception came; an `OSError` of
    the block counts as one of writing.

    Args:
        path: the file to be; one that exists is replaced at `close`, a link is followed.
        durable: `close` returns when the file would outlast a power cut.
        parents: make the folder if it is not there.

    Attributes:
        file: takes the bytes.
        hidden: the same file's name, for what writes by name; it must not put another
            file in this one's place.

    Raises:
        OutputError: the folder is missing or cannot be written to.
    """

    def __init__(self, path: Path, *, durable: bool = False, parents: bool = False) -> None:
        self.path = path
        self._durable = durable
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise OutputError(f"{path}: is a folder; name a file")
        if target.exists() and not target.is_file():
            raise OutputError(f"{path}: is a device or a pipe; name a file")
        self._target = target
        self.hidden = _hidden_beside(target)
        try:
            if parents:
                target.parent.mkdir(parents=True, exist_ok=True)
            self.file: BinaryIO = self.hidden.open("xb")
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written in the folder {target.parent} ({error.strerror}); "
                "make the folder, or name another"
            ) from error

    def show(self) -> None:
        """Give the file its name already, and go on writing.

        Raises:
            OutputError: the folder has gone.
        """
        try:
            self.file.flush()
            self.hidden.replace(self._target)
        except OSError as error:
            raise self._failed(error) from error
        self.hidden = self._target

    def close(self) -> None:
        """Give the file its name.

        Raises:
            OutputError: the disk is full, or the folder has gone.
        """
        try:
            self.file.flush()
            if self._durable:
                os.fsync(self.file.fileno())
            self.file.close()
            if self.hidden != self._target:
                self.hidden.replace(self._target)
            if self._durable:
                _sync_folder(self._target.parent)
        except OSError as error:
            raise self._failed(error) from error

    def discard(self) -> None:
        """Leave no trace, unless it was shown."""
        with suppress(OSError):
            self.file.close()
        if self.hidden != self._target:
            self.hidden.unlink(missing_ok=True)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise self._failed(error) from error
        super().__exit__(kind, error, trace)

    def _failed(self, error: OSError) -> OutputError:
        self.discard()
        return OutputError(f"{self.path}: cannot be written ({error.strerror or error})")


def write_bytes(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file as `AtomicFile` does; its folder is made if it is not there.

    Raises:
        OutputError: it cannot be written.
    """
    with AtomicFile(path, durable=durable, parents=True) as output:
        output.file.write(content)


@contextmanager
def whole_folder(path: Path, *, what: str, remedy: str) -> Iterator[Path]:
    """Give a hidden folder beside the one to be, which gets its name at the end, for good.

    A folder of that name goes then. After an exception nothing is left behind.

    Args:
        path: the folder to be; the folders above it are made if they are not there.
        what: the kind of folder, for messages.
        remedy: what to do if it cannot be made, for messages.

    Raises:
        OutputError: it cannot be written.
    """
    hidden = _hidden_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.mkdir()
    except OSError as error:
        raise OutputError(
            f"{path.parent}: no {what} can be made there ({error.strerror}); {remedy}"
        ) from error
    try:
        yield hidden
        _exchange(hidden, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    """Remove what a crash left of files that were being written.

    Args:
        folder: where.
        names: what the files would have been called.
    """
    for path in folder.iterdir():
        hidden = _HIDDEN_NAME.fullmatch(path.name)
        if hidden and names.fullmatch(hidden[1]):
            with suppress(OSError):
                path.unlink()


def _hidden_beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _exchange(hidden: Path, folder: Path) -> None:
    """Rename a folder; one of that name goes, and comes back if the renaming fails."""
    _sync_folder(hidden)
    old = _hidden_beside(folder)
    if folder.exists():
        folder.rename(old)
    try:
        hidden.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    _sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    """Make a renaming last through a power cut, where the file system lets us."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
