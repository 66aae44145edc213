"""Files of picks that grow while they are written, for scans of any length.

Tables have each line on the disk at once. A document is complete at every moment: what is
added waits beside it, and takes its place with the rest whenever that is cheap.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path

from scperformer.atomic import AtomicFile, Closing, remove_leftovers
from scperformer.errors import OutputError
from scperformer.picks.parquet import SUFFIX, ParquetDays
from scperformer.picks.pick_files import Format, format_of
from scperformer.picks.rolling import ROLLS, make_folder
from scperformer.picks.style import Style
from scperformer.types import Pick, PickSink, format_time

_COST_SHARE = 0.05
_DAY = r"\d{4}-\d\d-\d\d"


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


class GrowingDays(Closing, PickSink):
    """A folder of documents, one for each day of picks, which come in the order of days.

    They are called as those of a stream that rolls by day, and each is a `GrowingFile`.

    Args:
        folder: made if it is not there.
        style: how picks are written.
        again: days that are there go when `write` is called first; otherwise they are refused.

    Raises:
        OutputError: the folder cannot be made, or has picks.
    """

    def __init__(self, folder: Path, style: Style | None = None, *, again: bool = False) -> None:
        self.name = str(folder.absolute())
        self.path = folder
        self._style = style or Style()
        self._days = make_folder(folder, re.compile(_DAY + re.escape(folder.suffix)))
        if self._days and not again:
            raise OutputError(f"{folder}: has picks already; remove it, or name another folder")
        self._day = ""
        self._file: GrowingFile | None = None

    def write(self, picks: Sequence[Pick]) -> None:
        """Add picks.

        Raises:
            OutputError: they cannot be written, or belong before those that came last.
        """
        self._clear()
        for day, own in groupby(picks, key=lambda pick: format_time(pick.time_ns, ROLLS["day"])):
            if day < self._day:
                raise OutputError(f"{self.path}: picks of {day} come behind those of {self._day}")
            if self._file is None or day > self._day:
                self.close()
                self._day = day
                self._file = GrowingFile(self.path / f"{day}{self.path.suffix}", self._style)
            self._file.write(list(own))

    def close(self) -> None:
        """Complete the day's document.

        Raises:
            OutputError: it cannot be written.
        """
        if self._file is not None:
            self._file.close()

    def _clear(self) -> None:
        days, self._days = self._days, []
        try:
            for day in days:
                day.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{error.filename}: cannot be removed ({error.strerror})") from error


def open_growing(
    path: Path, style: Style | None = None, *, again: bool = False, roll: str = ""
) -> GrowingFile | GrowingDays | ParquetDays:
    """Open a file of picks that grows; a folder for ``.parquet``, and for documents that roll.

    Args:
        path: its suffix chooses the format.
        style: how picks are written.
        again: what an earlier run has left gives way, also a folder that has picks.
        roll: "day" for a document a day.

    Raises:
        ConfigurationError: an unknown suffix, or pyarrow is not installed.
        OutputError: it cannot be written, or a folder has picks.
    """
    if path.suffix.lower() == SUFFIX:
        return ParquetDays(path, anew=again)
    if roll == "day" and format_of(path).is_document:
        return GrowingDays(path, style, again=again)
    if again and path.parent.is_dir():
        remove_leftovers(path.parent, re.compile(re.escape(path.name)))
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
