"""Samples of a channel that came before those which should precede them."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray


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
