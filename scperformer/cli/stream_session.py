"""A run of `scperformer stream`."""

from __future__ import annotations

import argparse
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from scperformer.cli import EXIT_NOTHING_DONE, EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.options import (
    monitoring_from_options,
    parse_time_option,
    selection_from_options,
    settings_from_options,
)
from scperformer.cli.scan_report import summary
from scperformer.cli.stopping import stopping_on_signals
from scperformer.cli.stream_parts import open_sinks, parse_speed
from scperformer.core.pipeline import MANY_RECORDS, Pipeline
from scperformer.core.sensors import effective_filter, owner
from scperformer.core.statistics import DropReason
from scperformer.delivery.delivery import Delivery
from scperformer.delivery.live_sinks import STANDARD_OUTPUT
from scperformer.delivery.state import StreamState
from scperformer.errors import ConfigurationError
from scperformer.monitoring.settings import parse_address
from scperformer.monitoring.vitals import Vitals
from scperformer.monitoring.watch import Watch
from scperformer.networks.loading import LoadedModel
from scperformer.types import NS_PER_S, Pick
from scperformer.waveforms.feed import Feed, Source
from scperformer.waveforms.live import STANDARD_INPUT, open_sources
from scperformer.waveforms.problems import LimitedLog, LoggingObserver
from scperformer.waveforms.replay import ArchiveSource
from scperformer.waveforms.selection import SCHEMES, Chooser, channels_left_out

_log = logging.getLogger(__name__)

_DAY_S = 86_400.0
_LATELY_NS = 86_400 * NS_PER_S
_SAVE_S = 5.0
_CHORES_S = 0.5
_MUCH_LATE = 0.1
_ORDER_HINT = (
    "much came too late: a stream wants its records in the order of time over all channels; "
    "name files as file://PATH instead, or raise --late-wait and --component-wait"
)
_LOG_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s: %(message)s"


def run(options: argparse.Namespace) -> int:
    """Stream; return the exit status."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO, format=_LOG_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S", force=True
    )
    return Stream(options).run(lambda: _load(options))


def _load(options: argparse.Namespace) -> LoadedModel:
    from scperformer.cli.loading import load_model  # noqa: PLC0415 - the networks

    model = load_model(options)
    warm_up = getattr(model.classifier, "warm_up", None)
    if warm_up is not None:
        warm_up()  # compiling takes seconds: not while data come in
    return model


def _observer() -> LoggingObserver:
    """Make the observer that logs; what lasts, once a day."""
    return LoggingObserver(LimitedLog(_log), LimitedLog(_log, interval_s=_DAY_S))


class Stream:
    """One run of the subcommand; setting `stop` ends it.

    Raises:
        ConfigurationError: options that are not usable.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._settings = settings_from_options(options)
        self._monitoring = monitoring_from_options(options)
        effective_filter(self._settings)
        self._speed = parse_speed(options.speed)
        self._start_ns = parse_time_option("--start", options.start)
        self._outputs: list[str] = options.out or ([] if options.bus else [STANDARD_OUTPUT])
        self._selection = selection_from_options(options)
        self._chooser = Chooser(self._selection)
        self.stop = threading.Event()
        self._limited = LimitedLog(_log)
        self._watch: Watch | None = None
        self._check()

    def _check(self) -> None:
        options = self._options
        has_seedlink = any(source.startswith(SCHEMES) for source in options.sources)
        faults = {
            f"--refresh-stations: got {options.refresh_stations:g}; wanted seconds, or 0": (
                not options.refresh_stations >= 0.0
            ),
            "--out: the same output is named twice": (len(set(self._outputs)) < len(self._outputs)),
            "standard input is named twice": options.sources.count(STANDARD_INPUT) > 1,
            "slink:// sources need --stations, such as 'CI.*,PB.B91?'": (
                has_seedlink and not options.stations
            ),
        }
        if any(faults.values()):
            raise ConfigurationError(*(text for text, is_fault in faults.items() if is_fault))
        if options.metrics is not None:
            parse_address(options.metrics)

    def run(self, load: Callable[[], LoadedModel]) -> int:
        """Stream until the sources end or a signal comes; return the exit status.

        The model is loaded when the sources and outputs have been found to be usable.
        """
        with ExitStack() as stack:
            state = self._open_state(stack)
            sources = self._open_sources(state)
            delivery = Delivery(
                open_sinks(
                    self._options,
                    self._outputs,
                    state=state,
                    amplitude_phases=self._settings.amplitude_phases,
                ),
                journal=None if state is None else state.journal,
                emitted=None if state is None else state.emitted(),
                is_stopping=self._is_stopping,
            )
            with stopping_on_signals(self.stop):
                model = load()
            stack.enter_context(stopping_on_signals(self.stop, at_once=False))
            return self._stream(model, sources, delivery, state)

    def _stream(
        self,
        model: LoadedModel,
        sources: Sequence[Source],
        delivery: Delivery,
        state: StreamState | None,
    ) -> int:
        pipeline = model.pipeline(
            self._settings,
            observer=_observer(),
            owner=owner(self._options.agency, self._options.author),
            clock=time.perf_counter,
        )
        feed = Feed(sources, self.stop)
        archives = [source for source in sources if isinstance(source, ArchiveSource)]
        for source in archives:
            self._chooser.left_out.update(source.left_out)

        def vitals() -> Vitals:
            return Vitals(
                statistics=pipeline.statistics,
                n_batches=pipeline.batches.n_batches,
                n_pending_windows=pipeline.n_pending_windows,
                outputs=delivery.outputs,
                n_problems=self._limited.n_warnings,
                failed_sources=feed.failed,
            )

        watch = self._watch = Watch(
            self._monitoring,
            vitals,
            models={model.classifier.name: model.classifier.sha256},
            is_live=len(archives) < len(sources),
            queue=feed if feed.is_paced else None,
            address=self._options.metrics or "",
        )
        self._expect(pipeline, watch, state)
        try:
            self._loop(pipeline, feed, delivery, watch, state)
        finally:
            watch.stopping()
            n_left = delivery.close()
            watch.end()
        return self._close(pipeline, feed, watch, state, n_left)

    def _expect(self, pipeline: Pipeline, watch: Watch, state: StreamState | None) -> None:
        """Announce what was heard before a restart, and stations that are asked for by name."""
        wanted = self._selection.requests()
        watch.expect((one.network, one.station) for one in wanted if not one.is_wild)
        if state is not None:
            pipeline.expect(state.positions.channels())
            watch.expect(state.positions.stations(since_ns=time.time_ns() - _LATELY_NS))

    def _is_stopping(self) -> bool:
        """Asked again and again while outputs are waited for, which is no hang."""
        if self._watch is not None:
            self._watch.alive()
        return self.stop.is_set()

    def _loop(
        self,
        pipeline: Pipeline,
        feed: Feed,
        delivery: Delivery,
        watch: Watch,
        state: StreamState | None,
    ) -> None:
        """Feed the pipeline and deliver its picks until the sources end or `stop` is set.

        Everything decided has been written down when it returns.

        Raises:
            OutputError: picks could not be written down before the stop.
        """
        takes = self._chooser.takes
        chores_s = saved_s = time.monotonic()
        watch.begin()

        def give_out(picks: Sequence[Pick]) -> None:
            if picks:
                watch.given_out(delivery.emit(picks))

        def save() -> None:
            if state is not None:
                state.save(pipeline.decided_until_ns(), delivery)

        for record in feed:
            if record is not None and takes(record.seed_id, record.sampling_rate_hz):
                watch.note(record)
                pipeline.batches.catches_up = feed.n_waiting > MANY_RECORDS
                if state is None or state.wants(record):
                    give_out(pipeline.feed(record))
            give_out(pipeline.keep_time(time.monotonic()))
            now_s = time.monotonic()
            if now_s - chores_s >= _CHORES_S:
                chores_s = now_s
                delivery.push()
                watch.check()
                if now_s - saved_s >= _SAVE_S:
                    saved_s = now_s
                    save()
        give_out(pipeline.classify_pending())
        save()
        if state is None or not self.stop.is_set():
            # Else what is not decided yet will be, after the restart, with what follows.
            give_out(pipeline.flush())

    def _open_sources(self, state: StreamState | None) -> list[Source]:
        """Make the sources; they go on where `state` says."""
        known = {} if state is None else state.positions.station_resume_ns()
        return open_sources(
            self._options.sources,
            selection=self._selection,
            start_ns=self._start_ns,
            speed=self._speed,
            refresh_s=self._options.refresh_stations or math.inf,
            resume_station=lambda network, station: known.get((network, station)),
            resume_sensor=None if state is None else state.positions.resume_ns,
            log=self._limited,
        )

    def _open_state(self, stack: ExitStack) -> StreamState | None:
        if self._options.state is None:
            return None
        state = StreamState(
            self._options.state,
            dead_time_s=self._settings.min_distance_s,
            time_correction_s=self._settings.time_correction_s,
        )
        stack.callback(state.close)
        return state

    def _close(
        self, pipeline: Pipeline, feed: Feed, watch: Watch, state: StreamState | None, n_left: int
    ) -> int:
        """Write the closing summary; return the exit status."""
        statistics = pipeline.statistics
        n_problems = self._limited.n_warnings + len(feed.failed)
        text = summary(statistics, watch.elapsed_s, n_problems=n_problems, n_idle_sensors=0)
        for line in text.splitlines():
            _log.info("%s", line)
        if self._chooser.left_out:
            _log.info("left out: %s", channels_left_out(self._chooser.left_out))
        if statistics.dropped_samples[DropReason.LATE] > _MUCH_LATE * statistics.samples:
            _log.warning("%s", _ORDER_HINT)
        if state is not None and state.skipped:
            _log.info("%d records before the saved positions skipped", state.skipped.total())
        if n_left:
            _log.error("%d picks could not be handed over", n_left)
        if self.stop.is_set():
            return EXIT_SOME_FAILED if n_left and state is None else EXIT_OK
        if not (statistics.windows or state):
            return EXIT_NOTHING_DONE
        return EXIT_SOME_FAILED if n_problems or n_left else EXIT_OK
