"""Joined records carry the same samples at the same times and lose nothing."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.statistics import DropReason
from scperformer.types import NS_PER_S, Record, SeedId
from scperformer.waveforms.joining import LOOSE_S, Joiner
from tests import synthetic
from tests.profiles import examples

START_NS = 1_600_000_000 * NS_PER_S
SPAN_S = 10.0


def record(start_s, n_samples=500, *, channel="HHZ", rate_hz=100.0, dtype="f8"):
    samples = np.arange(n_samples).astype(dtype) + round(start_s * rate_hz)
    start_ns = START_NS + round(start_s * NS_PER_S)
    return Record(SeedId("XX", "A", "", channel), start_ns, rate_hz, samples)


def join(records, joiner=None):
    joiner = joiner or Joiner(SPAN_S)
    return [joined for one in records for joined in joiner.push(one)] + joiner.finish()


def spans_s(records):
    return [((r.start_ns - START_NS) / NS_PER_S, (r.end_ns - START_NS) / NS_PER_S) for r in records]


def test_short_records_become_long_ones():
    joined = join([record(start_s) for start_s in (3.0, 8.0, 13.0, 18.0, 23.0)])
    assert spans_s(joined) == [(3.0, 13.0), (13.0, 23.0), (23.0, 28.0)]
    for one in joined:
        first = (one.start_ns - START_NS) // 10_000_000
        assert np.array_equal(one.samples, np.arange(len(one.samples)) + first)


def test_a_long_record_passes():
    long = record(2.0, 2800)
    assert Joiner(SPAN_S).push(long) == [long]


@pytest.mark.parametrize(
    "second",
    [
        record(1.5, 100),
        record(0.5, 100),
        record(1.0, 100, dtype="f4"),
        record(1.0, 100, rate_hz=50.0),
        record(1.003, 100),
    ],
    ids=["gap", "overlap", "another type", "another rate", "off by a third of a sample"],
)
def test_what_does_not_follow_is_not_joined(second):
    first = record(0.0, 100)
    assert join([first, second]) == [first, second]


def test_small_offsets_do_not_add_up():
    """Each record is off by a fifth of a sample from the one before; the second is too many."""
    records = [record(0.5 * i + 0.002 * i, 50) for i in range(3)]
    assert join(records) == records
    assert len(join(records[:2])) == 1


def test_records_without_length_go_through_in_their_place():
    first, second = record(0.0, 100), record(1.0, 100)
    empty = Record(first.seed_id, second.start_ns, 100.0, np.empty(0))
    absurd = Record(first.seed_id, second.start_ns, 0.0, np.ones(3))
    assert join([first, empty, absurd, second]) == [first, empty, absurd, second]


def test_around_a_gap_records_pass_as_they_come():
    records = [
        record(float(s), 100, channel=f"HH{letter}")
        for s in [*range(4), *range(5, 125)]
        for letter in "EZ"
    ]
    joined = join(records)
    # All that begin within a minute of the gap; then joined ones.
    n_loose = sum(start_s < 5.0 + LOOSE_S for start_s, _ in spans_s(records))
    assert joined[:n_loose] == records[:n_loose]
    assert spans_s(joined)[n_loose : n_loose + 2] == [(65.0, 75.0), (65.0, 74.0)]
    assert len(joined) - n_loose <= 14


def test_a_channel_that_falls_silent_is_let_go_with_the_others():
    silent = [record(start_s, 100, channel="HHE") for start_s in (0.0, 1.0)]
    others = [record(float(start_s), 100) for start_s in range(30)]
    joined = join([*silent, *others])
    assert spans_s(joined) == [(0.0, 2.0), (0.0, 10.0), (10.0, 20.0), (20.0, 30.0)]
    assert [one.seed_id.component for one in joined] == ["E", "Z", "Z", "Z"]


@examples(40)
@given(
    cuts=st.lists(st.lists(st.integers(1, 5999), max_size=60), min_size=3, max_size=3),
    missing=st.tuples(st.integers(0, 2), st.integers(0, 6000), st.integers(0, 2000)),
    span_s=st.sampled_from([1.0, 7.0, 30.0]),
)
def test_the_picks_are_the_same(cuts, missing, span_s):
    waveform = synthetic.earthquakes(6000, [12.0, 33.0])
    records = synthetic.records(waveform, cuts, dtype="f8")
    place, first, n_missing = missing
    gone = range(first, first + n_missing)
    letter = synthetic.LETTERS[place]
    records = [
        one
        for one in records
        if one.seed_id.component != letter
        or round((one.start_ns - synthetic.START_NS) / 1e7) not in gone
    ]
    joined = join(records, Joiner(span_s))
    expected = synthetic.pick_all(synthetic.make_pipeline(), records)
    synthetic.assert_same(synthetic.pick_all(synthetic.make_pipeline(), joined), expected)


@examples(40)
@given(seed=st.integers(0, 10_000), delay_s=st.sampled_from([0.5, 5.0, 20.0]))
def test_disorder_loses_no_more_than_it_would_anyway(seed, delay_s):
    random = np.random.default_rng(seed)
    cuts = [random.integers(1, 6000, 40) for _ in range(3)]
    records = synthetic.records(synthetic.earthquakes(6000, [12.0]), cuts, dtype="f8")
    records = [one for one in records if random.random() > 0.03]
    records.sort(key=lambda one: one.start_ns + random.random() * delay_s * NS_PER_S)
    alone, behind = (synthetic.make_pipeline(component_wait_s=10.0) for _ in range(2))
    synthetic.pick_all(alone, records)
    synthetic.pick_all(behind, join(records))
    dropped = behind.statistics.dropped_samples[DropReason.LATE]
    assert dropped <= alone.statistics.dropped_samples[DropReason.LATE]


def test_each_channel_keeps_every_sample_in_order():
    random = np.random.default_rng(0)
    records = synthetic.records(
        synthetic.earthquakes(12_000, [30.0]), [random.integers(1, 12_000, 90) for _ in range(3)]
    )
    before, after = defaultdict(list), defaultdict(list)
    for one in records:
        before[one.seed_id].append(one.samples)
    joined = join(records)
    for one in joined:
        after[one.seed_id].append(one.samples)
    assert len(joined) <= 3 * 15
    for seed_id, samples in before.items():
        assert np.array_equal(np.concatenate(after[seed_id]), np.concatenate(samples))
