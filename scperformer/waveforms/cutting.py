"""Decoded samples cut into records of a handy length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.types import NS_PER_S, Record, SeedId

RECORD_S = 60.0

# A sample a quarter of an hour, cut every minute, would be nothing but cuts.
_LEAST_SAMPLES = 16

# Records whose times fit to a quarter of a sample follow on without a break.
_FIT_SAMPLES = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class DecodedRecords:
    """Samples of one channel, rate and dtype, as the records of a file gave them.

    Attributes:
        seed_id: the channel.
        rate_hz: sampling rate.
        starts_ns: (n_records,) int64, time of each record's first sample, ascending.
        counts: (n_records,) int64, samples of each record.
        samples: (counts.sum(),) the samples of all records, one after the other.
    """

    seed_id: SeedId
    rate_hz: float
    starts_ns: NDArray[np.int64]
    counts: NDArray[np.int64]
    samples: NDArray[np.generic]


def cut_records(decoded: DecodedRecords, *, record_s: float = RECORD_S) -> Iterator[Record]:
    """Cut decoded records where the time passes a multiple of `record_s`, and at gaps.

    The cuts stand on the clock, so that the records of several components begin
    together. A record takes its time from the one that its first sample came in,
    never from counting samples over many records: a clock that drifts stays true.
    A record is long enough for 16 samples. The samples are views.
    """
    if not len(decoded.samples):
        return
    period_ns = NS_PER_S / decoded.rate_hz
    record_ns = max(round(record_s * NS_PER_S), round(_LEAST_SAMPLES * period_ns))
    firsts = np.cumsum(decoded.counts) - decoded.counts
    first_cells = decoded.starts_ns // record_ns
    lengths_ns = np.rint((decoded.counts - 1) * period_ns).astype(np.int64)
    last_cells = (decoded.starts_ns + lengths_ns) // record_ns
    off_ns = decoded.starts_ns[1:] - (decoded.starts_ns + lengths_ns)[:-1] - period_ns
    begins = np.ones(len(firsts), np.bool_)
    begins[1:] = (np.abs(off_ns) > _FIT_SAMPLES * period_ns) | (first_cells[1:] > last_cells[:-1])
    inside, at = _grid_cuts(decoded.starts_ns, first_cells, last_cells, record_ns, period_ns)
    good = (at > 0) & (at < decoded.counts[inside])
    inside, at = inside[good], at[good]
    times_ns = decoded.starts_ns[inside] + np.rint(at * period_ns).astype(np.int64)
    cuts = np.concatenate([firsts[begins], firsts[inside] + at])
    starts_ns = np.concatenate([decoded.starts_ns[begins], times_ns])
    cuts, keep = np.unique(cuts, return_index=True)
    ends = np.append(cuts[1:], len(decoded.samples))
    for begin, end, start_ns in zip(
        cuts.tolist(), ends.tolist(), starts_ns[keep].tolist(), strict=True
    ):
        yield Record(decoded.seed_id, start_ns, decoded.rate_hz, decoded.samples[begin:end])


def _grid_cuts(
    starts_ns: NDArray[np.int64],
    first_cells: NDArray[np.int64],
    last_cells: NDArray[np.int64],
    record_ns: int,
    period_ns: float,
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Find where the grid falls inside records: which record, and which of its samples."""
    n_cuts = last_cells - first_cells
    inside = np.repeat(np.arange(len(n_cuts)), n_cuts)
    rank = np.arange(len(inside)) - np.repeat(np.cumsum(n_cuts) - n_cuts, n_cuts)
    cut_ns = (first_cells[inside] + 1 + rank) * record_ns
    # A sample that rounding puts a hair before the cut belongs behind it.
    at = np.ceil((cut_ns - starts_ns[inside]) / period_ns - 1e-3).astype(np.int64)
    return inside, at


def trim(
    records: Iterable[Record], *, start_ns: int | None, end_ns: int | None
) -> Iterator[Record]:
    """Keep the samples from `start_ns` up to, not including, `end_ns`."""
    for record in records:
        period_ns = NS_PER_S / record.sampling_rate_hz
        begin, end = 0, len(record.samples)
        if start_ns is not None and start_ns > record.start_ns:
            begin = int(np.ceil((start_ns - record.start_ns) / period_ns - 1e-3))
        if end_ns is not None and end_ns < record.end_ns:
            end = int(np.ceil((end_ns - record.start_ns) / period_ns - 1e-3))
        if begin == 0 and end == len(record.samples):
            yield record
        elif begin < end:
            first_ns = record.start_ns + round(begin * period_ns)
            samples = record.samples[begin:end]
            yield Record(record.seed_id, first_ns, record.sampling_rate_hz, samples)
