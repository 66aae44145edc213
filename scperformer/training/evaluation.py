"""The scores of a finished training, for the model card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer import npz
from scperformer.errors import InputError
from scperformer.training.inference import BatchedInference
from scperformer.training.scores import (
    COMPONENT_SETS,
    agreement_table,
    component_mask,
)
from scperformer.types import CLASSES, N_COMPONENTS, WINDOW_SAMPLES


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
