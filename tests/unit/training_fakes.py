"""Synthetic records for the tests of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import obspy

from scperformer.datasets.records import StationRecord
from scperformer.errors import ConfigurationError
from scperformer.types import NS_PER_S, SensorId

T0 = obspy.UTCDateTime(2024, 1, 1)


def record(
    station: str = "AAA",
    *,
    start_s: float = 0.0,
    n: int = 3000,
    source: str = "folder",
    present: tuple[bool, bool, bool] = (True, True, True),
    seed: int = 0,
    event: str = "",
    split: str = "",
) -> StationRecord:
    samples = np.random.default_rng(seed).standard_normal((n, 3)).astype(np.float32)
    start_ns = T0.ns + round(start_s * NS_PER_S)
    sensor_id = SensorId("XX", station, "", "HH")
    samples *= np.array(present)
    return StationRecord(source, sensor_id, start_ns, samples, present, event, split)


def arrival(n: int, at: int, frequency_hz: float, rng: np.random.Generator) -> np.ndarray:
    """A wave that begins at sample `at` and fades over about a second."""
    time_s = (np.arange(n) - at) / 100.0
    wave = np.sin(2 * np.pi * frequency_hz * time_s + rng.uniform(0, 6))
    return np.where(time_s >= 0, wave * np.exp(-np.maximum(time_s, 0) / 0.8), 0.0)


def trace(samples: np.ndarray, channel: str, start: obspy.UTCDateTime, rate_hz: float = 100.0):
    station, code = channel.split(".")
    header = {
        "network": "XX",
        "station": station,
        "channel": code,
        "starttime": start,
        "sampling_rate": rate_hz,
    }
    return obspy.Trace(samples.astype(np.float32), header)


def write_folder(folder: Path, *, records: int = 8, seconds: int = 20) -> None:
    """Write three-component records of synthetic events with their picks."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    n = seconds * 100
    rows = ["file,network,station,p_time,s_time"]
    for number in range(records):
        start = T0 + 60 * number
        p, s = n // 2 - 150, n // 2 + 150
        noise = 0.05 * rng.standard_normal((3, n))
        p_wave, s_wave = arrival(n, p, 12.0, rng), arrival(n, s, 5.0, rng)
        ground = noise + np.outer([0.3, 0.3, 1.0], p_wave) + np.outer([2.0, 1.5, 0.4], s_wave)
        stream = obspy.Stream(
            [trace(1e4 * ground[i], f"ST{number % 3}.HH{c}", start) for i, c in enumerate("NEZ")]
        )
        name = f"record{number}.mseed"
        stream.write(str(folder / name), format="MSEED")
        rows.append(f"{name},XX,ST{number % 3},{start + p / 100},{start + s / 100}")
    (folder / "picks.csv").write_text("\n".join(rows) + "\n")


class Numbers:
    """Makes its number, from which the test knows the order."""

    def make(self, number: int) -> int:
        if number == 5:
            raise ConfigurationError("five")
        return number
