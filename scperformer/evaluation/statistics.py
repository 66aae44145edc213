"""Ratios, residuals, whether probabilities mean what they say, and bootstrap intervals.

The bootstrap is Efron's (1979, Annals of Statistics 7, 1-26): groups of records are drawn
with replacement, as many as there are. A draw is a weight for each group, so that a
statistic of a draw is a weighted sum, and two pickers are compared on the same draws.

Intervals of a share are Wilson's (1927, Journal of the American Statistical Association 22,
209-212).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

RESIDUAL_BINS = 101
FEWEST_SHOWN = 10
"""A bin with fewer says little of how often its probability is right."""

FEWEST_JUDGED = 100
"""Bins with fewer do not count when the worst is looked for."""

_LEVEL = 0.95
_NORMAL_QUANTILE = 1.959963984540054
_MOST_ENTRIES = 4_000_000
_MOST_KEPT_ENTRIES = 40_000_000


def ratio(part: Any, whole: Any) -> Any:
    """Return part by whole, numbers or arrays; nan where the whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)[()]


@dataclass(frozen=True, slots=True)
class Residuals:
    """Pick minus label of the matched picks, in seconds; nan where there is none.

    Attributes:
        n: number of matched picks.
        within_uncertainty, within_twice_uncertainty: shares inside one and two of the
            picks' own uncertainties, of those that have one.
        histogram: counts in `RESIDUAL_BINS` equal bins, the middle one around 0.
        bin_edges_s: of the histogram.
    """

    n: int
    mean_s: float
    median_s: float
    median_absolute_s: float
    mean_absolute_s: float
    root_mean_square_s: float
    within_uncertainty: float
    within_twice_uncertainty: float
    histogram: tuple[int, ...]
    bin_edges_s: tuple[float, ...]


def residual_statistics(
    residual_s: Numbers, uncertainty_s: Numbers, *, tolerance_s: float
) -> Residuals:
    """Describe residuals.

    Args:
        residual_s: (n,) pick minus label.
        uncertainty_s: (n,) the picks' own, nan where not given.
        tolerance_s: largest residual, the middle of the histogram's outermost bins.
    """
    outer_s = tolerance_s * RESIDUAL_BINS / (RESIDUAL_BINS - 1)
    counts, edges = np.histogram(residual_s, RESIDUAL_BINS, (-outer_s, outer_s))
    absolute = np.abs(residual_s)
    stated = np.isfinite(uncertainty_s)
    own = absolute[stated] / np.maximum(uncertainty_s[stated], np.finfo(float).tiny)
    return Residuals(
        n=len(residual_s),
        mean_s=_mean(residual_s),
        median_s=_median(residual_s),
        median_absolute_s=_median(absolute),
        mean_absolute_s=_mean(absolute),
        root_mean_square_s=math.sqrt(_mean(residual_s**2)),
        within_uncertainty=_mean(own <= 1.0),
        within_twice_uncertainty=_mean(own <= 2.0),
        histogram=tuple(counts.tolist()),
        bin_edges_s=tuple(np.round(edges, 9).tolist()),
    )


def _mean(values: Numbers | Mask) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _median(values: Numbers) -> float:
    return float(np.median(values)) if len(values) else math.nan


def share_interval(part: Numbers, whole: Any) -> tuple[Numbers, Numbers]:
    """Return the ends of the 95 % intervals of binomial shares, (n,) each; nan without any.

    Args:
        part: (n,) how many are right.
        whole: (n,) of how many.
    """
    share, one_by_n = ratio(part, whole), ratio(np.ones(len(part)), whole)
    z_squared = _NORMAL_QUANTILE**2
    middle = share + 0.5 * z_squared * one_by_n
    reach = np.sqrt(z_squared * one_by_n * (share * (1.0 - share) + 0.25 * z_squared * one_by_n))
    scale = 1.0 + z_squared * one_by_n
    return np.maximum((middle - reach) / scale, 0.0), np.minimum((middle + reach) / scale, 1.0)


class Reliability:
    """Of what has a probability in a bin, how much is right? Counted up part by part.

    Args:
        bins: equal bins from 0 to 1.

    Attributes:
        n: (bins,) int64, what was counted.
    """

    def __init__(self, bins: int = 10) -> None:
        self.n = np.zeros(bins, np.int64)
        self._sums = np.zeros((2, bins))

    def add(self, probability: Numbers, is_right: Mask) -> None:
        """Count (n,) probabilities, and which of them are right."""
        bins = len(self.n)
        place = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
        self.n += np.bincount(place, minlength=bins)
        for row, weights in enumerate((probability, is_right)):
            self._sums[row] += np.bincount(place, weights, minlength=bins)

    @property
    def mean_probability(self) -> Numbers:
        """(bins,) mean of the probabilities, nan where there is none."""
        return np.asarray(ratio(self._sums[0], self.n))

    @property
    def share_right(self) -> Numbers:
        """(bins,) share that is right, nan where there is none."""
        return np.asarray(ratio(self._sums[1], self.n))

    @property
    def calibration_error(self) -> float:
        """Mean difference of probability and share, weighted with n; nan without any."""
        return float(ratio(np.abs(self._sums[0] - self._sums[1]).sum(), self.n.sum()))

    @property
    def largest_distance(self) -> float:
        """Largest distance of mean probability and share in a bin of `FEWEST_JUDGED` or more.

        nan if there is no such bin.
        """
        judged = self.n >= FEWEST_JUDGED
        distances = np.abs(self.mean_probability - self.share_right)[judged]
        return float(distances.max()) if len(distances) else math.nan

    def values(self, what: str) -> dict[str, Any]:
        """Return all of it for a report; `what` was counted."""
        low, high = share_interval(self._sums[1], self.n)
        return {
            what: self.n,
            "mean_probability": self.mean_probability,
            "share_right": self.share_right,
            "share_right_95": {"low": low, "high": high},
            "calibration_error": self.calibration_error,
            "largest_distance_points": 100.0 * self.largest_distance,
        }


def spread(values: Numbers) -> dict[str, float]:
    """Return ``median``, 95 % quantile (``p95``) and ``largest`` of values; nan without any."""
    if not len(values):
        return dict.fromkeys(("median", "p95", "largest"), math.nan)
    median, high = np.quantile(values, [0.5, 0.95])
    return {"median": float(median), "p95": float(high), "largest": float(values.max())}


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


def interval(values: Numbers) -> tuple[float, float]:
    """Return the interval that holds 95 % of the draws, as much left out on either side.

    Draws that are not finite are left out; without any the interval is (nan, nan).
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1.0 - _LEVEL) / 2.0, (1.0 + _LEVEL) / 2.0])
    return float(low), float(high)
