"""Data sets of windows: from waveform archives and picks, and from SeisBench's data sets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.cutting import (
    LEAST_GAP_S,
    Account,
    CutOptions,
    Cuts,
    Write,
    around_times,
    cut_windows,
    noise_times,
    rounded,
    unlabelled_times,
)
from scperformer.datasets.intervals import Intervals, Times
from scperformer.datasets.seisbench_files import (
    SeisBenchData,
    TraceRow,
    Waveform,
    trace_records,
)
from scperformer.datasets.splits import NO_SPLIT, SPLIT_WORDS, Division, EventTimes
from scperformer.errors import InputError, RecordError
from scperformer.picks.pick_files import read_pick_file
from scperformer.types import CLASSES, NS_PER_S, Pick
from scperformer.waveforms.archive import ArchiveGroup, index_inputs

SAME_PICK_S = 0.5
"""Picks of a phase at a station closer than this are one arrival, stated twice."""

_TOLD_EVERY = 5_000

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Sensor:
    """A sensor's files with the picks in them, (n,)."""

    group: ArchiveGroup
    data: Intervals
    picks: tuple[Pick, ...]

    @property
    def station(self) -> str:
        return self.group.sensor_id.station_id


def build_from_records(
    inputs: Sequence[Path],
    pick_files: Sequence[Path],
    options: CutOptions,
    *,
    write: Write,
    report: Report,
    least_probability: float,
) -> Account:
    """Cut windows around picks out of archives.

    Args:
        inputs: waveform files, folders, SDS roots or list files.
        pick_files: CSV, JSON lines, QuakeML or SCML; where two state an arrival, the
            first file's pick counts.
        options: how the windows are cut.
        write: takes the windows, sensor by sensor in the order of time.
        report: takes lines that tell how far it is.
        least_probability: of the picks that are used.

    Raises:
        InputError: no waveforms, no picks, or none of the picks in the waveforms.
        ConfigurationError: nothing can be held out.
    """
    picks = _read_picks(pick_files, least_probability)
    index = index_inputs(inputs)
    if not index.groups:
        faults = "".join(f"\n  {problem}" for problem in index.problems)
        raise InputError(f"no waveforms in the inputs{faults}")
    sensors = [_with_picks(group, picks) for group in index.groups]
    n_placed = sum(len(sensor.picks) for sensor in sensors)
    if not n_placed:
        raise InputError(
            "no pick lies in a waveform; check that times, network and station codes of the "
            f"picks ({_examples(picks)}) are those of the waveforms ({sensors[0].group.sensor_id})"
        )
    builder = _Builder(picks, sensors, options, write)
    for problem in index.problems:
        if not problem.is_note:
            builder.account.blame(str(problem))
    n_picks = sum(map(len, picks.values()))
    report(f"{n_picks} picks, {len(builder.events)} earthquakes, {len(sensors)} sensors")
    for number, sensor in enumerate(sensors, 1):
        n_cut = sum(builder.account.cut.values())
        builder.cut(sensor)
        n_new = sum(builder.account.cut.values()) - n_cut
        report(f"{number} of {len(sensors)}: {sensor.group.sensor_id}, {n_new} windows")
    return builder.account


class _Builder:
    """Cuts the windows of one sensor after the other."""

    def __init__(
        self,
        picks: Mapping[str, Sequence[Pick]],
        sensors: Sequence[_Sensor],
        options: CutOptions,
        write: Write,
    ) -> None:
        self.account = Account()
        self._options = options
        self._write = write
        self._by_station = {station: _columns(own) for station, own in picks.items()}
        everyone = np.concatenate([times for times, _ in self._by_station.values()])
        self._near_any = around_times(everyone, options.noise_distance_s)
        self.events = EventTimes.of(everyone, gap_s=options.event_gap_s)
        # No window may reach into the time of the next earthquake.
        self._borders = around_times(self.events.borders_ns, LEAST_GAP_S / 2.0)
        weights: Counter[tuple[str, str]] = Counter()
        for sensor in sensors:
            for number in self.events.nearest(_columns(sensor.picks)[0]).tolist():
                weights[self.events.name(number), sensor.station] += 1
        self._division = Division.plan(options.split_by, weights, options.shares, seed=options.seed)

    def cut(self, sensor: _Sensor) -> None:
        if not sensor.picks:
            return
        group = sensor.group
        cuts = self._plan(sensor)
        units = [self.events.name(n) for n in self.events.nearest(cuts.centre_ns).tolist()]
        stated = [sensor.picks[n].event if n >= 0 else "" for n in cuts.pick.tolist()]
        cut_windows(
            group.records(report=lambda fault: self.account.blame(str(fault))),
            group.seed_ids,
            cuts,
            events=[own or unit for own, unit in zip(stated, units, strict=True)],
            splits=[self._division.split_of(unit, sensor.station) for unit in units],
            trace=str(group.sensor_id),
            options=self._options,
            account=self.account,
            write=self._write,
        )

    def _plan(self, sensor: _Sensor) -> Cuts:
        """Plan the windows of a sensor; chance depends on the seed and the sensor alone."""
        options, group = self._options, sensor.group
        rng = np.random.default_rng(
            [options.seed, group.start_ns // NS_PER_S, *str(group.sensor_id).encode()]
        )
        wanted = rounded(options.noise_per_pick * options.per_pick * len(sensor.picks), rng)
        self.account.noise_wanted += wanted
        times, classes = self._by_station[sensor.station]
        avoid = [
            self._near_any
            if options.quiet_network
            else around_times(times, options.noise_distance_s),
            unlabelled_times(times, classes, options.unlabelled_s),
            self._borders,
        ]
        noise = noise_times(sensor.data, avoid, wanted, rng)
        return Cuts.of(*_columns(sensor.picks), noise, rng, options)


def _read_picks(paths: Sequence[Path], least_probability: float) -> dict[str, list[Pick]]:
    """Return the picks by station, each arrival once."""
    found: dict[str, list[Pick]] = defaultdict(list)
    seen: dict[tuple[str, str, str, int], int] = {}
    length_ns = round(SAME_PICK_S * NS_PER_S)
    for path in paths:
        for pick in read_pick_file(path):
            if pick.probability < least_probability:
                continue
            slot = pick.time_ns // length_ns
            own = (pick.station, pick.phase, pick.instrument)
            keys = [(*own, slot + d) for d in (0, -1, 1)]
            if any(abs(seen.get(key, -length_ns) - pick.time_ns) < length_ns for key in keys):
                continue
            seen[keys[0]] = pick.time_ns
            found[pick.station].append(pick)
    if not found:
        listed = ", ".join(map(str, paths))
        raise InputError(f"{listed}: no P or S picks of probability {least_probability:g} or more")
    return found


def _with_picks(group: ArchiveGroup, picks: Mapping[str, Sequence[Pick]]) -> _Sensor:
    data = Intervals.from_pairs((file.start_ns, file.end_ns) for file in group.files)
    sensor = group.sensor_id
    stated = picks.get(sensor.station_id, ())
    mine = [pick for pick in stated if pick.belongs_to(sensor)]
    within = data.contain(_columns(mine)[0]).tolist()
    return _Sensor(group, data, tuple(pick for pick, yes in zip(mine, within, strict=True) if yes))


def _columns(picks: Sequence[Pick]) -> tuple[Times, NDArray[np.int64]]:
    """Return times and classes of picks, both (n,) int64."""
    times = np.array([pick.time_ns for pick in picks], dtype=np.int64)
    return times, np.array([CLASSES.index(pick.phase) for pick in picks], dtype=np.int64)


def _examples(picks: Mapping[str, object]) -> str:
    names = sorted(picks)
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def build_from_seisbench(
    folder: Path, options: CutOptions, *, write: Write, report: Report
) -> Account:
    """Cut windows around the arrivals of a data set.

    Its column ``split`` is kept; a data set without one is divided by
    ``options.split_by``. Traces without any arrival give noise.

    Args:
        folder: the data set.
        options: how the windows are cut.
        write: takes the windows in the order of the data set.
        report: takes lines that tell how far it is.

    Raises:
        InputError: no data set there, or a table that cannot be read.
        ConfigurationError: nothing can be held out.
    """
    account = Account()
    with SeisBenchData(folder) as data:
        n_traces, division = _divide(data, options)
        kept = "its own splits" if division is None else f"divided by {options.split_by}"
        report(f"{folder}: {n_traces} traces, {kept}")
        for number, row in enumerate(data.rows(), 1):
            split = SPLIT_WORDS.get(row.split, NO_SPLIT)
            if division is not None:
                split = division.split_of(_event(row), _station(row))
            try:
                waveform = data.waveform(row)
                records = trace_records(row, waveform)
                cuts = _plan(row, waveform, options, account)
                cut_windows(
                    records,
                    [record.seed_id for record in records],
                    cuts,
                    events=[row.event] * len(cuts),
                    splits=[split] * len(cuts),
                    trace=row.name,
                    options=options,
                    account=account,
                    write=write,
                )
            except RecordError as error:
                account.blame(str(error))
            if not number % _TOLD_EVERY or number == n_traces:
                report(f"{number} of {n_traces} traces, {sum(account.cut.values())} windows")
    return account


def _divide(data: SeisBenchData, options: CutOptions) -> tuple[int, Division | None]:
    """Count the traces; plan a division if none of them is in a split."""
    weights: Counter[tuple[str, str]] = Counter()
    has_split = False
    for row in data.rows():
        has_split |= bool(row.split)
        weights[_event(row), _station(row)] += 1
    n_traces = weights.total()
    if has_split:
        return n_traces, None
    return n_traces, Division.plan(options.split_by, weights, options.shares, seed=options.seed)


def _event(row: TraceRow) -> str:
    """What must not be divided: an earthquake, or a station's noise."""
    if row.event and row.arrivals:
        return row.event
    return row.name if row.arrivals else f"noise {_station(row)}"


def _station(row: TraceRow) -> str:
    return f"{row.network}.{row.station}"


def _plan(row: TraceRow, waveform: Waveform, options: CutOptions, account: Account) -> Cuts:
    """Plan the windows of a trace; chance depends on the seed and the trace's name alone."""
    rate_hz, n = waveform.sampling_rate_hz, waveform.samples.shape[1]
    known = [(kind, sample) for kind, sample in row.arrivals if 0.0 <= sample < n]
    times = np.array([row.time_ns(sample, rate_hz) for _, sample in known], dtype=np.int64)
    classes = np.array([kind for kind, _ in known], dtype=np.int64)
    phases = np.flatnonzero(classes >= 0)
    rng = np.random.default_rng([options.seed, *f"{row.chunk}/{row.name}".encode()])
    wanted = rounded(options.noise_per_pick * options.per_pick * len(phases), rng)
    if not row.arrivals:
        wanted = options.noise_per_trace
    account.noise_wanted += wanted
    avoid = [
        around_times(times, options.noise_distance_s),
        unlabelled_times(times, classes, options.unlabelled_s),
    ]
    end_ns = row.start_ns + round(n * NS_PER_S / rate_hz)
    noise = noise_times(Intervals.from_pairs([(row.start_ns, end_ns)]), avoid, wanted, rng)
    return Cuts.of(times[phases], classes[phases], noise, rng, options)
