"""What inputs name: the files of folders, of SDS trees and on the lines of list files.

SeisComP's archive tree is YEAR/NET/STA/CHAN.D/NET.STA.LOC.CHAN.D.YEAR.DAY. Its names are
believed, so that years of files need not be opened for a day. Archives as they are hold
more: other types than D (``HHZ.Q``), day files with a suffix (``.mseed``, ``.gz``), and files
of any other name, about which the tree says nothing.

The original program's list file has a line a station, its component files on it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from scperformer.types import NS_PER_S, SeedId
from scperformer.waveforms.contents import PACKED_SUFFIXES
from scperformer.waveforms.problems import Report, problem_from_os

LARGEST_BYTES = 1 << 24
"""A larger file is no list of files."""

_QUOTES = re.compile("[\"']")
_BLANKS = re.compile(r"[ \t\r\n]+")

_YEAR = re.compile(r"\d{4}")
_CHANNEL_FOLDER = re.compile(r"\w+\.[A-Z]")
_DAY_FILE = re.compile(
    r"(?P<network>[^.]+)\.(?P<station>[^.]+)\.(?P<location>[^.]*)\.(?P<channel>[^.]+)"
    r"\.[A-Z]\.(?P<year>\d{4})\.(?P<day>\d{3})(\..+)?"
)

_NO_WAVEFORMS = re.compile(
    r"\.(cfg|csv|gif|h5|hdf5|html?|ini|ipynb|jpe?g|jsonl?|log|md|np[yz]|pdf|png|ps|py|qml|quakeml"
    r"|rst|sc3ml|scml|sh|svg|toml|tsv|txt|xml|ya?ml)",
    re.IGNORECASE,
)

# A record is filed under the day it begins on; no record is longer than this.
_LONGEST_RECORD_NS = 600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class DayFile:
    """What the name of a day file says.

    Attributes:
        seed_id: the channel.
        day: the day, UTC.
    """

    seed_id: SeedId
    day: date

    @classmethod
    def parse(cls, name: str) -> DayFile | None:
        """Read a file's name; None if it is not made like a day file's."""
        match = _DAY_FILE.fullmatch(name)
        if match is None or not date.min.year < int(match["year"]) < date.max.year:
            return None
        seed_id = SeedId(match["network"], match["station"], match["location"], match["channel"])
        day = date(int(match["year"]), 1, 1) + timedelta(days=int(match["day"]) - 1)
        return cls(seed_id, day)

    @property
    def span_ns(self) -> tuple[int, int]:
        """From the beginning of the day to its end."""
        begin = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)
        start_ns = round(begin.timestamp()) * NS_PER_S
        return start_ns, start_ns + 86_400 * NS_PER_S


def is_sds_root(folder: Path) -> bool:
    """Tell whether a folder is the root of such a tree; folders that cannot be read are none."""
    return any(
        _CHANNEL_FOLDER.fullmatch(channel.name)
        for year in _folders(folder)
        if _YEAR.fullmatch(year.name)
        for network in _folders(year)
        for station in _folders(network)
        for channel in _folders(station)
    )


@dataclass(frozen=True, slots=True)
class Days:
    """The days whose files may hold samples between two times.

    Attributes:
        first, last: both included.
    """

    first: date
    last: date

    @classmethod
    def of(cls, start_ns: int | None, end_ns: int | None) -> Days:
        """Find the days of a span; None is open."""
        first = date.min if start_ns is None else _day(start_ns - _LONGEST_RECORD_NS)
        return cls(first, date.max if end_ns is None else _day(end_ns - 1))

    def has_year(self, name: str) -> bool:
        """Tell whether a folder below the root may hold such files."""
        return not _YEAR.fullmatch(name) or self.first.year <= int(name) <= self.last.year

    def has(self, file: DayFile) -> bool:
        """Tell whether a day file may hold such samples."""
        return self.first <= file.day <= self.last


def _folders(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    yield from (folder / name for name in names if name[0] != "." and os.path.isdir(folder / name))


def _day(time_ns: int) -> date:
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).date()


def files_below(
    folder: Path, *, days: Days, report: Report
) -> Iterator[tuple[Path, DayFile | None]]:
    """Yield the files of a folder and all its subfolders that may be waveforms, in order.

    Hidden ones, and those whose suffix says otherwise, are passed over. In an SDS root
    names are believed: years outside are not entered, and what a day file's name says
    comes with it.

    Args:
        folder: any folder, an SDS root or not.
        days: days of interest; only an SDS root knows them beforehand.
        report: hears of folders that cannot be read; the others are searched.
    """
    is_sds = is_sds_root(folder)
    seen: set[str] = set()

    def unreadable(error: OSError) -> None:
        report(problem_from_os(Path(error.filename or folder), error))

    for root, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        if (real := os.path.realpath(root)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if is_sds and Path(root) == folder:
            folders[:] = [name for name in folders if days.has_year(name)]
        for name in sorted(names):
            if not name.startswith(".") and not _NO_WAVEFORMS.fullmatch(_suffix(name)):
                yield Path(root, name), DayFile.parse(name) if is_sds else None


def _suffix(name: str) -> str:
    """The suffix of what is in a file, were it unpacked."""
    path = Path(name)
    return Path(path.stem).suffix if path.suffix.lower() in PACKED_SUFFIXES else path.suffix


@dataclass(frozen=True, slots=True)
class ListLine:
    """The files of one line.

    Attributes:
        number: counted from 1.
        paths: as resolved; they need not exist.
    """

    number: int
    paths: tuple[Path, ...]


def list_lines(path: Path) -> list[ListLine] | None:
    """Read a list file.

    Names are separated by white space and may be quoted; blank lines and lines that
    begin with ``#`` say nothing. A relative name is looked for from the current
    folder, then from the list file's.

    Returns:
        The lines, or None if the file is not text, or far too long.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES or b"\x00" in data[:4096]:
        return None
    text = data.decode("utf-8-sig", "surrogateescape")
    named = enumerate(map(_split, text.splitlines()), start=1)
    return [
        ListLine(number, tuple(_resolve(name, path.parent) for name in names))
        for number, names in named
        if names and not names[0].startswith("#")
    ]


def names_existing_files(lines: list[ListLine]) -> bool:
    """Tell whether a line names a file that is there."""
    return any(_exists(path) for line in lines for path in line.paths)


def _split(line: str) -> list[str]:
    if _QUOTES.search(line) is None:  # shlex takes a microsecond a letter
        return [word for word in _BLANKS.split(line) if word]
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    try:
        return list(lexer)
    except ValueError:  # a quote that is part of a name
        return line.split()


def _resolve(name: str, folder: Path) -> Path:
    path = Path(name.replace("\x00", ""))
    beside = folder / path
    return beside if not _exists(path) and _exists(beside) else path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file system takes
        return False
