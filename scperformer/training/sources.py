"""Where the windows of an epoch come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.labels import Arrivals, away_from
from scperformer.datasets.windows import Centres, WindowBank, grid
from scperformer.training.config import TrainingConfig
from scperformer.training.teacher import Teacher
from scperformer.types import CLASSES

_P, _S, _NOISE = range(len(CLASSES))
_NO_CENTRES = Centres(np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Windows with what is known of them.

    Attributes:
        windows: (n, 400, 3) float32, not normalised.
        present: (n, 3) bool, live components.
        labels: (n, 3) float32, targets from picks.
    """

    windows: NDArray[np.float32]
    present: NDArray[np.bool_]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, which: NDArray[np.int64]) -> Drawn:
        """Return the windows of some indices."""
        return Drawn(self.windows[which], self.present[which], self.labels[which])


def join_drawn(parts: Sequence[Drawn]) -> Drawn:
    """Return windows one after another; empty parts are left out."""
    filled = [part for part in parts if len(part)] or list(parts[:1])
    if len(filled) == 1:
        return filled[0]
    return Drawn(
        np.concatenate([part.windows for part in filled]),
        np.concatenate([part.present for part in filled]),
        np.concatenate([part.labels for part in filled]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Where an epoch's windows come from.

    Attributes:
        picks: arrivals that somebody picked.
        phases: centres where the teacher sees P or S.
        phase_weights: (n,) float64, so that P and S weigh the same.
        noise: centres without a phase.
    """

    picks: Arrivals
    phases: Centres
    phase_weights: NDArray[np.float64]
    noise: Centres


def find_sources(
    bank: WindowBank, picks: Arrivals, teacher: Teacher | None, config: TrainingConfig
) -> Sources:
    """Let the teacher look at everything on a grid, and sort what it saw."""
    centres = grid(bank, step_samples=config.windows.scan_step_samples)
    if teacher is None:
        distance_s = config.windows.noise_distance_s
        noise = centres.take(away_from(bank, centres, picks, distance_s=distance_s))
        return Sources(picks, _NO_CENTRES, np.empty(0), noise)
    seen = teacher.inference.centres(bank, centres)
    weights = np.zeros(len(centres))
    for phase in (_P, _S):
        members = seen[:, phase] >= config.windows.phase_probability
        weights[members] += 0.5 / max(int(members.sum()), 1)
    phases = weights > 0
    noise = centres.take(seen[:, _NOISE] >= 0.5)
    return Sources(picks, centres.take(phases), weights[phases], noise)
