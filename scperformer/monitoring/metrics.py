"""A picker's metrics, made from what it has counted: the names, labels and units that stay.

docs/monitoring.md says what each of them means.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from scperformer import __version__
from scperformer.core.statistics import SensorCounts, Statistics
from scperformer.monitoring.stations import Heard, Station, Stations
from scperformer.monitoring.vitals import RecordQueue, Vitals
from scperformer.types import NS_PER_S, OutputState

PREFIX = "scperformer_"
QUANTILES = (0.5, 0.95, 0.99)
DELAYS_S = (1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
"""Upper edges of the bins of the picks' delays."""

_STATION = ("network", "station")
_OUTPUT = ("output",)
_Values = Iterable[tuple[Sequence[str], float]]
_Family = TypeVar("_Family", GaugeMetricFamily, CounterMetricFamily)


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment on two clocks.

    Attributes:
        steady_s: of one that never goes back.
        wall_s: of the one on the wall, seconds since 1970.
    """

    steady_s: float
    wall_s: float

    def wall_of(self, steady_s: float) -> float:
        """Return what the wall clock showed at another moment."""
        return self.wall_s - (self.steady_s - steady_s)


class PickDelays:
    """How long after their onsets picks were given out, on the wall clock."""

    def __init__(self) -> None:
        self._counts = [0] * (len(DELAYS_S) + 1)
        self._sum_s = 0.0

    def add(self, delay_s: float) -> None:
        """Count a pick."""
        self._counts[bisect_left(DELAYS_S, delay_s)] += 1
        self._sum_s += delay_s

    def family(self) -> Metric:
        """Return the histogram."""
        total, bins = 0, []
        for edge, count in zip((*map(str, DELAYS_S), "+Inf"), self._counts, strict=True):
            total += count
            bins.append((edge, total))
        return HistogramMetricFamily(
            f"{PREFIX}pick_delay_seconds",
            "From a pick's onset until it was given out, on the wall clock.",
            buckets=bins,
            sum_value=self._sum_s,
        )


def about_the_program(models: Mapping[str, str]) -> tuple[Metric, ...]:
    """Return what does not change: the version, and the checksum of each model by name."""
    build = InfoMetricFamily(f"{PREFIX}build", "The program.", {"version": __version__})
    info = InfoMetricFamily(f"{PREFIX}model", "A model and the SHA-256 of its weights.", labels=())
    for name, sha256 in models.items():
        info.add_metric((), {"model": name, "sha256": sha256})
    return build, info


def about_the_run(
    begun_s: float, now: Moment, interval_s: float, *, is_running: bool
) -> Iterator[Metric]:
    """Yield when the picker began and whether it runs; times are seconds since 1970."""
    yield _gauge("running", "1 until the picker has come to its end.", is_running)
    yield _gauge("start_timestamp_seconds", "When it began.", begun_s)
    yield _gauge("updated_timestamp_seconds", "When these numbers were made.", now.wall_s)
    yield _gauge("update_interval_seconds", "How often they are made at most.", interval_s)


def about_the_work(vitals: Vitals, queue: RecordQueue | None) -> Iterator[Metric]:
    """Yield what concerns all stations together."""
    statistics = vitals.statistics
    yield _counter("records", "Records fed.", statistics.records)
    yield _counter("samples", "Samples fed.", statistics.samples)
    yield _counter("input_problems", "Faults of inputs, told or not.", vitals.n_problems)
    yield _gauge("sources_failed", "Sources given up.", len(vitals.failed_sources))
    yield _gauge("windows_pending", "Windows that wait for the network.", vitals.n_pending_windows)
    if queue is not None:
        yield _gauge("queue_records", "Records that wait to be processed.", queue.n_waiting)
        yield _gauge("queue_fill_ratio", "How full the queue of records is.", queue.fill)
        yield _gauge(
            "queue_wait_seconds", "How long the latest record stood in the queue.", queue.waiting_s
        )
    batches = vitals.n_batches
    yield _summary("batch_windows", "Windows a batch.", batches, statistics.windows)
    yield _summary(
        "inference_seconds", "Time spent on the network a batch.", batches, statistics.inference_s
    )
    yield _decision_delay(statistics)


def about_the_outputs(
    outputs: Iterable[OutputState], stuck_s: Mapping[str, float]
) -> Iterator[Metric]:
    """Yield what concerns the outputs, with how long each has been stuck, by name."""
    outputs = [replace(o, name=_utf8(o.name)) for o in outputs]
    waiting = [((o.name,), o.n_waiting + o.n_kept) for o in outputs]
    yield _gauges("outbox_length", "Messages or picks that wait.", _OUTPUT, waiting)
    stuck = [((_utf8(name),), stuck) for name, stuck in stuck_s.items()]
    text = "For how long messages have waited and none was delivered."
    yield _gauges("outbox_stuck_seconds", text, _OUTPUT, stuck)
    up = [((o.name,), not o.problem) for o in outputs]
    yield _gauges("output_up", "Whether nothing is wrong with an output.", _OUTPUT, up)
    last = [((o.name,), o.delivered_ns / NS_PER_S) for o in outputs if o.delivered_ns]
    yield _gauges("last_delivery_timestamp_seconds", "Last delivery.", _OUTPUT, last)


def about_the_stations(
    statistics: Statistics, stations: Stations, now: Moment, *, is_live: bool
) -> Iterator[Metric]:
    """Yield what concerns each station; in a replay data have no latency."""
    heard = {s: one for s, one in stations.heard.items() if one.end_ns is not None}
    came = {s: now.wall_of(one.at_s) if s in heard else 0.0 for s, one in stations.heard.items()}
    counts = _by_station(statistics, stations.heard)
    yield _gauge("stations", "Stations heard or expected.", len(counts))
    yield _gauge("stations_silent", "Stations silent as the log says.", stations.n_silent)
    yield _gauges(
        "station_last_record_timestamp_seconds", "When the latest record came; 0: none has.",
        _STATION, came.items(),
    )  # fmt: skip
    ends = {s: _seconds(one) for s, one in heard.items()}
    yield _gauges(
        "station_last_data_timestamp_seconds", "End of the latest record.", _STATION, ends.items()
    )
    if is_live:
        lags = ((s, came[s] - end_s) for s, end_s in ends.items())
        text = "How old the latest record's end was when it came."
        yield _gauges("station_latency_seconds", text, _STATION, lags)
    yield from _counted(counts)


def _counted(counts: Mapping[Station, SensorCounts]) -> Iterator[Metric]:
    windows = ((s, own.windows) for s, own in counts.items())
    yield _counters("station_windows", "Windows classified.", _STATION, windows)
    gaps = ((s, own.gaps) for s, own in counts.items())
    yield _counters("station_gaps", "Gaps in channels.", _STATION, gaps)
    picks = (((*s, phase), own.picks[phase]) for s, own in counts.items() for phase in ("P", "S"))
    yield _counters("station_picks", "Picks.", (*_STATION, "phase"), picks)
    for what in ("samples", "records"):
        dropped = (
            ((*s, reason.name.lower()), n)
            for s, own in counts.items()
            for reason, n in getattr(own, f"dropped_{what}").items()
        )
        text = f"{what.capitalize()} left out, late ones among them."
        yield _counters(f"station_dropped_{what}", text, (*_STATION, "reason"), dropped)


def _by_station(statistics: Statistics, known: Iterable[Station]) -> dict[Station, SensorCounts]:
    counts = {station: SensorCounts() for station in known}
    for sensor_id, own in statistics.sensors.items():
        station = sensor_id.network, sensor_id.station
        counts.setdefault(station, SensorCounts()).add(own)
    return counts


def _utf8(name: str) -> str:
    """Return what UTF-8 can hold of a path's name."""
    return name.encode(errors="replace").decode()


def _seconds(heard: Heard) -> float:
    return (heard.end_ns or 0) / NS_PER_S


def _decision_delay(statistics: Statistics) -> Metric:
    delays = statistics.decision_delays
    total_s = sum(delay * n for delay, n in delays.items()) / 100.0
    text = "From a pick's onset to the last sample that it needed."
    family = _summary("decision_delay_seconds", text, delays.total(), total_s)
    for fraction in QUANTILES if delays else ():
        value = statistics.decision_delay_s(fraction)
        family.add_sample(family.name, {"quantile": str(fraction)}, value)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, text, value)


def _summary(name: str, text: str, count: int, total: float) -> Metric:
    return SummaryMetricFamily(PREFIX + name, text, count, total)


def _gauges(name: str, text: str, labels: Sequence[str], values: _Values) -> Metric:
    return _filled(GaugeMetricFamily(PREFIX + name, text, labels=labels), values)


def _counters(name: str, text: str, labels: Sequence[str], values: _Values) -> Metric:
    return _filled(CounterMetricFamily(PREFIX + name, text, labels=labels), values)


def _filled(family: _Family, values: _Values) -> _Family:
    for labels, value in values:
        family.add_metric(labels, value)
    return family
