"""The samples of a run as they were recorded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 256


class RawHistory:
    """Latest samples of a run, numbered from its beginning, at the rate of the recording.

    Args:
        most: samples that are held.

    Attributes:
        end: number that follows the last one.
        real_from: number behind the latest sample that was made up to bridge a gap.
    """

    __slots__ = ("_begin", "_buffer", "_end", "_most", "end", "real_from")

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffer = np.empty(_SMALLEST)
        self.clear()

    @property
    def first(self) -> int:
        """Number of the first sample that is still held."""
        return self.end - min(self._end - self._begin, self._most)

    def clear(self) -> None:
        """Forget everything; a run begins."""
        self._begin = self._end = 0
        self.end = 0
        self.real_from = 0

    def append(self, samples: NDArray[np.float64], *, made_up: bool = False) -> None:
        """Add samples that follow on those before.

        Args:
            samples: (n,) float64.
            made_up: they were not recorded.
        """
        if self._end + len(samples) > len(self._buffer):
            self._make_room(len(samples))
        self._buffer[self._end : self._end + len(samples)] = samples
        self._end += len(samples)
        self.end += len(samples)
        if made_up:
            self.real_from = self.end

    def trim(self, before: int) -> None:
        """Forget the samples before a number."""
        held_from = self.end - (self._end - self._begin)
        self._begin += min(max(before - held_from, 0), self._end - self._begin)

    def view(self, first: int, end: int) -> NDArray[np.float64]:
        """Return the samples from number `first` to before `end`, as far as they are held.

        It is no copy and holds until samples are added.
        """
        offset = self._end - self.end
        low, high = max(first, self.first) + offset, min(end, self.end) + offset
        return self._buffer[low : max(high, low)]

    def _make_room(self, n_samples: int) -> None:
        self.trim(self.end - self._most)
        held = self._buffer[self._begin : self._end]
        wanted = (len(held) + n_samples) * 3 // 2
        if wanted > len(self._buffer):
            fresh = np.empty(wanted)
            fresh[: len(held)] = held
            self._buffer = fresh
        else:
            self._buffer[: len(held)] = held.copy()
        self._begin, self._end = 0, len(held)
