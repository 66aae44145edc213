"""Which windows are cut around picks and between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from scperformer.config import DEFAULT_FILTER
from scperformer.datasets.intervals import Intervals, Times
from scperformer.datasets.splits import SplitBy, check_shares
from scperformer.errors import ConfigurationError
from scperformer.types import CLASSES, NS_PER_S, SAMPLE_NS, SAMPLING_RATE_HZ, WINDOW_SAMPLES

P, S, NOISE = range(len(CLASSES))
HALF_NS = WINDOW_SAMPLES // 2 * SAMPLE_NS
LEAST_GAP_S = 2.0 * HALF_NS / NS_PER_S
_ROUNDS = 8


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
class Cuts:
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

    def __len__(self) -> int:
        return len(self.centre_ns)

    def take(self, which: NDArray[np.generic]) -> Self:
        """Return the cuts of a mask or of indices."""
        return type(self)(*(getattr(self, column.name)[which] for column in fields(self)))

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
