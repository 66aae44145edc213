"""What is trained on, what validates and what tests: never two parts of one thing.

Windows of one record resemble each other, and so do records of one earthquake or one
station. What is divided is therefore whole earthquakes, whole stations or both; of a
region, which is a folder of records, all or nothing; and of windows of which nothing is known
but their order, contiguous stretches. Equal seeds divide equally.

Earthquakes are told apart by time: picks of all stations that follow each other closely
are one, and so are records that overlap, whatever a catalogue says. Two distant
earthquakes at the same time count as one then; that wastes a little and leaks nothing.
Only records that a data set's table has an earthquake for are told apart by its name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.intervals import Intervals
from scperformer.errors import ConfigurationError, InputError
from scperformer.types import NS_PER_S, format_time

if TYPE_CHECKING:
    from pathlib import Path

    from scperformer.datasets.records import StationRecord

SPLITS = ("train", "validation", "test")
SPLIT_WORDS: Mapping[str, int] = MappingProxyType(
    {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "dev": 1, "test": 2}
)
TRAIN, VALIDATION, TEST = range(len(SPLITS))
NO_SPLIT = -1
ALL_SPLITS = "all"
_FEWEST_UNITS = len(SPLITS)
_STRETCHES = 20
_GUARD_WINDOWS = 16

Unit = TypeVar("Unit", bound=Hashable)


class SplitBy(StrEnum):
    """What is never divided."""

    EVENT = "event"
    STATION = "station"
    BOTH = "both"


class HoldOut(StrEnum):
    """By what a folder's records are held out."""

    EVENT = "event"
    STATION = "station"
    ALL = "all"
    NONE = "none"
    SPLIT = "split"


def split_to_score(found: Container[str], wanted: str | None, *, path: Path, what: str) -> str:
    """Return the part of a file or data set that is scored, `ALL_SPLITS` or one of `SPLITS`.

    Args:
        found: the splits that are there.
        wanted: what is asked for; None for the test part where there is one, else all.
        path: the file or folder, for the error.
        what: it holds, for the error.

    Raises:
        InputError: nothing of what is asked for.
    """
    if wanted is None:
        return SPLITS[TEST] if SPLITS[TEST] in found else ALL_SPLITS
    if wanted != ALL_SPLITS and wanted not in found:
        raise InputError(f"{path}: no {wanted} {what} in it; say --split all")
    return wanted


def draw_units(
    weights: Mapping[Unit, int], wanted: float, rng: np.random.Generator, *, leave: int
) -> list[Unit]:
    """Draw units, one at least, that together weigh about what is wanted.

    Args:
        weights: samples, windows or the like of each unit.
        wanted: what the drawn ones are to weigh together.
        rng: decides which.
        leave: so many units are left at least.

    Returns:
        The units, none that is larger than twice what is wanted if there are smaller ones.
    """
    largest = max(2 * wanted, min(weights.values()))
    small_enough = sorted((unit for unit in weights if weights[unit] <= largest), key=str)
    drawn: list[Unit] = []
    weight = 0
    for number in rng.permutation(len(small_enough)):
        unit = small_enough[number]
        is_room = not drawn or weight + weights[unit] / 2 <= wanted
        if is_room and len(drawn) < len(weights) - leave:
            drawn.append(unit)
            weight += weights[unit]
    return drawn


@dataclass(frozen=True, slots=True, eq=False)
class EventTimes:
    """The earthquakes that picks make, in order of time.

    Attributes:
        starts_ns: (n,) int64, first pick of each.
        ends_ns: (n,) int64, last pick of each.
    """

    starts_ns: NDArray[np.int64]
    ends_ns: NDArray[np.int64]

    @classmethod
    def of(cls, times_ns: NDArray[np.int64], *, gap_s: float) -> EventTimes:
        """Put picks together that follow each other by less than a gap.

        Args:
            times_ns: (m,) int64, picks of all stations, in any order.
            gap_s: what no pick falls into parts two earthquakes.
        """
        gap_ns = round(gap_s * NS_PER_S)
        spans = Intervals.of(times_ns, times_ns + (gap_ns - 1))
        return cls(spans.starts_ns, spans.ends_ns - (gap_ns - 1))

    def __len__(self) -> int:
        return len(self.starts_ns)

    @property
    def borders_ns(self) -> NDArray[np.int64]:
        """Half-way times between neighbours, (n - 1,) int64."""
        halves: NDArray[np.int64] = (
            self.ends_ns[:-1] + (self.starts_ns[1:] - self.ends_ns[:-1]) // 2
        )
        return halves

    def nearest(self, times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of the earthquake that each time belongs to, (m,) int64."""
        return np.searchsorted(self.borders_ns, times_ns, side="right").astype(np.int64)

    def name(self, number: int) -> str:
        """Name an earthquake by the time of its first pick."""
        return format_time(int(self.starts_ns[number]), "%Y%m%dT%H%M%S")


def divide(weights: Mapping[str, int], shares: Sequence[float], *, seed: int) -> Mapping[str, int]:
    """Give whole units to the splits.

    Args:
        weights: windows, or something proportional, of each unit.
        shares: of the splits, in the order of `SPLITS`.
        seed: decides which unit goes where.

    Returns:
        Number of the split of each unit. A split with a share gets at least one unit
        where there are three or more; units larger than twice what a split is to get
        stay in training.
    """
    total = sum(weights.values())
    rng = np.random.default_rng([seed, len(weights)])
    given = dict.fromkeys(weights, TRAIN)
    for split in (TEST, VALIDATION) if len(weights) >= _FEWEST_UNITS else ():
        left = {name: weights[name] for name in weights if given[name] == TRAIN}
        if shares[split] > 0:
            drawn = draw_units(left, shares[split] * total, rng, leave=split)
            given.update(dict.fromkeys(drawn, split))
    return MappingProxyType(given)


@dataclass(frozen=True, slots=True)
class Division:
    """Which split the windows of an earthquake at a station belong to.

    Attributes:
        by: what is never divided.
        events: split of each earthquake.
        stations: split of each station.
    """

    by: SplitBy
    events: Mapping[str, int]
    stations: Mapping[str, int]

    @classmethod
    def plan(
        cls,
        by: SplitBy,
        picks: Mapping[tuple[str, str], int],
        shares: Sequence[float],
        *,
        seed: int,
    ) -> Division:
        """Divide earthquakes and stations.

        Args:
            by: what is never divided.
            picks: number of picks by (earthquake, station).
            shares: of the splits, in the order of `SPLITS`, together 1.
            seed: decides which goes where.

        Raises:
            ConfigurationError: shares that are none, or a split that would stay empty.
        """
        check_shares(shares)
        if by is SplitBy.BOTH:
            # An earthquake and a station have to agree: the shares of those that do are
            # the products of the shares of both.
            roots = np.sqrt(shares)
            shares = (roots / roots.sum()).tolist()
        events: dict[str, int] = {}
        stations: dict[str, int] = {}
        for (event, station), count in picks.items():
            events[event] = events.get(event, 0) + count
            stations[station] = stations.get(station, 0) + count
        for what, units, used in (
            ("earthquake", events, by is not SplitBy.STATION),
            ("station", stations, by is not SplitBy.EVENT),
        ):
            if used and len(units) < _FEWEST_UNITS and sum(share > 0 for share in shares) > 1:
                raise ConfigurationError(
                    f"only {len(units)} {what}(s) with picks and waveforms: nothing can be held "
                    "out; split by the other, shorten --event-gap, or give --split 1 0 0"
                )
        none: Mapping[str, int] = MappingProxyType({})
        return cls(
            by,
            none if by is SplitBy.STATION else divide(events, shares, seed=seed),
            none if by is SplitBy.EVENT else divide(stations, shares, seed=seed),
        )

    def split_of(self, event: str, station: str) -> int:
        """Return a number of `SPLITS`; `NO_SPLIT` where earthquake and station disagree."""
        if self.by is SplitBy.EVENT:
            return self.events.get(event, NO_SPLIT)
        if self.by is SplitBy.STATION:
            return self.stations.get(station, NO_SPLIT)
        split = self.events.get(event, NO_SPLIT)
        return split if split == self.stations.get(station, NO_SPLIT) else NO_SPLIT


def check_shares(shares: Sequence[float]) -> None:
    """Check the shares of training, validation and test.

    Raises:
        ConfigurationError: not three, not all from 0 to 1, or not 1 together.
    """
    listed = " ".join(f"{share:g}" for share in shares)
    fine = len(shares) == len(SPLITS) and all(0.0 <= share <= 1.0 for share in shares)
    if not fine or abs(sum(shares) - 1.0) > 1e-6 or shares[TRAIN] <= 0.0:
        raise ConfigurationError(
            f"--split: got {listed}; wanted the shares of training, validation and test, "
            "together 1, such as 0.8 0.1 0.1"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Records by use.

    Attributes:
        training: records to learn from.
        validation: records held out.
        unused: neither, because they share an event or station that is held out.
    """

    training: tuple[StationRecord, ...]
    validation: tuple[StationRecord, ...]
    unused: tuple[StationRecord, ...]


def hold_out(
    records: Sequence[StationRecord],
    rules: Mapping[str, HoldOut],
    *,
    share: float,
    seed: int,
) -> Split:
    """Hold out whole events or stations, or what a data set's own split says.

    Args:
        records: of all folders.
        rules: the rule for each `StationRecord.source`.
        share: about this share of a folder's hours is held out, at least one event
            or station, never all of them unless the rule says so.
        seed: decides which.

    Returns:
        The split. Of the events held out by `HoldOut.EVENT`, and of the stations
        held out by `HoldOut.STATION`, no record of any folder is in training. A folder
        with `HoldOut.SPLIT` keeps its own split: what is for neither training nor
        validation is unused, and so are the other folders' records of the events that it
        has for validation or test.
    """
    units = dict(zip(map(id, records), event_units(records), strict=True))
    validation: list[StationRecord] = []
    for source in sorted(rules):
        members = [record for record in records if record.source == source]
        rng = np.random.default_rng([seed, *source.encode()])
        validation += _held(members, units, rules[source], share, rng)
    taken = set(map(id, validation))
    rest = [record for record in records if id(record) not in taken]
    unused = _unusable(rest, validation, rules, units)
    return Split(
        tuple(record for record in rest if id(record) not in unused),
        tuple(validation),
        tuple(record for record in rest if id(record) in unused),
    )


def _unusable(
    rest: Sequence[StationRecord],
    validation: Sequence[StationRecord],
    rules: Mapping[str, HoldOut],
    units: Mapping[int, int | str],
) -> set[int]:
    """Return the ids of the records that do not validate and must not be learned from."""
    stations = {r.station for r in validation if rules[r.source] is HoldOut.STATION}
    apart = [r for r in validation if rules[r.source] is not HoldOut.STATION]
    by_split = {source for source, rule in rules.items() if rule is HoldOut.SPLIT}
    apart += [r for r in rest if r.source in by_split and _own_split(r) == TEST]
    unused = {id(r) for r in rest if r.source in by_split and _own_split(r) != TRAIN}
    for source in rules:
        members = [record for record in rest if record.source == source]
        guard = [r for r in apart if source not in by_split or r.source != source]
        for record, leaks in zip(members, _leaks(members, source, guard, units), strict=True):
            if leaks or record.station in stations:
                unused.add(id(record))
    return unused


def _held(
    members: Sequence[StationRecord],
    events: Mapping[int, int | str],
    rule: HoldOut,
    share: float,
    rng: np.random.Generator,
) -> list[StationRecord]:
    """Return the records of a folder that validate."""
    if rule is HoldOut.NONE:
        return []
    if rule is HoldOut.ALL:
        return list(members)
    if rule is HoldOut.SPLIT:
        return [record for record in members if _own_split(record) == VALIDATION]
    by_station = rule is HoldOut.STATION
    units = [record.station if by_station else events[id(record)] for record in members]
    drawn = _draw(members, units, share, rng)
    return [record for record, unit in zip(members, units, strict=True) if unit in drawn]


def _own_split(record: StationRecord) -> int:
    return SPLIT_WORDS.get(record.split, NO_SPLIT)


def _leaks(
    records: Sequence[StationRecord],
    source: str,
    apart: Sequence[StationRecord],
    units: Mapping[int, int | str],
) -> Iterator[bool]:
    """Yield for each record of a folder whether it shares an earthquake with one kept apart.

    Where both have names of the folder's table, these tell; else those that overlap in time
    share one, and so do those of one station in any case: they share samples.
    """
    held = {units[id(record)] for record in apart}
    everyone = _spans(apart)
    unnamed = _spans([r for r in apart if r.source != source or not r.event])
    by_station: dict[str, list[StationRecord]] = defaultdict(list)
    for record in apart:
        by_station[record.station].append(record)
    at_station = {station: _spans(own) for station, own in by_station.items()}
    for record in records:
        span = record.start_ns, record.end_ns
        near = [unnamed if record.event else everyone]
        near += [at_station[record.station]] if record.station in at_station else []
        yield units[id(record)] in held or any(spans.overlap(*span) for spans in near)


def _spans(records: Iterable[StationRecord]) -> Intervals:
    return Intervals.from_pairs((record.start_ns, record.end_ns) for record in records)


def event_units(records: Sequence[StationRecord]) -> list[int | str]:
    """Tell earthquakes apart: by a table's name, or by a number where there is none."""
    numbers = iter(event_numbers([record for record in records if not record.event]))
    return [record.event or next(numbers) for record in records]


def event_numbers(records: Sequence[StationRecord]) -> list[int]:
    """Number the events: records that overlap in time, directly or by others, share one."""
    starts = np.array([record.start_ns for record in records], dtype=np.int64)
    ends = np.array([record.end_ns for record in records], dtype=np.int64)
    # One that begins where another ends does not overlap it.
    spans = Intervals.of(starts, ends - 1)
    numbers = np.searchsorted(spans.starts_ns, starts, side="right") - 1
    return [int(number) for number in numbers]


def _draw(
    records: Sequence[StationRecord],
    units: Sequence[int | str],
    share: float,
    rng: np.random.Generator,
) -> set[int | str]:
    """Draw units whose records hold a share of the samples."""
    lengths: dict[int | str, int] = {}
    for record, unit in zip(records, units, strict=True):
        lengths[unit] = lengths.get(unit, 0) + len(record.samples)
    if len(lengths) < 2 or share <= 0:
        return set()
    return set(draw_units(lengths, share * sum(lengths.values()), rng, leave=1))


def stretches(n: int, *, share: float, seed: int) -> NDArray[np.int8]:
    """Hold out contiguous stretches of n windows; what borders on them is unused.

    Returns:
        (n,) int8, TRAIN, VALIDATION or NO_SPLIT.
    """
    uses = np.full(n, TRAIN, np.int8)
    count = min(_STRETCHES, max(n // (8 * _GUARD_WINDOWS), 1))
    length = n // count
    held = round(share * length)
    if not held:
        return uses
    rng = np.random.default_rng([seed, n])
    for first in rng.integers(0, length - held + 1, count) + length * np.arange(count):
        guard = min(_GUARD_WINDOWS, (length - held) // 4)
        uses[max(first - guard, 0) : first + held + guard] = NO_SPLIT
        uses[first : first + held] = VALIDATION
    return uses
