"""Keeps an eye on a running picker and tells how it is doing: log, metrics, systemd."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from statistics import median
from typing import TYPE_CHECKING

from scperformer.monitoring.settings import MonitoringSettings
from scperformer.monitoring.stations import Station, Stations
from scperformer.monitoring.systemd import Notifier
from scperformer.monitoring.vitals import RecordQueue, Vitals
from scperformer.types import NS_PER_S, OutputState, Pick, Record

if TYPE_CHECKING:
    from scperformer.monitoring.publishing import Publisher

_log = logging.getLogger(__name__)

_BEHIND_FILL = 0.5
_CAUGHT_UP_FILL = 0.1


class Watch:
    """Hears of every record and pick; `check` tells what is new or due.

    Metrics, if they are wanted, are made from the same counters as the status line.

    Args:
        settings: what is told, and how often.
        vitals: asks the picker how it is doing.
        models: checksum by name of each model.
        is_live: data come as they are recorded; in a replay their age means nothing, and a
            station without data is at its end.
        queue: of records that come at their own pace, None where there is none.
        address: ``[HOST:]PORT`` where metrics are served, empty for nowhere.

    Attributes:
        stations: what has come of each.

    Raises:
        ConfigurationError: an address that cannot be had.
    """

    def __init__(
        self,
        settings: MonitoringSettings,
        vitals: Callable[[], Vitals],
        *,
        models: Mapping[str, str],
        is_live: bool,
        queue: RecordQueue | None = None,
        address: str = "",
    ) -> None:
        self._begun_s = self._status_s = time.monotonic()
        self._settings = settings
        self._vitals = vitals
        self._is_live = is_live
        self._queue = queue
        self.stations = Stations(settings.silence_s, self._begun_s)
        self._records_then = 0
        self._is_behind = False
        self._notifier = Notifier()
        self._metrics: Publisher | None = None
        if settings.metrics_file or address:
            from scperformer.monitoring.publishing import Publisher  # noqa: PLC0415 - its client

            self._metrics = Publisher(
                settings, address, models=models, stations=self.stations, is_live=is_live
            )

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._begun_s

    def expect(self, stations: Iterable[Station]) -> None:
        """Announce stations before anything comes of them."""
        self.stations.expect(stations, self._begun_s)

    def begin(self) -> None:
        """Tell that records are about to come."""
        if self._metrics is not None:
            self._metrics.publish(self._vitals(), self._queue)
        self._notifier.ready()

    def note(self, record: Record) -> None:
        """Take notice of a record."""
        self.stations.note(record, time.monotonic())

    def given_out(self, picks: Iterable[Pick]) -> None:
        """Take notice of picks that have just been given out."""
        if self._metrics is not None and self._is_live:
            self._metrics.given_out(picks)

    def alive(self) -> None:
        """Tell systemd's watchdog that the main loop turns, or waits for what it knows of."""
        self._notifier.alive(time.monotonic())

    def check(self) -> None:
        """Say who is silent, and when the machine falls behind; how things are, when due."""
        self.alive()
        if self._queue is not None:
            self._check_queue(self._queue)
        now_s = time.monotonic()
        if self._is_live:
            for line in self.stations.check(now_s):
                _log.warning("%s", line)
        if now_s - self._status_s >= self._settings.heartbeat_s:
            self._tell_status(now_s)
        if self._metrics is not None and self._metrics.is_due(now_s):
            self._metrics.publish(self._vitals(), self._queue)

    def stopping(self) -> None:
        """Tell that the end is near: outputs are being closed."""
        self._notifier.stopping()

    def end(self) -> None:
        """Leave the last metrics, which say that the picker has ended."""
        if self._metrics is not None:
            self._metrics.publish(self._vitals(), self._queue, is_running=False)
            self._metrics.close()

    def _check_queue(self, queue: RecordQueue) -> None:
        fill = queue.fill
        if not self._is_behind and fill >= _BEHIND_FILL:
            self._is_behind = True
            _log.warning("%s", _behind(queue))
        elif self._is_behind and fill <= _CAUGHT_UP_FILL:
            self._is_behind = False
            _log.info("caught up")

    def _tell_status(self, now_s: float) -> None:
        vitals = self._vitals()
        text = ", ".join(self._status(vitals, now_s))
        _log.info("status: %s", text)
        self._notifier.status(text)
        self._status_s, self._records_then = now_s, vitals.statistics.records

    def _status(self, vitals: Vitals, now_s: float) -> Iterator[str]:
        statistics = vitals.statistics
        picks = statistics.picks
        rate = (statistics.records - self._records_then) / (now_s - self._status_s)
        yield f"{sum(one.end_ns is not None for one in self.stations.heard.values())} stations"
        yield f"{statistics.records} records ({rate:.0f} a second)"
        yield f"{statistics.windows} windows"
        yield f"{picks.total()} picks (P {picks['P']}, S {picks['S']})"
        yield f"{vitals.n_pending_windows} windows pending"
        yield from _waiting(vitals.outputs)
        if self._is_live:
            yield from self._lags(now_s)
        if picks:
            p50, p95, p99 = (statistics.decision_delay_s(f) for f in (0.5, 0.95, 0.99))
            yield f"decision delay p50/p95/p99 {p50:.2f}/{p95:.2f}/{p99:.2f} s"
        if self._is_behind and self._queue is not None:
            yield _behind(self._queue)

    def _lags(self, now_s: float) -> Iterator[str]:
        """Say how old the data are: wall clock minus the end of each station's latest record."""
        wall_ns, oldest_s = time.time_ns(), now_s - self._settings.silence_s
        lags = {
            station: (wall_ns - heard.end_ns) / NS_PER_S
            for station, heard in self.stations.heard.items()
            if heard.end_ns is not None and heard.at_s > oldest_s
        }
        if lags:
            worst = max(lags, key=lambda station: lags[station])
            yield (
                f"data lag median {median(lags.values()):.1f} s, most {lags[worst]:.1f} s "
                f"({'.'.join(worst)})"
            )
        if self.stations.n_silent:
            yield f"{self.stations.n_silent} of {len(self.stations.heard)} stations silent"


def _behind(queue: RecordQueue) -> str:
    return (
        f"behind: {queue.n_waiting} records wait to be processed, {queue.fill:.0%} of the "
        f"queue, for {queue.waiting_s:.1f} s; the sources wait, nothing is dropped"
    )


def _waiting(outputs: Iterable[OutputState]) -> Iterator[str]:
    for output in outputs:
        if output.n_waiting:
            yield f"{output.n_waiting} picks wait for {output.name}"
        if output.n_kept:
            yield f"{output.n_kept} messages wait in the outbox of {output.name}"
