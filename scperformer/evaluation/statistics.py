"""Ratios, residuals of matched picks, and whether probabilities mean what they say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

RESIDUAL_BINS = 101


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

    def values(self, what: str) -> dict[str, Any]:
        """Return all of it for a report; `what` was counted."""
        return {
            what: self.n,
            "mean_probability": self.mean_probability,
            "share_right": self.share_right,
            "calibration_error": self.calibration_error,
        }


def spread(values: Numbers) -> dict[str, float]:
    """Return ``median``, 95 % quantile (``p95``) and ``largest`` of values; nan without any."""
    if not len(values):
        return dict.fromkeys(("median", "p95", "largest"), math.nan)
    median, high = np.quantile(values, [0.5, 0.95])
    return {"median": float(median), "p95": float(high), "largest": float(values.max())}
