"""Bootstrap intervals of counts and medians (Efron 1979, Annals of Statistics 7, 1-26).

Groups of records are drawn with replacement, as many as there are. A draw is a weight
for each group, so that a statistic of a draw is a weighted sum, and two pickers are
compared on the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_MOST_ENTRIES = 4_000_000
_MOST_KEPT_ENTRIES = 40_000_000


class Bootstrap:
    """The same draws for whatever is asked.

    Args:
        n_groups: number of groups.
        draws: number of draws.
        seed: the same seed, the same draws.
    """

    def __init__(self, n_groups: int, *, draws: int = 1000, seed: int = 0) -> None:
        self.n_groups = n_groups
        self.draws = draws
        self._seed = seed
        self._chunk = max(min(_MOST_ENTRIES // max(n_groups, 1), draws), 1)
        self._kept: list[NDArray[np.int32]] | None = None
        if n_groups * draws <= _MOST_KEPT_ENTRIES:
            self._kept = list(self._generate())

    def _generate(self) -> Iterator[NDArray[np.int32]]:
        chances = np.full(self.n_groups, 1.0 / max(self.n_groups, 1))
        for number, start in enumerate(range(0, self.draws, self._chunk)):
            size = min(self._chunk, self.draws - start)
            rng = np.random.default_rng([self._seed, number])
            if not self.n_groups:
                yield np.zeros((size, 0), np.int32)
            else:
                yield rng.multinomial(self.n_groups, chances, size=size).astype(np.int32)

    def weights(self) -> Iterator[NDArray[np.int32]]:
        """Yield the draws in chunks, (n, n_groups) int32: how often each group is drawn."""
        return iter(self._kept) if self._kept is not None else self._generate()

    def sums(self, counts: NDArray[np.number]) -> Numbers:
        """Return the sums of each draw.

        Args:
            counts: (n_groups, k), the sums of each group.

        Returns:
            (draws, k) float64.
        """
        own = np.asarray(counts, np.float64).reshape(self.n_groups, -1)
        return np.concatenate([chunk @ own for chunk in self.weights()])

    def medians(self, values: Numbers, groups: NDArray[np.int64]) -> Numbers:
        """Return the median of each draw, (draws,); nan where nothing was drawn.

        Args:
            values: (n,) values.
            groups: (n,) int64, the group of each value.
        """
        order = np.argsort(values, kind="stable")
        ordered, own = values[order], groups[order]
        step = max(_MOST_ENTRIES // max(len(values), 1), 1)
        parts = [
            _weighted_medians(ordered, chunk[first : first + step][:, own])
            for chunk in self.weights()
            for first in range(0, len(chunk), step)
        ]
        return np.concatenate(parts)


def _weighted_medians(ordered: Numbers, weights: NDArray[np.int32]) -> Numbers:
    """Median of ordered values, each as often as its weight says; weights (draws, n)."""
    if not len(ordered):
        return np.full(len(weights), np.nan)
    reached = np.cumsum(weights, axis=1, dtype=np.int64)
    total = reached[:, -1]
    low = np.sum(reached <= (np.maximum(total - 1, 0) // 2)[:, None], axis=1)
    high = np.sum(reached <= (total // 2)[:, None], axis=1)
    last = len(ordered) - 1
    medians = (ordered[np.minimum(low, last)] + ordered[np.minimum(high, last)]) / 2.0
    return np.where(total > 0, medians, np.nan)


def interval(values: Numbers, *, level: float = 0.95) -> tuple[float, float]:
    """Return the interval that holds a share of the draws, as much left out on either side.

    Draws that are not finite are left out; without any the interval is (nan, nan).
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
