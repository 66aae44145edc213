"""Picks matched with labels, one to one.

Within a stream and a phase, the pair with the smallest difference in time is matched
first, then the closest pair of what is left, and so on, as far as the tolerance goes.
Of equally close pairs the one with the earlier label, then the earlier row of the
pick, comes first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.types import NS_PER_S

Indices = NDArray[np.int64]


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
    for stream in np.unique(label_stream):
        rows = np.flatnonzero(label_stream == stream)
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
