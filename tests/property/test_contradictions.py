"""Records that say other things of times that have been heard of before."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.statistics import DropReason
from tests.profiles import examples
from tests.property.streams import Accounts, in_time_order
from tests.synthetic import (
    START_NS,
    assert_same,
    earthquakes,
    make_pipeline,
    pick_all,
    records,
    samples_ns,
)

N = 6000
WAVEFORM = earthquakes(N, (15.0, 38.0))
STREAM = records(WAVEFORM, [range(100, N, 100)] * 3)
PLAIN = pick_all(make_pipeline(), STREAM)
QUIET = earthquakes(N, (), seed=3)
ELSEWHERE = earthquakes(N, (), seed=4) + 50_000.0
"""Samples that do not go on from the others: a step lies between them."""


@examples(10)
@given(seam=st.integers(1000, 5000), overlap=st.integers(10, 700), step=st.integers(60, 400))
def test_no_pick_is_made_by_a_seam(seam, overlap, step):
    left = records(QUIET[:, :seam], [range(step, seam, step)] * 3)
    first = seam - overlap
    right = records(
        ELSEWHERE[:, first:],
        [range(step, N - first, step)] * 3,
        start_ns=START_NS + samples_ns(first),
    )
    accounts = Accounts()
    pipeline = make_pipeline(accounts)
    assert pick_all(pipeline, left + right) == []
    assert accounts.total(DropReason.CONTRADICTION) == 3 * overlap
    assert pipeline.statistics.windows > 0
    assert not accounts.gaps


def test_an_overlap_that_agrees_is_a_duplicate():
    right = records(WAVEFORM[:, 2500:], start_ns=START_NS + samples_ns(2500))
    left = [r for r in STREAM if r.start_ns < START_NS + samples_ns(3000)]
    accounts = Accounts()
    assert_same(pick_all(make_pipeline(accounts), left + right), PLAIN)
    assert accounts.total(DropReason.DUPLICATE) == sum(accounts.left_out.values()) == 3 * 500


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
def test_the_same_numbers_of_another_type_agree(dtype):
    again = [replace(r, samples=r.samples.astype(dtype)) for r in STREAM]
    stream = [record for pair in zip(STREAM, again, strict=True) for record in pair]
    accounts = Accounts()
    assert_same(pick_all(make_pipeline(accounts), stream), PLAIN)
    assert accounts.total(DropReason.DUPLICATE) == sum(accounts.left_out.values()) == 3 * N


def test_of_two_senders_the_first_is_kept():
    other = [replace(r, samples=r.samples + 7) for r in STREAM]
    stream = [record for pair in zip(STREAM, other, strict=True) for record in pair]
    accounts = Accounts()
    assert_same(pick_all(make_pipeline(accounts), stream), PLAIN)
    assert accounts.total(DropReason.CONTRADICTION) == sum(accounts.left_out.values()) == 3 * N


def test_a_correction_of_older_samples_is_told_and_breaks_nothing():
    late = [replace(r, samples=r.samples + 7) for r in STREAM[30:33]]
    accounts = Accounts()
    assert_same(pick_all(make_pipeline(accounts), STREAM[:45] + late + STREAM[45:]), PLAIN)
    assert accounts.total(DropReason.CONTRADICTION) == 300


def test_samples_made_up_for_a_gap_contradict_nothing():
    lost = [r for r in STREAM if r.start_ns == START_NS + samples_ns(3000)]
    stream = [r for r in STREAM if r not in lost]
    at = next(i for i, r in enumerate(stream) if r.start_ns > START_NS + samples_ns(3500))
    accounts = Accounts()
    pipeline = make_pipeline(accounts, gap_interpolation=True, max_gap_s=2.0)
    pick_all(pipeline, in_time_order(stream)[:at] + lost + stream[at:])
    assert pipeline.statistics.interpolated_samples == 300
    assert accounts.total(DropReason.CONTRADICTION) == 0
    assert accounts.total(DropReason.DUPLICATE) == 300
