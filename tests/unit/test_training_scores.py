import numpy as np
import pytest

from scperformer.training.scores import (
    agreement,
    agreement_table,
    best_threshold,
    component_mask,
    recommended,
    threshold_table,
)


def one_hot(*classes):
    return np.eye(3, dtype=np.float32)[list(classes)]


def test_agreement_by_hand():
    answers, targets = one_hot(0, 0, 1, 2, 2), one_hot(0, 1, 1, 2, 0)
    assert agreement(answers, targets) == 0.6
    table = agreement_table(answers, targets)
    assert table["P"] == {"windows": 2, "recall": 0.5, "precision": 0.5}
    assert table["S"] == {"windows": 2, "recall": 0.5, "precision": 1.0}
    assert table["noise"] == {"windows": 1, "recall": 1.0, "precision": 0.5}


def test_a_class_without_windows_has_no_score():
    table = agreement_table(one_hot(2, 2), one_hot(2, 2))
    assert table["P"] == {"windows": 0, "recall": None, "precision": None}


def test_the_best_threshold_separates():
    scores = np.array([0.1, 0.2, 0.3, 0.7, 0.8], np.float32)
    best = best_threshold(scores, np.array([False, False, False, True, True]))
    assert best["threshold"] == pytest.approx(0.5, abs=0.02)
    assert (best["f1"], best["precision"], best["recall"]) == (1.0, 1.0, 1.0)


def test_the_best_threshold_without_any_window_of_the_phase():
    best = best_threshold(np.array([0.1, 0.9], np.float32), np.zeros(2, bool))
    assert best["threshold"] == 0.6
    assert best["f1"] is None


def test_thresholds_are_given_for_three_two_and_one_component():
    rng = np.random.default_rng(0)
    targets = rng.dirichlet([0.3] * 3, 500).astype(np.float32)
    names = ("NEZ", "NE", "NZ", "EZ", "Z", "N", "E")
    table = threshold_table(dict.fromkeys(names, targets), targets)
    assert table["three"]["P"]["f1"] == 1.0
    assert table["two"]["S"]["windows"] == 3 * table["one"]["S"]["windows"]
    thresholds = recommended(table)
    assert set(thresholds) == {"three", "two", "one"}
    assert 0.3 < thresholds["one"]["S"] <= 0.5


def test_component_masks():
    assert component_mask("NZ").tolist() == [True, False, True]
