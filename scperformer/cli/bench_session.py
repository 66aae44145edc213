"""A run of `scperformer bench`: each path at its quickest, then in real time."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles

import numpy as np
from numpy.typing import NDArray

from scperformer.atomic import write_bytes
from scperformer.cli import EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.bench_records import RECORD_BYTES, TRACE_S, Network, synthetic_trace
from scperformer.cli.bench_subjects import (
    Decided,
    Module,
    Running,
    Stream,
    Subject,
    missing,
)
from scperformer.cli.options import settings_from_options
from scperformer.config import Settings
from scperformer.errors import ConfigurationError
from scperformer.seiscomp.settings import ModuleSettings
from scperformer.setting import settings_of
from scperformer.types import NS_PER_S

QUICK_STATIONS, QUICK_S = 500, 60.0
WARM_UP_S = 12.0
STEP_S = 0.1
SHARE = 0.8
BEHIND_S = 2.0
"""So late at the end, and a path has not kept up."""

_MOST_TRIES = 3
_FEWEST_PICKS = 10
_STATIONS = (1, 99_999)
_LEAST_S = 5.0
_OFTENEST_S = 10.0
_IDLE_S, _IDLE_SHARE, _LONGEST_WAIT_S = 0.5, 0.2, 120.0
_START_CPU_S, _LONGEST_START_S = 1.0, 10.0
_FEW_DIGITS = 2


@dataclass(frozen=True, slots=True)
class Sustained:
    """What a path did in real time; JSON has it under these names.

    Attributes:
        stations: so many were sent.
        keeps_up: it was not late at the end.
        late_s: how late it was, with what it had been sent.
        cpu_s_per_station_hour: processor time, start-up not counted.
        processors: how many of the machine's it kept busy.
        peak_mb: largest resident memory, MiB.
        helpers_cpu_s_per_station_hour: of what it needs beside itself.
        picks: while it was sent records in real time.
        delay_s: from an onset to its pick, with the wait for the record to be full: median and
            95 %; None where that is not known.
    """

    stations: int
    keeps_up: bool
    late_s: float
    cpu_s_per_station_hour: float
    processors: float
    peak_mb: float
    helpers_cpu_s_per_station_hour: float
    picks: int
    delay_s: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Measured:
    """A path's figures.

    Attributes:
        path: stream or module.
        told: what that is.
        most_stations: as many as it takes at its quickest, from a few hundred; None if that was
            not asked for.
        tries: in real time; the last one counts.
    """

    path: str
    told: str
    most_stations: int | None
    tries: tuple[Sustained, ...]


def run_bench(options: argparse.Namespace) -> int:
    """Measure, print and write; return the exit status."""
    _check(options)
    subjects = list(_subjects(options))
    trace = synthetic_trace(options.event_every)
    print(_what_is_measured(options, trace), flush=True)
    measured = []
    for subject in subjects:
        measured.append(_measure(subject, options.stations, options.seconds, trace))
        print("", *_lines(measured[-1]), sep="\n", flush=True)
    if len(measured) == 2:
        print("", _comparison(*measured), sep="\n")
    if options.json:
        write_bytes(options.json, _as_json(options, measured))
    return EXIT_OK if all(one.tries[-1].keeps_up for one in measured) else EXIT_SOME_FAILED


def _check(options: argparse.Namespace) -> None:
    low, high = _STATIONS
    faults = {
        f"--stations: got {options.stations}; wanted {low} to {high}": options.stations is not None
        and not low <= options.stations <= high,
        f"--seconds: got {options.seconds:g}; wanted {_LEAST_S:g} or more": (
            not options.seconds >= _LEAST_S
        ),
        f"--event-every: got {options.event_every:g}; wanted {_OFTENEST_S:g} to {TRACE_S:g}": (
            not _OFTENEST_S <= options.event_every <= TRACE_S
        ),
    }
    if any(faults.values()):
        raise ConfigurationError(*(text for text, is_fault in faults.items() if is_fault))


def _subjects(options: argparse.Namespace) -> Iterator[Subject]:
    others = {} if options.settings is None else take_settings(options, options.settings)
    settings = settings_from_options(options)
    if options.only != Module.name:
        yield Stream(options, settings)
    lack = missing() if options.only != Stream.name else None
    if lack and options.only == Module.name:
        raise ConfigurationError(f"--only module: {lack}")
    if lack:
        print(f"The SeisComP module is not measured: {lack}.", file=sys.stderr)
    elif options.only != Stream.name:
        yield Module(options, settings, others)


def take_settings(options: argparse.Namespace, path: Path) -> dict[str, str]:
    """Put the picker's settings of a ``scperformer.cfg`` among the options not given.

    Returns:
        Those that only the module has, by key.

    Raises:
        ConfigurationError: the file cannot be read, or has values that cannot be used.
    """
    own = {info.key: info for info in settings_of(Settings)}
    modules = {info.key for info in settings_of(ModuleSettings)}
    others, faults = {}, []
    for key, text in _pairs(path):
        if key in modules:
            others[key] = text
        elif key not in own:
            continue
        elif not hasattr(options, own[key].name) and text:
            try:
                setattr(options, own[key].name, own[key].parse(text))
            except ValueError as error:
                faults.append(f"{path}: {key}: {error}")
    if faults:
        raise ConfigurationError(*faults)
    options.model_name = options.model_name or others.pop("model", None)
    return others


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--settings: {path}: cannot be read ({error})") from error
    for line in text.splitlines():
        key, equals, value = line.partition("#")[0].partition("=")
        if equals:
            yield key.strip(), value.strip().strip('"')


def _measure(
    subject: Subject, n_stations: int | None, seconds: float, trace: NDArray[np.int32]
) -> Measured:
    most = None
    if n_stations is None:
        most = _at_its_quickest(subject, trace)
        n_stations = min(_rounded(SHARE * most), _STATIONS[1])
    tries = [_in_real_time(subject, n_stations, seconds, trace)]
    while most is not None and not tries[-1].keeps_up and len(tries) < _MOST_TRIES:
        n_stations = _rounded(SHARE * tries[-1].stations)
        tries.append(_in_real_time(subject, n_stations, seconds, trace))
    return Measured(subject.name, subject.told, most, tuple(tries))


def _rounded(value: float) -> int:
    """Round down to two digits; at least 1."""
    unit = int("1".ljust(len(str(int(value))) - _FEW_DIGITS + 1, "0"))
    return max(int(value) // unit * unit, 1)


@contextmanager
def _started(
    subject: Subject, n_stations: int, trace: NDArray[np.int32]
) -> Iterator[tuple[Running, Network]]:
    """Start a subject, warmed up and idle, and the stations that go on sending."""
    start_ns = time.time_ns() // NS_PER_S * NS_PER_S
    network = Network(n_stations, start_ns, trace)
    with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as name:
        running = subject.start(Path(name))
        try:
            running.send(network.seconds(0.0, WARM_UP_S))
            _wait_until_idle(running)
            yield running, network
        finally:
            running.close()


def _wait_until_idle(running: Running) -> None:
    begun_s, before_s = time.monotonic(), running.cpu_s()
    while (waited_s := time.monotonic() - begun_s) < _LONGEST_WAIT_S:
        time.sleep(_IDLE_S)
        now_s = running.cpu_s()
        is_idle = now_s - before_s < _IDLE_SHARE * _IDLE_S
        if is_idle and (now_s >= _START_CPU_S or waited_s >= _LONGEST_START_S):
            return
        before_s = now_s


def _at_its_quickest(subject: Subject, trace: NDArray[np.int32]) -> int:
    """Send a few hundred stations as quickly as it takes them; return how many it could take."""
    with _started(subject, QUICK_STATIONS, trace) as (running, network):
        data = network.seconds(WARM_UP_S, WARM_UP_S + QUICK_S)
        begun_s = time.monotonic()
        running.send(data)
        running.finish()
        return round(QUICK_STATIONS * QUICK_S / (time.monotonic() - begun_s))


def _in_real_time(
    subject: Subject, n_stations: int, seconds: float, trace: NDArray[np.int32]
) -> Sustained:
    with _started(subject, n_stations, trace) as (running, network):
        cpu_s, helpers_s = running.cpu_s(), running.helpers_cpu_s()
        begun_s, begun_ns = time.monotonic(), time.time_ns()
        n_steps = round(seconds / STEP_S)
        for number in range(1, n_steps + 1):
            until_s = number * STEP_S
            data = network.seconds(WARM_UP_S + until_s - STEP_S, WARM_UP_S + until_s)
            time.sleep(max(begun_s + until_s - time.monotonic(), 0.0))
            running.send(data)
        cpu_s, helpers_s = running.cpu_s() - cpu_s, running.helpers_cpu_s() - helpers_s
        sent_s = time.monotonic()
        _wait_until_idle(running)
        late_s = sent_s - begun_s - seconds
        peak_mb = running.peak_mb()
        picks = running.finish()
    station_hours = n_stations * seconds / 3600.0
    # What the stations send is older than the clock by the time that the start took.
    first_ns = network.start_ns + round(WARM_UP_S * NS_PER_S)
    delays_s = _delays_s(picks, first_ns, begun_ns, seconds)
    return Sustained(
        stations=n_stations,
        keeps_up=late_s <= BEHIND_S,
        late_s=round(late_s, 1),
        cpu_s_per_station_hour=_figure(cpu_s / station_hours),
        processors=_figure(cpu_s / seconds),
        peak_mb=round(peak_mb),
        helpers_cpu_s_per_station_hour=_figure(helpers_s / station_hours),
        picks=len(delays_s),
        delay_s=_middle_and_most(delays_s),
    )


def _figure(value: float) -> float:
    return float(f"{value:.3g}")


def _delays_s(picks: list[Decided], first_ns: int, begun_ns: int, seconds: float) -> list[float]:
    """Return how long after its onset each pick came whose onset was sent in real time."""
    return [
        ((pick.at_ns - begun_ns) - (pick.time_ns - first_ns)) / NS_PER_S
        for pick in picks
        if pick.time_ns - first_ns >= 0 and pick.at_ns - begun_ns <= seconds * NS_PER_S
    ]


def _middle_and_most(values: list[float]) -> tuple[float, float] | None:
    if len(values) < _FEWEST_PICKS:
        return None
    return round(median(values), 2), round(quantiles(values, n=20)[-1], 2)


def _what_is_measured(options: argparse.Namespace, trace: NDArray[np.int32]) -> str:
    record_s = Network(1, 0, trace).record_s
    return (
        "Sent: synthetic stations, 3 components at 100 Hz, an event every "
        f"{options.event_every:g} s, in miniSEED records of {RECORD_BYTES} bytes "
        f"(about {record_s:.1f} s), through a pipe.\n"
        f"Each path: {QUICK_STATIONS} stations as quickly as it takes them, then many for "
        f"{options.seconds:g} s in real time, on {len(os.sched_getaffinity(0))} processors. A "
        "network link, and whatever else this machine has to do, come on top."
    )


def _lines(measured: Measured) -> Iterator[str]:
    yield f"{measured.path}: {measured.told}"
    if measured.most_stations is not None:
        yield f"  at its quickest: as much as {measured.most_stations} stations send"
    for one in measured.tries:
        yield from _lines_of(one)
    last = measured.tries[-1]
    if last.keeps_up:
        yield f"  This machine keeps up with about {last.stations} stations{_at_what_cost(last)}."
    else:
        yield f"  This machine does not keep up with {last.stations} stations."


def _lines_of(one: Sustained) -> Iterator[str]:
    verdict = "keeps up" if one.keeps_up else f"falls behind, {one.late_s:g} s at the end"
    yield f"  {one.stations} stations in real time: {verdict}"
    yield (
        f"    {one.processors:g} processors busy, {one.cpu_s_per_station_hour:g} s of processor "
        f"time a station-hour"
    )
    if one.helpers_cpu_s_per_station_hour:
        yield f"    scmaster beside it {one.helpers_cpu_s_per_station_hour:g} s a station-hour"


def _at_what_cost(one: Sustained) -> str:
    if one.delay_s is None:
        return f"; {one.peak_mb:.0f} MB; delay not known"
    middle, most = one.delay_s
    return (
        f"; {one.peak_mb:.0f} MB; a pick comes {middle:.1f} s after its onset (95 % within "
        f"{most:.1f} s), the wait for full records included"
    )


def _comparison(stream: Measured, module: Measured) -> str:
    ratio = _ratio(stream, module)
    if ratio is None:
        return "--stations N measures both with as many stations, and compares what they cost."
    return f"The module takes {ratio:.2f} times the stream's processor time a station-hour."


def _ratio(stream: Measured, module: Measured) -> float | None:
    """What the module takes of the stream's processor time; None for different numbers."""
    of_module, of_stream = module.tries[-1], stream.tries[-1]
    if of_module.stations != of_stream.stations or not of_stream.cpu_s_per_station_hour:
        return None
    return round(of_module.cpu_s_per_station_hour / of_stream.cpu_s_per_station_hour, 3)


def _as_json(options: argparse.Namespace, measured: list[Measured]) -> bytes:
    figures: dict[str, object] = {
        "processors": len(os.sched_getaffinity(0)),
        "seconds": options.seconds,
        "event_every_s": options.event_every,
        "record_bytes": RECORD_BYTES,
        "paths": [asdict(one) for one in measured],
    }
    if len(measured) == 2:
        figures["module_over_stream"] = _ratio(*measured)
    return (json.dumps(figures, indent=2) + "\n").encode()
