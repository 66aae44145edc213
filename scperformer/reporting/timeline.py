"""Counts by key and time in a bounded number of bins, which grow coarser as time goes on."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from scperformer.types import NS_PER_S

_MINUTE_NS = 60 * NS_PER_S
_HOUR_NS = 60 * _MINUTE_NS
_DAY_NS = 24 * _HOUR_NS
_LADDER_NS = (
    *(minutes * _MINUTE_NS for minutes in (1, 5, 15)),
    *(hours * _HOUR_NS for hours in (1, 2, 4, 8)),
    *(2**power * _DAY_NS for power in range(18)),
)

Key = TypeVar("Key", bound=Hashable)
Counts = NDArray[np.int64]


class Timeline(Generic[Key]):
    """Sums of some series for each key, in bins of time that all keys share.

    Bins begin at multiples of their width. When the times no longer fit, bins are put
    together by twos, threes, fours or fives; the sums stay what they are.

    Args:
        n_series: how many series each key has.
        most_bins: the largest number of bins.

    Attributes:
        width_ns: width of a bin: minutes, then hours, then days.
    """

    def __init__(self, n_series: int, *, most_bins: int = 240) -> None:
        self.width_ns = _LADDER_NS[0]
        self._shape = n_series, most_bins
        self._first = 0
        self._used: tuple[int, int] | None = None
        self._rows: dict[Key, Counts] = {}

    @property
    def start_ns(self) -> int:
        """Start of the first bin that was reached; 0 if none was."""
        return self._used[0] * self.width_ns if self._used else 0

    @property
    def n_bins(self) -> int:
        """Number of bins from the first to the last that was reached."""
        return self._used[1] - self._used[0] if self._used else 0

    def edges_ns(self) -> Counts:
        """Return (n_bins + 1,) times, the bins' edges."""
        edges: Counts = np.arange(self.n_bins + 1, dtype=np.int64)
        edges *= self.width_ns
        edges += self.start_ns
        return edges

    def row(self, key: Key) -> Counts:
        """Return (n_series, n_bins) sums of a key; zeros for one that never came."""
        found = self._rows.get(key)
        if found is None or self._used is None:
            return np.zeros((self._shape[0], self.n_bins), np.int64)
        low = self._used[0] - self._first
        own: Counts = found[:, low : low + self.n_bins]
        return own

    def total(self) -> Counts:
        """Return (n_series, n_bins) sums over all keys."""
        total = np.zeros((self._shape[0], self.n_bins), np.int64)
        for key in self._rows:
            total += self.row(key)
        return total

    def reach(self, key: Key, start_ns: int, end_ns: int) -> None:
        """Make room for a key from a time to another."""
        self._make_room(start_ns, end_ns)
        if key not in self._rows:
            self._rows[key] = np.zeros(self._shape, np.int64)

    def count(self, key: Key, series: int, times_ns: Counts) -> None:
        """Count (n,) times within what was reached; those outside go to the nearest bin."""
        low, high = self._used or (0, 1)
        bins = np.clip(times_ns // self.width_ns, low, high - 1) - self._first
        np.add.at(self._rows[key][series], bins, 1)

    def cover(self, key: Key, series: int, spans_ns: Counts) -> None:
        """Add (n, 2) spans within what was reached, in order and apart: nanoseconds in each bin."""
        if not len(spans_ns):
            return
        start_ns, end_ns = int(spans_ns[0, 0]), int(spans_ns[-1, 1])
        low, high = start_ns // self.width_ns, -(-end_ns // self.width_ns)
        edges_ns = np.arange(low, high + 1, dtype=np.int64) * self.width_ns - start_ns
        lengths_ns = np.diff(spans_ns, axis=1).ravel()
        covered = np.stack([np.cumsum(lengths_ns) - lengths_ns, np.cumsum(lengths_ns)], axis=1)
        until = np.interp(edges_ns, (spans_ns - start_ns).ravel(), covered.ravel())
        own = np.diff(np.rint(until).astype(np.int64))
        self._rows[key][series, low - self._first : high - self._first] += own

    def _make_room(self, start_ns: int, end_ns: int) -> None:
        most_bins = self._shape[1]
        while True:
            low = start_ns // self.width_ns
            high = max(-(-end_ns // self.width_ns), low + 1)
            if self._used:
                low, high = min(low, self._used[0]), max(high, self._used[1])
            if high - low <= most_bins:
                break
            self._coarsen()
        if low < self._first or high > self._first + most_bins:
            self._move(low)
        self._used = low, high

    def _coarsen(self) -> None:
        wider_ns = _LADDER_NS[_LADDER_NS.index(self.width_ns) + 1]
        factor = wider_ns // self.width_ns
        first = self._first // factor
        most_bins = self._shape[1]
        bins = (self._first + np.arange(most_bins)) // factor - first
        for key, row in self._rows.items():
            coarse = np.zeros_like(row)
            for series, values in zip(coarse, row, strict=True):
                np.add.at(series, bins, values)
            self._rows[key] = coarse
        self.width_ns, self._first = wider_ns, first
        if self._used:
            self._used = self._used[0] // factor, -(-self._used[1] // factor)

    def _move(self, first: int) -> None:
        """Let the rows begin at another bin; what is used fits in."""
        if self._used:
            old = slice(self._used[0] - self._first, self._used[1] - self._first)
            new = slice(self._used[0] - first, self._used[1] - first)
            for key, row in self._rows.items():
                moved = np.zeros_like(row)
                moved[:, new] = row[:, old]
                self._rows[key] = moved
        self._first = first
