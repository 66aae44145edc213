import numpy as np

from scperformer.training.scores import (
    agreement,
    agreement_table,
    component_mask,
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


def test_component_masks():
    assert component_mask("NZ").tolist() == [True, False, True]
