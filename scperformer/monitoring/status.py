"""What a file of metrics says is wrong, in the words and numbers of Nagios and Icinga.

The first line is a summary with performance data (Monitoring Plugins Development Guidelines);
what is wrong stands below it, then a row a station.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from fnmatch import fnmatchcase
from statistics import median
from typing import NamedTuple

from scperformer.errors import InputError
from scperformer.monitoring.stations import Station

_PREFIX = "scperformer_"
_MOST_NAMED = 5
_INTERVALS = 3.0
"""A file is not stale before so many of its own intervals have passed."""


class State(IntEnum):
    """How bad it is; the exit status of a plugin."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Limits(NamedTuple):
    """What a value may not exceed, for either state."""

    warning: float = math.inf
    critical: float = math.inf

    @classmethod
    def parse(cls, text: str) -> Limits:
        """Read ``WARNING,CRITICAL``; one number warns only.

        Raises:
            ValueError: not one or two numbers from 0 on.
        """
        first, comma, second = text.partition(",")
        found = cls(float(first), float(second) if comma else math.inf)
        if not (found.warning >= 0.0 and found.critical >= found.warning):
            raise ValueError("not such numbers, the second at least the first")
        return found

    def judge(self, value: float) -> State:
        """Return how bad a value is."""
        if value > self.critical:
            return State.CRITICAL
        return State.WARNING if value > self.warning else State.OK

    def __str__(self) -> str:
        return ";".join("" if math.isinf(one) else f"{one:g}" for one in self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What is allowed.

    Attributes:
        stale_s: age of the file.
        silence_s: a station is silent if nothing has come for longer.
        silent_percent: share of stations that are silent.
        latency_s: of the worst station (warning), and the median of all (critical).
        stuck_s: how long messages wait and none is delivered.
        outbox: messages that wait for an output.
        backlog_percent: how full the queue of records is.
        ignored: stations left out, ``NET.STA`` with wildcards.
    """

    stale_s: Limits
    silence_s: float
    silent_percent: Limits
    latency_s: Limits
    stuck_s: Limits
    outbox: Limits
    backlog_percent: Limits
    ignored: tuple[str, ...] = ()


class Metrics:
    """The samples of a file.

    Args:
        text: what stands in it.

    Raises:
        InputError: it is not a picker's metrics.
    """

    def __init__(self, text: str) -> None:
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    name = sample.name.removeprefix(_PREFIX)
                    self._samples[name].append((sample.labels, float(sample.value)))
        except (ValueError, KeyError, IndexError) as error:
            raise InputError(f"no metrics of Prometheus' text format ({error})") from error
        if not math.isfinite(self.value("updated_timestamp_seconds")):
            raise InputError("no metrics of scperformer")

    def value(self, name: str) -> float:
        """Return the sum over all labels; NaN if there is no such metric."""
        values = [value for _, value in self._samples.get(name, ())]
        return sum(values) if values else math.nan

    def by_output(self, name: str) -> dict[str, float]:
        """Return a metric by output."""
        return {labels.get("output", ""): v for labels, v in self._samples.get(name, ())}

    def by_station(self, name: str, **wanted: str) -> dict[Station, float]:
        """Return a metric by station, summed over the other labels, or where they are as wanted."""
        found: dict[Station, float] = defaultdict(float)
        for labels, value in self._samples.get(name, ()):
            if wanted.items() <= labels.items():
                found[labels.get("network", ""), labels.get("station", "")] += value
        return found

    def quantile(self, name: str, quantile: str) -> float:
        """Return a quantile; NaN if there is none."""
        found = (
            v for labels, v in self._samples.get(name, ()) if labels.get("quantile") == quantile
        )
        return next(found, math.nan)


@dataclass(slots=True)
class Report:
    """What is to be said.

    Attributes:
        state: the worst.
        summary: the first line.
        problems: what is wrong, the worst first.
        rows: the table, its titles first.
    """

    state: State
    summary: str
    problems: list[str] = field(default_factory=list)
    rows: list[Sequence[str]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield all lines."""
        yield self.summary
        yield from self.problems
        if self.rows:
            yield ""
            widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
            for row in self.rows:
                cells = (f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}"
                         for i, (cell, w) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
                yield "  ".join(cells).rstrip()


def unknown(problem: str) -> Report:
    """Report that nothing can be said."""
    return Report(State.UNKNOWN, f"SCPERFORMER UNKNOWN - {_plain(problem)}")


def report(text: str, thresholds: Thresholds, *, now_s: float) -> Report:
    """Judge what stands in a file of metrics.

    Args:
        text: its content.
        thresholds: what is allowed.
        now_s: seconds since 1970.

    Raises:
        InputError: it is not a picker's metrics.
    """
    return _Judge(Metrics(text), thresholds, now_s).report()


class _Judge:
    def __init__(self, metrics: Metrics, thresholds: Thresholds, now_s: float) -> None:
        self._metrics = metrics
        self._limits = thresholds
        self._now_s = now_s
        self._age_s = now_s - metrics.value("updated_timestamp_seconds")
        came = metrics.by_station("station_last_record_timestamp_seconds")
        self._came = {s: at_s for s, at_s in came.items() if not self._is_ignored(s)}
        # What is not written down any more is not silent: that the file is stale says it all.
        as_of_s = metrics.value("updated_timestamp_seconds")
        begun_s = metrics.value("start_timestamp_seconds")
        self._silent_s = {s: as_of_s - (at_s or begun_s) for s, at_s in self._came.items()}
        self._silent = [s for s, age in self._silent_s.items() if age > thresholds.silence_s]
        lags = metrics.by_station("station_latency_seconds")
        self._lags = {s: lag for s, lag in lags.items() if s in self._came}

    def _is_ignored(self, station: Station) -> bool:
        return any(fnmatchcase(".".join(station), pattern) for pattern in self._limits.ignored)

    def report(self) -> Report:
        found = [*self._of_the_run(), *self._of_the_stations(), *self._of_the_outputs()]
        found.sort(key=lambda one: -one[0])
        state = found[0][0] if found else State.OK
        said = "; ".join(text for _, text in found) or self._all_is_well()
        performance = " ".join(self._performance())
        return Report(
            state=state,
            summary=f"SCPERFORMER {state.name} - {_plain(said)} | {performance}",
            problems=[f"{one.name}: {_plain(text)}" for one, text in found],
            rows=[*self._table()] if self._came else [],
        )

    def _all_is_well(self) -> str:
        picks = self._metrics.by_station("station_picks_total")
        return f"{len(self._came)} stations, {sum(picks.values()):.0f} picks"

    def _stale(self) -> Limits:
        interval_s = self._metrics.value("update_interval_seconds")
        least_s = 0.0 if math.isnan(interval_s) else _INTERVALS * interval_s
        return Limits(*(max(one, least_s) for one in self._limits.stale_s))

    def _of_the_run(self) -> Iterator[tuple[State, str]]:
        metrics = self._metrics
        if metrics.value("running") == 0.0:
            yield State.CRITICAL, f"the picker ended {_span(self._age_s)} ago"
        elif state := self._stale().judge(self._age_s):
            yield state, f"not updated for {_span(self._age_s)}: the picker hangs or was killed"
        if (n_failed := metrics.value("sources_failed")) > 0.0:
            yield State.CRITICAL, f"{n_failed:.0f} sources given up; the log says why"
        fill = 100.0 * metrics.value("queue_fill_ratio")
        if state := self._limits.backlog_percent.judge(fill):
            n = metrics.value("queue_records")
            yield state, f"behind: {n:.0f} records wait, {fill:.0f} % of the queue"

    def _of_the_stations(self) -> Iterator[tuple[State, str]]:
        limits = self._limits
        if not self._came:
            yield State.WARNING, "no station has been heard"
            return
        if state := limits.silent_percent.judge(self._silent_percent):
            n, total = len(self._silent), len(self._came)
            names = "all of them" if n == total else _names(self._silent)
            yield state, f"{n} of {total} stations silent ({names})"
        if not self._lags:
            return
        middle_s = median(self._lags.values())
        late = [s for s, lag in self._lags.items() if lag > limits.latency_s.warning]
        if middle_s > limits.latency_s.critical:
            yield State.CRITICAL, f"half of the data come more than {_span(middle_s)} late"
        elif late:
            yield (
                State.WARNING,
                f"data late by more than {limits.latency_s.warning:g} s " + (f"({_names(late)})"),
            )

    def _of_the_outputs(self) -> Iterator[tuple[State, str]]:
        stuck, up = (self._metrics.by_output(n) for n in ("outbox_stuck_seconds", "output_up"))
        for name, n_waiting in self._metrics.by_output("outbox_length").items():
            stuck_s = stuck.get(name, 0.0)
            state = max(self._limits.outbox.judge(n_waiting), self._limits.stuck_s.judge(stuck_s))
            if state:
                since = f", none delivered for {_span(stuck_s)}" if stuck_s else ""
                yield state, f"{n_waiting:.0f} wait for {name}{since}"
            elif not up.get(name, 1.0):
                waits = f" ({n_waiting:.0f} wait)" if n_waiting else ""
                yield (
                    State.WARNING,
                    f"{name} cannot be reached or written{waits}; the log says why",
                )

    @property
    def _silent_percent(self) -> float:
        return 100.0 * len(self._silent) / len(self._came) if self._came else 0.0

    def _performance(self) -> Iterator[str]:
        """Yield ``label=value[unit];warning;critical;least;most`` for graphs."""
        limits, metrics = self._limits, self._metrics
        yield f"age={self._age_s:.1f}s;{self._stale()};0"
        yield f"stations={len(self._came)};;;0"
        yield f"silent={self._silent_percent:.1f}%;{limits.silent_percent};0;100"
        if self._lags:
            yield f"latency={median(self._lags.values()):.2f}s;;{limits.latency_s.critical:g};;"
            yield f"latency_most={max(self._lags.values()):.2f}s;{limits.latency_s.warning:g};;;"
        delay_s = metrics.quantile("decision_delay_seconds", "0.95")
        if not math.isnan(delay_s):
            yield f"decision_delay_p95={delay_s:.2f}s;;;;"
        fill = metrics.value("queue_fill_ratio")
        if not math.isnan(fill):
            yield f"backlog={100.0 * fill:.1f}%;{limits.backlog_percent};0;100"
        waiting = metrics.by_output("outbox_length")
        yield f"outbox={max(waiting.values(), default=0.0):.0f};{limits.outbox};0"
        stuck = metrics.by_output("outbox_stuck_seconds")
        yield f"stuck={max(stuck.values(), default=0.0):.0f}s;{limits.stuck_s};0"
        for phase in ("P", "S"):
            own = metrics.by_station("station_picks_total", phase=phase)
            yield f"picks_{phase.lower()}={sum(own.values()):.0f}c;;;0"
        yield f"records={metrics.value('records_total'):.0f}c;;;0"

    def _table(self) -> Iterator[Sequence[str]]:
        metrics = self._metrics
        yield (
            "station",
            "state",
            "heard",
            "latency",
            "P",
            "S",
            "windows",
            "gaps",
            "late",
            "dropped",
        )
        p, s = (metrics.by_station("station_picks_total", phase=phase) for phase in "PS")
        windows = metrics.by_station("station_windows_total")
        gaps = metrics.by_station("station_gaps_total")
        late = metrics.by_station("station_dropped_samples_total", reason="late")
        dropped = metrics.by_station("station_dropped_samples_total")
        for one in sorted(self._came, key=lambda one: (-self._badness(one), one)):
            lag = self._lags.get(one)
            counts = p, s, windows, gaps, late, dropped
            yield (
                ".".join(one),
                ("ok", "late", "silent")[self._badness(one)],
                f"{_span(self._now_s - self._came[one])} ago" if self._came[one] else "never",
                "-" if lag is None else f"{lag:.1f} s",
                *(f"{own.get(one, 0.0):.0f}" for own in counts),
            )

    def _badness(self, station: Station) -> int:
        if self._silent_s[station] > self._limits.silence_s:
            return 2
        return int(self._lags.get(station, 0.0) > self._limits.latency_s.warning)


def _names(stations: Sequence[Station]) -> str:
    named = ", ".join(".".join(station) for station in sorted(stations)[:_MOST_NAMED])
    n_more = len(stations) - _MOST_NAMED
    return f"{named} and {n_more} more" if n_more > 0 else named


def _span(duration_s: float) -> str:
    for unit_s, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if duration_s >= 2.0 * unit_s:
            return f"{duration_s / unit_s:.0f} {unit}"
    return f"{duration_s:.0f} s"


def _plain(text: str) -> str:
    """Keep what would end the words of a plugin's line out of it."""
    return " ".join(text.replace("|", "/").split())
