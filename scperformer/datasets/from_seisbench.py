"""Data sets of windows from data sets in SeisBench's layout, their splits kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scperformer.core.pipeline import HIGHEST_RATE_HZ, LOWEST_RATE_HZ
from scperformer.datasets.cutting import Account, Write, cut_windows
from scperformer.datasets.intervals import Intervals
from scperformer.datasets.plan import (
    CutOptions,
    Cuts,
    around_times,
    noise_times,
    rounded,
    unlabelled_times,
)
from scperformer.datasets.seisbench_files import SeisBenchData, TraceRow, Waveform
from scperformer.datasets.splits import NO_SPLIT, SPLIT_WORDS, Division
from scperformer.errors import RecordError
from scperformer.naming import component_places
from scperformer.types import NS_PER_S, Record, SensorId

Report = Callable[[str], None]

_TOLD_EVERY = 5_000


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
                records = _records(row, waveform)
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
    samples = np.array([sample for _, sample in known])
    times = row.start_ns + np.rint(samples * NS_PER_S / rate_hz).astype(np.int64)
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


def _records(row: TraceRow, waveform: Waveform) -> list[Record]:
    """Return a record for each component that the networks know.

    Raises:
        RecordError: no such component, no samples, or a sampling rate out of range.
    """
    rate_hz = waveform.sampling_rate_hz
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise RecordError(
            f"{row.name}: {rate_hz:g} Hz; wanted {LOWEST_RATE_HZ:g} to {HIGHEST_RATE_HZ:g} Hz"
        )
    places = component_places(frozenset(waveform.letters))
    if not places or not waveform.samples.shape[1]:
        raise RecordError(
            f"{row.name}: components {waveform.letters!r}, {waveform.samples.shape[1]} samples; "
            "wanted some of Z, N, E, 1, 2, 3 with samples"
        )
    sensor = SensorId(row.network, row.station, row.location, row.band_instrument)
    return [
        Record(sensor.channel(letter), row.start_ns, rate_hz, samples)
        for letter, samples in zip(waveform.letters, waveform.samples, strict=True)
        if letter in places
    ]
