from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.triggers import RunOdds, Thresholds, Trigger, log_odds
from scperformer.core.windows import Reach, Segment, WindowRun
from scperformer.types import Phase

SHIFT = 16
WINDOWS = Reach()
COLUMNS = Reach(window=64, lag=11 * SHIFT)


def run_of(first: int, n: int, *, ends: bool = False) -> WindowRun:
    return WindowRun(
        segment=Segment(0),
        starts=(first + np.arange(n, dtype=np.int64)) * SHIFT,
        samples=np.zeros((3, 0), np.float32),
        present=np.ones((n, 3), bool),
        run_start=np.zeros(3, np.int64),
        offset_ns=np.zeros(3, np.int64),
        letters=("N", "E", "Z"),
        raw=(None, None, None),
        ends=ends,
    )


def hump(n: int, *centres: int, height: float = 0.98, width: float = 3.0) -> np.ndarray:
    i = np.arange(n)
    p = np.full(n, 0.01)
    for centre in centres:
        p = np.maximum(p, height * np.exp(-(((i - centre) / width) ** 2)))
    s = np.full(n, 0.01)
    return np.stack([p, s, 1 - p - s], axis=1).astype(np.float32)


def odds_of(probabilities):
    (odds,) = RunOdds.of_runs(log_odds(probabilities), [len(probabilities)])
    return odds


def detect(
    probabilities,
    cuts=(),
    *,
    thresholds=None,
    min_distance=100,
    half=2,
    n_live=3,
    reach=WINDOWS,
):
    trigger = Trigger(
        thresholds or Thresholds.constant(0.5, 0.5),
        shift=SHIFT,
        half_smoothing=half,
        min_distance=min_distance,
        reach=reach,
    )
    found = []
    edges = [0, *sorted(cuts), len(probabilities)]
    for first, end in pairwise(edges):
        part = probabilities[first:end]
        live = np.full(end - first, n_live)
        found += trigger.process(run_of(first, end - first), odds_of(part[:, :2]), live)
    nothing = odds_of(np.empty((0, 2)))
    return found + trigger.process(run_of(0, 0, ends=True), nothing, np.empty(0, np.int64))


def test_one_hump_is_one_detection_at_its_centre():
    (found,) = detect(hump(60, 30))
    assert found.phase is Phase.P
    assert found.centre == 30 * SHIFT + 200
    assert found.window == 30


def test_the_decision_comes_soon_after_the_peak():
    (found,) = detect(hump(60, 30))
    delay_s = (found.decided_at - found.centre) / 100.0
    assert 2.0 < delay_s <= 3.2


def test_answers_about_earlier_columns_are_detections_there():
    (late,) = detect(hump(60, 30), reach=COLUMNS)
    assert late.centre == (30 - 11) * SHIFT + 32
    assert late.window == 30
    (found,) = detect(hump(60, 30))
    assert late.decided_at == found.decided_at - 400 + 64


def test_a_plateau_is_one_detection():
    p = np.full(100, 0.01)
    p[20:80] = 0.99
    found = detect(np.stack([p, np.full(100, 0.005), 0.995 - p], axis=1).astype(np.float32))
    assert len(found) == 1


def test_two_humps_apart_are_two_and_close_ones_are_one():
    assert len(detect(hump(100, 30, 50))) == 2
    assert len(detect(hump(100, 30, 36))) == 1


def test_two_picks_may_lie_less_than_100_s_apart():
    assert len(detect(hump(200, 30, 60, 90))) == 3


def test_a_hump_cut_off_by_the_end_is_decided_there():
    (found,) = detect(hump(32, 30))
    assert found.decided_at == 31 * SHIFT + 400


def test_thresholds_follow_the_number_of_components():
    table = Thresholds({1: (0.99, 0.99), 2: (0.9, 0.9), 3: (0.5, 0.5)})
    weak = hump(60, 30, height=0.7)
    assert len(detect(weak, thresholds=table, n_live=3)) == 1
    assert detect(weak, thresholds=table, n_live=1) == []


def test_no_component_is_no_detection():
    assert detect(hump(60, 30), n_live=0) == []


def test_log_odds_are_bounded():
    odds = log_odds(np.array([0.0, 1.0, 0.5]))
    assert odds.tolist() == [-16.0, 16.0, 0.0]


@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(1, 149), max_size=20, unique=True),
    half=st.integers(0, 3),
)
def test_batches_do_not_matter(seed, cuts, half):
    random = np.random.default_rng(seed)
    noise = np.cumsum(random.normal(size=(150, 3)), axis=0) * 0.5
    p = np.exp(noise) / np.exp(noise).sum(axis=1, keepdims=True)
    p = p.astype(np.float32)

    def key(found):
        return [(d.phase, d.centre, d.log_odds, d.decided_at) for d in found]

    assert key(detect(p, cuts, half=half)) == key(detect(p, half=half))


def test_the_largest_odds_of_runs_of_any_length():
    lengths = [0, 3, 1, 0, 0, 2, 0]
    values = np.random.default_rng(4).normal(size=(6, 2))
    runs = RunOdds.of_runs(values, lengths)
    assert [len(run.values) for run in runs] == lengths
    np.testing.assert_array_equal(np.concatenate([run.values for run in runs]), values)
    for run in runs:
        expected = run.values.max(axis=0, initial=-np.inf)
        assert (run.top_p, run.top_s) == tuple(expected)
    assert RunOdds.of_runs(np.empty((0, 2)), []) == []
