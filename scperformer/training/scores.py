"""How well a student answers: agreement with targets.

Scores of windows, not of picks: they choose between trainings. What a picker is
worth is measured on records, with the whole pipeline.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.types import CLASSES, COMPONENTS

Probabilities = NDArray[np.float32]

COMPONENT_SETS = ("NEZ", "NE", "NZ", "EZ", "Z", "N", "E")


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


def _ratio(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float) -> float:
    return round(float(value), 4)
