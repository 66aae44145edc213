"""All that is known of one sensor, and what tells its way of picking from others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.config import DEFAULT_AUTHOR, DEFAULT_FILTER, MODEL_FILTER, Settings
from scperformer.core.buffers import Assembler
from scperformer.core.channels import Channel, GridChunk
from scperformer.core.filters import DETREND_FILTER, Filter, parse_filter
from scperformer.core.onsets import LOOKBACK_SAMPLES, RAW_LOOKBACK_NS, SEARCH_SAMPLES
from scperformer.core.statistics import DropReason, Reporter
from scperformer.core.streaming import Memory
from scperformer.core.triggers import Detection, RunOdds, Thresholds, Trigger
from scperformer.core.windows import Reach, TraceNormaliser, WindowCutter, WindowRun
from scperformer.naming import component_places, may_have_place
from scperformer.setting import settings_of
from scperformer.types import (
    SAMPLE_NS,
    SAMPLING_RATE_HZ,
    Record,
    SensorId,
)


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What is to be known of a network but its arithmetic.

    Attributes:
        name: the model's name.
        sha256: of its weights, hexadecimal, empty if it is not known.
        reach: what it needs for an answer.
        own_filter: the filter that it was trained with, in SeisComP's grammar.
    """

    name: str
    sha256: str
    reach: Reach
    own_filter: str = DEFAULT_FILTER

    def filter_id(self, settings: Settings) -> str:
        """Return the filter in use, in SeisComP's grammar."""
        return self.own_filter if settings.filter == MODEL_FILTER else settings.filter


class Sensor:
    """All that is known of one sensor: its channels, buffers, windows and triggers.

    Args:
        sensor_id: the sensor.
        settings: its own.
        thresholds: recommended thresholds; a setting overrides them.
        network: what is to be known of the network.
        memory: what the network remembers of the sensor, None if it remembers nothing.
        reporter: hears of gaps and drops.
        expected: component letters that are to come.
        owner: whose picks they are, for their public ids; see `owner`.
    """

    def __init__(
        self,
        sensor_id: SensorId,
        settings: Settings,
        thresholds: Thresholds,
        network: NetworkFacts,
        *,
        memory: Memory | None,
        reporter: Reporter,
        expected: frozenset[str] = frozenset(),
        owner: str = "",
    ) -> None:
        self.sensor_id = sensor_id
        self.reach = network.reach
        self.memory = memory
        self.filter_id = network.filter_id(settings)
        self.settings = settings
        self._codes = settings.codes
        self._expected = frozenset(component_places(expected, self._codes))
        self._thresholds = thresholds.replace(settings.threshold_p, settings.threshold_s)
        self.recipe = recipe(network, self._thresholds, settings, owner=owner)
        self._reporter = reporter
        self._filter = effective_filter(settings, network.own_filter)
        self._start_over()

    def _start_over(self) -> None:
        settings = self.settings
        wait_s = min(settings.component_wait_s, settings.buffer_s)
        self._channels: dict[str, Channel] = {}
        self._assembler = Assembler(
            wait_samples=round(wait_s * SAMPLING_RATE_HZ),
            largest_block=round(settings.trace_size_s * SAMPLING_RATE_HZ),
            expected=self._expected,
            codes=self._codes,
        )
        self._cutter = WindowCutter(self._filter, settings.shift_samples, self.reach.window)
        self.requires_all = settings.components == "all"
        self._normaliser = (
            TraceNormaliser(round(settings.trace_size_s * SAMPLING_RATE_HZ))
            if settings.trace_normalization
            else None
        )
        self._trigger = Trigger(
            self._thresholds,
            shift=settings.shift_samples,
            half_smoothing=settings.half_smoothing_windows,
            min_distance=settings.min_distance_samples,
            reach=self.reach,
        )
        self._front_ns = 0
        self._has_waiting = False
        self.decided_until_ns: int | None = None
        self.data_end = 0
        self.queued_at: int | None = None

    def push(self, record: Record) -> list[WindowRun]:
        """Take a checked record; return the windows that it completes."""
        letter = record.seed_id.component
        if letter not in self._channels:
            self._assembler.hear(letter)
            if may_have_place(letter, self._codes):
                self._channels[letter] = Channel(record.seed_id, self.settings, self._reporter)
        channel = self._channels.get(letter)
        if channel is None:
            n_samples = len(record.samples)
            self._reporter.dropped(record.seed_id, DropReason.COMPONENT, n_samples, whole=True)
            return []
        self._front_ns = max(self._front_ns, record.start_ns)
        self._assembler.note_front(round(record.start_ns / SAMPLE_NS))
        self._assemble(letter, channel.push(record, self._front_ns))
        if channel.waits or self._has_waiting:
            for other, waiting in self._channels.items():
                self._assemble(other, waiting.note_front(self._front_ns))
            self._has_waiting = any(waiting.waits for waiting in self._channels.values())
        runs = self._advance(final=False)
        if channel.clock_was_reset:
            runs += self._reset_clock(channel)
        return runs

    def finish(self) -> list[WindowRun]:
        """Make everything final; the sensor starts anew afterwards."""
        for letter, channel in self._channels.items():
            self._assemble(letter, channel.finish())
        self._has_waiting = False
        runs = self._advance(final=True)
        runs += self._normalised(self._cutter.finish())
        return runs

    def detect(self, run: WindowRun, odds: RunOdds, n_live: NDArray[np.int64]) -> list[Detection]:
        """Take the predictions of a run of windows."""
        return self._trigger.process(run, odds, n_live)

    def trim(self, run: WindowRun) -> None:
        """Let go of the waveform before a run that has been classified."""
        if not len(run):
            return
        last = int(run.starts[-1]) - self.reach.lag
        pending = self._trigger.pending_from
        needed = (last if pending is None else min(last, pending)) + self.reach.window // 2
        run.segment.trim(needed - LOOKBACK_SAMPLES)
        self._trim_raw(run, needed * SAMPLE_NS - RAW_LOOKBACK_NS)
        self.decided_until_ns = (needed - SEARCH_SAMPLES - 1) * SAMPLE_NS

    def _trim_raw(self, run: WindowRun, before_ns: int) -> None:
        """Forget what was recorded before a time, by channels too that gave no window."""
        for raw in run.raw:
            if raw is not None:
                raw.trim(before_ns)
        if before_ns > self._front_ns:
            return  # the clock was set back since: these channels are others
        for channel in self._channels.values():
            channel.trim_raw(before_ns)

    def _assemble(self, letter: str, chunks: list[GridChunk]) -> None:
        for chunk in chunks:
            n_late = self._assembler.push(letter, chunk)
            if n_late:
                self._reporter.dropped(self._channels[letter].seed_id, DropReason.LATE, n_late)

    def _advance(self, *, final: bool) -> list[WindowRun]:
        runs: list[WindowRun] = []
        for block in self._assembler.advance(final=final):
            self._reporter.statistics.span_samples += block.samples.shape[1]
            self.data_end = block.end
            runs += self._normalised(self._cutter.process(block))
        if self._assembler.unused:
            self._report_unused()
        return runs

    def _report_unused(self) -> None:
        for letter, n_samples in self._assembler.unused.items():
            seed_id = self._channels[letter].seed_id
            is_rival = self._assembler.has_place(letter)
            reason = DropReason.RIVAL if is_rival else DropReason.COMPONENT
            self._reporter.dropped(seed_id, reason, n_samples)
        self._assembler.unused.clear()

    def _normalised(self, runs: Iterable[WindowRun]) -> list[WindowRun]:
        if self._normaliser is None:
            return list(runs)
        return [ready for run in runs for ready in self._normaliser.process(run)]

    def _reset_clock(self, channel: Channel) -> list[WindowRun]:
        self._reporter.dropped(channel.seed_id, DropReason.CLOCK_RESET, 0)
        runs = self.finish()
        trigger = self._trigger
        self._start_over()
        self._trigger = trigger
        return runs


def effective_filter(settings: Settings, own_filter: str = DEFAULT_FILTER) -> Filter:
    """Return the filter that a sensor's samples go through.

    Args:
        settings: of the sensor.
        own_filter: the one that the model was trained with.

    Raises:
        ConfigurationError: the filter cannot be read.
    """
    chosen = own_filter if settings.filter == MODEL_FILTER else settings.filter
    if chosen:
        return parse_filter(chosen)
    return parse_filter(DETREND_FILTER if settings.detrend else "")


_NO_AGENCY = ("", "UNSET")
_DIGITS = 8


def recipe(
    network: NetworkFacts, thresholds: Thresholds, settings: Settings, *, owner: str = ""
) -> str:
    """Return what makes two ways of picking different, in eight hexadecimal digits.

    They end a pick's public id, so that two models, two sets of thresholds or two agencies
    that pick the same arrival do not give out the same id. What changes no pick (batches,
    delays, buffers, outputs) is not among it: a restart, a replay and a scan of the archive
    give the ids that the stream gave.

    Args:
        network: its weights count, or its name where it has no checksum.
        thresholds: those in force.
        settings: of the sensor; those count that change picks and are not at their default.
        owner: whose picks they are; see `owner`.
    """
    by_components = {n: list(pair) for n, pair in sorted(thresholds.by_components.items())}
    filter_id = network.filter_id(settings)
    changed = _changed(settings, filter_id)
    if filter_id == network.own_filter:
        changed.pop("filter", None)
    parts = [network.sha256 or network.name, by_components, changed, owner]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]


def owner(agency: str, author: str) -> str:
    """Return whose picks they are: agency and author, as far as they have been set.

    An author's ``@host`` is left out: a stream that moves to another machine goes on.
    """
    own_agency = "" if agency in _NO_AGENCY else agency
    own_author = author.partition("@")[0]
    if own_author in ("", DEFAULT_AUTHOR):
        return own_agency
    return f"{own_agency}/{own_author}"


def _changed(settings: Settings, filter_id: str) -> dict[str, object]:
    """Values that change picks and differ from the default, by key."""
    without_effect = set()
    if not settings.gap_interpolation:
        without_effect.add("max_gap_s")
    if not settings.trace_normalization:
        without_effect.add("trace_size_s")
    if filter_id:
        without_effect.add("detrend")
    return {
        info.key: value
        for info in settings_of(Settings)
        if info.changes_picks and info.name not in without_effect
        if (value := getattr(settings, info.name)) != info.default
    }
