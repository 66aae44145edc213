"""SeisComP's archive tree: YEAR/NET/STA/CHAN.D/NET.STA.LOC.CHAN.D.YEAR.DAY."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from scperformer.types import NS_PER_S

_YEAR = re.compile(r"\d{4}")
_DATA_FOLDER = re.compile(r"\w+\.D")
_DAY_FILE = re.compile(r"[^.]+\.[^.]+\.[^.]*\.[^.]+\.D\.(\d{4})\.(\d{3})")

# A record is filed under the day it begins on; no record is longer than this.
_LONGEST_RECORD_NS = 600 * NS_PER_S


def is_sds_root(folder: Path) -> bool:
    """Tell whether a folder is the root of such a tree.

    Raises:
        OSError: the folder cannot be read.
    """
    return any(
        _DATA_FOLDER.fullmatch(channel.name)
        for year in _folders(folder)
        if _YEAR.fullmatch(year.name)
        for network in _folders(year)
        for station in _folders(network)
        for channel in _folders(station)
    )


def sds_files(root: Path, *, start_ns: int | None, end_ns: int | None) -> Iterator[Path]:
    """Yield the day files that may hold samples between two times, sorted by path.

    Raises:
        OSError: a folder cannot be read.
    """
    first = date.min if start_ns is None else _day(start_ns - _LONGEST_RECORD_NS)
    last = date.max if end_ns is None else _day(end_ns - 1)
    for year in _folders(root):
        if not _YEAR.fullmatch(year.name) or not first.year <= int(year.name) <= last.year:
            continue
        for network in _folders(year):
            for station in _folders(network):
                for channel in _folders(station):
                    if _DATA_FOLDER.fullmatch(channel.name):
                        yield from _days(channel, first, last)


def _days(folder: Path, first: date, last: date) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        match = _DAY_FILE.fullmatch(path.name)
        if match is None:
            continue
        year, day_of_year = int(match[1]), int(match[2])
        if not date.min.year < year < date.max.year:
            continue
        day = date(year, 1, 1) + timedelta(days=day_of_year - 1)
        if first <= day <= last:
            yield path


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def _day(time_ns: int) -> date:
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).date()
