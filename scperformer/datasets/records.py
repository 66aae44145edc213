"""Records for training: miniSEED folders to filtered 100 Hz samples in the networks' order.

A folder holds files of one or more components of a sensor, as an archive, an
event-wise cut or single-channel day files do. Whatever the layout, it becomes
a list of `StationRecord`: spans in which the sensor's components run without a
gap, resampled, ordered and filtered by the same code as in the picker.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import obspy
from numpy.typing import NDArray

from scperformer.config import DEFAULT_FILTER
from scperformer.core.filters import Filter, parse_filter
from scperformer.core.pipeline import HIGHEST_RATE_HZ, LOWEST_RATE_HZ
from scperformer.core.resample import Resampler
from scperformer.errors import InputError, RecordError
from scperformer.naming import component_places, split
from scperformer.types import (
    N_COMPONENTS,
    SAMPLE_NS,
    SAMPLING_RATE_HZ,
    WINDOW_SAMPLES,
    Record,
    SensorId,
)
from scperformer.waveforms.contents import read_whole

LOGGER = logging.getLogger(__name__)

NOT_WAVEFORMS = frozenset(
    {".csv", ".jsonl", ".xml", ".scml", ".qml", ".quakeml", ".txt", ".md", ".json"}
)


@dataclass(frozen=True, slots=True, eq=False)
class StationRecord:
    """A gapless span of one sensor, ready to be cut into windows.

    Attributes:
        source: folder it came from, as the configuration names it.
        sensor_id: the sensor.
        start_ns: time of the first sample.
        samples: (n, 3) float32, 100 Hz, filtered, in counts; components N, E, Z,
            zeros where a component is missing.
        present: which of N, E, Z are live.
        event: the earthquake in it by a data set's table, empty if it is not known.
        split: what the table says that it is for, empty where it does not.
    """

    source: str
    sensor_id: SensorId
    start_ns: int
    samples: NDArray[np.float32]
    present: tuple[bool, ...]
    event: str = ""
    split: str = ""

    @property
    def end_ns(self) -> int:
        """Time of the sample that would follow the last one."""
        return self.start_ns + len(self.samples) * SAMPLE_NS

    @property
    def station(self) -> str:
        return self.sensor_id.station_id


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """Consecutive samples of one channel at 100 Hz, not filtered yet."""

    start_ns: int
    samples: NDArray[np.float64]

    @property
    def end_ns(self) -> int:
        return self.start_ns + len(self.samples) * SAMPLE_NS


def load_folder(
    folder: Path, *, source: str = "", filter_id: str = DEFAULT_FILTER
) -> list[StationRecord]:
    """Load every waveform file of a folder, not of its subfolders.

    What cannot be used (unreadable files, absurd sampling rates, chunks shorter
    than a window) is logged and left out.

    Args:
        folder: waveform files; tables and XML beside them are ignored.
        source: name of the folder in the records, its own name by default.
        filter_id: filter of the model that is to see them, in SeisComP's grammar; it is
            primed on each span's first sample.

    Returns:
        Records ordered by station, time and sensor.

    Raises:
        InputError: no such folder, or nothing usable in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; wanted one with miniSEED files")
    chain = parse_filter(filter_id)
    name = source or folder.name
    records: list[StationRecord] = []
    lone: dict[SensorId, list[Record]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.suffix.lower() in NOT_WAVEFORMS:
            continue
        for sensor_id, parts in _read_sensors(path).items():
            if len({part.seed_id.channel for part in parts}) > 1:
                records += assemble(sensor_id, parts, name, chain)
            else:
                lone[sensor_id] += parts
    for sensor_id, parts in lone.items():
        records += assemble(sensor_id, parts, name, chain)
    if not records:
        raise InputError(f"{folder}: no usable record of {WINDOW_SAMPLES} samples or more")
    return in_order(records)


def in_order(records: Iterable[StationRecord]) -> list[StationRecord]:
    """Return records ordered by station, time and sensor."""
    return sorted(records, key=lambda record: (record.station, record.start_ns, record.sensor_id))


def _read_sensors(path: Path) -> dict[SensorId, list[Record]]:
    sensors: dict[SensorId, list[Record]] = defaultdict(list)
    try:
        records = read_whole(path)
    except (OSError, InputError) as error:
        LOGGER.warning("%s: left out, it cannot be read: %s", path, error)
        return sensors
    for record in records:
        sensors[record.seed_id.sensor_id].append(record)
    return sensors


def assemble(
    sensor_id: SensorId, records: Iterable[Record], source: str, chain: Filter
) -> Iterator[StationRecord]:
    """Yield the spans of one sensor in which all its components run.

    Args:
        sensor_id: the sensor.
        records: of its channels, in any order.
        source: where they come from, as the configuration names it.
        chain: filter of the model that is to see them.
    """
    traces = [_trace(record) for record in records]
    places = component_places(frozenset(_component(trace) for trace in traces))
    by_place: dict[int, list[_Chunk]] = defaultdict(list)
    for trace in _join([t for t in traces if _component(t) in places]):
        try:
            by_place[places[_component(trace)]].append(_chunk(trace))
        except RecordError as error:
            LOGGER.warning("%s %s: left out: %s", trace.id, trace.stats.starttime, error)
    combinations: list[dict[int, _Chunk]] = [{}]
    for place, chunks in by_place.items():
        combinations = [
            longer
            for shorter in combinations
            for chunk in chunks
            if _overlap(longer := shorter | {place: chunk})[1] >= WINDOW_SAMPLES
        ]
    for combination in combinations if by_place else ():
        yield _span(sensor_id, source, combination, chain)


def _trace(record: Record) -> Any:
    seed_id = record.seed_id
    header = {
        "network": seed_id.network,
        "station": seed_id.station,
        "location": seed_id.location,
        "channel": seed_id.channel,
        "sampling_rate": record.sampling_rate_hz,
        "starttime": obspy.UTCDateTime(ns=record.start_ns),
    }
    return obspy.Trace(record.samples, header)


def _component(trace: Any) -> str:
    return split(trace.stats.channel)[1]


def _join(traces: Sequence[Any]) -> Iterator[Any]:
    """Join what is consecutive, split at gaps; where traces contradict, split too.

    What was recorded at different rates stays apart.
    """
    by_rate: dict[tuple[str, float], list[Any]] = defaultdict(list)
    for trace in traces:
        trace.data = trace.data.astype(np.float64)
        trace.stats.calib = 1.0
        by_rate[trace.id, trace.stats.sampling_rate].append(trace)
    for alike in by_rate.values():
        yield from obspy.Stream(alike).merge(method=0).split()


def _chunk(trace: Any) -> _Chunk:
    """Resample a trace to the grid of whole hundredths of seconds.

    Raises:
        RecordError: too short, not finite, or a sampling rate out of range.
    """
    rate_hz = float(trace.stats.sampling_rate)
    samples = np.asarray(trace.data, dtype=np.float64)
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise RecordError(f"{rate_hz:g} Hz; wanted {LOWEST_RATE_HZ:g} to {HIGHEST_RATE_HZ:g} Hz")
    if not np.isfinite(samples).all():
        raise RecordError("samples that are not finite")
    if len(samples) / rate_hz * SAMPLING_RATE_HZ < WINDOW_SAMPLES:
        raise RecordError("shorter than a window")
    start_ns = int(trace.stats.starttime.ns)
    if rate_hz == SAMPLING_RATE_HZ:
        return _Chunk(round(start_ns / SAMPLE_NS) * SAMPLE_NS, samples)
    resampler = Resampler(start_ns, rate_hz)
    first = resampler.next_index
    resampled = np.concatenate([resampler.process(samples), resampler.finish()])
    return _Chunk(first * SAMPLE_NS, resampled)


def _overlap(chunks: dict[int, _Chunk]) -> tuple[int, int]:
    """Return start and number of samples of what chunks have in common."""
    start_ns = max(chunk.start_ns for chunk in chunks.values())
    end_ns = min(chunk.end_ns for chunk in chunks.values())
    return start_ns, (end_ns - start_ns) // SAMPLE_NS


def _span(
    sensor_id: SensorId, source: str, chunks: dict[int, _Chunk], chain: Filter
) -> StationRecord:
    """Bring overlapping chunks of different components together and filter them."""
    start_ns, n = _overlap(chunks)
    samples = np.zeros((N_COMPONENTS, n))
    for place, chunk in chunks.items():
        first = (start_ns - chunk.start_ns) // SAMPLE_NS
        samples[place] = chunk.samples[first : first + n]
    live = samples.min(axis=1) < samples.max(axis=1)
    samples[~live] = 0.0
    state = chain.start()
    state.prime(np.ones(N_COMPONENTS, dtype=bool), samples[:, 0])
    filtered = state.process(samples).T.astype(np.float32)
    return StationRecord(source, sensor_id, start_ns, filtered, tuple(live.tolist()))
