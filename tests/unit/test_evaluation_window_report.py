"""Metrics of windows, on examples counted by hand and against plain formulas."""

import numpy as np
import pytest

from scperformer.evaluation.window_report import (
    JointTally,
    WindowTally,
    confusion_statistics,
    drawn_intervals,
)

PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.5, 0.1, 0.4]]
)
TRUTH = np.array([0, 1, 1, 2, 2])


@pytest.fixture
def tally():
    own = WindowTally()
    own.add(PROBABILITIES[:2], TRUTH[:2])
    own.add(PROBABILITIES[2:], TRUTH[2:])
    return own


@pytest.fixture
def many():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(3000, 3)) * 2
    truth = rng.integers(0, 3, 3000)
    logits[np.arange(3000), truth] += 2.0
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, truth


def test_confusion(tally):
    assert tally.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    found = confusion_statistics(tally.confusion)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["precision"] == pytest.approx([1 / 3, 1, 1])
    assert found["recall"] == pytest.approx([1, 1 / 2, 1 / 2])
    assert found["f1"] == pytest.approx([1 / 2, 2 / 3, 2 / 3])


def test_brier_and_log_loss(tally):
    squares = (0.06, 0.86, 0.14, 0.14, 0.62)
    assert tally.brier == pytest.approx(sum(squares) / 5)
    assert tally.brier_by_class.sum() == pytest.approx(tally.brier)
    assert tally.log_loss == pytest.approx(-np.mean(np.log([0.8, 0.3, 0.7, 0.7, 0.4])))


def test_curve_by_hand(tally):
    curve = tally.curve(0)
    # From the top: 0.8 is P, 0.6 and 0.5 are not, then the rest.
    assert curve.precision == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5])
    assert curve.recall == pytest.approx([1] * 5)
    assert curve.average_precision == pytest.approx(1.0)
    assert curve.best == 0
    assert curve.threshold[0] == pytest.approx(0.8, rel=0.01)
    # S: 0.7 and 0.3 are S, in order; then 0.2, 0.1, 0.1.
    assert tally.curve(1).average_precision == pytest.approx(1.0)
    # Noise: 0.7, 0.4, then three of 0.1.
    assert tally.curve(2).recall.tolist() == [0.5, 1.0, 1.0]
    assert tally.curve(2).precision[-1] == pytest.approx(2 / 5)


def test_a_class_that_does_not_occur_has_no_curve():
    own = WindowTally()
    own.add(PROBABILITIES[:1], TRUTH[:1])
    assert own.curve(1).best is None
    assert np.isnan(own.curve(1).average_precision)
    assert own.curve(1).thinned().size >= 0


def test_extreme_probabilities_are_counted():
    own = WindowTally()
    own.add(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], np.float32), np.array([0, 2]))
    assert own.n == 2
    assert own.curve(0).precision[0] == 1.0
    assert np.isfinite(own.log_loss)


def test_average_precision_is_that_of_the_sorted_scores(many):
    probabilities, truth = many
    own = WindowTally()
    for first in range(0, 3000, 700):
        own.add(probabilities[first : first + 700], truth[first : first + 700])
    for column in range(3):
        order = np.argsort(-probabilities[:, column])
        right = truth[order] == column
        precision = np.cumsum(right) / np.arange(1, 3001)
        exact = precision[right].mean()
        assert own.curve(column).average_precision == pytest.approx(exact, abs=0.003)
        best = own.curve(column)
        assert best.f1.max() == pytest.approx(best.f1[best.best])


def test_reliability(many):
    probabilities, truth = many
    own = WindowTally()
    own.add(probabilities, truth)
    found = own.reliability_by_class[0]
    scores, right = probabilities[:, 0], truth == 0
    inside = (scores >= 1 / 15) & (scores < 2 / 15)
    assert found.n[1] == inside.sum()
    assert found.share_right[1] == pytest.approx(right[inside].mean())
    assert found.mean_probability[1] == pytest.approx(scores[inside].mean())
    top = own.reliability
    assert top.n.sum() == 3000
    assert np.nansum(top.share_right * top.n) == (probabilities.argmax(axis=1) == truth).sum()


def test_joint_draws_are_paired_and_keep_the_number_of_windows(many):
    probabilities, truth = many
    answers = probabilities.argmax(axis=1)
    joint = JointTally(2)
    both = np.stack([answers, answers], axis=1)
    joint.add(truth[:1000], both[:1000])
    joint.add(truth[1000:], both[1000:])
    draws = joint.draws(40, seed=0)
    assert draws.shape == (40, 2, 3, 3)
    assert (draws.sum(axis=(2, 3)) == 3000).all()
    assert np.array_equal(draws[:, 0], draws[:, 1])
    own = WindowTally()
    own.add(probabilities, truth)
    assert draws[:, 0].mean(axis=0) == pytest.approx(own.confusion, rel=0.1, abs=10)
    assert np.array_equal(draws, joint.draws(40, seed=0))
    low, high = drawn_intervals(draws[:, 0])["accuracy"][0]
    assert low < (answers == truth).mean() < high


def test_joint_draws_keep_models_apart():
    joint = JointTally(2)
    joint.add(np.array([0, 0, 1]), np.array([[0, 1], [0, 1], [1, 2]]))
    (confusion,) = joint.draws(1, seed=0)
    assert confusion[0][0, 0] == confusion[1][0, 1]
    assert confusion[0][1, 1] == confusion[1][1, 2]
    assert confusion[0].sum() == 3
