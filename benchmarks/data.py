"""Data to measure with: a record, archives that repeat it, and windows for the networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import shared_folder
from scperformer.config import DEFAULT_FILTER
from scperformer.core.filters import parse_filter
from scperformer.core.inference import gather
from scperformer.core.windows import Segment, WindowRun
from scperformer.stft import HOP_SAMPLES
from scperformer.types import (
    N_COMPONENTS,
    WINDOW_SAMPLES,
    Classifier,
    WindowBatch,
    WindowInput,
)
from scperformer.waveforms.archive import index_inputs

RATE_HZ = 100.0
RECORD_BYTES = 512
DAY_H = 24.0
START = "2020-01-01T00:00:00"
STATION = "BENCH"
_STATION_FIELD = slice(8, 13)
_DAY_FIELD = slice(22, 24)
_REAL_STATION = "CI.TOW2.*"


def record_trace() -> tuple[NDArray[np.int32], str]:
    """Return (3, n) samples at 100 Hz, real ones if they are there, and where they are from."""
    shared = shared_folder()
    folder = None if shared is None else shared / "data" / "continuous" / "ridgecrest"
    if folder is not None and (traces := real_traces(*sorted(folder.glob(_REAL_STATION)))):
        return traces[0], "CI.TOW2, Ridgecrest 2019-07-04, 80 minutes repeated"
    return synthetic_trace(), "synthetic, ten minutes repeated"


def synthetic_trace() -> NDArray[np.int32]:
    """Ten minutes of noise with an event a minute, (3, 60000)."""
    random = np.random.default_rng(0)
    trace = random.normal(scale=100.0, size=(3, 60_000))
    for first in range(3000, 60_000, 6000):
        trace[:, first : first + 1500] += random.normal(size=(3, 1500)) * np.geomspace(
            5000.0, 50.0, 1500
        )
    return trace.astype(np.int32)


def real_traces(*paths: Path) -> list[NDArray[np.int32]]:
    """Read every sensor with three components from files and folders, each (3, n)."""
    return list(_read(paths))


def _read(paths: Sequence[Path]) -> Iterator[NDArray[np.int32]]:
    for group in index_inputs(paths).groups:
        parts: dict[str, list[NDArray[np.generic]]] = {}
        for record in group.records():
            parts.setdefault(record.seed_id.component, []).append(record.samples)
        traces = [np.concatenate(part) for _, part in sorted(parts.items())]
        if len(traces) == 3:
            length = min(map(len, traces))
            yield np.stack([trace[:length] for trace in traces]).astype(np.int32)


def write_archive(
    folder: Path, trace: NDArray[np.int32], hours: float, *, stations: int = 1
) -> Path:
    """Write an archive of STEIM2 records of 512 bytes, three components a station.

    One piece is written by ObsPy; what differs in its copies, the station code and the day
    of the year, is patched in the records' headers: ten days take no longer than copying.

    Args:
        folder: to be made.
        trace: (3, n) int32 at 100 Hz, repeated as often as needed.
        hours: length of each station's data: up to a day, or a number of days.
        stations: all have the same samples.

    Returns:
        The folder; a file a day and component.

    Raises:
        ValueError: a length that is not one of these.
    """
    if hours <= 0.0 or (hours > DAY_H and hours % DAY_H):
        raise ValueError(f"got {hours} h; wanted at most a day, or whole days")
    folder.mkdir(parents=True)
    names = [STATION] if stations == 1 else [f"S{number:04}" for number in range(stations)]
    for place, letter in enumerate("ENZ"):
        day = _encoded(folder, trace[place], min(hours, DAY_H), letter)
        for name in names:
            _write_days(folder, day, letter, name, hours)
    return folder


def write_short(folder: Path, trace: NDArray[np.int32]) -> Path:
    """Write twelve seconds of one station: a scan of it is all start-up."""
    return write_archive(folder, trace, 12.0 / 3600.0)


def _encoded(
    folder: Path, samples: NDArray[np.int32], hours: float, letter: str
) -> NDArray[np.uint8]:
    """Return (n_records, 512) bytes."""
    import obspy  # noqa: PLC0415 - slow to import

    n = round(hours * 3600.0 * RATE_HZ)
    header = {
        "network": "XX",
        "station": STATION,
        "channel": f"HH{letter}",
        "sampling_rate": RATE_HZ,
        "starttime": obspy.UTCDateTime(START),
    }
    path = folder / "piece"
    obspy.Trace(np.resize(samples, n), header=header).write(
        str(path), format="MSEED", encoding="STEIM2", reclen=RECORD_BYTES
    )
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, RECORD_BYTES)
    path.unlink()
    return records


def _write_days(
    folder: Path, records: NDArray[np.uint8], letter: str, station: str, hours: float
) -> None:
    records = records.copy()
    records[:, _STATION_FIELD] = np.frombuffer(station.ljust(5).encode("ascii"), np.uint8)
    for number in range(max(1, round(hours / DAY_H))):
        day = number + 1
        records[:, _DAY_FIELD] = np.frombuffer(day.to_bytes(2, "big"), np.uint8)
        (folder / f"XX.{station}..HH{letter}.D.2020.{day:03}").write_bytes(records.tobytes())


SHIFT_SAMPLES = HOP_SAMPLES


@dataclass(frozen=True, slots=True, eq=False)
class WindowSet:
    """Consecutive windows of one station at shift 16.

    Attributes:
        samples: (3, m) float32, filtered; window i begins at sample 16 i.
        n_windows: how many.
    """

    samples: NDArray[np.float32]
    n_windows: int

    def batches(self, batch_size: int, window_input: WindowInput) -> Iterator[WindowBatch]:
        """Yield batches; their columns and maxima are computed here."""
        for first in range(0, self.n_windows, batch_size):
            run = self._run(first, min(batch_size, self.n_windows - first))
            yield gather([run], SHIFT_SAMPLES, window_input).batch

    def classify(self, classifier: Classifier, batch_size: int) -> NDArray[np.float32]:
        """Answer all windows, spectrogram included, (n_windows, 3)."""
        batches = self.batches(batch_size, classifier.window_input)
        return np.concatenate([classifier.classify(batch) for batch in batches])

    def cut(self) -> NDArray[np.float32]:
        """Return (n_windows, 400, 3) windows, for a network that shares nothing."""
        views = np.lib.stride_tricks.sliding_window_view(self.samples, WINDOW_SAMPLES, axis=1)
        shifted = views[:, : self.n_windows * SHIFT_SAMPLES : SHIFT_SAMPLES]
        return np.ascontiguousarray(shifted.transpose(1, 2, 0))

    def _run(self, first: int, n: int) -> WindowRun:
        begin = first * SHIFT_SAMPLES
        return WindowRun(
            segment=Segment(begin),
            starts=begin + SHIFT_SAMPLES * np.arange(n, dtype=np.int64),
            samples=self.samples[:, begin : begin + _length(n)],
            present=np.ones((n, N_COMPONENTS), dtype=bool),
            run_start=np.zeros(N_COMPONENTS, dtype=np.int64),
            offset_ns=np.zeros(N_COMPONENTS, dtype=np.int64),
            letters=("N", "E", "Z"),
            raw=(None, None, None),
        )


def window_set(n_windows: int) -> WindowSet:
    """Filter as much of the record as so many windows need; it is repeated if too short."""
    trace, _ = record_trace()
    raw = np.stack([np.resize(row, _length(n_windows)) for row in trace]).astype(np.float64)
    state = parse_filter(DEFAULT_FILTER).start()
    state.prime(np.ones(N_COMPONENTS, dtype=bool), raw[:, 0])
    return WindowSet(state.process(raw).astype(np.float32), n_windows)


def _length(n_windows: int) -> int:
    return (n_windows - 1) * SHIFT_SAMPLES + WINDOW_SAMPLES
