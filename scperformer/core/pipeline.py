"""The one door: records in, picks out.

Real time, archive scan, playback, tests and benchmarks all feed the same
`Pipeline`. It reads no clock; time comes in with the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from scperformer.config import DEFAULT_FILTER, Settings
from scperformer.core.inference import PendingInference, inference_of
from scperformer.core.onsets import estimate_onset
from scperformer.core.sensors import NetworkFacts, Sensor, effective_filter
from scperformer.core.statistics import (
    DropReason,
    Observer,
    Reporter,
    ScoredWindows,
    Statistics,
    halves_of_a_sensor,
    nanoseconds,
)
from scperformer.core.streaming import StreamingNetwork
from scperformer.core.triggers import Detection, RunOdds, Thresholds
from scperformer.core.windows import WindowRun
from scperformer.types import (
    COMPONENTS,
    N_COMPONENTS,
    NS_PER_S,
    SAMPLE_NS,
    SAMPLING_RATE_HZ,
    WINDOW_SAMPLES,
    Classifier,
    Pick,
    Record,
    SeedId,
    SensorId,
)

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 20.0, 500.0
_EARLIEST_NS = 0
_LATEST_NS = 7_258_118_400 * NS_PER_S

LONGEST_WAIT_S = 0.2
"""How long, on the wall clock, a window of a stream waits for its batch to fill."""

MANY_RECORDS = 256
"""With more of them waiting to be fed a stream catches up."""


class Pipeline:
    """Turns records into picks.

    Args:
        classifier: the network, on windows or on column after column.
        thresholds: recommended thresholds; a setting overrides them.
        settings: for every sensor, unless `settings_for` says otherwise.
        settings_for: the settings of a sensor, None for the general ones.
        observer: hears of gaps, drops, scores and picks.
        own_filter: the filter that the model was trained with.
        owner: whose picks they are, for their public ids; see `core.sensors.owner`.
        clock: seconds of a clock, for the time spent on the network; it changes no pick.

    Attributes:
        batches: says when a batch goes to the network. It changes no pick.

    Raises:
        ConfigurationError: the filter cannot be read, or a setting does not go with the
            network.
    """

    def __init__(
        self,
        classifier: Classifier | StreamingNetwork,
        *,
        thresholds: Thresholds,
        settings: Settings | None = None,
        settings_for: Callable[[SensorId], Settings | None] | None = None,
        observer: Observer | None = None,
        own_filter: str = DEFAULT_FILTER,
        owner: str = "",
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.statistics = Statistics()
        self._clock = clock
        self._thresholds = thresholds
        self._settings = settings or Settings()
        self.batches = BatchPolicy(self._settings)
        self._settings_for = settings_for
        self._observer = observer or Observer()
        self._reporter = Reporter(self.statistics, self._observer)
        self._sensors: dict[SensorId, Sensor] = {}
        self._routes: dict[SeedId, Sensor] = {}
        self._told_of: list[list[SeedId]] = []
        self._queue: list[tuple[Sensor, WindowRun]] = []
        self._n_queued = 0
        self._pending: PendingInference | None = None
        self._owner = owner
        self._inference = inference_of(classifier, self._settings)
        self._network = NetworkFacts(
            classifier.name, classifier.sha256, self._inference.reach, own_filter
        )
        effective_filter(self._settings, own_filter)

    def restart_statistics(self) -> Statistics:
        """Begin to count anew; return what has been counted."""
        before, self.statistics = self.statistics, Statistics()
        self._reporter.statistics = self.statistics
        return before

    def expect(self, seed_ids: Iterable[SeedId]) -> None:
        """Announce channels before their records come.

        Their sensors then begin without waiting for further components, and wait
        for these from the start. Sensors that have begun are left as they are.
        """
        letters: dict[SensorId, set[str]] = {}
        for seed_id in seed_ids:
            letters.setdefault(seed_id.sensor_id, set()).add(seed_id.component)
        for sensor_id, own in letters.items():
            self._sensor(sensor_id, frozenset(own))

    def feed(self, record: Record) -> list[Pick]:
        """Take a record; return the picks that have become certain.

        A record that cannot be used is counted and reported, never raised.
        """
        self.statistics.records += 1
        reason = _fault(record)
        if reason is not None:
            size = int(np.size(record.samples))
            self.statistics.samples += size
            self._reporter.dropped(record.seed_id, reason, size, whole=True)
            return []
        self.statistics.samples += len(record.samples)
        sensor = self._routes.get(record.seed_id)
        if sensor is None:
            sensor = self._routes[record.seed_id] = self._sensor(record.seed_id.sensor_id)
            station = (record.seed_id.network, record.seed_id.station)
            self.statistics.channels.setdefault(station, set()).add(record.seed_id)
        self._enqueue(sensor, sensor.push(record))
        waited = None if sensor.queued_at is None else sensor.data_end - sensor.queued_at
        is_due = self.batches.is_due(self._n_queued, waited)
        return self._turn_over() if is_due else self.collect()

    def finish(self, sensor_id: SensorId) -> list[Pick]:
        """Finish one sensor: no more records of it will come.

        Its last windows may wait for others to fill their batch; `flush` decides them.
        """
        sensor = self._sensors.pop(sensor_id, None)
        if sensor is None:
            return []
        self._routes = {key: one for key, one in self._routes.items() if one is not sensor}
        self._enqueue(sensor, sensor.finish())
        return self._turn_over() if self.batches.is_full(self._n_queued) else []

    def flush(self) -> list[Pick]:
        """Finish all sensors and return what is left; the pipeline starts anew."""
        for sensor in self._sensors.values():
            self._enqueue(sensor, sensor.finish())
        self._sensors.clear()
        self._routes.clear()
        return self.classify_pending()

    def classify_pending(self) -> list[Pick]:
        """Classify all windows, those that wait for their batch to fill as well.

        Real-time adapters call it when the stream pauses; it changes no pick.
        """
        picks = self._turn_over()
        pending, self._pending = self._pending, None
        return picks if pending is None else picks + self._decide(pending)

    def keep_time(self, now_s: float) -> list[Pick]:
        """Return picks that have come meanwhile; classify what has waited for too long.

        Real-time adapters call it again and again, with the time of a clock that never
        goes back; it changes no pick.
        """
        picks = self.collect()
        is_late = self.batches.is_late(self.n_pending_windows, now_s)
        return picks + self.classify_pending() if is_late else picks

    def collect(self) -> list[Pick]:
        """Return the picks of the batch that is being classified, if it is done."""
        pending = self._pending
        if pending is None or not pending.done():
            return []
        self._pending = None
        return self._decide(pending)

    def _turn_over(self) -> list[Pick]:
        """Begin to classify the queue; return the picks of the batch before it."""
        before, self._pending = self._pending, self._begin()
        picks = [] if before is None else self._decide(before)
        return picks + self.collect()

    def _begin(self) -> PendingInference | None:
        if not self._queue:
            return None
        queue, self._queue, self._n_queued = self._queue, [], 0
        for sensor, _ in queue:
            sensor.queued_at = None
        self.batches.goes()
        begun_s = self._clock()
        pending = self._inference.start(queue)
        self.statistics.inference_s += self._clock() - begun_s
        return pending

    def _decide(self, pending: PendingInference) -> list[Pick]:
        begun_s = self._clock()
        queue, predictions = pending.queue, pending.result()
        self.statistics.inference_s += self._clock() - begun_s
        all_scorable = bool(predictions.scorable.all())
        lengths = [len(run) for _, run in queue]
        picks: list[Pick] = []
        first = 0
        runs_odds = RunOdds.of_runs(predictions.odds, lengths)
        for (sensor, run), n, odds in zip(queue, lengths, runs_odds, strict=True):
            own = slice(first, first + n)
            first += n
            if n:
                n_scored = n if all_scorable else int(np.count_nonzero(predictions.scorable[own]))
                if sensor.decided_until_ns is None:
                    self._look_for_other_half(sensor.sensor_id)
                self.statistics.of(sensor.sensor_id).windows += n_scored
                if self._observer.wants_scores:
                    reach = sensor.reach
                    centres = run.starts - reach.lag + reach.window // 2
                    windows = sensor.sensor_id, centres * SAMPLE_NS, predictions.probabilities[own]
                    block = run.samples, int(run.starts[0]) * SAMPLE_NS
                    place = max(np.flatnonzero(run.present.any(axis=0)), default=N_COMPONENTS - 1)
                    clock = int(run.offset_ns[place]), run.segment.start * SAMPLE_NS
                    self._observer.scored(ScoredWindows(*windows, *block, *clock))
            found = sensor.detect(run, odds, predictions.n_live[own])
            picks += [self._pick(sensor, detection) for detection in found]
            sensor.trim(run)
        return picks

    def _look_for_other_half(self, sensor_id: SensorId) -> None:
        station = (sensor_id.network, sensor_id.station)
        channels = halves_of_a_sensor(sensor_id, self.statistics.channels.get(station, ()))
        if channels and channels not in self._told_of:
            self._told_of.append(channels)
            self._observer.split(channels)

    def decided_until_ns(self) -> dict[SensorId, int]:
        """Tell for each sensor the time before which every pick has been returned.

        Whoever restarts from there, with the network's memory and some ten seconds of
        warm-up before it, loses no pick. Sensors of which no window has been classified yet
        are left out.
        """
        return {
            sensor_id: sensor.decided_until_ns
            for sensor_id, sensor in self._sensors.items()
            if sensor.decided_until_ns is not None
        }

    @property
    def n_pending_windows(self) -> int:
        """Windows that wait for their batch to fill or are being classified."""
        return self._n_queued + (0 if self._pending is None else self._pending.n_windows)

    def _sensor(self, sensor_id: SensorId, expected: frozenset[str] = frozenset()) -> Sensor:
        """Return a sensor, made if it is not there yet."""
        sensor = self._sensors.get(sensor_id)
        if sensor is None:
            own = self._settings_for(sensor_id) if self._settings_for is not None else None
            sensor = self._sensors[sensor_id] = Sensor(
                sensor_id,
                own or self._settings,
                self._thresholds,
                self._network,
                memory=self._inference.remember(),
                reporter=self._reporter,
                expected=expected,
                owner=self._owner,
            )
        return sensor

    def _enqueue(self, sensor: Sensor, runs: list[WindowRun]) -> None:
        for run in runs:
            self._queue.append((sensor, run))
            self._n_queued += len(run)
            if sensor.queued_at is None:
                sensor.queued_at = sensor.data_end

    def _pick(self, sensor: Sensor, detection: Detection) -> Pick:
        settings = sensor.settings
        onset = estimate_onset(detection, refine=settings.refine_onset)
        segment = detection.run.segment
        time_ns = onset.time_ns + nanoseconds(settings.time_correction_s)
        letter = detection.run.letters[onset.place] or COMPONENTS[onset.place]
        pick = Pick(
            time_ns=time_ns,
            phase=detection.phase,
            seed_id=sensor.sensor_id.channel(letter),
            probability=1.0 / (1.0 + math.exp(-detection.log_odds)),
            uncertainty_s=onset.uncertainty_s,
            snr=onset.snr,
            polarity=onset.polarity,
            onset=onset.quality,
            decision_delay_s=(detection.decided_at * SAMPLE_NS - onset.time_ns) / NS_PER_S,
            model=self._network.name,
            model_sha256=self._network.sha256,
            filter_id=sensor.filter_id,
            n_components=detection.n_live,
            recipe=sensor.recipe,
        )
        self.statistics.count_pick(pick)
        half = WINDOW_SAMPLES // 2
        self._observer.picked(pick, segment.view(detection.centre - half, detection.centre + half))
        return pick


def _fault(record: Record) -> DropReason | None:
    samples = record.samples
    if not isinstance(samples, np.ndarray) or samples.ndim != 1 or samples.dtype.kind not in "iuf":
        return DropReason.MALFORMED
    if not len(samples):
        return DropReason.EMPTY
    if not LOWEST_RATE_HZ <= record.sampling_rate_hz <= HIGHEST_RATE_HZ:
        return DropReason.SAMPLING_RATE
    if not _EARLIEST_NS <= record.start_ns <= _LATEST_NS:
        return DropReason.TIME
    return None


class BatchPolicy:
    """Says when a batch goes. No window is answered otherwise for it, so no pick depends on it.

    It goes as soon as it is full, with `Settings.batch_size` windows. Otherwise, unless
    the stream catches up, it goes once a sensor has come `Settings.max_batch_delay_s`
    further, in the time of its data, than when its first window began to wait; and once
    windows have waited `LONGEST_WAIT_S` on the wall clock, if that is told.

    Args:
        settings: the picker's.

    Attributes:
        catches_up: records wait to be fed, so that windows wait for full batches, which
            cost less.
        n_batches: batches that went. Each took all windows that waited.
    """

    def __init__(self, settings: Settings) -> None:
        self.catches_up = False
        self.n_batches = 0
        self._full = settings.batch_size
        self._most_samples = round(settings.max_batch_delay_s * SAMPLING_RATE_HZ)
        self._since_s: float | None = None

    def is_full(self, n_windows: int) -> bool:
        """Whether so many windows are a batch."""
        return n_windows >= self._full

    def is_due(self, n_windows: int, n_samples: int | None) -> bool:
        """Whether a batch goes behind a record.

        Args:
            n_windows: how many wait.
            n_samples: how far the record's sensor has come since its first window began
                to wait; None if none of its windows waits.
        """
        if self.is_full(n_windows):
            return True
        return not self.catches_up and n_samples is not None and n_samples >= self._most_samples

    def is_late(self, n_windows: int, now_s: float) -> bool:
        """Whether windows, so many, wait for too long; to be asked again and again.

        Args:
            n_windows: how many wait or are being answered.
            now_s: time of a clock that never goes back.
        """
        # A batch that went took all windows with it: what waits now is younger.
        if not n_windows or self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s >= LONGEST_WAIT_S

    def goes(self) -> None:
        """Hear that a batch goes."""
        self.n_batches += 1
        self._since_s = None
