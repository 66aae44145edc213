"""Bootstrap draws, their sums and medians."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from scperformer.evaluation import statistics
from scperformer.evaluation.statistics import Bootstrap, Reliability, interval, share_interval


def test_the_same_seed_the_same_draws_however_they_are_kept(monkeypatch):
    counts = np.arange(21.0).reshape(7, 3)
    usual = Bootstrap(7, draws=50, seed=3).sums(counts)
    assert np.array_equal(usual, Bootstrap(7, draws=50, seed=3).sums(counts))
    assert not np.array_equal(usual, Bootstrap(7, draws=50, seed=4).sums(counts))
    monkeypatch.setattr(statistics, "_MOST_KEPT_ENTRIES", 0)
    assert np.array_equal(usual, Bootstrap(7, draws=50, seed=3).sums(counts))


def test_every_draw_has_as_many_groups_as_there_are():
    boot = Bootstrap(11, draws=20)
    assert boot.sums(np.ones((11, 1))).ravel().tolist() == [11.0] * 20


def test_many_groups_come_in_chunks(monkeypatch):
    monkeypatch.setattr(statistics, "_MOST_ENTRIES", 40)
    chunks = [chunk.shape for chunk in Bootstrap(10, draws=9).weights()]
    assert chunks == [(4, 10), (4, 10), (1, 10)]


values = st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 3)), min_size=0, max_size=15)


@given(values=values, seed=st.integers(0, 5))
def test_medians_are_those_of_the_drawn_values(values, seed):
    numbers = np.array([value for value, _ in values])
    groups = np.array([group for _, group in values], np.int64)
    boot = Bootstrap(4, draws=6, seed=seed)
    found = boot.medians(numbers, groups)
    weights = np.concatenate(list(boot.weights()))
    for median, own in zip(found, weights, strict=True):
        drawn = np.repeat(numbers, own[groups]) if len(numbers) else numbers
        if len(drawn):
            assert median == pytest.approx(np.median(drawn))
        else:
            assert np.isnan(median)


def test_the_interval_leaves_out_as_much_on_either_side():
    low, high = interval(np.arange(1001.0))
    assert (low, high) == pytest.approx((25.0, 975.0))
    assert interval(np.array([np.nan, 2.0, np.inf])) == (2.0, 2.0)
    assert all(np.isnan(interval(np.array([np.nan]))))


def test_the_interval_of_a_share_is_about_that_of_the_binomial():
    rng = np.random.default_rng(0)
    hits = (rng.random(400) < 0.8).astype(float)
    boot = Bootstrap(400, draws=1000)
    low, high = interval(boot.sums(hits[:, None]).ravel() / 400)
    spread = 1.96 * np.sqrt(hits.mean() * (1 - hits.mean()) / 400)
    assert low == pytest.approx(hits.mean() - spread, abs=0.012)
    assert high == pytest.approx(hits.mean() + spread, abs=0.012)


def test_the_interval_of_a_binomial_share_is_wilson_s():
    cases = [(8, 10), (0, 10), (10, 10), (1, 1), (123, 456)]
    right, n = np.array(cases).T
    for found, (k, of) in zip(zip(*share_interval(right, n), strict=True), cases, strict=True):
        wanted = binomtest(k, of).proportion_ci(method="wilson")
        assert found == pytest.approx((wanted.low, wanted.high))
    assert np.isnan(share_interval(np.zeros(1), np.zeros(1))).all()


def test_the_largest_distance_is_that_of_the_tenths_with_a_hundred():
    found = Reliability()
    found.add(np.full(99, 0.95), np.zeros(99, bool))
    assert np.isnan(found.largest_distance)
    found.add(np.full(100, 0.25), np.arange(100) < 40)
    found.add(np.full(200, 0.55), np.arange(200) < 100)
    assert found.largest_distance == pytest.approx(0.15)
    values = found.values("picks")
    assert values["largest_distance_points"] == pytest.approx(15.0)
    assert values["share_right_95"]["low"][2] < 0.4 < values["share_right_95"]["high"][2]
