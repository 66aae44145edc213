"""Data sets in SeisBench's layout, read without SeisBench and without torch.

A folder with ``metadata.csv`` and ``waveforms.hdf5``, or with one pair for each chunk.
A row of the table is a trace; its name leads into the HDF5 file, to an array of its own
or, as ``bucket12$5,:3,:6000``, into one that it shares with others. Described at
https://seisbench.readthedocs.io, "The SeisBench data format".
"""

from __future__ import annotations

import csv
import importlib
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from scperformer import hdf5
from scperformer.atomic import Closing
from scperformer.core.pipeline import HIGHEST_RATE_HZ, LOWEST_RATE_HZ
from scperformer.errors import InputError, RecordError
from scperformer.naming import component_places
from scperformer.types import CLASSES, NS_PER_S, Phase, Pick, Record, SeedId, SensorId, parse_time

CACHE_VARIABLE = "SEISBENCH_CACHE_ROOT"
_ARRIVAL = re.compile(r"trace_(\w+?)_arrival_sample")
_PHASE = re.compile(r"([PS])[gnb1]?", re.IGNORECASE)
_CACHE_BYTES = 64 * 2**20
_LARGEST_FIELD = 2**20
_LATEST_NS = 2**62
_WANTED = (
    "wanted a folder in SeisBench's layout, with metadata.csv and waveforms.hdf5 or with such a "
    "pair for each chunk"
)


@dataclass(frozen=True, slots=True)
class TraceRow:
    """A trace as the table describes it.

    Attributes:
        name: name of the trace, which leads to its samples.
        chunk: the chunk that it is in, often empty.
        network, station, location: codes, empty where unknown.
        band_instrument: channel code without the component, such as ``HH``.
        start_ns: time of the first sample, 0 if unknown.
        sampling_rate_hz: 0 if only the HDF5 file knows.
        letters: component letters in the order of the rows, empty if only the file knows.
        arrivals: (class, sample) of each arrival; class -1 for phases other than P and S.
        event: the earthquake, empty if unknown or none.
        split: as the table says, empty where it does not.
    """

    name: str
    chunk: str
    network: str
    station: str
    location: str
    band_instrument: str
    start_ns: int
    sampling_rate_hz: float
    letters: str
    arrivals: tuple[tuple[int, float], ...]
    event: str
    split: str

    @property
    def full_name(self) -> str:
        """The name behind its chunk's: names of different chunks may be equal."""
        return f"{self.chunk}/{self.name}" if self.chunk else self.name

    def time_ns(self, sample: float, rate_hz: float) -> int:
        """Return the time of a sample, which may be a fraction."""
        return self.start_ns + round(sample * NS_PER_S / rate_hz)

    def picks(self, n_samples: int, rate_hz: float) -> list[Pick]:
        """Return the arrivals of P and S that lie in the trace, as picks of its station."""
        seed_id = SeedId(self.network, self.station, "", "")
        return [
            Pick(
                self.time_ns(sample, rate_hz),
                Phase(CLASSES[kind]),
                seed_id,
                event=self.event,
                file=self.full_name,
            )
            for kind, sample in self.arrivals
            if kind >= 0 and 0.0 <= sample < n_samples
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """Samples of a trace: (n_components, n), their letters and rate."""

    samples: NDArray[np.float32]
    letters: str
    sampling_rate_hz: float


class SeisBenchData(Closing):
    """An open data set; a context manager.

    Args:
        folder: where it lies.

    Raises:
        InputError: no data set there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._chunks = _chunks(folder)
        self._stack = ExitStack()
        self._files: dict[str, h5py.File] = {}
        self._faults: dict[str, InputError] = {}

    def close(self) -> None:
        self._stack.close()

    def columns(self) -> set[str]:
        """Return the names of the tables' columns.

        Raises:
            InputError: a table cannot be read.
        """
        found: set[str] = set()
        for chunk in self._chunks:
            with self._table(chunk) as reader:
                found.update(reader.fieldnames or ())
        return found

    def rows(self) -> Iterator[TraceRow]:
        """Yield the traces in the order of the tables, one at a time.

        Raises:
            InputError: a table cannot be read.
        """
        for chunk in self._chunks:
            with self._table(chunk) as reader:
                columns = _arrival_columns(reader.fieldnames or ())
                for row in reader:
                    yield _trace_row(row, chunk, columns)

    @contextmanager
    def _table(self, chunk: str) -> Iterator[csv.DictReader[str]]:
        csv.field_size_limit(_LARGEST_FIELD)
        path = self.folder / f"metadata{chunk}.csv"
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                reader = csv.DictReader(file)
                if "trace_name" not in (reader.fieldnames or ()):
                    raise InputError(f"{path}: no column trace_name; {_WANTED}")
                yield reader
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: cannot be read ({error}); {_WANTED}") from error

    def waveform(self, row: TraceRow) -> Waveform:
        """Read the samples of a trace.

        Raises:
            RecordError: there are none of that name, or they cannot be understood.
            InputError: the HDF5 file cannot be opened.
        """
        file = self._file(row.chunk)
        block, _, place = row.name.partition("$")
        try:
            data = file["data"][block]
            hdf5.check_size(data)
            samples = np.asarray(data[_location(place)] if place else data[()], np.float32)
            order = _text(file, "dimension_order", "CW")
            letters = row.letters or _text(file, "component_order", "ZNE")
            rate_hz = row.sampling_rate_hz or _number(file, "sampling_rate")
        except hdf5.DAMAGED as error:
            raise RecordError(f"{row.name}: cannot be read ({error!r})") from error
        if samples.ndim != 2 or sorted(order) != ["C", "W"]:
            raise RecordError(f"{row.name}: shape {samples.shape} in the order {order!r}")
        if order == "WC":
            samples = samples.T
        if len(samples) > len(letters) or not rate_hz > 0.0:
            raise RecordError(f"{row.name}: {len(samples)} components {letters!r}, {rate_hz} Hz")
        return Waveform(samples, letters[: len(samples)], rate_hz)

    def records(self, row: TraceRow) -> list[Record]:
        """Read a trace: a record for each component that the networks know.

        Raises:
            RecordError: as `waveform` and `trace_records`.
            InputError: the HDF5 file cannot be opened.
        """
        return trace_records(row, self.waveform(row))

    def _file(self, chunk: str) -> h5py.File:
        if chunk in self._faults:
            raise self._faults[chunk]
        if chunk not in self._files:
            try:
                self._files[chunk] = self._stack.enter_context(self._opened(chunk))
            except InputError as error:
                self._faults[chunk] = error
                raise
        return self._files[chunk]

    def _opened(self, chunk: str) -> h5py.File:
        path = self.folder / f"waveforms{chunk}.hdf5"
        fault = hdf5.trial_fault(path) if path.is_file() else ""
        if fault:
            raise InputError(f"{path}: a damaged HDF5 file: {fault}; copy it again")
        try:
            return h5py.File(path, "r", rdcc_nbytes=_CACHE_BYTES)
        except OSError as error:
            raise InputError(f"{path}: cannot be opened ({error}); {_WANTED}") from error


def trace_records(row: TraceRow, waveform: Waveform) -> list[Record]:
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


def is_data_set(folder: Path) -> bool:
    """Tell whether a folder holds a data set in SeisBench's layout."""
    try:
        chunks = _chunks(folder)
    except (InputError, OSError, UnicodeDecodeError):
        return False
    names = "metadata{}.csv", "waveforms{}.hdf5"
    return any(all((folder / name.format(c)).is_file() for name in names) for c in chunks)


def has_splits(folder: Path) -> bool:
    """Tell whether the tables of a data set have a column ``split``.

    Raises:
        InputError: a table cannot be read.
    """
    with SeisBenchData(folder) as data:
        return "split" in data.columns()


def find_data_set(name: str) -> Path:
    """Return the folder of a data set.

    Args:
        name: the folder itself, or a name that SeisBench knows, such as ``ETHZ``. It is
            looked for where SeisBench keeps its data sets; if it is not there, SeisBench
            downloads it, if it is installed.

    Raises:
        InputError: no such folder, and SeisBench is not installed or has no such data set.
    """
    folder = Path(name)
    if folder.is_dir():
        return folder
    root = Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".seisbench")
    cached = root / "datasets" / name.lower()
    if cached.is_dir():
        return cached
    try:
        # It brings torch along, and is needed for downloading only.
        theirs = importlib.import_module("seisbench.data")
    except ImportError as error:
        raise InputError(
            f"{name}: no such folder, and no data set of that name in {cached.parent}; {_WANTED}. "
            "SeisBench can download it: pip install 'scperformer[seisbench]'"
        ) from error
    known = getattr(theirs, name, None)
    if not isinstance(known, type):
        raise InputError(f"{name}: no such folder, and SeisBench has no data set of that name")
    return Path(known().path)


def _chunks(folder: Path) -> list[str]:
    listed = folder / "chunks"
    if listed.is_file():
        names = [line.strip() for line in listed.read_text(encoding="utf-8-sig").splitlines()]
        if any(names):
            return [name for name in names if name]
    tables = {path.stem.removeprefix("metadata") for path in folder.glob("metadata*.csv")}
    files = {path.stem.removeprefix("waveforms") for path in folder.glob("waveforms*.hdf5")}
    if not tables & files:
        raise InputError(f"{folder}: no metadata*.csv with its waveforms*.hdf5; {_WANTED}")
    return sorted(tables & files)


def _arrival_columns(names: Any) -> dict[str, int]:
    """Return the columns that hold arrivals, with the class of each."""
    columns = {}
    for name in names:
        found = _ARRIVAL.fullmatch(name)
        if found:
            phase = _PHASE.fullmatch(found.group(1))
            columns[name] = CLASSES.index(phase.group(1).upper()) if phase else -1
    return columns


def _trace_row(row: Mapping[str, str], chunk: str, columns: Mapping[str, int]) -> TraceRow:
    rate_hz = _float(row.get("trace_sampling_rate_hz"))
    dt_s = _float(row.get("trace_dt_s"))
    if math.isnan(rate_hz):
        rate_hz = 0.0 if math.isnan(dt_s) or dt_s <= 0.0 else 1.0 / dt_s
    arrivals = [(kind, _float(row.get(name))) for name, kind in columns.items()]
    known = {(kind, sample) for kind, sample in arrivals if math.isfinite(sample)}
    channel = row.get("trace_channel") or row.get("station_channel") or ""

    def text(*names: str) -> str:
        """The first of these columns that says anything."""
        return next((said for name in names if (said := (row.get(name) or "").strip())), "")

    return TraceRow(
        name=row["trace_name"] or "",
        chunk=chunk,
        network=text("station_network_code"),
        station=text("station_code"),
        location=text("station_location_code"),
        band_instrument=channel.strip()[:2] or "HH",
        start_ns=_time(row.get("trace_start_time")),
        sampling_rate_hz=rate_hz,
        letters=text("trace_component_order"),
        arrivals=tuple(sorted(known)),
        event=text("source_id", "source_event_id", "event_id", "source_origin_time"),
        split=text("split").lower(),
    )


def _time(text: str | None) -> int:
    """Read a time; most data sets have one, but in more than one way of writing."""
    try:
        time_ns = parse_time((text or "").replace("/", "-"))
    except ValueError:
        return 0
    return time_ns if abs(time_ns) < _LATEST_NS else 0


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _location(place: str) -> tuple[int | slice, ...]:
    """Read numpy's notation of a place in an array, ``5,:3,:6000``."""
    parts: list[int | slice] = []
    for part in place.split(","):
        if ":" in part:
            bounds = [int(bound) if bound.strip() else None for bound in part.split(":")]
            parts.append(slice(*bounds))
        else:
            parts.append(int(part))
    return tuple(parts)


def _text(file: h5py.File, name: str, default: str) -> str:
    value = file["data_format"][name][()] if name in file.get("data_format", ()) else default
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return value
    return "".join(part.decode() if isinstance(part, bytes) else str(part) for part in value)


def _number(file: h5py.File, name: str) -> float:
    found = name in file.get("data_format", ())
    return float(file["data_format"][name][()]) if found else math.nan
