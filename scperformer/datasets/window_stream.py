"""Windows at given times out of a stream of records, prepared as the picker prepares them.

The records go through the picker's own sensor: the same order, gaps, resampling,
alignment of components and filter. No more than a block of the stream is in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.config import Settings
from scperformer.core.sensors import Sensor
from scperformer.core.statistics import Observer, Reporter, Statistics
from scperformer.core.triggers import Thresholds
from scperformer.core.windows import WindowRun
from scperformer.types import (
    SAMPLE_NS,
    WINDOW_SAMPLES,
    Record,
    SeedId,
    WindowBatch,
    WindowInput,
)

HALF_NS = WINDOW_SAMPLES // 2 * SAMPLE_NS


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A window out of the stream.

    Attributes:
        number: which of the wanted windows it is.
        samples: (400, 3) float32, components N, E, Z, divided by the largest absolute
            sample; zeros where a component does not cover the window.
        n_components: components with a signal, at least 1.
    """

    number: int
    samples: NDArray[np.float32]
    n_components: int


def first_samples(centres_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return grid indices of the first samples of windows around times, (n,) int64."""
    grid: NDArray[np.int64] = (centres_ns - HALF_NS + SAMPLE_NS // 2) // SAMPLE_NS
    return grid


def take_windows(
    records: Iterable[Record],
    seed_ids: Sequence[SeedId],
    firsts: NDArray[np.int64],
    *,
    filter_text: str,
) -> Iterator[Taken]:
    """Yield the wanted windows that the records of one sensor cover and that hold a signal.

    Args:
        records: of one sensor, in time order.
        seed_ids: its channels.
        firsts: (n,) int64, grid indices of the windows' first samples, ascending.
        filter_text: causal filter in SeisComP's grammar, empty for none.

    Raises:
        ConfigurationError: the filter cannot be read.
    """
    settings = Settings(shift_samples=1, filter=filter_text, detrend=False)
    sensor = Sensor(
        seed_ids[0].sensor_id,
        settings,
        Thresholds.constant(1.0, 1.0),
        _Nobody(),
        reporter=Reporter(Statistics(), Observer()),
        expected=frozenset(s.component for s in seed_ids),
    )
    for record in records:
        for run in sensor.push(record):
            yield from _from_run(run, firsts)
    for run in sensor.finish():
        yield from _from_run(run, firsts)


def _from_run(run: WindowRun, firsts: NDArray[np.int64]) -> Iterator[Taken]:
    """Yield the wanted windows of a run, in which windows begin at every sample."""
    if not len(run):
        return
    origin, last = int(run.starts[0]), int(run.starts[-1])
    numbers = range(*np.searchsorted(firsts, [origin, last + 1]).tolist())
    for number in numbers:
        place = int(firsts[number]) - origin
        samples = run.samples[:, place : place + WINDOW_SAMPLES] * run.present[place][:, None]
        peak = np.abs(samples).max()
        if np.isfinite(peak) and peak > 0.0:
            live = int(samples.any(axis=1).sum())
            yield Taken(number, np.ascontiguousarray(samples.T / peak, np.float32), live)
    run.segment.trim(last)


class _Nobody:
    """The classifier of a sensor whose windows nobody scores."""

    name = "nobody"
    sha256 = "0" * 64
    window_input = WindowInput.SAMPLES

    def classify(self, batch: WindowBatch) -> NDArray[np.float32]:
        raise AssertionError(f"{len(batch)} windows were to be cut, not scored")
