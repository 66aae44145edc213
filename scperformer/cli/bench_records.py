"""Records to measure with: stations that play a synthetic trace round and round.

Everything is in 512-byte records of miniSEED 2, Steim2, as data loggers send them. The trace is
packed once; a station's copy differs in its code, and in where and when it begins.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.types import SAMPLE_NS, SAMPLING_RATE_HZ

RECORD_BYTES = 512
TRACE_S = 600.0
LETTERS = ("E", "N", "Z")

_S_MINUS_P_S = 4.0
_RISE_S, _DECAY_S = 0.05, 2.0
_STEP_SAMPLES = 377
_MS_PER_DAY = 86_400_000
_BTIME = np.dtype(
    [("year", ">u2"), ("day", ">u2"), ("hms", "u1", 3), ("rest", "u1"), ("fraction", ">u2")]
)


def synthetic_trace(event_every_s: float = 60.0) -> NDArray[np.int32]:
    """Ten minutes of noise with small local earthquakes, (3, 60000): E, N, Z; counts."""
    random = np.random.default_rng(0)
    n = round(TRACE_S * SAMPLING_RATE_HZ)
    trace = 100.0 * random.normal(size=(3, n)) + 300.0 * _band(random, (3, n), 0.1, 1.0)
    for p_s in np.arange(0.5 * event_every_s, TRACE_S, event_every_s):
        p = _arrival(random, n, p_s, (3.0, 18.0))
        s = _arrival(random, n, p_s + _S_MINUS_P_S, (2.0, 10.0))
        trace += 3000.0 * np.array([[0.2], [0.2], [1.0]]) * p
        trace += 6000.0 * np.array([[1.0], [0.8], [0.3]]) * s
    return trace.astype(np.int32)


def _arrival(
    random: np.random.Generator, n: int, onset_s: float, band_hz: tuple[float, float]
) -> NDArray[np.float64]:
    """Band-limited noise that sets in and decays, (3, n), about 1 at its onset."""
    since_s = np.arange(n) / SAMPLING_RATE_HZ - onset_s
    rise = np.clip(since_s / _RISE_S, 0.0, 1.0)
    envelope = rise * np.where(since_s > 0.0, np.exp(-np.maximum(since_s, 0.0) / _DECAY_S), 0.0)
    noise = _band(random, (3, n), *band_hz)
    return np.asarray(envelope * noise)


def _band(
    random: np.random.Generator, shape: tuple[int, int], low_hz: float, high_hz: float
) -> NDArray[np.float64]:
    """Noise of unit variance between two frequencies."""
    spectrum = np.fft.rfft(random.normal(size=shape))
    frequency_hz = np.fft.rfftfreq(shape[1], 1.0 / SAMPLING_RATE_HZ)
    spectrum[:, (frequency_hz < low_hz) | (frequency_hz > high_hz)] = 0.0
    noise = np.fft.irfft(spectrum, shape[1])
    return np.asarray(noise / noise.std())


@dataclass(frozen=True, slots=True, eq=False)
class _Component:
    """A component's records (n, 512), and where they begin and end in the trace, in samples."""

    records: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class Network:
    """So many stations ``XX.00000``, three components at 100 Hz each.

    Args:
        n_stations: how many.
        start_ns: when their data begin; whole hundredths of a second.
        trace: (3, n) samples E, N, Z, repeated for ever.

    Attributes:
        record_s: mean length of a record.
    """

    def __init__(self, n_stations: int, start_ns: int, trace: NDArray[np.int32]) -> None:
        self.start_ns = start_ns
        self._n_stations = n_stations
        self._n_samples = trace.shape[1]
        self._components = [
            _packed(own, letter) for own, letter in zip(trace, LETTERS, strict=True)
        ]
        n_records = sum(len(one.records) for one in self._components)
        self.record_s = trace.size / SAMPLING_RATE_HZ / n_records
        self._codes = np.array([f"{n:05}".encode() for n in range(n_stations)], "S5")

    def seconds(self, first_s: float, end_s: float) -> bytes:
        """Return the records that are complete within a span of time, in that order."""
        parts = [self._of(one, first_s, end_s) for one in self._components]
        records = np.concatenate([records for records, _ in parts])
        complete = np.concatenate([complete for _, complete in parts])
        return records[np.argsort(complete, kind="stable")].tobytes()

    def _of(
        self, one: _Component, first_s: float, end_s: float
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return a component's records, (n, 512), and when each is complete, in samples."""
        begin = np.arange(self._n_stations) * _STEP_SAMPLES % self._n_samples
        first, end = (round(s * SAMPLING_RATE_HZ) for s in (first_s, end_s))
        n_rounds = (end + self._n_samples) // self._n_samples + 1
        unrolled = np.arange(n_rounds)[:, None] * self._n_samples
        starts, ends = ((unrolled + own).ravel() for own in (one.starts, one.ends))
        low = np.searchsorted(ends, begin + first, side="right")
        low = np.maximum(low, np.searchsorted(starts, begin, side="left"))
        high = np.searchsorted(ends, begin + end, side="right")
        counts = np.maximum(high - low, 0)
        station = np.repeat(np.arange(self._n_stations), counts)
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        number += np.repeat(low, counts)
        records = one.records[number % len(one.records)]
        records[:, 8:13] = self._codes[station].view(np.uint8).reshape(-1, 5)
        records[:, 20:30] = _times(self.start_ns, starts[number] - begin[station])
        return records, ends[number] - begin[station]


def _packed(samples: NDArray[np.int32], letter: str) -> _Component:
    import obspy  # noqa: PLC0415 - slow to import

    header = {"network": "XX", "station": "00000", "channel": f"HH{letter}"}
    trace = obspy.Trace(samples, header={**header, "sampling_rate": SAMPLING_RATE_HZ})
    file = io.BytesIO()
    trace.write(file, format="MSEED", encoding="STEIM2", reclen=RECORD_BYTES)
    records = np.frombuffer(file.getvalue(), np.uint8).reshape(-1, RECORD_BYTES)
    ends = np.cumsum(records[:, 30:32].copy().view(">u2")[:, 0].astype(np.int64))
    return _Component(records, np.concatenate([[0], ends[:-1]]), ends)


def _times(start_ns: int, samples: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the times of samples as records have them, (n, 10) bytes."""
    ms = np.datetime64(start_ns // 1_000_000, "ms") + samples * (SAMPLE_NS // 1_000_000)
    years = ms.astype("datetime64[Y]")
    days, rest = np.divmod((ms - years).astype(np.int64), _MS_PER_DAY)
    times = np.zeros(len(samples), _BTIME)
    times["year"], times["day"] = years.astype(np.int64) + 1970, days + 1
    seconds, times["fraction"] = rest // 1000, rest % 1000 * 10
    times["hms"] = np.stack([seconds // 3600, seconds // 60 % 60, seconds % 60], axis=-1)
    return times.view(np.uint8).reshape(-1, _BTIME.itemsize)
