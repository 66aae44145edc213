"""Traces in memory, as obspy has them, in the place of files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from scperformer.errors import RecordError
from scperformer.types import Record, SeedId, SensorId
from scperformer.waveforms.archive import ArchiveGroup, ArchiveIndex
from scperformer.waveforms.contents import EVER, ChannelFile, Span
from scperformer.waveforms.cutting import RECORD_S, DecodedRecords, cut_records, trim
from scperformer.waveforms.foreign import plain_samples
from scperformer.waveforms.mseed_headers import RATES_HZ
from scperformer.waveforms.problems import InputProblem, Report, log_problem
from scperformer.waveforms.selection import Chooser, Selection

_NO_FILE = Path("traces in memory")


@dataclass(frozen=True, slots=True)
class TraceGroup(ArchiveGroup):
    """One sensor's traces; its files are what they would be in.

    Attributes:
        traces: the samples, by channel and time.
    """

    traces: tuple[DecodedRecords, ...] = ()

    def records(
        self, *, record_s: float = RECORD_S, report: Report = log_problem, told: Span = EVER
    ) -> Iterator[Record]:
        """Yield the records of all components; see `ArchiveGroup`."""
        del report, told
        cut = (
            record
            for trace in self.traces
            for record in cut_records(trace, record_s=record_s)
            if self.span.touches(record.start_ns, record.end_ns)
        )
        ordered = sorted(cut, key=attrgetter("start_ns"))
        yield from trim(ordered, start_ns=self.span.start_ns, end_ns=self.span.end_ns)


def decode_trace(trace: Any) -> list[DecodedRecords]:
    """Return the samples of an obspy trace, which is left as it is; masked ones are gaps.

    Raises:
        RecordError: no station or channel code, samples that are no real numbers, or a
            sampling rate that none has.
    """
    stats = trace.stats
    seed_id = SeedId(stats.network, stats.station, stats.location, stats.channel)
    if not (seed_id.station and seed_id.channel):
        raise RecordError(f"{seed_id}: a trace without station or channel code")
    if not RATES_HZ[0] <= stats.sampling_rate <= RATES_HZ[1]:
        raise RecordError(f"{seed_id}: a trace of {stats.sampling_rate:g} Hz")
    found = []
    for part in trace.split() if np.ma.isMaskedArray(trace.data) else [trace]:
        samples = plain_samples(np.asarray(part.data))
        if samples is None or samples.ndim != 1:
            what = f"shape {part.data.shape}, {part.data.dtype}"
            raise RecordError(f"{seed_id}: got samples of {what}; wanted real numbers in a row")
        if len(samples):
            start_ns = np.array([part.stats.starttime.ns], np.int64)
            counts = np.array([len(samples)], np.int64)
            rate_hz = float(stats.sampling_rate)
            found.append(DecodedRecords(seed_id, rate_hz, start_ns, counts, samples))
    return found


def index_traces(
    traces: Iterable[Any],
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    selection: Selection,
) -> ArchiveIndex:
    """Find the sensors in obspy's traces; see `index_inputs`."""
    span, chooser = Span(start_ns, end_ns), Chooser(selection)
    sensors: dict[SensorId, list[tuple[ChannelFile, DecodedRecords]]] = defaultdict(list)
    problems: dict[InputProblem, None] = {}
    covered: list[int] = []
    for trace in traces:
        try:
            parts = decode_trace(trace)
        except RecordError as error:
            problems.setdefault(InputProblem(_NO_FILE, str(error), ""))
            continue
        for part in parts:
            file = _file_of(part)
            if chooser.takes(part.seed_id, part.rate_hz):
                covered += [file.start_ns, file.end_ns]
                if span.touches(file.start_ns, file.end_ns):
                    sensors[part.seed_id.sensor_id].append((file, part))
    return ArchiveIndex(
        tuple(_group(sensor_id, own, span) for sensor_id, own in sorted(sensors.items())),
        tuple(problems),
        chooser.left_out,
        frozenset(chooser.not_asked),
        (min(covered), max(covered)) if covered else None,
    )


def _file_of(trace: DecodedRecords) -> ChannelFile:
    start_ns = int(trace.starts_ns[0])
    whole = Record(trace.seed_id, start_ns, trace.rate_hz, trace.samples)
    return ChannelFile(_NO_FILE, trace.seed_id, trace.rate_hz, start_ns, whole.end_ns)


def _group(
    sensor_id: SensorId, parts: list[tuple[ChannelFile, DecodedRecords]], span: Span
) -> TraceGroup:
    parts.sort(key=lambda part: (part[0].seed_id, part[0].start_ns))
    files, traces = zip(*parts, strict=True)
    return TraceGroup(sensor_id, tuple(dict.fromkeys(files)), span, traces=traces)
