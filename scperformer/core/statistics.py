"""What the pipeline counts and what it tells whoever listens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scperformer.naming import component_places
from scperformer.types import NS_PER_S, SAMPLING_RATE_HZ, Gap, Pick, SeedId, SensorId

_Key = TypeVar("_Key")


class DropReason(StrEnum):
    """Why samples were left out."""

    DUPLICATE = "already seen"
    CONTRADICTION = "unlike samples of the same time that came before"
    LATE = "later than the windows that they belong to"
    NOT_FINITE = "NaN, infinite or absurdly large"
    FAINT = "below 1e-30 all through a record: use a smaller unit"
    EMPTY = "record without samples"
    MALFORMED = "record that is no run of real numbers"
    SAMPLING_RATE = "sampling rate outside 20 to 500 Hz"
    TIME = "time outside 1970 to 2200"
    COMPONENT = "component that is no part of a triple (see componentCodes)"
    RIVAL = "component beside one that stands in its place"
    CLOCK_RESET = "clock stepped back"


@dataclass(frozen=True, slots=True, eq=False)
class ScoredWindows:
    """Consecutive windows of a sensor that were classified.

    Attributes:
        sensor_id: the sensor.
        centre_ns: (n,) int64, times that the predictions speak of, the centres of windows
            or columns.
        probabilities: (n, 3) float32, P, S and noise.
        waveform: (3, m) float32, the filtered samples of the windows that have come.
        waveform_start_ns: time of its first sample.
        offset_ns: true time minus these times, which lie on the 100 Hz grid: the vertical's,
            or that of what there is.
        begin_ns: time of the first sample behind a start or a gap: what is said of the time
            before says nothing.
    """

    sensor_id: SensorId
    centre_ns: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    waveform: NDArray[np.float32]
    waveform_start_ns: int
    offset_ns: int = 0
    begin_ns: int = 0


class Observer:
    """Hears what happens in a pipeline; every method does nothing unless overridden."""

    wants_scores = False
    """Whether `scored` should be called at all."""

    def gap(self, gap: Gap) -> None:
        """A channel's gap became final."""

    def dropped(self, seed_id: SeedId, reason: DropReason, n_samples: int) -> None:
        """Samples of a channel were left out."""

    def split(self, channels: Sequence[SeedId]) -> None:
        """Channels that may be one sensor's lie in two locations; they are not put together."""

    def scored(self, windows: ScoredWindows) -> None:
        """Windows were classified."""

    def picked(self, pick: Pick, window: NDArray[np.float32]) -> None:
        """A pick was made; `window` is the filtered waveform (3, 400) around it."""


@dataclass(slots=True)
class SensorCounts:
    """Counters of one sensor.

    Attributes:
        windows: those classified by the network.
        picks: picks by phase.
        gaps: gaps in its channels.
        dropped_samples, dropped_records: what was left out, by reason; a record
            counts where nothing of it was used.
    """

    windows: int = 0
    picks: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    dropped_samples: Counter[DropReason] = field(default_factory=Counter)
    dropped_records: Counter[DropReason] = field(default_factory=Counter)

    def add(self, other: SensorCounts) -> None:
        """Add what was counted elsewhere."""
        _add(self, other)


@dataclass(slots=True)
class Statistics:
    """Counters of a run; what is counted by sensor is asked for in all by the same name.

    Attributes:
        records: records fed.
        samples: samples fed.
        interpolated_samples: samples made up to fill gaps.
        span_samples: samples at 100 Hz that sensors went through, whatever
            their number of components.
        inference_s: time spent on the network, where the pipeline has a clock.
        sensors: counters by sensor.
        channels: those that have been heard, by network and station.
        decision_delays: picks by decision delay in whole hundredths of a second.
    """

    records: int = 0
    samples: int = 0
    interpolated_samples: int = 0
    span_samples: int = 0
    inference_s: float = 0.0
    sensors: dict[SensorId, SensorCounts] = field(default_factory=dict)
    channels: dict[tuple[str, str], set[SeedId]] = field(default_factory=dict)
    decision_delays: Counter[int] = field(default_factory=Counter)

    @property
    def windows(self) -> int:
        """Windows classified by the network."""
        return sum(counts.windows for counts in self.sensors.values())

    @property
    def picks(self) -> Counter[str]:
        """Picks by phase."""
        return _total(counts.picks for counts in self.sensors.values())

    @property
    def gaps(self) -> int:
        """Gaps in channels."""
        return sum(counts.gaps for counts in self.sensors.values())

    @property
    def dropped_samples(self) -> Counter[DropReason]:
        """Samples that were left out, by reason."""
        return _total(counts.dropped_samples for counts in self.sensors.values())

    @property
    def dropped_records(self) -> Counter[DropReason]:
        """Records of which nothing was used, by reason."""
        return _total(counts.dropped_records for counts in self.sensors.values())

    @property
    def station_hours(self) -> float:
        """Length of the data of all sensors."""
        return self.span_samples / SAMPLING_RATE_HZ / 3600.0

    def of(self, sensor_id: SensorId) -> SensorCounts:
        """Return the counters of a sensor, made if they are not there yet."""
        counts = self.sensors.get(sensor_id)
        if counts is None:
            counts = self.sensors[sensor_id] = SensorCounts()
        return counts

    def count_pick(self, pick: Pick) -> None:
        """Count a pick and its decision delay."""
        self.of(pick.seed_id.sensor_id).picks[pick.phase] += 1
        self.decision_delays[round(pick.decision_delay_s * 100.0)] += 1

    def recount(self, picks: Iterable[Pick]) -> None:
        """Count these picks and their delays in the place of those that were counted."""
        self.decision_delays.clear()
        for counts in self.sensors.values():
            counts.picks.clear()
        for pick in picks:
            self.count_pick(pick)

    def add(self, other: Statistics) -> None:
        """Add what was counted elsewhere."""
        _add(self, other)
        for sensor_id, counts in other.sensors.items():
            self.of(sensor_id).add(counts)
        for station, channels in other.channels.items():
            self.channels.setdefault(station, set()).update(channels)

    def decision_delay_s(self, fraction: float) -> float:
        """Return the delay that a fraction (0 to 1) of the picks did not exceed; NaN if none."""
        wanted = fraction * self.decision_delays.total()
        seen = 0
        for delay, count in sorted(self.decision_delays.items()):
            seen += count
            if seen >= wanted:
                return delay / 100.0
        return math.nan


def _add(own: Statistics | SensorCounts, its: Statistics | SensorCounts) -> None:
    """Add numbers and counters, field by field; other fields are the caller's."""
    for info in fields(own):
        mine, more = getattr(own, info.name), getattr(its, info.name)
        if isinstance(mine, Counter):
            mine.update(more)
        elif not isinstance(mine, dict):
            setattr(own, info.name, mine + more)


def _total(counters: Iterable[Counter[_Key]]) -> Counter[_Key]:
    total: Counter[_Key] = Counter()
    for counter in counters:
        total.update(counter)
    return total


class Reporter:
    """Counts and passes on: the one place that knows statistics and observer."""

    def __init__(self, statistics: Statistics, observer: Observer) -> None:
        self.statistics = statistics
        self.observer = observer

    def gap(self, gap: Gap) -> None:
        """Count and report a gap."""
        self.statistics.of(gap.seed_id.sensor_id).gaps += 1
        self.observer.gap(gap)

    def dropped(
        self, seed_id: SeedId, reason: DropReason, n_samples: int, *, whole: bool = False
    ) -> None:
        """Count and report dropped samples; `whole` if nothing of the record was used."""
        counts = self.statistics.of(seed_id.sensor_id)
        counts.dropped_samples[reason] += n_samples
        if whole:
            counts.dropped_records[reason] += 1
        self.observer.dropped(seed_id, reason, n_samples)


def halves_of_a_sensor(sensor_id: SensorId, channels: Iterable[SeedId]) -> list[SeedId]:
    """Return channels of a sensor and another that are one triple in two locations.

    They are of one instrument, one has what the other lacks, and neither has all three.
    Empty if there is no such other sensor.

    Args:
        sensor_id: the sensor.
        channels: of its station.
    """
    by_location: dict[str, list[SeedId]] = {}
    for seed_id in sorted(channels):
        if seed_id.sensor_id.band_instrument == sensor_id.band_instrument:
            by_location.setdefault(seed_id.location, []).append(seed_id)
    own = by_location.pop(sensor_id.location, [])
    places = _places(own)
    for others in by_location.values():
        if places and (found := _places(others)) and not places & found:
            return sorted([*own, *others])
    return []


def _places(channels: Iterable[SeedId]) -> set[int]:
    return set(component_places(frozenset(c.component for c in channels)).values())


def split_text(channels: Sequence[SeedId]) -> str:
    """Say what is the matter with channels that `Observer.split` is told of."""
    names = ", ".join(map(str, channels))
    return f"{names}: taken for two sensors; if they are one, give them one location code"


def nanoseconds(duration_s: float) -> int:
    """A duration as integer nanoseconds."""
    return round(duration_s * NS_PER_S)
