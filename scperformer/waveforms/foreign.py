"""Waveform files other than miniSEED (SAC, GSE2, full SEED...), read whole by obspy.

obspy's own detection tries every format that is installed, and one of them is a pickle:
a file that merely says so at its beginning is run as a program. Here a format counts
only if it is on a list of ours: waveforms alone, in the file itself, nothing unpacked and
nothing run. How much is read is bounded, too.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer import trial
from scperformer.errors import InputError
from scperformer.types import NS_PER_S, SeedId
from scperformer.waveforms.cutting import DecodedRecords
from scperformer.waveforms.mseed import ChannelSpan, joined
from scperformer.waveforms.mseed_headers import RATES_HZ

FORMATS = (
    "MSEED", "SAC", "GSE2", "SEISAN", "SACXY", "GSE1", "Q", "SH_ASC", "SLIST", "TSPAIR", "SEGY",
    "SEG2", "AH", "PDAS", "KINEMETRICS_EVT", "GCF", "KNET", "REFTEK130", "DMX", "Y", "WIN",
)  # fmt: skip
"""obspy's names, in the order in which they are tried: telling ones before vague ones.

miniSEED comes here only if its records lack the blockette 1000.
"""

MOST_BYTES = 1 << 28
_ONE_AT_A_TIME = threading.Lock()  # readers in C keep what is one for all threads
_MOST_SAMPLES_PER_BYTE = 16
# What a damaged header says beyond these is no record of anything.
_TIMES_NS = (-(1 << 62), 1 << 62)


def look_into(path: Path) -> list[ChannelSpan]:
    """Find the channels of a file and their spans; empty if it is of no known format.

    Raises:
        InputError: the file is too large, or promises more samples than it can hold.
    """
    spans = []
    for channel in _decoded(path, headers_only=True):
        start, n_samples = int(channel.starts_ns[0]), int(channel.counts[0])
        end = start + round(n_samples * NS_PER_S / channel.rate_hz)
        spans.append(ChannelSpan(channel.seed_id, channel.rate_hz, start, end))
    return joined(spans)


def read_channels(path: Path, seed_ids: Collection[SeedId]) -> list[DecodedRecords]:
    """Read the samples of some channels.

    Raises:
        InputError: the file is too large, or promises more samples than it can hold.
    """
    return [
        decoded for decoded in _decoded(path, headers_only=False) if decoded.seed_id in seed_ids
    ]


def _read_stream(path: Path, *, headers_only: bool) -> Any:
    """Read a file of one of the `FORMATS`: the one way to obspy's readers in this house.

    Args:
        path: the file, not packed.
        headers_only: leave the samples out where the format allows it.

    Returns:
        obspy's stream, gaps split; None if the file is of none of the formats, or is damaged.

    Raises:
        OSError: the file cannot be read.
        InputError: the file is too large, promises more samples than it can hold, or ends
            the process that reads it.
    """
    n_bytes = path.stat().st_size
    if n_bytes > MOST_BYTES:
        raise InputError(f"{n_bytes >> 20} MiB that are not miniSEED; read whole are "
                         f"at most {MOST_BYTES >> 20}")  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = _format_of(path)
        if name is None:
            return None
        if fault := _fault(path, path.stat().st_mtime_ns):
            raise InputError(fault)
        with _ONE_AT_A_TIME:
            return _read_bounded(path, name, headers_only=headers_only)


def read_untried(path: Path) -> None:
    """Read a file as `_read_stream` does, in a process that may end of it."""
    name = _format_of(path)
    if name is not None:
        _read_bounded(path, name, headers_only=False)


@lru_cache(maxsize=256)
def _fault(path: Path, _changed_ns: int) -> str:
    """Say what became of a process that read a file; obspy's readers in C can crash of it."""
    return trial.fault(f"{__name__}:{read_untried.__name__}", path)


def _read_bounded(path: Path, name: str, *, headers_only: bool) -> Any:
    n_bytes = path.stat().st_size
    headers = _read(path, name, headers_only=True)
    n_samples = 0 if headers is None else sum(int(trace.stats.npts) for trace in headers)
    if n_samples > n_bytes * _MOST_SAMPLES_PER_BYTE:
        raise InputError(f"{n_samples} samples promised in {n_bytes} bytes ({name})")
    return headers if headers_only else _read(path, name, headers_only=False)


def _format_of(path: Path) -> str | None:
    """Name the first of the formats that takes a file for its own."""
    return next((name for name in FORMATS if _says_yes(path, name)), None)


def _says_yes(path: Path, name: str) -> bool:
    try:
        return bool(_function(name, "isFormat")(str(path.absolute())))
    except Exception:  # a detector that falls over a file does not know it
        return False


def _read(path: Path, name: str, *, headers_only: bool) -> Any:
    try:
        stream = _function(name, "readFormat")(str(path.absolute()), headonly=headers_only)
        return stream if headers_only else stream.split()
    except Exception:  # obspy's readers raise whatever they like
        return None


def _function(name: str, what: str) -> Any:
    from obspy.core.util.base import ENTRY_POINTS  # noqa: PLC0415 - slow to import
    from obspy.core.util.misc import buffered_load_entry_point  # noqa: PLC0415

    entry = ENTRY_POINTS["waveform"][name]
    return buffered_load_entry_point(entry.dist.name, f"obspy.plugin.waveform.{name}", what)


def _decoded(path: Path, *, headers_only: bool) -> Iterator[DecodedRecords]:
    for trace in _read_stream(path, headers_only=headers_only) or ():
        stats = trace.stats
        samples = plain_samples(trace.data)
        start_ns, n_samples = int(stats.starttime.ns), int(stats.npts)
        rate_hz = float(stats.sampling_rate)
        if samples is None or n_samples <= 0 or not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
            continue
        if not _TIMES_NS[0] <= start_ns <= _TIMES_NS[1] - n_samples * NS_PER_S / rate_hz:
            continue
        seed_id = SeedId(stats.network, stats.station, stats.location, stats.channel)
        starts, counts = np.array([start_ns], np.int64), np.array([n_samples], np.int64)
        yield DecodedRecords(seed_id, rate_hz, starts, counts, samples)


def plain_samples(samples: NDArray[Any]) -> NDArray[np.generic] | None:
    """Bring samples to int32, float32 or float64; None if they are no numbers."""
    if samples.dtype.kind not in "iuf":
        return None
    kind, n_bytes = samples.dtype.kind, samples.dtype.itemsize
    dtype: type[np.generic] = np.float64
    if kind == "f" and n_bytes == 4:
        dtype = np.float32
    elif kind != "f" and (n_bytes < 4 or (n_bytes == 4 and kind == "i")):
        dtype = np.int32
    return np.ascontiguousarray(samples).astype(dtype, copy=False)
