"""The picks of one phase held against its labels, at any threshold.

A missing label is unknown, not absent. A pick is *known* to be right or wrong if it
lies where somebody labelled: in a record with a label of its phase, or in a continuous
stream within `LABEL_SPAN_S` of one. Unmatched known picks are false; unmatched picks
elsewhere are counted as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.evaluation.matching import candidate_pairs, match
from scperformer.evaluation.pick_tables import Cells, LabelTable, Mask, PickTable
from scperformer.types import NS_PER_S

DEFAULT_TOLERANCE_S = 0.5
LABEL_SPAN_S = 30.0

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How often what happened: numbers, or arrays of one shape.

    Attributes:
        labels: labelled arrivals.
        hits: labels that a pick was matched with.
        false: unmatched picks where the phase is labelled.
        unknown: unmatched picks where it is not labelled.
    """

    labels: Any
    hits: Any
    false: Any
    unknown: Any

    @property
    def precision(self) -> Any:
        """Share of the known picks that are right; nan without picks."""
        return _ratio(self.hits, self.hits + self.false)

    @property
    def precision_strict(self) -> Any:
        """The same with every unknown pick taken for false."""
        return _ratio(self.hits, self.hits + self.false + self.unknown)

    @property
    def recall(self) -> Any:
        """Share of the labels that were found; nan without labels."""
        return _ratio(self.hits, self.labels)

    @property
    def f1(self) -> Any:
        """Harmonic mean of precision and recall; nan without labels."""
        return self._f1(self.false)

    @property
    def f1_strict(self) -> Any:
        """The same with every unknown pick taken for false."""
        return self._f1(self.false + self.unknown)

    def _f1(self, false: Any) -> Any:
        f1 = _ratio(2 * self.hits, self.hits + false + self.labels)
        return np.where(np.asarray(self.labels) > 0, f1, np.nan)[()]


def _ratio(part: Any, whole: Any) -> Any:
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)[()]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of labels and of the picks that were kept.

    Attributes:
        cell_counts: `Counts` of each cell, arrays (n_cells,).
        label: (n_hits,) int64, rows of the labels that were found.
        pick: (n_hits,) int64, rows of the picks that they were matched with.
        cell: (n_hits,) int64, the cells of their labels.
        residual_s: (n_hits,) float64, pick minus label.
        kept: (n_picks,) bool.
        is_hit: (n_picks,) bool.
    """

    cell_counts: Counts
    label: NDArray[np.int64]
    pick: NDArray[np.int64]
    cell: NDArray[np.int64]
    residual_s: Numbers
    kept: Mask
    is_hit: Mask

    def counts(self, cells: Mask) -> Counts:
        """Return the sums over some cells."""
        own = self.cell_counts
        return Counts(
            *(int(c[cells].sum()) for c in (own.labels, own.hits, own.false, own.unknown))
        )


class PhaseMatching:
    """Labels and picks of one phase.

    Args:
        cells: the streams and their parts.
        labels: of all phases.
        picks: of all phases, all that may be asked for.
        phase: 0 for P, 1 for S.
        tolerance_s: largest difference of a match.
        label_span_s: how far around a label a continuous stream counts as labelled.

    Attributes:
        labels, picks: those of the phase.
        known: (n_picks,) bool, see the head of the module.
        pick_cell: (n_picks,) int64.
    """

    def __init__(
        self,
        cells: Cells,
        labels: LabelTable,
        picks: PickTable,
        phase: int,
        *,
        tolerance_s: float = DEFAULT_TOLERANCE_S,
        label_span_s: float = LABEL_SPAN_S,
    ) -> None:
        self.labels = labels.take(labels.phase == phase)
        self.picks = picks.take(picks.phase == phase)
        self._n_cells = len(cells)
        self._label_cell = cells.locate(self.labels.stream, self.labels.time_ns)
        self._n_labels = np.bincount(self._label_cell, minlength=self._n_cells)
        self.pick_cell = cells.locate(self.picks.stream, self.picks.time_ns)
        where = (self.labels.stream, self.labels.time_ns, self.picks.stream, self.picks.time_ns)
        self._pairs = candidate_pairs(*where, tolerance_s=tolerance_s)
        self.known = self._known(cells, label_span_s)

    def _known(self, cells: Cells, label_span_s: float) -> Mask:
        labelled = np.zeros(len(cells.streams), dtype=np.bool_)
        labelled[self.labels.stream] = True
        stream = self.picks.stream
        known: Mask = labelled[stream] & cells.is_record[stream]
        span_ns = round(label_span_s * NS_PER_S)
        for number in np.unique(stream[labelled[stream] & ~known]):
            rows = np.flatnonzero(stream == number)
            labels_ns = np.sort(self.labels.time_ns[self.labels.stream == number])
            times_ns = self.picks.time_ns[rows]
            first = np.searchsorted(labels_ns, times_ns - span_ns, side="left")
            known[rows] = np.searchsorted(labels_ns, times_ns + span_ns, side="right") > first
        return known

    def matches(self, keep: Mask) -> NDArray[np.int64]:
        """Return the row of the pick that each label is matched with, -1 for none."""
        rows = match(self._pairs, keep)
        picks: NDArray[np.int64] = np.append(self._pairs.pick, -1)[rows]
        return picks

    def outcome(self, keep: Mask) -> Outcome:
        """Match the picks that are kept, (n_picks,) bool."""
        rows = match(self._pairs, keep)
        found = rows >= 0
        pick = self._pairs.pick[rows[found]]
        is_hit = np.zeros(len(self.picks), dtype=np.bool_)
        is_hit[pick] = True
        missed = keep & ~is_hit
        cell_counts = Counts(
            self._n_labels,
            self._per_cell(self._label_cell[found]),
            self._per_cell(self.pick_cell[missed & self.known]),
            self._per_cell(self.pick_cell[missed & ~self.known]),
        )
        residual_s = self._pairs.residual_s[rows[found]]
        label = np.flatnonzero(found)
        cell = self._label_cell[found]
        return Outcome(cell_counts, label, pick, cell, residual_s, keep, is_hit)

    def sweep(self, thresholds: Numbers, strata: Mask) -> Counts:
        """Count at each threshold.

        Args:
            thresholds: (n_thresholds,) least probabilities.
            strata: (n_strata, n_cells) bool, the sets of cells to sum over.

        Returns:
            Counts of shape (n_strata, n_thresholds).
        """
        own = strata.astype(np.float64)
        shape = (len(strata), len(thresholds))
        sums = np.zeros((3, *shape), np.int64)
        for column, threshold in enumerate(thresholds):
            counts = self.outcome(self.picks.probability >= threshold).cell_counts
            for row, values in enumerate((counts.hits, counts.false, counts.unknown)):
                sums[row, :, column] = np.rint(own @ values)
        labels = np.rint(own @ self._n_labels).astype(np.int64)
        return Counts(np.broadcast_to(labels[:, None], shape), *sums)

    def _per_cell(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(cells, minlength=self._n_cells)
