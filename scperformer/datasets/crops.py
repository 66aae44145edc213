"""Stretches of whole records for a training to look at: where arrivals are, and where none is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.labels import MarkedRecord

_QUIET_BEFORE_SAMPLES = 300
_QUIET_BEHIND_SAMPLES = 2000
_LEAST_QUIET_SAMPLES = 1200


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """Samples `first` up to `end` of a record."""

    marked: MarkedRecord
    first: int
    end: int

    @property
    def samples(self) -> NDArray[np.float32]:
        """The samples, (n, 3) float32."""
        return self.marked.record.samples[self.first : self.end]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which of N, E, Z are live, (3,) bool."""
        return np.array(self.marked.record.present)


class CropSampler:
    """Draws crops: a share that holds an arrival, a share that holds none, the rest anywhere.

    An arrival lies anywhere in its crop, so that its place tells nothing. Folders are drawn
    by the square root of their hours, so that a long one does not drown the others. A record
    or a quiet stretch that is shorter than a crop is given whole.

    Args:
        folders: records with their picks, folder by folder.
        at_picks: share of crops that hold a believed pick, where there is one at all.
        quiet: share of crops that keep away from every pick, doubtful ones included, where
            there is room for one at all.
        edge_samples: how far from both ends of its crop the pick of `at_pick` lies.
    """

    def __init__(
        self,
        folders: Sequence[Sequence[MarkedRecord]],
        *,
        at_picks: float,
        quiet: float,
        edge_samples: int = 0,
    ) -> None:
        self._at_picks, self._quiet_share = at_picks, quiet
        self._edge = edge_samples
        hours = [np.sqrt(sum(len(r.record.samples) for r in folder)) for folder in folders]
        whole = [[Crop(r, 0, len(r.record.samples)) for r in folder] for folder in folders]
        picked = [[c for c in folder if c.marked.marks.sure.any()] for folder in whole]
        still = [[c for r in folder for c in _quiet_stretches(r)] for folder in folders]
        self._whole = _Pool(whole, hours, by_length=True)
        self._picked = _Pool(picked, hours, by_length=False)
        self._still = _Pool(still, hours, by_length=True)

    def draw(self, rng: np.random.Generator, length: int) -> Crop:
        kind = rng.random()
        found = None
        if kind < self._at_picks:
            found = self.at_pick(rng, length)
        elif kind < self._at_picks + self._quiet_share:
            found = self.quiet(rng, length)
        return self.anywhere(rng, length) if found is None else found

    def at_pick(self, rng: np.random.Generator, length: int) -> Crop | None:
        """Draw a crop with a believed pick anywhere in it; None if there is no such pick."""
        whole = self._picked.draw(rng)
        if whole is None:
            return None
        marks = whole.marked.marks
        pick = float(rng.choice(marks.sample[marks.sure]))
        most = max(whole.end - length, 0)
        earliest = np.clip(np.ceil(pick) + self._edge - length + 1, 0, most)
        latest = np.clip(np.floor(pick) - self._edge, earliest, most)
        return _cut(whole, int(rng.integers(int(earliest), int(latest) + 1)), length)

    def quiet(self, rng: np.random.Generator, length: int) -> Crop | None:
        """Draw a crop away from all picks; None if there is no room for one."""
        stretch = self._still.draw(rng)
        return None if stretch is None else _anywhere_in(stretch, length, rng)

    def anywhere(self, rng: np.random.Generator, length: int) -> Crop:
        whole = self._whole.draw(rng)
        assert whole is not None, "no records"
        return _anywhere_in(whole, length, rng)


class _Pool:
    """Stretches to choose from, folder by folder."""

    def __init__(
        self,
        folders: Sequence[Sequence[Crop]],
        weights: Sequence[float],
        *,
        by_length: bool,
    ) -> None:
        filled = [i for i, folder in enumerate(folders) if folder]
        self._folders = [folders[i] for i in filled]
        self._shares = _shares([weights[i] for i in filled])
        self._own_shares = [
            _shares([c.end - c.first if by_length else 1 for c in folder])
            for folder in self._folders
        ]

    def draw(self, rng: np.random.Generator) -> Crop | None:
        if not self._folders:
            return None
        number = int(rng.choice(len(self._folders), p=self._shares))
        folder = self._folders[number]
        return folder[int(rng.choice(len(folder), p=self._own_shares[number]))]


def _shares(values: Sequence[float]) -> NDArray[np.float64]:
    shares = np.asarray(values, dtype=np.float64)
    shares /= shares.sum()
    return shares


def _quiet_stretches(marked: MarkedRecord) -> list[Crop]:
    """Return what lies up to 3 s before a pick, or from 20 s behind one."""
    edges = [0, *sorted(marked.marks.sample.tolist()), len(marked.record.samples)]
    stretches = []
    for number, (first, end) in enumerate(pairwise(edges)):
        begin = int(first) + (_QUIET_BEHIND_SAMPLES if number else 0)
        stop = int(end) - (_QUIET_BEFORE_SAMPLES if number < len(edges) - 2 else 0)
        if stop - begin >= _LEAST_QUIET_SAMPLES:
            stretches.append(Crop(marked, begin, stop))
    return stretches


def _anywhere_in(stretch: Crop, length: int, rng: np.random.Generator) -> Crop:
    most = max(stretch.end - stretch.first - length, 0)
    return _cut(stretch, stretch.first + int(rng.integers(0, most + 1)), length)


def _cut(stretch: Crop, first: int, length: int) -> Crop:
    return Crop(stretch.marked, first, min(first + length, stretch.end))
