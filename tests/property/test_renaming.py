"""Components that go on under another name."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.statistics import DropReason
from scperformer.types import SAMPLE_NS, SeedId
from tests.profiles import examples
from tests.property.streams import (
    FORESIGHT_S,
    MEMORY_S,
    Accounts,
    cuts_of_all,
    in_time_order,
    records_of,
    seconds,
)
from tests.synthetic import START_NS, earthquakes, make_pipeline, pick_all

N = 18_000
HALF = 9000
WAVEFORM = earthquakes(N, (20.0, 55.0, 110.0, 150.0))
NAMES = {"ZNE": "NEZ", "Z12": "12Z", "Z23": "23Z", "123": "123"}
PAIRS = [(a, b) for a in NAMES for b in NAMES if a != b]


def named(names, first, end, cuts=((), (), ()), *, only="NEZ"):
    spans = {letter: [(first, end)] for letter in only}
    return [
        replace(r, seed_id=SeedId("XX", "A", "", f"HH{names['NEZ'.index(r.seed_id.component)]}"))
        for r in records_of(WAVEFORM, spans, cuts)
    ]


def known(picks, after_s, before_s=N / 100):
    """What picks say, between two times."""
    chosen = [p for p in picks if after_s <= seconds(p) < before_s]
    return [(p.time_ns, p.phase, p.seed_id, round(p.probability, 4)) for p in chosen]


@examples(30)
@given(pair=st.sampled_from(PAIRS), cuts=cuts_of_all(N), seed=st.randoms(use_true_random=False))
def test_picks_on_both_sides_are_those_of_each_side_alone(pair, cuts, seed):
    old, new = (NAMES[name] for name in pair)
    early, late = named(old, 0, HALF, cuts), named(new, HALF, N, cuts)
    stream = in_time_order(early + late)
    pipeline = make_pipeline()
    picks = pick_all(pipeline, stream)
    for own, first_s, end_s in (
        (early, 0.0, HALF / 100 - FORESIGHT_S),
        (late, HALF / 100 + MEMORY_S, N / 100),
    ):
        alone = known(pick_all(make_pipeline(), own), first_s, end_s)
        assert {phase for _, phase, _, _ in alone} == {"P", "S"}
        assert known(picks, first_s, end_s) == alone
    assert not pipeline.statistics.dropped_samples


@pytest.mark.parametrize("step", [100, 1000])
@pytest.mark.parametrize(("old", "new"), [("NEZ", "12Z"), ("12Z", "NEZ")])
def test_where_both_names_send_north_and_east_are_used_and_the_others_counted(old, new, step):
    cuts = [range(step, N, step)] * 3
    both = 3000
    early = named(old, 0, HALF + both, cuts)
    late = named(new, HALF, N, cuts, only="NE") + named(new, HALF + both, N, cuts, only="Z")
    accounts = Accounts()
    picks = pick_all(make_pipeline(accounts), in_time_order(early + late))
    counted = Counter({s.component: n for (s, r), n in accounts.left_out.items() if n})
    assert counted == {"1": both, "2": both}
    assert accounts.total(DropReason.RIVAL) == 2 * both
    plain = pick_all(make_pipeline(), named("NEZ", 0, N, cuts))
    seam_s = (HALF + (both if old == "NEZ" else 0)) / 100
    for first_s, end_s in ((0.0, seam_s - FORESIGHT_S), (seam_s + MEMORY_S, N / 100)):
        assert [row[:2] for row in known(picks, first_s, end_s)] == [
            row[:2] for row in known(plain, first_s, end_s)
        ]
        assert {p.phase for p in picks if first_s <= seconds(p) < end_s} == {"P", "S"}


def test_records_of_the_old_name_that_come_after_the_change_are_used_or_counted():
    cuts = [range(100, N, 100)] * 3
    early, late = named("NEZ", 0, HALF, cuts), named("12Z", HALF, N, cuts)
    stream = in_time_order(early + late)
    behind = [r for r in stream if r.seed_id.component == "N"][-3:]
    for delay_s, are_used in ((5, True), (60, False)):
        at = next(i for i, r in enumerate(stream) if r.start_ns > START_NS + (90 + delay_s) * 10**9)
        rest = [r for r in stream if not any(r is b for b in behind)]
        moved = at - len(behind)
        accounts = Accounts()
        picks = pick_all(make_pipeline(accounts), rest[:moved] + behind + rest[moved:])
        assert accounts.total(DropReason.LATE) == (0 if are_used else 300)
        alone = known(pick_all(make_pipeline(), late), HALF / 100 + MEMORY_S)
        assert known(picks, HALF / 100 + MEMORY_S) == alone


def test_a_change_delays_decisions_by_the_wait_once():
    cuts = [range(100, N, 100)] * 3
    stream = in_time_order(named("NEZ", 0, HALF, cuts) + named("12Z", HALF, N, cuts))
    pipeline = make_pipeline(max_batch_delay_s=0.0)
    ahead_s = []
    for record in stream:
        pipeline.feed(record)
        decided = pipeline.decided_until_ns()
        if decided and record.start_ns >= START_NS + 130 * 10**9:
            ahead_s.append((record.end_ns - min(decided.values())) / 1e9)
    assert max(ahead_s) < 8.0
    assert all(b.start_ns - a.start_ns <= 100 * SAMPLE_NS for a, b in pairwise(stream))
