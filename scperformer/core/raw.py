"""The samples of a channel as they were recorded, kept until nobody asks for them any more.

Onsets are made on these: a resampler that looks ahead rings before an onset, and a picker
behind it picks the ringing.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from scperformer.types import NS_PER_S


class RawRun:
    """Consecutive samples of one channel at its own rate; it grows and forgets its beginning.

    Args:
        start_ns: time of the first sample.
        rate_hz: sampling rate.
    """

    __slots__ = ("_chunks", "_end", "_first", "rate_hz", "start_ns")

    def __init__(self, start_ns: int, rate_hz: float) -> None:
        self.start_ns = start_ns
        self.rate_hz = rate_hz
        self._chunks: deque[NDArray[np.float64]] = deque()
        self._first = 0
        self._end = 0

    def append(self, samples: NDArray[np.float64]) -> None:
        """Add samples that follow the last ones."""
        self._chunks.append(samples)
        self._end += len(samples)

    def trim(self, before_ns: int) -> None:
        """Forget chunks that end before a time."""
        before = self._number(before_ns)
        while self._chunks and self._first + len(self._chunks[0]) <= before:
            self._first += len(self._chunks.popleft())

    def view(self, first_ns: int, end_ns: int) -> tuple[NDArray[np.float64], int]:
        """Return the samples from the first at or behind `first_ns` to before `end_ns`.

        Returns:
            (n,) float64, and the time of the first of them.
        """
        first = min(max(self._number(first_ns), self._first), self._end)
        end = min(max(self._number(end_ns), first), self._end)
        parts: list[NDArray[np.float64]] = []
        at = self._first
        for chunk in self._chunks:
            if at < end and at + len(chunk) > first:
                parts.append(chunk[max(first - at, 0) : end - at])
            at += len(chunk)
        samples = np.concatenate(parts) if parts else np.empty(0)
        return samples, self.start_ns + round(first * NS_PER_S / self.rate_hz)

    def _number(self, time_ns: int) -> int:
        """Number of the first sample at or behind a time, to a thousandth of an interval."""
        return int(np.ceil((time_ns - self.start_ns) * self.rate_hz / NS_PER_S - 1e-3))
