"""How well a student answers: agreement with targets.

Scores of windows, not of picks: they choose between trainings. What a picker is
worth is measured on records, with the whole pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer import npz
from scperformer.errors import InputError
from scperformer.training.distillation import BatchedInference
from scperformer.types import CLASSES, COMPONENTS, N_COMPONENTS, WINDOW_SAMPLES

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


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Windows, (n, 400, 3) float32, and what somebody answered on them, (n, 3) float32."""

    windows: NDArray[np.float32]
    answers: NDArray[np.float32]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which components are live, (n, 3)."""
        return np.asarray(self.windows.any(axis=1))


def window_scores(
    student: BatchedInference,
    windows: NDArray[np.float32],
    present: NDArray[np.bool_],
    targets: NDArray[np.float32],
) -> dict[str, Any]:
    """Compare a student that sees some components with what all of them would say.

    Args:
        student: the trained network.
        windows: (n, 400, 3) float32.
        present: (n, 3) bool.
        targets: (n, 3) float32, for the windows with all their components.

    Returns:
        An `agreement_table` for each set of components, over the windows that have them.
    """
    table = {}
    for name in COMPONENT_SETS:
        mask = component_mask(name)
        live = present[:, mask].all(axis=1)
        if live.any():
            keep = np.tile(mask, (int(live.sum()), 1))
            table[name] = agreement_table(student.windows(windows[live], keep), targets[live])
    return table


def read_reference(path: Path, reference: str) -> Reference:
    """Read windows with the answers that are stored beside them.

    Args:
        path: NumPy archive with ``windows``, (n, 400, 3), and the answers.
        reference: name of the answers, (n, 3) probabilities.

    Raises:
        InputError: the archive cannot be read or holds something else.
    """
    try:
        with npz.NpzFile(path) as file:
            windows, targets = file["windows"], file[reference]
    except npz.DAMAGED as error:
        raise InputError(
            f"{path}: {error}; wanted a NumPy archive with windows and {reference!r}"
        ) from error
    n = windows.shape[:1]
    wanted = ((*n, WINDOW_SAMPLES, N_COMPONENTS), (*n, len(CLASSES)))
    is_numbers = windows.dtype.kind in "fiu" and targets.dtype.kind in "fiu"
    if (windows.shape, targets.shape) != wanted or not is_numbers:
        raise InputError(
            f"{path}: shapes {windows.shape} and {targets.shape}; wanted numbers, (n, 400, 3) "
            "and (n, 3)"
        )
    return Reference(windows.astype(np.float32), targets.astype(np.float32))


def _ratio(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float) -> float:
    return round(float(value), 4)
