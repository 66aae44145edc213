"""Files of picks that grow while they are written, for scans of any length.

Tables have each line on the disk at once. A document is complete at every moment: what is
added waits beside it, and takes its place with the rest whenever that is cheap.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from scperformer.atomic import AtomicFile, Closing
from scperformer.errors import OutputError
from scperformer.picks.parquet import SUFFIX, ParquetDays
from scperformer.picks.pick_files import Format, format_of
from scperformer.picks.style import Style
from scperformer.types import Pick, PickSink

_COST_SHARE = 0.05


class GrowingFile(Closing, PickSink):
    """A file of picks in the order in which they come.

    Nothing is there before the first call of `write`, which may bring no pick. As a context
    manager it leaves what it has where an exception came.

    Args:
        path: the file; one that is there gives way.
        style: how picks are written.

    Raises:
        ConfigurationError: an unknown suffix.
        OutputError: the folder cannot be written to.
    """

    def __init__(self, path: Path, style: Style | None = None) -> None:
        self._kind = format_of(path)
        self.name = str(path.absolute())
        self.path = path
        self._style = style or Style()
        self._file = AtomicFile(path, durable=True)
        self._shape: _Shape | None = None
        self._is_wanted = False
        self._is_closed = False

    def write(self, picks: Sequence[Pick]) -> None:
        """Add picks.

        Raises:
            OutputError: they cannot be written; the file is closed then.
        """
        if self._is_closed:
            raise OutputError(f"{self.path}: closed; nothing more can be written")
        self._is_wanted = True
        with self._failing():
            if picks or not self._kind.is_document:
                self._add(picks)

    def _add(self, picks: Sequence[Pick]) -> None:
        if self._shape is None:
            self._file.file.write(self._kind.codec.head(picks[:1], self._style))
            document = self._kind.is_document
            self._shape = (
                _Document(self._file, self.path, self._kind) if document else _Table(self._file)
            )
        self._shape.add(b"".join(self._kind.codec.body(pick, self._style) for pick in picks))

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, OutputError) as error:
            self._is_closed = True
            if self._shape is not None:
                self._shape.cut()
            self._file.discard()
            if isinstance(error, OutputError):
                raise
            what = f"cannot be written ({error.strerror or error})"
            raise OutputError(f"{self.path}: {what}") from error

    def close(self) -> None:
        """Complete the file; a second call does nothing, and what was never written is no file.

        Raises:
            OutputError: it cannot be written.
        """
        if self._is_closed:
            return
        if not self._is_wanted:
            self._is_closed = True
            self._file.discard()
            return
        with self._failing():
            if self._shape is None:
                self._add([])
            assert self._shape is not None
            self._shape.close()
        self._is_closed = True


def open_growing(
    path: Path, style: Style | None = None, *, again: bool = False
) -> GrowingFile | ParquetDays:
    """Open a file of picks, or for ``.parquet`` a folder, that grows.

    Args:
        path: its suffix chooses the format.
        style: how picks are written.
        again: a folder that has picks is written anew; otherwise it is refused.

    Raises:
        ConfigurationError: an unknown suffix, or pyarrow is not installed.
        OutputError: it cannot be written.
    """
    if path.suffix.lower() == SUFFIX:
        return ParquetDays.anew(path) if again else ParquetDays(path)
    return GrowingFile(path, style)


class _Shape:
    def __init__(self, file: AtomicFile) -> None:
        self._file = file

    def add(self, body: bytes) -> None:
        """Add picks."""
        self._file.file.write(body)
        self._file.file.flush()

    def cut(self) -> None:
        """Leave nothing of what could not be added."""

    def close(self) -> None:
        """Complete the file."""


class _Table(_Shape):
    """Takes its name with its first lines, and grows there."""

    def __init__(self, file: AtomicFile) -> None:
        super().__init__(file)
        file.show()
        self._n_whole = file.file.tell()

    def add(self, body: bytes) -> None:
        super().add(body)
        self._n_whole += len(body)

    def cut(self) -> None:
        with suppress(OSError):
            self._file.file.close()
        with suppress(OSError):
            os.truncate(self._file.hidden, self._n_whole)

    def close(self) -> None:
        self._file.close()


class _Document(_Shape):
    """Grows under a hidden name, and is copied to its own with its foot."""

    def __init__(self, file: AtomicFile, path: Path, kind: Format) -> None:
        super().__init__(file)
        self._path = path
        self._foot = kind.codec.FOOT
        self._due_s = 0.0

    def add(self, body: bytes) -> None:
        super().add(body)
        if time.monotonic() >= self._due_s:
            begun_s = time.monotonic()
            self._copy()
            now_s = time.monotonic()
            self._due_s = now_s + (now_s - begun_s) / _COST_SHARE

    def close(self) -> None:
        self._file.file.write(self._foot)
        self._file.close()

    def _copy(self) -> None:
        with AtomicFile(self._path) as output, self._file.hidden.open("rb") as body:
            shutil.copyfileobj(body, output.file, 1 << 20)
            output.file.write(self._foot)
