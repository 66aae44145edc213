"""Long traces thinned out for drawing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def envelope(values: Numbers, step: int) -> tuple[Numbers, Numbers]:
    """Thin (n,) samples out to the smallest and largest of each `step`, as (places, values)."""
    if step <= 2:
        return np.arange(len(values), dtype=np.float64), values
    n_bins = len(values) // step
    bins = values[: n_bins * step].reshape(n_bins, step)
    extremes = np.stack([bins.min(axis=1), bins.max(axis=1)], axis=1).ravel()
    places = np.arange(n_bins)[:, None] * step + np.array([0.25, 0.75]) * step
    return places.ravel(), extremes
