"""What there was of a sensor, for the case that there was nothing to look at."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from scperformer.config import Settings
from scperformer.naming import component_places
from scperformer.types import (
    N_COMPONENTS,
    NS_PER_S,
    SAMPLING_RATE_HZ,
    WINDOW_SAMPLES,
    Record,
    SeedId,
    SensorId,
)

# Records whose times fit to half a sample follow each other without a gap.
_FIT_SAMPLES = 0.5
_LEAST_BREAK_NS = NS_PER_S


@dataclass(slots=True)
class _Channel:
    """Attributes: level of the first sample, and runs."""

    level: float = math.nan
    is_constant: bool = True
    n_runs: int = 0
    longest_ns: int = 0
    _start_ns: int = 0
    _end_ns: int = 0

    def note(self, record: Record) -> None:
        if not len(record.samples):
            return
        if not self.n_runs:
            self.level = float(record.samples[0])
        if self.is_constant:
            self.is_constant = not np.any(record.samples != self.level)
        tolerance_ns = _FIT_SAMPLES * NS_PER_S / record.sampling_rate_hz
        if not self.n_runs or record.start_ns > self._end_ns + tolerance_ns:
            self.n_runs += 1
            self._start_ns = self._end_ns = record.start_ns
        self._end_ns = max(self._end_ns, record.end_ns)
        self.longest_ns = max(self.longest_ns, self._end_ns - self._start_ns)


@dataclass(slots=True)
class SensorFacts:
    """Notes the records of one sensor after the other."""

    _channels: dict[SeedId, _Channel] = field(default_factory=dict)
    _spans: list[tuple[int, int]] = field(default_factory=list)

    @property
    def spans_ns(self) -> tuple[tuple[int, int], ...]:
        """From when to when there were samples, of any channel."""
        return tuple(self._spans)

    @property
    def n_channels(self) -> int:
        """Channels that there were."""
        return len(self._channels)

    def note(self, record: Record) -> None:
        """Take notice of a record, in the order of time."""
        start_ns, end_ns = record.start_ns, record.end_ns
        if self._spans and start_ns <= self._spans[-1][1] + _LEAST_BREAK_NS:
            start_ns, last_ns = self._spans.pop()
            end_ns = max(end_ns, last_ns)
        self._spans.append((start_ns, end_ns))
        self._channels.setdefault(record.seed_id, _Channel()).note(record)

    def why_idle(self, sensor_id: SensorId, settings: Settings) -> str:
        """Say why there was no window in what was not left out for a reason of its own."""
        own = {
            seed_id: channel
            for seed_id, channel in self._channels.items()
            if seed_id.sensor_id == sensor_id and channel.n_runs
        }
        if not own:
            return "no samples in the time that is asked for"
        placed = component_places(frozenset(seed_id.component for seed_id in own))
        if settings.components == "all" and len(placed) < N_COMPONENTS:
            letters = ", ".join(sorted(seed_id.component for seed_id in own))
            return f"of its components there is {letters}, and --components all wants three"
        if all(channel.is_constant for channel in own.values()):
            return "its samples are constant"
        return _too_short(own.values(), settings.shift_samples)


def _too_short(channels: Iterable[_Channel], shift: int) -> str:
    longest = max(channels, key=lambda channel: channel.longest_ns)
    window_s = WINDOW_SAMPLES / SAMPLING_RATE_HZ
    enough_s = (WINDOW_SAMPLES + shift - 1) / SAMPLING_RATE_HZ
    need = (
        f"a window is {window_s:g} s and begins at a multiple of {shift / SAMPLING_RATE_HZ:g} s, "
        f"so that {enough_s:.2f} s always hold one"
    )
    longest_s = longest.longest_ns / NS_PER_S
    if longest_s >= enough_s:
        return f"in no window of {window_s:g} s do its components run with samples that vary"
    if longest.n_runs == 1:
        return f"it has {longest_s:.2f} s; {need}"
    return (
        f"the longest of its {longest.n_runs} stretches without a gap has {longest_s:.2f} s; {need}"
    )
