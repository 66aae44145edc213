"""Archives cut into pieces, each scanned on its own: a day of a sensor.

A piece is read with an overlap on both sides, so that its picks are those of a scan that
never stops: the network's memory is finite, filters forget, and what is decided about a time
is decided within seconds of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from scperformer.types import NS_PER_S, SensorId, format_time
from scperformer.waveforms.archive import ArchiveGroup
from scperformer.waveforms.contents import EVER, ChannelFile, Span
from scperformer.waveforms.problems import Report

DAY_NS = 86_400 * NS_PER_S

BEFORE_NS, AFTER_NS = 150 * NS_PER_S, 60 * NS_PER_S
"""Overlaps of a piece, before it and behind it."""


class Version(NamedTuple):
    """What a file or an object of an archive is known by: another one has changed.

    Attributes:
        name: path or address.
        size: bytes, -1 if it is not known.
        changed: when it was changed last, nanoseconds, or what the archive tells instead.
    """

    name: str
    size: int
    changed: int | str


class Material(Protocol):
    """Where the waveforms of a piece are. It is sent to other processes."""

    def open(self, span: Span, *, report: Report) -> AbstractContextManager[ArchiveGroup]:
        """Make the waveforms of a span ready to read, until the context is left.

        Raises:
            InputError: they cannot be had.
        """

    def versions(self) -> tuple[Version, ...]:
        """Return what is known of the files now, for a comparison with what was scanned."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is scanned in one go.

    Attributes:
        sensor_id: the sensor.
        start_ns: first time that its picks may have.
        end_ns: end of their times, not included.
        material: where its waveforms are.
        origin: where it was named, "LIST:LINE" or empty.
        told: of damage to what begins elsewhere another piece tells.
    """

    sensor_id: SensorId
    start_ns: int
    end_ns: int
    material: Material
    origin: str = ""
    told: Span = EVER

    @property
    def order(self) -> tuple[int, SensorId, str]:
        """By day, then by sensor."""
        return self.start_ns // DAY_NS, self.sensor_id, self.origin

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.sensor_id} {format_time(self.start_ns, '%Y-%m-%d')}"

    @property
    def reading_span(self) -> Span:
        """From when to when it is read."""
        return Span(self.start_ns - BEFORE_NS, self.end_ns + AFTER_NS)


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """Material: files that lie here, one sensor's."""

    group: ArchiveGroup

    @contextmanager
    def open(self, span: Span, *, report: Report) -> Iterator[ArchiveGroup]:
        """Give the files that touch a span; see `Material`."""
        del report
        asked = self.group.span
        start_ns, end_ns = span.start_ns, span.end_ns
        if start_ns is not None and asked.start_ns is not None:
            start_ns = max(start_ns, asked.start_ns)
        if end_ns is not None and asked.end_ns is not None:
            end_ns = min(end_ns, asked.end_ns)
        yield replace(self.group, span=Span(start_ns, end_ns))

    def versions(self) -> tuple[Version, ...]:
        """Return the files' sizes and times; see `Material`."""
        return tuple(_version(path) for path in self.group.paths)


def _version(path: Path) -> Version:
    try:
        found = path.stat()
    except OSError:
        return Version(str(path), -1, "")
    return Version(str(path), found.st_size, found.st_mtime_ns)


def cut_into_pieces(group: ArchiveGroup) -> Iterator[Piece]:
    """Cut a group at midnight; days without samples are left out."""
    files: dict[int, dict[ChannelFile, None]] = defaultdict(dict)
    for file in group.files:
        for day in _days(file.start_ns - AFTER_NS, file.end_ns + BEFORE_NS):
            files[day].setdefault(file)
    days = sorted(day for file in group.files for day in _days(file.start_ns, file.end_ns))
    days = list(dict.fromkeys(days))
    for day in days:
        start_ns = max(day * DAY_NS, group.start_ns)
        end_ns = min((day + 1) * DAY_NS, group.end_ns)
        if start_ns < end_ns:
            told = Span(None if day == days[0] else start_ns, None if day == days[-1] else end_ns)
            material = LocalFiles(replace(group, files=tuple(files[day])))
            yield Piece(group.sensor_id, start_ns, end_ns, material, group.origin, told)


def n_pieces(group: ArchiveGroup) -> int:
    """Return the number of pieces that a group is cut into."""
    return len({day for file in group.files for day in _days(file.start_ns, file.end_ns)})


def _days(start_ns: int, end_ns: int) -> range:
    return range(start_ns // DAY_NS, (max(end_ns, start_ns + 1) - 1) // DAY_NS + 1)
