"""Start times that jitter, and gaps that must not hide behind them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from scperformer.config import Settings
from scperformer.core.channels import Channel
from scperformer.core.clock import LARGEST_JITTER_S
from scperformer.core.statistics import DropReason, Reporter, Statistics
from scperformer.types import NS_PER_S, SAMPLE_NS, Record, SeedId
from tests.profiles import examples
from tests.property.streams import Accounts
from tests.synthetic import START_NS, earthquakes, make_pipeline, pick_all, records

SEED_ID = SeedId("XX", "A", "", "HHZ")
N_RECORDS = 200
SETTLED_S = 12.0
"""So long a channel's clock may look for its place."""


def shaken(stream, jitter_s, seed):
    random = np.random.default_rng(seed)
    by = {r.start_ns: round(random.uniform(-jitter_s, jitter_s) * NS_PER_S) for r in stream}
    return [replace(r, start_ns=r.start_ns + by[r.start_ns]) for r in stream]


def one_channel(rate_hz, jitter_s, seed, *, missing=0, creep=0.0):
    """Records of a second; halfway samples are missing, or the clock creeps all the time."""
    random = np.random.default_rng(seed)
    n = round(rate_hz)
    samples = random.integers(-1000, 1000, N_RECORDS * n).astype("i4")
    for k in range(N_RECORDS):
        time_s = k * n / rate_hz * (1.0 + creep)
        time_s += missing / rate_hz if k >= N_RECORDS // 2 else 0.0
        time_s += random.uniform(-jitter_s, jitter_s)
        start_ns = START_NS + round(time_s * NS_PER_S)
        yield Record(SEED_ID, start_ns, rate_hz, samples[k * n : (k + 1) * n])


def through(stream):
    """What a channel makes of records: accounts, and each chunk with the times that it states."""
    accounts = Accounts()
    channel = Channel(SEED_ID, Settings(), Reporter(Statistics(), accounts))
    chunks = [chunk for record in stream for chunk in channel.push(record, record.start_ns)]
    return accounts, chunks + channel.finish()


@examples(20)
@given(
    jitter_ms=st.floats(0.5, 4.0),
    seed=st.integers(0, 1000),
    step=st.sampled_from([100, 50, 250]),
)
def test_picks_are_those_of_the_mean_clock(jitter_ms, seed, step):
    n = 9000
    waveform = earthquakes(n, (30.0, 60.0))
    stream = records(waveform, [range(step, n, step)] * 3)
    plain = pick_all(make_pipeline(), stream)
    accounts = Accounts()
    picks = pick_all(make_pipeline(accounts), shaken(stream, jitter_ms / 1000.0, seed))
    assert [(p.phase, p.seed_id) for p in picks] == [(p.phase, p.seed_id) for p in plain]
    for own, true in zip(picks, plain, strict=True):
        assert abs(own.time_ns - true.time_ns) <= 0.005 * NS_PER_S
    assert all(gap.start_ns < START_NS + SETTLED_S * NS_PER_S for gap in accounts.gaps)


@examples(30)
@given(
    rate_hz=st.sampled_from([20.0, 50.0, 100.0, 200.0, 250.0, 500.0]),
    jitter_ms=st.floats(0.0, 4.0),
    seed=st.integers(0, 1000),
)
def test_nothing_is_missing_where_times_jitter(rate_hz, jitter_ms, seed):
    accounts, chunks = through(one_channel(rate_hz, jitter_ms / 1000.0, seed))
    settled_ns = START_NS + SETTLED_S * NS_PER_S
    assert all(gap.start_ns < settled_ns for gap in accounts.gaps)
    begun = [p.index * SAMPLE_NS for p in chunks if p.fresh]
    assert all(start_ns < settled_ns for start_ns in begun)
    # The times stated are true to the jitter's mean.
    late = [p for p in chunks if p.index * SAMPLE_NS > settled_ns + 20 * NS_PER_S]
    assert max(abs(p.offset_ns) for p in late) <= SAMPLE_NS


@examples(30)
@example(rate_hz=200.0, jitter_ms=0.875, missing=3, seed=300)
@given(
    rate_hz=st.sampled_from([50.0, 100.0, 200.0, 500.0]),
    jitter_ms=st.floats(0.0, 4.0),
    missing=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_a_gap_does_not_hide_behind_jitter(rate_hz, jitter_ms, missing, seed):
    """One as long as the jitter to a side; a shorter one may pass for a clock that creeps."""
    assume(missing / rate_hz >= jitter_ms / 1000.0)
    accounts, _ = through(one_channel(rate_hz, jitter_ms / 1000.0, seed, missing=missing))
    late = [g for g in accounts.gaps if g.start_ns > START_NS + SETTLED_S * NS_PER_S]
    assert len(late) >= 1
    found_s = [(gap.start_ns - START_NS) / NS_PER_S for gap in late]
    assert min(found_s) >= N_RECORDS / 2 - 1.0
    assert min(found_s) <= N_RECORDS / 2 + 70.0
    lost_s = sum(gap.duration_s for gap in late)
    assert abs(lost_s - missing / rate_hz) <= 2.5 * jitter_ms / 1000.0 + 0.5 / rate_hz


@pytest.mark.parametrize("missing", [1, 2, 7])
def test_without_jitter_a_gap_is_found_at_once_and_exactly(missing):
    accounts, _ = through(one_channel(100.0, 0.0, 0, missing=missing))
    [gap] = accounts.gaps
    assert gap.start_ns == START_NS + N_RECORDS // 2 * NS_PER_S
    assert gap.end_ns - gap.start_ns == missing * SAMPLE_NS


@examples(20)
@given(creep=st.floats(-3e-5, 3e-5), jitter_ms=st.floats(0.0, 4.0), seed=st.integers(0, 1000))
def test_times_follow_a_clock_that_creeps_and_jitters(creep, jitter_ms, seed):
    """To the jitter and a sample."""
    accounts, chunks = through(one_channel(100.0, jitter_ms / 1000.0, seed, creep=creep))
    bound_ns = jitter_ms * 1e6 + SAMPLE_NS
    at, n_settled = 0, round(SETTLED_S * 100)
    lost = accounts.total(DropReason.DUPLICATE)
    for chunk in chunks:
        true_ns = START_NS + at * SAMPLE_NS * (1.0 + creep)
        slack_ns = lost * SAMPLE_NS
        stated_ns = chunk.index * SAMPLE_NS + chunk.offset_ns
        assert at < n_settled or abs(stated_ns - true_ns) <= bound_ns + slack_ns
        at += len(chunk.samples)
    assert at + lost == N_RECORDS * 100


def test_the_tolerance_is_stated():
    assert LARGEST_JITTER_S == 0.02
