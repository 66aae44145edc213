import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scperformer.datasets.splits import HoldOut, event_numbers, event_units, hold_out
from tests.unit.training_fakes import record


def records_of(events, stations, *, source="folder", start_s=0.0):
    return [
        record(f"S{station}", start_s=start_s + 100.0 * event + station, n=1000, source=source)
        for event in range(events)
        for station in range(stations)
    ]


def test_events_are_what_overlaps_in_time_directly_or_by_others():
    chain = [record(start_s=start) for start in (0.0, 20.0, 45.0, 75.0, 200.0)]
    assert event_numbers(chain) == [0, 0, 0, 1, 2]
    assert event_numbers(chain[::-1]) == [2, 1, 0, 0, 0]


def test_whole_events_are_held_out():
    records = records_of(20, 4)
    split = hold_out(records, {"folder": HoldOut.EVENT}, share=0.2, seed=1)
    numbers = dict(zip(map(id, records), event_numbers(records), strict=True))
    held = {numbers[id(r)] for r in split.validation}
    assert len(held) == 4
    assert not held & {numbers[id(r)] for r in split.training}
    assert len(split.training) + len(split.validation) == len(records)


def test_whole_stations_are_held_out_in_every_folder():
    first = records_of(5, 10)
    second = records_of(5, 10, source="other", start_s=10_000.0)
    rules = {"folder": HoldOut.STATION, "other": HoldOut.NONE}
    split = hold_out(first + second, rules, share=0.2, seed=1)
    held = {r.station for r in split.validation}
    assert len(held) == 2
    assert not held & {r.station for r in split.training}
    assert {r.source for r in split.validation} == {"folder"}
    assert {r.source for r in split.unused} == {"other"}


def overlap(one, other):
    return one.start_ns < other.end_ns and other.start_ns < one.end_ns


@settings(max_examples=60, deadline=None)
@given(
    starts=st.lists(
        st.tuples(
            st.integers(0, 400),
            st.integers(0, 5),
            st.sampled_from(["", "", "e1", "e2", "e3"]),
            st.sampled_from(["train", "dev", "test", ""]),
        ),
        min_size=4,
        max_size=40,
    ),
    rules=st.tuples(st.sampled_from(list(HoldOut)), st.sampled_from(list(HoldOut))),
    share=st.floats(0.0, 0.8),
    seed=st.integers(0, 5),
)
def test_nothing_leaks(starts, rules, share, seed):
    records = [
        record(f"S{s}", start_s=5.0 * start, n=600, source="ab"[i % 2], event=event, split=own)
        for i, (start, s, event, own) in enumerate(starts)
    ]
    by_source = dict(zip("ab", rules, strict=True))
    split = hold_out(records, by_source, share=share, seed=seed)
    events = dict(zip(map(id, records), event_units(records), strict=True))
    all_of_them = [*split.training, *split.validation, *split.unused]
    assert sorted(map(id, all_of_them)) == sorted(map(id, records))
    for held in split.validation:
        for used in split.training:
            is_named = held.event and used.event and held.source == used.source
            if by_source[held.source] is HoldOut.STATION:
                assert held.station != used.station
            elif not (by_source[held.source] is HoldOut.SPLIT and held.source == used.source):
                assert events[id(held)] != events[id(used)]
                assert not overlap(held, used) or (is_named and held.station != used.station)


def test_earthquakes_that_a_table_names_are_told_apart_by_their_names():
    at_once = [record(f"S{i}", event=f"e{i % 10}") for i in range(40)]
    split = hold_out(at_once, {"folder": HoldOut.EVENT}, share=0.2, seed=1)
    assert len({r.event for r in split.validation}) == 2
    assert len(split.validation) == 8
    assert not split.unused
    unnamed = [record("S99"), record("S98", source="other", event="a")]
    rules = {"folder": HoldOut.EVENT, "other": HoldOut.NONE}
    split = hold_out(at_once + unnamed, rules, share=0.2, seed=1)
    assert {r.station for r in split.training} < {r.station for r in at_once}
    assert "XX.S98" in {r.station for r in split.unused}


def test_a_data_set_s_own_split_stands_and_other_folders_keep_away_from_it():
    words = ("train", "dev", "test", "")
    own = [
        record(f"A{i}", start_s=100.0 * i, split=word, event="e") for i, word in enumerate(words)
    ]
    near = [record(f"B{i}", start_s=100.0 * i + 10.0, source="other") for i in range(4)]
    rules = {"folder": HoldOut.SPLIT, "other": HoldOut.NONE}
    split = hold_out(own + near, rules, share=0.2, seed=1)
    assert [r.station for r in split.training] == ["XX.A0", "XX.B0", "XX.B3"]
    assert [r.station for r in split.validation] == ["XX.A1"]
    assert [r.station for r in split.unused] == ["XX.A2", "XX.A3", "XX.B1", "XX.B2"]


def test_the_seed_decides_and_nothing_else():
    records = records_of(30, 3)
    rules = {"folder": HoldOut.EVENT}
    picks = [
        [id(r) for r in hold_out(records, rules, share=0.2, seed=seed).validation]
        for seed in (1, 1, 2)
    ]
    assert picks[0] == picks[1]
    assert picks[0] != picks[2]


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_something_is_always_left_for_both(share):
    split = hold_out(records_of(2, 3), {"folder": HoldOut.EVENT}, share=share, seed=0)
    assert split.training
    assert split.validation


def test_one_giant_event_does_not_swallow_the_share():
    small = records_of(10, 1)
    giant = [record("BIG", start_s=5000.0, n=100_000)]
    for seed in range(5):
        split = hold_out(small + giant, {"folder": HoldOut.EVENT}, share=0.05, seed=seed)
        assert all(len(r.samples) < 100_000 for r in split.validation)
        assert np.sum([len(r.samples) for r in split.validation]) >= 1000
