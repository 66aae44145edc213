"""Times of noisy machines: medians, their spread, and pairs that alternate."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, the quartiles around it, and how many values they come from."""

    median: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float]:
        """Return it for JSON, four digits kept."""
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds of two computations that ran in turns, and what the second takes of the first."""

    first_s: Spread
    second_s: Spread
    ratio: Spread


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles.

    Raises:
        ValueError: no values.
    """
    if not len(values):
        raise ValueError("no values; wanted at least one")
    low, median, high = np.percentile(values, (25, 50, 75))
    return Spread(float(median), float(low), float(high), len(values))


def elapsed_s(work: Callable[[], Any]) -> float:
    """Run something once; return the seconds that it took."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def in_turns(first: Callable[[], Any], second: Callable[[], Any], n_pairs: int) -> Pair:
    """Time two computations in turns, so that a busy machine is busy for both.

    Each runs once before, uncounted; who goes first changes from pair to pair. The ratio
    is the second's time over the first's, pair by pair.
    """
    first(), second()
    times: list[tuple[float, float]] = []
    for number in range(n_pairs):
        if number % 2:
            b, a = elapsed_s(second), elapsed_s(first)
        else:
            a, b = elapsed_s(first), elapsed_s(second)
        times.append((a, b))
    ones, others = zip(*times, strict=True)
    return Pair(spread(ones), spread(others), spread([b / a for a, b in times]))


def median_until(work: Callable[[], Any], at_least_s: float, least_runs: int = 3) -> float:
    """Repeat something for a while; return the median of its times in seconds."""
    work()
    times: list[float] = []
    while sum(times) < at_least_s or len(times) < least_runs:
        times.append(elapsed_s(work))
    return spread(times).median
