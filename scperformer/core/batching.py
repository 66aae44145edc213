"""Windows of many sensors gathered into one call of the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scperformer.types import Classifier, WindowBatch

NOISE = np.array([0.0, 0.0, 1.0], dtype=np.float32)


def merge(batches: Sequence[WindowBatch]) -> WindowBatch:
    """Put batches of the same stride behind one another."""
    if len(batches) == 1:
        return batches[0]
    first_rows = np.cumsum([0, *(len(batch.rows) for batch in batches[:-1])])
    return WindowBatch(
        rows=np.concatenate([batch.rows for batch in batches]),
        starts=np.concatenate(
            [batch.starts + first for batch, first in zip(batches, first_rows, strict=True)]
        ),
        stride=batches[0].stride,
        peak=np.concatenate([batch.peak for batch in batches]),
        present=np.concatenate([batch.present for batch in batches]),
    )


def select(batch: WindowBatch, wanted: NDArray[np.bool_]) -> WindowBatch:
    """Return the wanted windows of a batch; the rows are shared."""
    return WindowBatch(
        rows=batch.rows,
        starts=batch.starts[wanted],
        stride=batch.stride,
        peak=batch.peak[wanted],
        present=batch.present[wanted],
    )


def classify(
    classifier: Classifier, batch: WindowBatch, scorable: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Answer the scorable windows; the others are noise.

    Returns:
        (n_windows, 3) float32 probabilities.
    """
    if scorable.all():
        return classifier.classify(batch)
    probabilities = np.tile(NOISE, (len(batch), 1))
    if scorable.any():
        probabilities[scorable] = classifier.classify(select(batch, scorable))
    return probabilities
