"""Archives of miniSEED for scans: one piece written by ObsPy, then copies of its records.

A copy differs in the station code and the day of the year alone, which are patched in
the records' headers: writing ten days takes no longer than copying them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import shared_folder
from benchmarks.stations import RATE_HZ, real_traces, synthetic_trace

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


def write_archive(
    folder: Path, trace: NDArray[np.int32], hours: float, *, stations: int = 1
) -> Path:
    """Write an archive of STEIM2 records of 512 bytes, three components a station.

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
