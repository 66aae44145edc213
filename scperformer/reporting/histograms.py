"""Histograms with fixed bins that lose no value."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class Histogram:
    """Counts of values by bin; the upper end belongs to the last bin.

    Args:
        edges: (n + 1,) edges of the bins, rising.

    Attributes:
        edges: (n + 1,) float64.
        counts: (n,) int64.
        below: values under the first edge.
        above: values over the last edge.
        unknown: values that are nan.
    """

    def __init__(self, edges: Iterable[float]) -> None:
        self.edges = np.array(list(edges), np.float64)
        self.counts: NDArray[np.int64] = np.zeros(len(self.edges) - 1, np.int64)
        self.below = self.above = self.unknown = 0

    def add(self, values: NDArray[np.float64]) -> None:
        """Count (n,) values."""
        low, high = self.edges[0], self.edges[-1]
        self.unknown += int(np.isnan(values).sum())
        self.below += int((values < low).sum())
        self.above += int((values > high).sum())
        inside = values[(values >= low) & (values <= high)]
        places = np.searchsorted(self.edges, inside, side="right") - 1
        np.add.at(self.counts, np.minimum(places, len(self.counts) - 1), 1)

    @property
    def n_known(self) -> int:
        """Values that are numbers."""
        return int(self.counts.sum()) + self.below + self.above

    def quantile(self, fraction: float) -> float:
        """Return the value that a fraction of them does not exceed, to a bin; nan if none."""
        if not self.n_known:
            return float("nan")
        until = self.below + np.concatenate([[0], np.cumsum(self.counts)])
        return float(np.interp(fraction * self.n_known, until, self.edges))

    def trimmed(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return edges and counts without the empty bins at both ends; all if all are empty."""
        filled = np.flatnonzero(self.counts)
        if not len(filled):
            return self.edges, self.counts
        low, high = int(filled[0]), int(filled[-1]) + 1
        return self.edges[low : high + 1], self.counts[low:high]
