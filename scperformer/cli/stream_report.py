"""What a stream tells its operator: problems once, and how it is doing every minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from statistics import median

from scperformer.core.pipeline import Pipeline
from scperformer.delivery.delivery import Delivery
from scperformer.types import NS_PER_S, Record, SensorId
from scperformer.waveforms.feed import Feed
from scperformer.waveforms.problems import LimitedLog, LoggingObserver

_log = logging.getLogger(__name__)

_DAY_S = 86_400.0
_BEHIND_FILL = 0.5
_CAUGHT_UP_FILL = 0.1
_LEAST_RECENT_S = 60.0


def logging_observer() -> LoggingObserver:
    """Make the observer that logs; what lasts, once a day."""
    return LoggingObserver(LimitedLog(_log), LimitedLog(_log, interval_s=_DAY_S))


class Watch:
    """Keeps an eye on the data's age and on the queue, and writes the status line.

    In a replay the data's age means nothing: `shows_lag` is false.
    """

    def __init__(self, feed: Feed, *, interval_s: float, shows_lag: bool) -> None:
        self._feed = feed
        self._interval_s = interval_s
        self._shows_lag = shows_lag
        self._latest: dict[SensorId, tuple[int, float]] = {}
        self._begun_s = self._status_s = time.monotonic()
        self._records_then = 0
        self._is_behind = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stream began."""
        return time.monotonic() - self._begun_s

    def note(self, record: Record) -> None:
        """Take notice of a record."""
        self._latest[record.seed_id.sensor_id] = (record.end_ns, time.monotonic())

    def check(self, pipeline: Pipeline, delivery: Delivery) -> None:
        """Say when the machine falls behind or has caught up, and how things are, when due."""
        if self._feed.is_paced:
            self._check_queue()
        now_s = time.monotonic()
        if now_s - self._status_s >= self._interval_s:
            _log.info("%s", self._status(pipeline, delivery, now_s))
            self._status_s = now_s
            self._records_then = pipeline.statistics.records

    def _check_queue(self) -> None:
        fill = self._feed.fill
        if not self._is_behind and fill >= _BEHIND_FILL:
            self._is_behind = True
            _log.warning("%s", self._behind())
        elif self._is_behind and fill <= _CAUGHT_UP_FILL:
            self._is_behind = False
            _log.info("caught up")

    def _behind(self) -> str:
        feed = self._feed
        return (
            f"behind: {feed.n_waiting} records wait to be processed, {feed.fill:.0%} of the "
            f"queue, for {feed.waiting_s:.1f} s; the sources wait, nothing is dropped"
        )

    def _status(self, pipeline: Pipeline, delivery: Delivery, now_s: float) -> str:
        statistics = pipeline.statistics
        rate = (statistics.records - self._records_then) / (now_s - self._status_s)
        parts = [
            f"status: {len({(s.network, s.station) for s in self._latest})} stations",
            f"{statistics.records} records ({rate:.0f} a second)",
            f"{statistics.windows} windows",
            f"{statistics.picks.total()} picks (P {statistics.picks['P']}, "
            f"S {statistics.picks['S']})",
            f"{pipeline.n_pending_windows} windows pending",
        ]
        if delivery.n_waiting:
            parts.append(f"{delivery.n_waiting} picks wait for an output")
        parts += [f"{n} messages wait in the outbox of {o}" for o, n in delivery.n_kept.items()]
        if self._shows_lag:
            parts += self._lags(now_s)
        if statistics.picks:
            p50, p95, p99 = (statistics.decision_delay_s(f) for f in (0.5, 0.95, 0.99))
            parts.append(f"decision delay p50/p95/p99 {p50:.2f}/{p95:.2f}/{p99:.2f} s")
        if self._is_behind:
            parts.append(self._behind())
        return ", ".join(parts)

    def _lags(self, now_s: float) -> Iterable[str]:
        """Say how old the data are: wall clock minus the end of each sensor's latest record."""
        recent_s = max(self._interval_s, _LEAST_RECENT_S)
        wall_ns = time.time_ns()
        lags = {
            sensor_id: (wall_ns - end_ns) / NS_PER_S
            for sensor_id, (end_ns, heard_s) in self._latest.items()
            if now_s - heard_s <= recent_s
        }
        n_silent = len(self._latest) - len(lags)
        if lags:
            worst = max(lags, key=lambda sensor_id: lags[sensor_id])
            yield (
                f"data lag median {median(lags.values()):.1f} s, most {lags[worst]:.1f} s ({worst})"
            )
        if n_silent:
            yield f"{n_silent} sensors silent for {recent_s:.0f} s"
