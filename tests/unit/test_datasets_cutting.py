"""What is cut where, and what is never divided: spans, noise, earthquakes, splits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scperformer.datasets.cutting import (
    CutOptions,
    Cuts,
    around_times,
    noise_times,
    rounded,
    unlabelled_times,
)
from scperformer.datasets.intervals import Intervals
from scperformer.datasets.splits import NO_SPLIT, Division, EventTimes, SplitBy, divide
from scperformer.errors import ConfigurationError
from scperformer.types import NS_PER_S

S = NS_PER_S


def seconds(*values):
    return np.array([round(value * S) for value in values], dtype=np.int64)


pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12)


@settings(max_examples=40, deadline=None)
@given(pairs, st.lists(st.integers(-2, 62), max_size=20))
def test_spans_are_the_union_of_what_they_were_made_of(spans, times):
    found = Intervals.from_pairs(spans)
    wanted = [any(start <= time < end for start, end in spans) for time in times]
    assert found.contain(np.array(times, np.int64)).tolist() == wanted
    assert (found.starts_ns < found.ends_ns).all()
    assert (found.starts_ns[1:] > found.ends_ns[:-1]).all()
    inside = [moment for moment in range(60) if any(a <= moment < b for a, b in spans)]
    assert found.length_ns == len(inside)
    assert found.at(np.arange(found.length_ns)).tolist() == inside


@settings(max_examples=40, deadline=None)
@given(pairs, st.integers(0, 10))
def test_shrunk_spans_hold_what_is_so_far_inside(spans, by):
    found = Intervals.from_pairs(spans).shrunk(by)
    whole = Intervals.from_pairs(spans)
    for moment in range(61):
        around = whole.contain(np.arange(moment - by, moment + by + 1))
        assert found.contain(np.array([moment]))[0] == around.all()


def test_noise_lies_inside_the_data_and_away_from_what_is_to_be_avoided():
    rng = np.random.default_rng(0)
    data = Intervals.from_pairs([(0, 100 * S), (200 * S, 203 * S), (300 * S, 400 * S)])
    avoid = [around_times(seconds(50, 350), 10.0), Intervals.from_pairs([(380 * S, 500 * S)])]
    times = noise_times(data, avoid, 500, rng)
    assert len(times) == 500
    found = times / S
    for low, high in ((0, 2), (40, 60), (98, 302), (340, 360), (380, 500)):
        assert not ((found > low) & (found < high)).any()
    assert np.histogram(found, [0, 98, 400])[0].min() > 100


def test_noise_without_room_is_no_noise():
    rng = np.random.default_rng(0)
    data = Intervals.from_pairs([(0, 30 * S)])
    assert len(noise_times(data, [around_times(seconds(15), 14.0)], 50, rng)) == 0
    assert len(noise_times(Intervals.from_pairs([(0, 3 * S)]), [], 50, rng)) == 0
    assert len(noise_times(data, [], 0, rng)) == 0


def test_a_missing_partner_is_unknown_not_absent():
    times = seconds(100, 105, 200, 300, 400, 431)
    classes = np.array([0, 1, 0, 1, 0, 1])
    spans = unlabelled_times(times, classes, 30.0)
    # P at 200 and 400 have no S within 30 s, S at 300 and 431 no P before them.
    assert (spans.starts_ns / S).tolist() == [200, 270, 400]
    assert (spans.ends_ns / S).tolist() == [230, 300, 431]
    assert len(unlabelled_times(times[:2], classes[:2], 30.0)) == 0
    assert len(unlabelled_times(times, np.full(6, -1), 30.0)) == 0


def test_windows_lie_around_their_picks():
    rng = np.random.default_rng(1)
    options = CutOptions(per_pick=50, jitter_s=0.3)
    picks, noise = seconds(10, 20), seconds(15, 40)
    cuts = Cuts.of(picks, np.array([0, 1]), noise, rng, options)
    assert (np.diff(cuts.centre_ns) >= 0).all()
    assert np.bincount(cuts.label).tolist() == [50, 50, 2]
    phases = cuts.take(cuts.label < 2)
    moved = cuts.centre_ns[cuts.label < 2] - picks[phases.pick]
    np.testing.assert_array_equal(moved, phases.shift_samples * 10_000_000)
    assert (phases.label == phases.pick).all()
    assert set(np.abs(phases.shift_samples)) <= set(range(31))
    assert np.abs(phases.shift_samples).max() > 25
    assert cuts.pick[cuts.label == 2].tolist() == [-1, -1]


def test_rounding_keeps_the_mean():
    rng = np.random.default_rng(2)
    drawn = [rounded(0.3, rng) for _ in range(4000)]
    assert set(drawn) == {0, 1}
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.03)
    assert rounded(2.0, rng) == 2


def test_all_options_out_of_range_come_at_once():
    with pytest.raises(ConfigurationError) as caught:
        CutOptions(per_pick=0, jitter_s=3.0, noise_distance_s=1.0, event_gap_s=1.0)
    text = str(caught.value)
    for name in ("--per-pick: got 0", "--jitter", "--noise-distance", "--event-gap: got 1"):
        assert name in text
    for shares in ((0.5, 0.6, 0.1), (0.0, 0.5, 0.5), (1.0, 0.0), (1.2, -0.1, -0.1)):
        with pytest.raises(ConfigurationError, match="--split"):
            CutOptions(shares=shares)


def test_picks_close_in_time_are_one_earthquake():
    events = EventTimes.of(seconds(100, 5, 110, 8, 139.9, 200), gap_s=30.0)
    assert (events.starts_ns / S).tolist() == [5, 100, 200]
    assert (events.ends_ns / S).tolist() == [8, 139.9, 200]
    assert (events.borders_ns / S).tolist() == [54, 169.95]
    assert events.nearest(seconds(-9, 53, 55, 140, 171, 999)).tolist() == [0, 0, 1, 1, 2, 2]
    assert events.name(1) == "19700101T000140"
    assert len(EventTimes.of(np.empty(0, np.int64), gap_s=30.0)) == 0


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 50), min_size=1, max_size=30),
    st.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.4, 0.0), (0.34, 0.33, 0.33), (1.0, 0.0, 0.0)]),
    st.integers(0, 5),
)
def test_division_is_complete_and_repeatable(weights, shares, seed):
    found = divide(weights, shares, seed=seed)
    assert set(found) == set(weights)
    assert found == divide(dict(reversed(weights.items())), shares, seed=seed)
    assert 0 in found.values()
    for split, share in enumerate(shares):
        assert share > 0 or split not in found.values()
        if share > 0 and len(weights) >= 5:
            assert split in found.values()


def test_shares_are_kept():
    weights = {f"event {n}": 1 + n % 7 for n in range(500)}
    found = divide(weights, (0.7, 0.2, 0.1), seed=1)
    got = np.zeros(3)
    for name, split in found.items():
        got[split] += weights[name]
    np.testing.assert_allclose(got / got.sum(), [0.7, 0.2, 0.1], atol=0.01)
    assert found != divide(weights, (0.7, 0.2, 0.1), seed=2)


PICKS = {(f"e{event}", f"s{station}"): 2 for event in range(30) for station in range(20)}


@pytest.mark.parametrize("by", list(SplitBy))
def test_what_is_not_to_be_divided_is_not(by):
    division = Division.plan(by, PICKS, (0.6, 0.2, 0.2), seed=1)
    splits = {unit: division.split_of(*unit) for unit in PICKS}
    for axis, whole in ((0, by is not SplitBy.STATION), (1, by is not SplitBy.EVENT)):
        for name in {unit[axis] for unit in PICKS}:
            used = {s for unit, s in splits.items() if unit[axis] == name} - {NO_SPLIT}
            assert len(used) <= 1 or not whole
    used = np.array([split for split in splits.values() if split != NO_SPLIT])
    np.testing.assert_allclose(np.bincount(used) / len(used), [0.6, 0.2, 0.2], atol=0.08)
    assert (len(used) < len(splits)) == (by is SplitBy.BOTH)


def test_too_little_to_divide_is_said():
    few = {("e1", f"s{n}"): 1 for n in range(9)}
    with pytest.raises(ConfigurationError, match="only 1 earthquake"):
        Division.plan(SplitBy.EVENT, few, (0.8, 0.1, 0.1), seed=1)
    assert Division.plan(SplitBy.STATION, few, (0.8, 0.1, 0.1), seed=1).stations
    whole = Division.plan(SplitBy.EVENT, few, (1.0, 0.0, 0.0), seed=1)
    assert whole.split_of("e1", "s1") == 0
