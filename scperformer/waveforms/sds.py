"""SeisComP's archive tree: YEAR/NET/STA/CHAN.D/NET.STA.LOC.CHAN.D.YEAR.DAY.

Names are believed, so that years of files need not be opened for a day. Archives as
they are hold more: other types than D (``HHZ.Q``), day files with a suffix (``.mseed``,
``.gz``), and files of any other name, about which the tree says nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from scperformer.types import NS_PER_S, SeedId

_YEAR = re.compile(r"\d{4}")
_CHANNEL_FOLDER = re.compile(r"\w+\.[A-Z]")
_DAY_FILE = re.compile(
    r"(?P<network>[^.]+)\.(?P<station>[^.]+)\.(?P<location>[^.]*)\.(?P<channel>[^.]+)"
    r"\.[A-Z]\.(?P<year>\d{4})\.(?P<day>\d{3})(\..+)?"
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
