"""What tests of archives far away share: days of miniSEED, and what is read of pieces."""

from __future__ import annotations

import io
from collections import defaultdict

import numpy as np
import obspy

from scperformer.types import SeedId, parse_time
from scperformer.waveforms.patience import Patience

QUICK = Patience(
    n_attempts=3, first_pause_s=0.02, longest_pause_s=0.05, silence_s=30.0, answer_s=60.0
)
MIDNIGHT = parse_time("2024-03-02")
HOUR_NS = 3_600_000_000_000
CODES = tuple(f"XX.A..HH{letter}" for letter in "ENZ")


def mseed(codes=CODES, *, start_ns=MIDNIGHT - HOUR_NS // 2, hours=1.0, rate_hz=100.0, seed=0):
    """Channels with noise, one behind the other, in records of 512 bytes."""
    file = io.BytesIO()
    for number, code in enumerate(codes):
        channel = SeedId.parse(code)
        random = np.random.default_rng(seed + number)
        samples = random.normal(0, 20, round(hours * 3600 * rate_hz)).astype("i4")
        header = {
            "network": channel.network,
            "station": channel.station,
            "location": channel.location,
            "channel": channel.channel,
            "starttime": obspy.UTCDateTime(ns=start_ns),
            "sampling_rate": rate_hz,
        }
        obspy.Trace(samples, header).write(file, "MSEED", reclen=512)
    return file.getvalue()


def samples_of(group):
    """Each channel's times and samples, sorted; what comes twice stands once."""
    found = defaultdict(list)
    for record in group.records():
        step = round(1e9 / record.sampling_rate_hz)
        times = record.start_ns + step * np.arange(len(record.samples), dtype=np.int64)
        found[record.seed_id].append(np.stack([times, record.samples.astype(np.int64)], axis=1))
    return {channel: _in_order(np.concatenate(found[channel])) for channel in sorted(found)}


def _in_order(samples):
    return samples[np.unique(samples[:, 0], return_index=True)[1]]


def assert_equal(left, right):
    """The same pieces, channels, times and samples."""
    assert list(left) == list(right)
    for one, other in zip(left.values(), right.values(), strict=True):
        assert list(one) == list(other)
        for channel, samples in one.items():
            np.testing.assert_array_equal(samples, other[channel])


def read_pieces(pieces):
    """What the pieces say, what is read of them, and the problems told."""
    problems, read = [], {}
    for piece in pieces:
        with piece.material.open(piece.reading_span, report=problems.append) as group:
            read[piece.sensor_id, piece.start_ns, piece.end_ns] = samples_of(group)
    return read, problems
