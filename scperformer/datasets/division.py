"""Earthquakes and stations divided among training, validation and test.

Windows of one earthquake resemble each other, and so do those of one station. What is
divided is therefore whole earthquakes, whole stations or both, never windows.

Earthquakes are told apart by time alone: picks of all stations that follow each other
closely are one, whatever a catalogue says. Two distant earthquakes at the same time
count as one then; that wastes a little and leaks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.window_file import NO_SPLIT, SPLITS, TRAIN
from scperformer.errors import ConfigurationError
from scperformer.types import NS_PER_S, format_time

_FEWEST_UNITS = len(SPLITS)


class SplitBy(StrEnum):
    """What is never divided."""

    EVENT = "event"
    STATION = "station"
    BOTH = "both"


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
        ordered = np.sort(times_ns)
        parted = np.flatnonzero(np.diff(ordered) >= gap_s * NS_PER_S)
        firsts = np.concatenate([[0], parted + 1]) if len(ordered) else np.empty(0, np.int64)
        lasts = np.concatenate([parted, [len(ordered) - 1]]) if len(ordered) else firsts
        return cls(ordered[firsts.astype(np.int64)], ordered[lasts.astype(np.int64)])

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
    order = np.random.default_rng([seed, len(weights)]).permutation(len(weights))
    names = sorted(weights)
    left = [names[i] for i in order]
    given: dict[str, int] = {}
    for split in range(len(SPLITS) - 1, TRAIN, -1):
        wanted = shares[split] * total
        smallest = min((weights[name] for name in left), default=0)
        got = 0
        for name in list(left) if shares[split] > 0 and len(weights) >= _FEWEST_UNITS else ():
            weight = weights[name]
            fits = weight <= max(2 * wanted, smallest) and len(left) > split
            if fits and (not got or got + weight / 2 <= wanted):
                given[name] = split
                got += weight
                left.remove(name)
    given.update(dict.fromkeys(left, TRAIN))
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
                    "apart; split by the other, shorten --event-gap, or give --split 1 0 0"
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
