"""Spans of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Spans of time, in order, none touching another.

    Attributes:
        starts_ns: (n,) int64, first moment of each.
        ends_ns: (n,) int64, the moment behind the last of each.
    """

    starts_ns: Times
    ends_ns: Times

    @classmethod
    def of(cls, starts_ns: Times, ends_ns: Times) -> Self:
        """Return the union of spans in any order, which may overlap."""
        order = np.argsort(starts_ns, kind="stable")
        starts, ends = starts_ns[order], ends_ns[order]
        starts, ends = starts[starts < ends], ends[starts < ends]
        reached = np.maximum.accumulate(ends)
        begins = np.ones(len(starts), dtype=bool)
        begins[1:] = starts[1:] > reached[:-1]
        lasts = np.concatenate([np.flatnonzero(begins)[1:] - 1, [len(starts) - 1]])
        return cls(starts[begins], reached[lasts] if len(starts) else reached)

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[int, int]]) -> Self:
        """Return the union of (start, end) pairs."""
        table = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
        return cls.of(table[:, 0], table[:, 1])

    def __len__(self) -> int:
        return len(self.starts_ns)

    def contain(self, times_ns: Times) -> NDArray[np.bool_]:
        """Return which times lie in a span, (m,) bool."""
        number = np.searchsorted(self.starts_ns, times_ns, side="right") - 1
        within: NDArray[np.bool_] = number >= 0
        if len(self):
            within &= times_ns < self.ends_ns[np.maximum(number, 0)]
        return within

    def overlap(self, start_ns: int, end_ns: int) -> bool:
        """Tell whether a span has a moment in common with one of these."""
        first = int(np.searchsorted(self.ends_ns, start_ns, side="right"))
        return first < len(self) and bool(self.starts_ns[first] < end_ns)

    def shrunk(self, by_ns: int) -> Self:
        """Return the spans shorter by this on both sides; those too short are gone."""
        starts, ends = self.starts_ns + by_ns, self.ends_ns - by_ns
        return type(self)(starts[starts < ends], ends[starts < ends])

    def at(self, places_ns: Times) -> Times:
        """Return the times at places that are counted through all spans laid end to end."""
        ends = np.cumsum(self.ends_ns - self.starts_ns)
        number = np.searchsorted(ends, places_ns, side="right")
        times = self.ends_ns[number] - (ends[number] - places_ns)
        return times.astype(np.int64)

    @property
    def length_ns(self) -> int:
        return int((self.ends_ns - self.starts_ns).sum())
