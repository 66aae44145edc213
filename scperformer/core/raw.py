"""The samples of a channel as they were recorded: those that are kept, those that wait.

A run is kept until nobody asks for it any more. Onsets are made on it: a resampler that
looks ahead rings before an onset, and a picker behind it picks the ringing. Records that
come again are compared with it.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from scperformer.types import NS_PER_S

HELD_S = 12.0
"""So much is held whatever `trim` says: what comes again is compared with it."""


def number_at(time_ns: int, start_ns: int, rate_hz: float) -> int:
    """Number of the first sample at or behind a time, to a thousandth of an interval.

    Args:
        time_ns: the time.
        start_ns: time of the sample that has the number 0.
        rate_hz: sampling rate.
    """
    return math.ceil((time_ns - start_ns) * rate_hz / NS_PER_S - 1e-3)


class RawRun:
    """Consecutive samples of one channel at its own rate; it grows and forgets its beginning.

    Samples are numbered from the beginning of the run. Times are those of the first sample
    and the rate, whatever the clock does afterwards.

    Args:
        start_ns: time of the first sample.
        rate_hz: sampling rate.
        offset_ns: true time minus time on the 100 Hz grid when the run begins.

    Attributes:
        end: number that follows the last sample.
        real_from: number behind the latest sample that was made up to bridge a gap.
    """

    __slots__ = ("_chunks", "_first", "end", "offset_ns", "rate_hz", "real_from", "start_ns")

    def __init__(self, start_ns: int, rate_hz: float, *, offset_ns: int = 0) -> None:
        self.start_ns = start_ns
        self.rate_hz = rate_hz
        self.offset_ns = offset_ns
        self.end = 0
        self.real_from = 0
        self._chunks: deque[NDArray[np.float64]] = deque()
        self._first = 0

    def append(self, samples: NDArray[np.float64], *, made_up: bool = False) -> None:
        """Add samples that follow the last ones.

        Args:
            samples: (n,) float64.
            made_up: they were not recorded.
        """
        self._chunks.append(samples)
        self.end += len(samples)
        if made_up:
            self.real_from = self.end

    def trim(self, before_ns: int) -> None:
        """Forget chunks that end before a time, but for the last `HELD_S`."""
        before = min(self.number(before_ns), self.end - round(HELD_S * self.rate_hz))
        while self._chunks and self._first + len(self._chunks[0]) <= before:
            self._first += len(self._chunks.popleft())

    def samples(self, first: int, end: int) -> NDArray[np.float64]:
        """Return the samples from number `first` to before `end`, as far as they are held."""
        parts: list[NDArray[np.float64]] = []
        at = self.end
        for chunk in reversed(self._chunks):
            at -= len(chunk)
            if at < end and at + len(chunk) > first:
                parts.append(chunk[max(first - at, 0) : max(end - at, 0)])
            if at <= first:
                break
        return np.concatenate(parts[::-1]) if parts else np.empty(0)

    def span(self, first_ns: int, end_ns: int) -> tuple[NDArray[np.float64], int]:
        """Return the samples from the first at or behind `first_ns` to before `end_ns`.

        Returns:
            (n,) float64, and the time of the first of them.
        """
        first = min(max(self.number(first_ns), self._first), self.end)
        end = min(max(self.number(end_ns), first), self.end)
        return self.samples(first, end), self.start_ns + round(first * NS_PER_S / self.rate_hz)

    def number(self, time_ns: int) -> int:
        """Number of the first sample at or behind a time."""
        return number_at(time_ns, self.start_ns, self.rate_hz)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Consecutive samples on their way to their place.

    Attributes:
        start_ns: time of the first sample.
        samples: (n,) float64.
    """

    start_ns: int
    samples: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    chunk: Chunk
    start_ns: int
    end_ns: int
    since_ns: int


class ReorderBuffer:
    """Chunks that wait for those before them, in the order of time.

    None of them lies within another: of what comes twice one is kept, so that there are
    few, however often a sender repeats itself.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first_ns(self) -> int:
        """Where the first chunk begins; there must be one."""
        return self._waiting[0].start_ns

    @property
    def since_ns(self) -> int:
        """How far the sensor had come when the first of those here arrived."""
        return min(waiting.since_ns for waiting in self._waiting)

    @property
    def first_seam(self) -> tuple[int, int]:
        """Where the first chunk ends and the second begins; there must be two."""
        return self._waiting[0].end_ns, self._waiting[1].start_ns

    def take(self) -> Chunk:
        """Take the first chunk out; there must be one."""
        return self._waiting.pop(0).chunk

    def add(self, chunk: Chunk, end_ns: int, *, since_ns: int, tolerance_ns: float) -> list[int]:
        """Let a chunk wait.

        Args:
            chunk: the samples.
            end_ns: time of the sample that would follow the last one.
            since_ns: how far the sensor's records have come.
            tolerance_ns: half a sample's length.

        Returns:
            The lengths of the chunks, this one or others, that are here twice and left out.
        """
        new = _Waiting(chunk, chunk.start_ns, end_ns, since_ns)
        if any(_lies_within(new, other, tolerance_ns) for other in self._waiting):
            return [len(chunk.samples)]
        covered = [other for other in self._waiting if _lies_within(other, new, tolerance_ns)]
        for other in covered:
            self._waiting.remove(other)
        since_ns = min([since_ns, *(other.since_ns for other in covered)])
        new = _Waiting(chunk, chunk.start_ns, end_ns, since_ns)
        insort(self._waiting, new, key=attrgetter("start_ns"))
        return [len(other.chunk.samples) for other in covered]


def _lies_within(inner: _Waiting, outer: _Waiting, tolerance_ns: float) -> bool:
    return (
        inner.start_ns >= outer.start_ns - tolerance_ns
        and inner.end_ns <= outer.end_ns + tolerance_ns
    )
