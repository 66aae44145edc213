"""Picks matched with labels, one to one, at any threshold.

Within a stream and a phase, the pair with the smallest difference in time is matched
first, then the closest pair of what is left, and so on, as far as the tolerance goes.
Of equally close pairs the one with the earlier label, then the earlier row of the
pick, comes first.

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

from scperformer.evaluation.pick_tables import Cells, Indices, LabelTable, Mask, PickTable
from scperformer.evaluation.statistics import Numbers, ratio
from scperformer.types import NS_PER_S

DEFAULT_TOLERANCE_S = 0.5
LABEL_SPAN_S = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Labels and picks that may be matched, the closest pair first.

    Attributes:
        n_labels: number of labels.
        label: (n,) int64, row of the label.
        pick: (n,) int64, row of the pick.
        residual_s: (n,) float64, pick minus label.
    """

    n_labels: int
    label: Indices
    pick: Indices
    residual_s: NDArray[np.float64]


def candidate_pairs(
    label_stream: Indices,
    label_time_ns: Indices,
    pick_stream: Indices,
    pick_time_ns: Indices,
    *,
    tolerance_s: float,
) -> Pairs:
    """Find all labels and picks of the same stream within the tolerance, its edge included.

    Args:
        label_stream: (n_labels,) int64, streams of the labels of one phase.
        label_time_ns: (n_labels,) int64, their times.
        pick_stream: (n_picks,) int64, streams of the picks of the same phase.
        pick_time_ns: (n_picks,) int64, their times.
        tolerance_s: largest difference in time.
    """
    tolerance_ns = round(tolerance_s * NS_PER_S)
    order = np.lexsort((pick_time_ns, pick_stream))
    streams, times = pick_stream[order], pick_time_ns[order]
    labels, picks = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    by_stream = np.argsort(label_stream, kind="stable")
    labelled = label_stream[by_stream]
    for stream in np.unique(label_stream):
        rows = by_stream[slice(*np.searchsorted(labelled, [stream, stream + 1]))]
        low, high = np.searchsorted(streams, [stream, stream + 1])
        own = times[low:high]
        first = np.searchsorted(own, label_time_ns[rows] - tolerance_ns, side="left")
        last = np.searchsorted(own, label_time_ns[rows] + tolerance_ns, side="right")
        counts = last - first
        labels.append(np.repeat(rows, counts))
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        picks.append(order[low + np.repeat(first, counts) + within])
    label, pick = np.concatenate(labels), np.concatenate(picks)
    difference_ns = pick_time_ns[pick] - label_time_ns[label]
    closest = np.lexsort((pick, label_time_ns[label], np.abs(difference_ns)))
    return Pairs(
        len(label_stream), label[closest], pick[closest], difference_ns[closest] / NS_PER_S
    )


def match(pairs: Pairs, keep: NDArray[np.bool_]) -> Indices:
    """Match labels with those picks that are kept.

    A pair is matched if it comes first for its label and for its pick; then both are
    taken away, and so on. That is the same as going through all pairs in order.

    Args:
        pairs: what may be matched.
        keep: (n_picks,) bool.

    Returns:
        (n_labels,) int64: row in `pairs` of each label's match, -1 where there is none.
    """
    found = np.full(pairs.n_labels, -1, np.int64)
    rows = np.flatnonzero(keep[pairs.pick])
    while len(rows):
        label, pick = pairs.label[rows], pairs.pick[rows]
        mutual = np.intersect1d(
            np.unique(label, return_index=True)[1],
            np.unique(pick, return_index=True)[1],
            assume_unique=True,
        )
        found[label[mutual]] = rows[mutual]
        rows = rows[(found[label] < 0) & ~np.isin(pick, pick[mutual])]
    return found


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
        return ratio(self.hits, self.hits + self.false)

    @property
    def precision_strict(self) -> Any:
        """The same with every unknown pick taken for false."""
        return ratio(self.hits, self.hits + self.false + self.unknown)

    @property
    def recall(self) -> Any:
        """Share of the labels that were found; nan without labels."""
        return ratio(self.hits, self.labels)

    @property
    def f1(self) -> Any:
        """Harmonic mean of precision and recall; nan without labels."""
        return self._f1(self.false)

    @property
    def f1_strict(self) -> Any:
        """The same with every unknown pick taken for false."""
        return self._f1(self.false + self.unknown)

    def _f1(self, false: Any) -> Any:
        f1 = ratio(2 * self.hits, self.hits + false + self.labels)
        return np.where(np.asarray(self.labels) > 0, f1, np.nan)[()]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of labels and of the picks that were kept.

    Attributes:
        cell_counts: (4, n_cells) int64, labels, hits, false and unknown picks of each cell.
        label: (n_hits,) int64, rows of the labels that were found.
        pick: (n_hits,) int64, rows of the picks that they were matched with.
        cell: (n_hits,) int64, the cells of their labels.
        residual_s: (n_hits,) float64, pick minus label.
        kept: (n_picks,) bool.
        is_hit: (n_picks,) bool.
    """

    cell_counts: Indices
    label: Indices
    pick: Indices
    cell: Indices
    residual_s: Numbers
    kept: Mask
    is_hit: Mask

    def counts(self, cells: Mask) -> Counts:
        return Counts(*self.cell_counts[:, cells].sum(axis=1))


class PhaseMatching:
    """Labels and picks of one phase.

    Args:
        cells: the streams and their parts.
        labels: of all phases.
        picks: of all phases, all that may be asked for.
        phase: 0 for P, 1 for S.
        tolerance_s: largest difference of a match.
        label_span_s: how far around a label a continuous stream counts as labelled.
        doubtful: what may be no arrivals; if given, everything is labelled but the picks
            that could be matched with these.

    Attributes:
        labels, picks: those of the phase.
        known: (n_picks,) bool, see the head of the module.
        n_cells: number of cells.
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
        doubtful: LabelTable | None = None,
    ) -> None:
        self.labels = labels.take(labels.phase == phase)
        self.picks = picks.take(picks.phase == phase)
        self.n_cells = len(cells)
        self._label_cell = cells.locate(self.labels.stream, self.labels.time_ns)
        self._n_labels = self._per_cell(self._label_cell)
        self.pick_cell = cells.locate(self.picks.stream, self.picks.time_ns)
        self._pairs = self._pairs_with(self.labels, tolerance_s)
        if doubtful is None:
            self.known = self._near_labels(cells, label_span_s)
        else:
            others = self._pairs_with(doubtful.take(doubtful.phase == phase), tolerance_s)
            self.known = ~np.isin(np.arange(len(self.picks)), others.pick)

    def _pairs_with(self, labels: LabelTable, tolerance_s: float) -> Pairs:
        where = (labels.stream, labels.time_ns, self.picks.stream, self.picks.time_ns)
        return candidate_pairs(*where, tolerance_s=tolerance_s)

    def _near_labels(self, cells: Cells, label_span_s: float) -> Mask:
        labelled = np.zeros(len(cells.streams), dtype=np.bool_)
        labelled[self.labels.stream] = True
        stream = self.picks.stream
        known: Mask = labelled[stream] & cells.is_record[stream]
        continuous = self.labels.take(~cells.is_record[self.labels.stream])
        known[self._pairs_with(continuous, label_span_s).pick] = True
        return known

    def outcome(self, keep: Mask) -> Outcome:
        """Match the picks that are kept, (n_picks,) bool."""
        rows = match(self._pairs, keep)
        label = np.flatnonzero(rows >= 0)
        pairs, cell = rows[label], self._label_cell[label]
        pick = self._pairs.pick[pairs]
        is_hit = np.zeros(len(self.picks), dtype=np.bool_)
        is_hit[pick] = True
        missed = keep & ~is_hit
        counted = (
            self._n_labels,
            self._per_cell(cell),
            self._per_cell(self.pick_cell[missed & self.known]),
            self._per_cell(self.pick_cell[missed & ~self.known]),
        )
        residual_s = self._pairs.residual_s[pairs]
        return Outcome(np.stack(counted), label, pick, cell, residual_s, keep, is_hit)

    def sweep(self, thresholds: Numbers, strata: Mask) -> Counts:
        """Count at each threshold.

        Args:
            thresholds: (n_thresholds,) least probabilities.
            strata: (n_strata, n_cells) bool, the sets of cells to sum over.

        Returns:
            Counts of shape (n_strata, n_thresholds).
        """
        own = strata.T.astype(np.float64)
        outcomes = (self.outcome(self.picks.probability >= limit) for limit in thresholds)
        sums = np.stack([outcome.cell_counts @ own for outcome in outcomes], axis=-1)
        return Counts(*np.rint(sums).astype(np.int64))

    def _per_cell(self, cells: Indices) -> Indices:
        return np.bincount(cells, minlength=self.n_cells)
