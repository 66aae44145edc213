"""What a scan tells its user: left-out data, why a sensor had no window, the summary."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scperformer.config import Settings
from scperformer.core.columns import PowerColumns
from scperformer.core.statistics import DropReason, Observer, ScoredWindows, Statistics, split_text
from scperformer.core.streaming import Step, StreamingNetwork
from scperformer.naming import component_places
from scperformer.types import (
    COMPONENTS,
    N_COMPONENTS,
    NS_PER_S,
    SAMPLE_NS,
    SAMPLING_RATE_HZ,
    WINDOW_SAMPLES,
    Classifier,
    Gap,
    Pick,
    Record,
    SeedId,
    SensorId,
    WindowBatch,
    format_time,
)
from scperformer.waveforms.archive import ArchiveGroup, ArchiveIndex
from scperformer.waveforms.contents import Span

_log = logging.getLogger(__name__)

# Records whose times fit to half a sample follow each other without a gap.
_FIT_SAMPLES = 0.5


class TimedClassifier:
    """A classifier that knows how long it has been at work: alone, nothing runs beside it."""

    def __init__(self, inner: Classifier) -> None:
        self._inner = inner
        self.name, self.sha256 = inner.name, inner.sha256
        self.window_input = inner.window_input
        self.elapsed_s = 0.0

    def classify(self, batch: WindowBatch) -> NDArray[np.float32]:
        """Pass on, with a stopwatch."""
        begun = time.perf_counter()
        answer = self._inner.classify(batch)
        self.elapsed_s += time.perf_counter() - begun
        return answer


class TimedNetwork(StreamingNetwork):
    """A streaming network that knows how long it has been at work.

    Args:
        inner: the network, which is not to be used any more.
    """

    def __init__(self, inner: StreamingNetwork) -> None:
        self.__dict__.update(inner.__dict__)
        self.elapsed_s = 0.0

    def predict(self, columns: PowerColumns, steps: Sequence[Step]) -> NDArray[np.float32]:
        """Pass on, with a stopwatch."""
        begun = time.perf_counter()
        answer = super().predict(columns, steps)
        self.elapsed_s += time.perf_counter() - begun
        return answer


def timed(network: Classifier | StreamingNetwork) -> TimedClassifier | TimedNetwork:
    """Give a network a stopwatch."""
    if isinstance(network, StreamingNetwork):
        return TimedNetwork(network)
    return TimedClassifier(network)


class ScanObserver(Observer):
    """Collects what there is to say about each channel, and feeds the extra outputs.

    Args:
        scores: folder for scores and waveforms, None for none.
        positives: folder for drawings of the picks' windows, None for none.
        draw_filtered, draw_original: which windows to draw.

    Attributes:
        has_failed: scores or drawings could not be written; the picks go on without them.
    """

    def __init__(
        self,
        *,
        scores: Path | None,
        positives: Path | None,
        draw_filtered: bool,
        draw_original: bool,
    ) -> None:
        self.has_failed = False
        self.wants_scores = scores is not None
        self._scores = scores
        self._positives = positives
        self._draw_filtered = draw_filtered
        self._draw_original = draw_original
        self._left_out: dict[SeedId, Counter[DropReason]] = {}
        self._undrawn: list[Pick] = []

    def gap(self, gap: Gap) -> None:
        _log.debug(
            "%s: gap of %.2f s at %s", gap.seed_id, gap.duration_s, format_time(gap.start_ns)
        )

    def split(self, channels: Sequence[SeedId]) -> None:
        _log.warning("%s", split_text(channels))

    def dropped(self, seed_id: SeedId, reason: DropReason, n_samples: int) -> None:
        self._left_out.setdefault(seed_id, Counter())[reason] += n_samples

    def scored(self, windows: ScoredWindows) -> None:
        if self._scores is None or self.has_failed:
            return
        start = format_time(windows.waveform_start_ns, "%Y%m%dT%H%M%S.%f")
        stem = f"{windows.sensor_id}.{start}"
        with self._failing_alone(self._scores):
            np.save(self._scores / f"{stem}.scores.npy", windows.probabilities)
            np.save(self._scores / f"{stem}.times.npy", windows.centre_ns)
            np.save(self._scores / f"{stem}.waveform.npy", windows.waveform)

    def picked(self, pick: Pick, window: NDArray[np.float32]) -> None:
        if self._positives is None:
            return
        if self._draw_filtered:
            self._draw(pick, "filtered", window.T)
        if self._draw_original:
            self._undrawn.append(pick)

    def draw_originals(self, groups: Sequence[ArchiveGroup]) -> None:
        """Draw the unfiltered windows of the picks, read once more from the archive."""
        for pick in self._undrawn:
            window = _unfiltered_window(pick, groups)
            if window is not None:
                self._draw(pick, "original", window)
        self._undrawn.clear()

    def _draw(self, pick: Pick, kind: str, window: NDArray[np.float32]) -> None:
        from scperformer.picks.plots import plot_window  # noqa: PLC0415

        assert self._positives is not None
        if self.has_failed:
            return
        title = f"{pick.phase} {pick.seed_id} {format_time(pick.time_ns)} p={pick.probability:.4f}"
        path = self._positives / f"{pick.public_id}.{kind}.png"
        with self._failing_alone(self._positives):
            plot_window(path, window, title=f"{title} ({kind})")

    @contextmanager
    def _failing_alone(self, folder: Path) -> Iterator[None]:
        """Let a full disk cost no picks."""
        try:
            yield
        except OSError as error:
            self.has_failed = True
            why = error.strerror or error
            _log.error("%s: cannot be written (%s); only the picks are, from now on", folder, why)

    def log_left_out(self, sensor_id: SensorId) -> str:
        """Write one line for each channel of a sensor of which samples were left out.

        Returns:
            What was left out of all its channels that was not seen before; empty for nothing.
        """
        total: Counter[DropReason] = Counter()
        for seed_id, reasons in sorted(self._left_out.items()):
            if seed_id.sensor_id == sensor_id:
                _log.warning("%s: left out: %s", seed_id, "; ".join(_samples(reasons)))
                total.update(reasons)
        del total[DropReason.DUPLICATE]
        return ", ".join(_samples(total))


def _samples(reasons: Counter[DropReason]) -> list[str]:
    return [f"{n} samples {reason}" for reason, n in sorted(reasons.items())]


def _unfiltered_window(pick: Pick, groups: Sequence[ArchiveGroup]) -> NDArray[np.float32] | None:
    first_ns = pick.time_ns - WINDOW_SAMPLES // 2 * SAMPLE_NS
    span = Span(first_ns, first_ns + WINDOW_SAMPLES * SAMPLE_NS)
    window = np.zeros((WINDOW_SAMPLES, len(COMPONENTS)), dtype=np.float32)
    found = False
    for group in groups:
        if group.sensor_id != pick.seed_id.sensor_id or not span.touches(
            group.start_ns, group.end_ns
        ):
            continue
        records = list(replace(group, span=span).records())
        places = component_places(frozenset(record.seed_id.component for record in records))
        for record in records:
            place = places.get(record.seed_id.component)
            step = SAMPLING_RATE_HZ / record.sampling_rate_hz
            first = (record.start_ns - first_ns) / SAMPLE_NS
            rows = np.round(first + np.arange(len(record.samples)) * step).astype(int)
            inside = (rows >= 0) & (rows < WINDOW_SAMPLES)
            if place is not None:
                window[rows[inside], place] = record.samples[inside]
                found = True
    return window if found else None


def nothing_to_scan(index: ArchiveIndex, *, start_ns: int | None, end_ns: int | None) -> str:
    """Say why an index has no sensor: what is there instead of what is asked for."""
    if index.covered is not None:
        asked = f"from {format_time(start_ns)} " if start_ns is not None else ""
        asked += f"until {format_time(end_ns)}" if end_ns is not None else "on"
        first, last = map(format_time, index.covered)
        return f"nothing to scan {asked}: the data cover {first} to {last}"
    if index.left_out:
        return f"nothing to scan: {channels_left_out(index.left_out)}"
    if index.not_asked:
        return (
            f"nothing to scan: of {len(index.not_asked)} channels none is asked for "
            f"({_some(sorted(map(str, index.not_asked)))})"
        )
    return "nothing to scan in the inputs"


def channels_left_out(left_out: Mapping[SeedId, str]) -> str:
    """Write the line about channels that are no seismometers."""
    codes: dict[str, set[str]] = {}
    for seed_id, reason in left_out.items():
        codes.setdefault(reason, set()).add(seed_id.channel)
    kinds = ", ".join(f"{reason} ({_some(sorted(own))})" for reason, own in sorted(codes.items()))
    return f"{len(left_out)} channels not for picking: {kinds}; --channels takes them by name"


def _some(words: Sequence[str], most: int = 3) -> str:
    return " ".join(words[:most]) + (" ..." if len(words) > most else "")


def summary(
    statistics: Statistics, elapsed_s: float, *, n_problems: int, n_idle_sensors: int
) -> str:
    """Write the closing summary of a scan."""
    picks = statistics.picks
    speed = statistics.station_hours * 3600.0 / elapsed_s if elapsed_s > 0.0 else 0.0
    lines = [
        f"scanned {statistics.station_hours:.2f} station-hours in {elapsed_s:.1f} s, "
        f"{speed:,.0f} times real time",
        f"{statistics.windows:,} windows, {sum(picks.values())} picks "
        f"(P {picks['P']}, S {picks['S']}), {statistics.gaps} gaps, "
        f"{statistics.interpolated_samples} samples interpolated",
    ]
    if picks:
        p50, p95, p99 = (statistics.decision_delay_s(f) for f in (0.5, 0.95, 0.99))
        lines.append(
            f"decision delay after the onset: median {p50:.2f} s, 95 % {p95:.2f} s, "
            f"99 % {p99:.2f} s"
        )
    lines += [
        f"left out: {n:,} samples {reason} (whole records: {statistics.dropped_records[reason]})"
        for reason, n in sorted(statistics.dropped_samples.items())
    ]
    if n_problems or n_idle_sensors:
        lines.append(
            f"{_counted(n_problems, 'problem')} with inputs, "
            f"{_counted(n_idle_sensors, 'sensor')} without windows"
        )
    return "\n".join(lines)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


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

    def note(self, record: Record) -> None:
        """Take notice of a record, in the order of time."""
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
