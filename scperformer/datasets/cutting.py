"""Planned windows cut out of a sensor's records and written, and the account of it.

Windows are prepared as the picker prepares them: the records go through the picker's own
sensor, with the same order, gaps, resampling, alignment of components and filter. No more
than a block of the stream is in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scperformer.config import Settings
from scperformer.core.sensors import Sensor
from scperformer.core.statistics import Observer, Reporter, Statistics
from scperformer.core.triggers import Thresholds
from scperformer.core.windows import WindowRun
from scperformer.datasets.plan import HALF_NS, NOISE, CutOptions, Cuts
from scperformer.datasets.splits import NO_SPLIT
from scperformer.datasets.writer import LabelledWindow
from scperformer.types import (
    N_COMPONENTS,
    SAMPLE_NS,
    WINDOW_SAMPLES,
    Record,
    SeedId,
    WindowBatch,
    WindowInput,
)

_MOST_FAULTS = 20

Write = Callable[[LabelledWindow], None]


@dataclass(slots=True)
class Account:
    """What became of what was wanted.

    Attributes:
        planned: windows planned, by class.
        cut: windows written, by class.
        undivided: windows left out because earthquake and station disagree on the split.
        incomplete: windows left out for a missing component.
        noise_wanted: windows of noise wanted.
        n_unusable: inputs that could not be used, or not in full.
        unusable: the first of them, in words.
    """

    planned: Counter[int] = field(default_factory=Counter)
    cut: Counter[int] = field(default_factory=Counter)
    undivided: int = 0
    incomplete: int = 0
    noise_wanted: int = 0
    n_unusable: int = 0
    unusable: list[str] = field(default_factory=list)

    def blame(self, fault: str) -> None:
        """Note an input that could not be used."""
        self.n_unusable += 1
        if len(self.unusable) < _MOST_FAULTS:
            self.unusable.append(fault)

    def lines(self) -> list[str]:
        """Say in words what was left out; nothing where all is well."""
        said = []
        lost = sum(self.planned.values()) - sum(self.cut.values()) - self.incomplete
        if lost:
            said.append(f"{lost} windows not cut: a gap, an end or silence is in them")
        if self.incomplete:
            said.append(f"{self.incomplete} windows left out: a component is missing")
        if self.undivided:
            said.append(
                f"{self.undivided} windows left out: earthquake and station are in different splits"
            )
        found = self.planned[NOISE] + self.undivided
        if found < self.noise_wanted:
            said.append(
                f"{self.noise_wanted} windows of noise were wanted, but few places lie so far "
                "from picks; see --noise-distance and --noise-near-others"
            )
        return said


def cut_windows(
    records: Iterable[Record],
    seed_ids: Sequence[SeedId],
    cuts: Cuts,
    *,
    events: Sequence[str],
    splits: Sequence[int],
    trace: str,
    options: CutOptions,
    account: Account,
    write: Write,
) -> None:
    """Cut windows out of the records of one sensor and write them.

    Args:
        records: in time order.
        seed_ids: the sensor's channels.
        cuts: the windows, (n,).
        events: name of each window's earthquake.
        splits: number of each window's split; those of none are left out.
        trace: what the windows are said to come from.
        options: how they are cut.
        account: is told what becomes of them.
        write: takes them.
    """
    kept = np.flatnonzero(np.array(splits, dtype=np.int64) != NO_SPLIT)
    account.undivided += len(cuts) - len(kept)
    account.planned.update(cuts.label[kept].tolist())
    sensor = seed_ids[0].sensor_id
    for taken in take_windows(
        records,
        seed_ids,
        first_samples(cuts.centre_ns[kept]),
        filter_text=options.filter_text,
    ):
        if options.all_components and taken.n_components < N_COMPONENTS:
            account.incomplete += 1
            continue
        number = int(kept[taken.number])
        label = int(cuts.label[number])
        account.cut[label] += 1
        write(
            LabelledWindow(
                samples=taken.samples,
                label=label,
                split=splits[number],
                event=events[number],
                station=f"{sensor.network}.{sensor.station}",
                trace=trace,
                n_components=taken.n_components,
                time_ns=int(cuts.centre_ns[number]),
                shift_samples=int(cuts.shift_samples[number]),
            )
        )


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
