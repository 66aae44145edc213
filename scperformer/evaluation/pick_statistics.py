"""Residuals of matched picks, and whether probabilities mean what they say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

RELIABILITY_BINS = 10
RESIDUAL_BINS = 101


@dataclass(frozen=True, slots=True)
class Residuals:
    """Pick minus label of the matched picks, in seconds; nan where there is none.

    Attributes:
        n: number of matched picks.
        within_1, within_2: shares inside one and two of the picks' own uncertainties, of
            those that have one.
        histogram: counts in `RESIDUAL_BINS` equal bins, the middle one around 0.
        bin_edges_s: of the histogram.
    """

    n: int
    mean_s: float
    median_s: float
    median_absolute_s: float
    mean_absolute_s: float
    root_mean_square_s: float
    within_1: float
    within_2: float
    histogram: tuple[int, ...]
    bin_edges_s: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Of the known picks with a probability in a bin, how many are right?

    Attributes:
        n: (bins,) picks.
        probability: (bins,) their mean probability, nan where there is none.
        share: (bins,) share of them that match a label.
        calibration_error: mean of the difference, weighted with n; nan without picks.
    """

    n: NDArray[np.int64]
    probability: Numbers
    share: Numbers
    calibration_error: float


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
    ratio = absolute[stated] / np.maximum(uncertainty_s[stated], np.finfo(float).tiny)
    return Residuals(
        n=len(residual_s),
        mean_s=_mean(residual_s),
        median_s=_median(residual_s),
        median_absolute_s=_median(absolute),
        mean_absolute_s=_mean(absolute),
        root_mean_square_s=math.sqrt(_mean(residual_s**2)),
        within_1=_mean(ratio <= 1.0),
        within_2=_mean(ratio <= 2.0),
        histogram=tuple(counts.tolist()),
        bin_edges_s=tuple(np.round(edges, 9).tolist()),
    )


def _mean(values: Numbers | Mask) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _median(values: Numbers) -> float:
    return float(np.median(values)) if len(values) else math.nan


def reliability(
    probability: Numbers, is_right: Mask, *, bins: int = RELIABILITY_BINS
) -> Reliability:
    """Compare probabilities with the shares that are right, in equal bins from 0 to 1."""
    place = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
    n = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, values, minlength=bins) for values in (probability, is_right)]
    mean, share = (np.divide(total, n, out=np.full(bins, np.nan), where=n > 0) for total in sums)
    error = float(np.abs(sums[0] - sums[1]).sum() / n.sum()) if n.any() else float("nan")
    return Reliability(n, mean, share, error)


def spread(values: Numbers) -> tuple[float, float, float]:
    """Return median, 95 % quantile and largest of values; nan without any."""
    if not len(values):
        return (math.nan,) * 3
    median, high = np.quantile(values, [0.5, 0.95])
    return float(median), float(high), float(values.max())
