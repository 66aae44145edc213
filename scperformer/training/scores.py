"""How well a student answers: agreement with targets, F1 over thresholds.

Scores of windows, not of picks: they choose between trainings. What a picker is
worth is measured on records, with the whole pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.types import CLASSES, COMPONENTS

Probabilities = NDArray[np.float32]

COMPONENT_SETS = ("NEZ", "NE", "NZ", "EZ", "Z", "N", "E")
THRESHOLD_SETS = {"three": ("NEZ",), "two": ("NE", "NZ", "EZ"), "one": ("Z",)}
_THRESHOLDS = np.round(np.arange(0.05, 0.991, 0.01), 2)
_PHASES = ("P", "S")
UNTESTED_THRESHOLD = 0.6


def component_mask(letters: str) -> NDArray[np.bool_]:
    """Return (3,) bool for component letters such as ``NZ``."""
    return np.array([letter in letters for letter in COMPONENTS])


def agreement(answers: Probabilities, targets: Probabilities) -> float:
    """Return the share of windows with the same most probable class, nan of none."""
    if not len(targets):
        return float("nan")
    return float(np.mean(answers.argmax(axis=1) == targets.argmax(axis=1)))


def agreement_table(answers: Probabilities, targets: Probabilities) -> dict[str, Any]:
    """Compare most probable classes.

    Returns:
        ``windows``, ``agreement`` and, for each class of the targets, ``recall`` (share
        of its windows that are answered so) and ``precision`` (share of the windows
        that are answered so which are of this class); None where there are none.
    """
    answered, wanted = answers.argmax(axis=1), targets.argmax(axis=1)
    table: dict[str, Any] = {
        "windows": len(wanted),
        "agreement": _rounded(agreement(answers, targets)) if len(wanted) else None,
        "mean_absolute_difference": _rounded(np.abs(answers - targets).mean()),
    }
    for number, name in enumerate(CLASSES):
        hits = int(np.sum((answered == number) & (wanted == number)))
        table[name] = {
            "windows": int(np.sum(wanted == number)),
            "recall": _ratio(hits, int(np.sum(wanted == number))),
            "precision": _ratio(hits, int(np.sum(answered == number))),
        }
    return table


def best_threshold(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> dict[str, Any]:
    """Find the threshold with the best F1 of windows.

    Among equals the one in the middle is taken.

    Args:
        scores: (n,) probabilities of a phase.
        truth: (n,) bool, windows of that phase.

    Returns:
        ``threshold``, ``f1``, ``precision``, ``recall`` and ``windows``, the number of
        windows of that phase; without any, the threshold is `UNTESTED_THRESHOLD` and the rest None.
    """
    n_true = int(truth.sum())
    if not n_true:
        unknown = dict.fromkeys(("f1", "precision", "recall"))
        return {"threshold": UNTESTED_THRESHOLD, **unknown, "windows": 0}
    reached = scores[:, None] >= _THRESHOLDS
    hits = reached[truth].sum(axis=0)
    positives = reached.sum(axis=0)
    f1 = 2.0 * hits / (positives + n_true)
    equals = np.flatnonzero(f1 >= f1.max() - 1e-12)
    best = int(equals[len(equals) // 2])
    return {
        "threshold": float(_THRESHOLDS[best]),
        "f1": _rounded(f1[best]),
        "precision": _ratio(int(hits[best]), int(positives[best])),
        "recall": _ratio(int(hits[best]), n_true),
        "windows": n_true,
    }


def threshold_table(
    answers: Mapping[str, Probabilities], targets: Probabilities
) -> dict[str, dict[str, Any]]:
    """Find thresholds for three-, two- and one-component windows.

    Args:
        answers: probabilities of the same windows by component set, see
            `COMPONENT_SETS`.
        targets: what they should be; a window is of a phase from 0.5.

    Returns:
        ``three``, ``two`` and ``one``, each with the `best_threshold` of P and S. Two
        stands for the three pairs together, one for the vertical alone.
    """
    return {
        number: {
            phase: best_threshold(
                np.concatenate([answers[name][:, column] for name in sets]),
                np.tile(targets[:, column] >= 0.5, len(sets)),
            )
            for column, phase in enumerate(_PHASES)
        }
        for number, sets in THRESHOLD_SETS.items()
    }


def recommended(table: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return only the thresholds of a `threshold_table`."""
    return {
        number: {phase: float(row["threshold"]) for phase, row in rows.items()}
        for number, rows in table.items()
    }


def _ratio(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float) -> float:
    return round(float(value), 4)
