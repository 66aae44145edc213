"""Waveform files other than miniSEED (SAC, GSE2, full SEED...), read whole by obspy."""

from __future__ import annotations

import glob
import logging
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer import trial
from scperformer.io.mseed import ChannelSpan
from scperformer.io.pieces import Run
from scperformer.types import NS_PER_S, SeedId

_log = logging.getLogger(__name__)

_RATES_HZ = (1e-3, 1e6)


def look_into(path: Path) -> list[ChannelSpan]:
    """Find the channels of a file and their spans; empty if obspy cannot read it."""
    fault = trial.fault(f"{__name__}:read_all", path)
    if fault:
        _log.warning("%s: %s", path, fault)
        return []
    spans: dict[SeedId, ChannelSpan] = {}
    for run in _runs(path, headers_only=True):
        start, n_samples = int(run.starts_ns[0]), int(run.counts[0])
        end = start + round(n_samples * NS_PER_S / run.rate_hz)
        known = spans.get(run.seed_id)
        if known is not None:
            start, end = min(start, known.start_ns), max(end, known.end_ns)
        spans[run.seed_id] = ChannelSpan(run.seed_id, run.rate_hz, start, end)
    return [spans[seed_id] for seed_id in sorted(spans)]


def read_all(path: Path) -> list[Run]:
    """Read the samples of all channels."""
    return list(_runs(path, headers_only=False))


def read_channels(path: Path, seed_ids: Collection[SeedId]) -> list[Run]:
    """Read the samples of some channels."""
    return [run for run in _runs(path, headers_only=False) if run.seed_id in seed_ids]


def _runs(path: Path, *, headers_only: bool) -> Iterator[Run]:
    import obspy  # noqa: PLC0415 - slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            stream = obspy.read(glob.escape(str(path.absolute())), headonly=headers_only)
            traces = list(stream if headers_only else stream.split())
            starts_ns = [np.array([trace.stats.starttime.ns], np.int64) for trace in traces]
        except Exception:  # one of obspy's forty readers fell over a file that is not its own
            return
    for trace, starts in zip(traces, starts_ns, strict=True):
        stats = trace.stats
        samples = _plain(trace.data)
        has_rate = _RATES_HZ[0] <= stats.sampling_rate <= _RATES_HZ[1]
        if stats.npts > 0 and has_rate and samples is not None:
            seed_id = SeedId(stats.network, stats.station, stats.location, stats.channel)
            counts = np.array([stats.npts], np.int64)
            yield Run(seed_id, float(stats.sampling_rate), starts, counts, samples)


def _plain(samples: NDArray[Any]) -> NDArray[np.generic] | None:
    """Bring samples to int32, float32 or float64; None if they are no numbers."""
    if samples.dtype.kind not in "iuf":
        return None
    return np.ascontiguousarray(samples).astype(_plain_type(samples.dtype), copy=False)


def _plain_type(dtype: np.dtype[Any]) -> type[np.generic]:
    if dtype.kind == "f":
        return np.float32 if dtype.itemsize == 4 else np.float64
    fits = dtype.itemsize < 4 or (dtype.itemsize == 4 and dtype.kind == "i")
    return np.int32 if fits else np.float64
