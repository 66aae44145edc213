"""Files of picks and labels: which formats there are, what writes and what reads them.

A format is a codec in a module of this folder, and its entry in `FORMATS`.
"""

from __future__ import annotations

import csv
import logging
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from scperformer.atomic import AtomicFile, Closing, write_bytes
from scperformer.errors import ConfigurationError, InputError, OutputError
from scperformer.picks import parquet
from scperformer.picks.columns import NAMES, WANTED, Others, row
from scperformer.picks.style import Style
from scperformer.picks.tables import csv_line
from scperformer.types import Pick, PickSink

_MOST_NAMED = 8
_log = logging.getLogger(__name__)


class Reader(Protocol):
    """What reads a format, a module or an object."""

    def read(self, path: Path, others: Others) -> Iterator[Pick]:
        """Read the picks of a file, and count those of other phases than P and S.

        Raises:
            InputError: it is no file of this format, or has a pick that cannot be read.
            OSError, UnicodeDecodeError, csv.Error: it cannot be read at all.
        """


class Codec(Reader, Protocol):
    """What writes it as well: head, a body for each pick, foot."""

    FOOT: bytes

    def head(self, picks: Sequence[Pick], style: Style) -> bytes:
        """Return what a file of some picks begins with."""

    def body(self, pick: Pick, style: Style) -> bytes:
        """Return what stands in it of a pick; of a table, a line."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format of pick files.

    Attributes:
        where: its codec is: a module of this folder, imported when it is needed, and what in it.
        suffixes: of its files.
        is_document: has a foot; picks that come live go into a folder of documents.
        can_be_read: has `read`.
    """

    where: str
    suffixes: tuple[str, ...]
    is_document: bool = False
    can_be_read: bool = True

    @property
    def codec(self) -> Codec:
        """What writes and reads it."""
        codec: Codec = pkgutil.resolve_name(f"scperformer.picks.{self.where}")
        return codec

    def write(self, file: BinaryIO, picks: Sequence[Pick], style: Style) -> None:
        """Write a whole file of picks, in the order wanted."""
        codec = self.codec
        file.write(codec.head(picks, style))
        file.writelines(codec.body(pick, style) for pick in picks)
        file.write(codec.FOOT)


FORMATS = (
    Format("tables:TEXT_LINES", (".txt",), can_be_read=False),
    Format("tables:CSV_ROWS", (".csv",)),
    Format("tables:JSON_LINES", (".jsonl",)),
    Format("scml", (".scml", ".xml"), is_document=True),
    Format("quakeml", (".qml", ".quakeml"), is_document=True),
)
BY_SUFFIX = {suffix: kind for kind in FORMATS for suffix in kind.suffixes}
"""Formats by suffix, in small letters."""

_READABLE = (*(suffix for suffix, kind in BY_SUFFIX.items() if kind.can_be_read), parquet.SUFFIX)


def read_pick_file(path: Path) -> list[Pick]:
    """Read picks or labels; other phases than P and S are left out and counted in the log.

    Of QuakeML and SCML, rejected picks are left out; a pick's event is known where an
    origin names it.

    Raises:
        InputError: no such file, no known layout, or a row that cannot be read.
    """
    others = Others()
    try:
        picks = list(_reader(path).read(path, others))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {WANTED}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if others:
        named = ", ".join(f"{name or 'unnamed'} {n}" for name, n in others.most_common(_MOST_NAMED))
        _log.warning(
            "%s: %d picks of other phases than P and S left out: %s%s",
            path,
            others.total(),
            named,
            ", ..." if len(others) > _MOST_NAMED else "",
        )
    return picks


def _reader(path: Path) -> Reader:
    """Return what reads a file, by its suffix; a folder is one of documents, or of Parquet."""
    suffix = path.suffix.lower()
    kind = BY_SUFFIX.get(suffix)
    if path.is_dir() and kind is not None and kind.is_document:
        return _Folder(kind)
    if suffix == parquet.SUFFIX or path.is_dir():
        return parquet.TABLES
    if suffix not in _READABLE:
        raise InputError(
            f"{path}: unknown suffix {path.suffix!r}; wanted one of {' '.join(_READABLE)}"
        )
    return BY_SUFFIX[suffix].codec


@dataclass(frozen=True, slots=True)
class _Folder:
    """Reads documents that have rolled, all of a folder."""

    kind: Format

    def read(self, path: Path, others: Others) -> Iterator[Pick]:
        for file in sorted(path.iterdir()):
            if file.suffix.lower() in self.kind.suffixes and not file.name.startswith("."):
                yield from self.kind.codec.read(file, others)


def record_files(path: Path) -> list[str]:
    """Return the record files that a label file lists, also those without any label.

    Empty if the file has no column ``file``.

    Raises:
        InputError: the file cannot be read.
    """
    if path.suffix.lower() != ".csv":
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = [(item.get("file") or "").strip() for item in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    return list(dict.fromkeys(name for name in names if name))


def write_picks(path: Path, files: Sequence[str], picks: Sequence[Pick]) -> None:
    """Write picks as this program's CSV with the record file of each in front.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [csv_line("file", *NAMES)]
    for file, pick in zip(files, picks, strict=True):
        lines.append(csv_line(file, *row(pick).values()))
    write_bytes(path, b"".join(lines))


Writer = Callable[[BinaryIO, Sequence[Pick]], None]


class FileSink(Closing, PickSink):
    """Collects picks and writes them, sorted by time, when closed.

    The file appears complete at `close`, or not at all. Picks with the same public id
    are one pick. As a context manager it discards what it has if an exception came.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def __init__(self, path: Path, writer: Writer) -> None:
        self.name = str(path.absolute())
        self.path = path
        self._writer = writer
        self._picks: list[Pick] = []
        self._output: AtomicFile | None = AtomicFile(path, durable=True)

    def write(self, picks: Sequence[Pick]) -> None:
        """Take picks, in any order.

        Raises:
            OutputError: the sink has been closed.
        """
        if self._output is None:
            raise OutputError(f"{self.path}: closed; nothing more can be written")
        self._picks.extend(picks)

    def close(self) -> None:
        """Write the file; a second call does nothing.

        Raises:
            OutputError: the file cannot be written.
        """
        output, self._output = self._output, None
        if output is None:
            return
        with output:
            self._writer(output.file, in_order(self._picks))

    def discard(self) -> None:
        """Close without writing anything."""
        output, self._output = self._output, None
        if output is not None:
            output.discard()


def open_sink(path: Path, style: Style | None = None) -> FileSink | parquet.ParquetDays:
    """Open a file of picks: ``.txt .csv .jsonl .scml .xml .qml .quakeml``; ``.parquet``: a folder.

    Raises:
        ConfigurationError: an unknown suffix, or pyarrow is not installed.
        OutputError: the folder cannot be written to.
    """
    if path.suffix.lower() == parquet.SUFFIX:
        return parquet.ParquetDays(path)
    return FileSink(path, partial(format_of(path).write, style=style or Style()))


def format_of(path: Path) -> Format:
    """Return the format of a file by its suffix.

    Raises:
        ConfigurationError: an unknown one.
    """
    kind = BY_SUFFIX.get(path.suffix.lower())
    if kind is None:
        known = ", ".join((*BY_SUFFIX, parquet.SUFFIX))
        raise ConfigurationError(
            f"{path}: unknown suffix {path.suffix.lower()!r}; wanted one of {known}"
        )
    return kind


def in_order(picks: Iterable[Pick]) -> list[Pick]:
    """Sort picks by time and leave out repetitions."""
    ordered = sorted(picks, key=lambda pick: (pick.time_ns, pick.phase, pick.seed_id, pick.recipe))
    unique: dict[str, Pick] = {}
    for pick in ordered:
        unique.setdefault(pick.public_id, pick)
    return list(unique.values())
