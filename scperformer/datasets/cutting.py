"""Windows planned around picks and between them, cut out of a sensor's records and written.

Windows are prepared as the picker prepares them: the records go through the picker's own
sensor, with the same order, gaps, resampling, alignment of components and filter. No more
than a block of the stream is in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scperformer.config import DEFAULT_FILTER, Settings
from scperformer.core.sensors import NetworkFacts, Sensor
from scperformer.core.statistics import Observer, Reporter, Statistics
from scperformer.core.triggers import Thresholds
from scperformer.core.windows import Reach, WindowRun
from scperformer.datasets.columns import Columns
from scperformer.datasets.intervals import Intervals, Times
from scperformer.datasets.splits import NO_SPLIT, SplitBy, check_shares
from scperformer.datasets.window_file import LabelledWindow
from scperformer.errors import ConfigurationError
from scperformer.types import (
    CLASSES,
    N_COMPONENTS,
    NS_PER_S,
    SAMPLE_NS,
    SAMPLING_RATE_HZ,
    WINDOW_SAMPLES,
    Record,
    SeedId,
)

P, S, NOISE = range(len(CLASSES))
HALF_NS = WINDOW_SAMPLES // 2 * SAMPLE_NS
LEAST_GAP_S = 2.0 * HALF_NS / NS_PER_S
_ROUNDS = 8
_MOST_FAULTS = 20

Write = Callable[[LabelledWindow], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOptions:
    """How a data set is made.

    Attributes:
        per_pick: windows for each pick.
        jitter_s: largest distance of a window's centre from its pick.
        noise_per_pick: windows of noise for each window of a phase.
        noise_per_trace: windows of noise from a trace of a data set that holds nothing else.
        noise_distance_s: least distance of noise from a pick.
        unlabelled_s: noise stays out of so long a time behind a P without an S at its
            station, and before an S without a P.
        quiet_network: noise stays away from the picks of all stations, not only its own.
        all_components: only windows with all three components.
        filter_text: causal filter in SeisComP's grammar.
        split_by: what is never divided between the splits.
        shares: of training, validation and test.
        event_gap_s: picks of all stations with no longer pause than this are one earthquake.
        seed: decides every random number.

    Raises:
        ConfigurationError: values out of range, all at once.
    """

    per_pick: int = 1
    jitter_s: float = 0.0
    noise_per_pick: float = 0.5
    noise_per_trace: int = 1
    noise_distance_s: float = 4.0
    unlabelled_s: float = 30.0
    quiet_network: bool = True
    all_components: bool = False
    filter_text: str = DEFAULT_FILTER
    split_by: SplitBy = SplitBy.EVENT
    shares: tuple[float, ...] = (0.8, 0.1, 0.1)
    event_gap_s: float = 30.0
    seed: int = 1

    def __post_init__(self) -> None:
        ranges = {
            "--per-pick": (self.per_pick, 1, 1000),
            "--jitter": (self.jitter_s, 0.0, 1.9),
            "--noise": (self.noise_per_pick, 0.0, 1000.0),
            "--noise-per-trace": (self.noise_per_trace, 0, 1000),
            "--noise-distance": (self.noise_distance_s, 2.0, 3600.0),
            "--unlabelled": (self.unlabelled_s, 0.0, 3600.0),
            "--event-gap": (self.event_gap_s, LEAST_GAP_S, 86_400.0),
            "--seed": (self.seed, 0, 2**31 - 1),
        }
        faults = [
            f"{name}: got {value:.15g}; wanted {low:.15g} to {high:.15g}"
            for name, (value, low, high) in ranges.items()
            if not low <= value <= high
        ]
        if faults:
            raise ConfigurationError(*faults)
        check_shares(self.shares)


@dataclass(frozen=True, slots=True, eq=False)
class Cuts(Columns):
    """Windows to cut, in the order of time.

    Attributes:
        centre_ns: (n,) int64, times of the centres.
        label: (n,) int64, 0 for P, 1 for S, 2 for noise.
        shift_samples: (n,) int64, centre minus pick, 0 for noise.
        pick: (n,) int64, number of the pick, -1 for noise.
    """

    centre_ns: Times
    label: NDArray[np.int64]
    shift_samples: NDArray[np.int64]
    pick: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        picks_ns: Times,
        classes: NDArray[np.int64],
        noise_ns: Times,
        rng: np.random.Generator,
        options: CutOptions,
    ) -> Self:
        """Put windows around picks, shifted at random, and around times of noise."""
        numbers = np.repeat(np.arange(len(picks_ns)), options.per_pick)
        times, labels = picks_ns[numbers], classes[numbers]
        most = round(options.jitter_s * SAMPLING_RATE_HZ)
        shift = rng.integers(-most, most + 1, len(times))
        centres = np.concatenate([times + shift * SAMPLE_NS, noise_ns])
        n_noise = len(noise_ns)
        everything = cls(
            centres,
            np.concatenate([labels, np.full(n_noise, NOISE)]),
            np.concatenate([shift, np.zeros(n_noise, np.int64)]),
            np.concatenate([numbers, np.full(n_noise, -1)]),
        )
        return everything.take(np.argsort(centres, kind="stable"))


def rounded(number: float, rng: np.random.Generator) -> int:
    """Round up or down at random, so that the mean of many is the number."""
    return int(number + rng.random())


def noise_times(
    data: Intervals,
    avoid: Sequence[Intervals],
    count: int,
    rng: np.random.Generator,
) -> Times:
    """Draw times at which there is no arrival.

    Args:
        data: where there are data; windows lie inside.
        avoid: where there may be arrivals.
        count: how many times are wanted.
        rng: source of chance.

    Returns:
        At most `count` times in no order, fewer where `avoid` leaves no room.
    """
    places = data.shrunk(HALF_NS)
    found: list[Times] = [np.empty(0, np.int64)]
    missing = count
    for _ in range(_ROUNDS if len(places) else 0):
        if missing <= 0:
            break
        times = places.at(rng.integers(0, places.length_ns, 2 * missing))
        for spans in avoid:
            times = times[~spans.contain(times)]
        found.append(times[:missing])
        missing -= len(found[-1])
    return np.concatenate(found)


def around_times(times_ns: Times, distance_s: float) -> Intervals:
    """Return what lies closer to a time than a distance."""
    distance = round(distance_s * NS_PER_S)
    return Intervals.of(times_ns - distance, times_ns + distance)


def unlabelled_times(times_ns: Times, classes: NDArray[np.int64], within_s: float) -> Intervals:
    """Return where the partner of a phase is to be expected that nobody picked.

    Behind a P without an S, and before an S without a P: a missing pick is unknown, it
    does not say that there is no arrival.

    Args:
        times_ns: (n,) int64, picks at a station, in any order.
        classes: (n,) int64, 0 for P, 1 for S, others are passed over.
        within_s: largest S - P time.
    """
    most = round(within_s * NS_PER_S)
    p, s = np.sort(times_ns[classes == P]), np.sort(times_ns[classes == S])
    lone_p = p[np.searchsorted(s, p) == np.searchsorted(s, p + most, side="right")]
    lone_s = s[np.searchsorted(p, s - most) == np.searchsorted(p, s, side="right")]
    return Intervals.of(
        np.concatenate([lone_p, lone_s - most]), np.concatenate([lone_p + most, lone_s])
    )


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
                station=sensor.station_id,
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
        NetworkFacts("nobody", "", Reach()),
        memory=None,
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
