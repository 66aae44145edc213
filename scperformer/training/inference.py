"""Probabilities of many windows from networks that are not being trained at the moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.windows import Centres, WindowBank
from scperformer.training.features import Prepared, prepare
from scperformer.types import CLASSES

# isort: split
import tensorflow as tf

_BATCH = 2048


class BatchedInference:
    """Probabilities of a network, or of several, in batches of one size.

    Args:
        probabilities: takes prepared windows and the components to look at, (n, 3)
            bool, and returns (n, 3) float32 probabilities, inside TensorFlow's graph.
    """

    def __init__(self, probabilities: Callable[[Prepared, Any], Any]) -> None:
        def compute(windows: Any, keep: Any) -> Any:
            return probabilities(prepare(windows), keep)

        self._compute = tf.function(compute, jit_compile=True)

    def windows(self, windows: NDArray[np.float32], keep: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return (n, 3) float32 probabilities of (n, 400, 3) float32 windows."""
        return self._in_batches(len(windows), lambda which: (windows[which], keep[which]))

    def centres(
        self, bank: WindowBank, centres: Centres, keep: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float32]:
        """Return (n, 3) float32 probabilities of windows that are cut as they are needed.

        Args:
            bank: the records.
            centres: the windows' centres.
            keep: (3,) bool, components to look at where they are live, all by default.
        """

        def fetch(which: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            batch = centres.take(which)
            present = bank.present[batch.record]
            return bank.cut(batch), present if keep is None else present & keep

        return self._in_batches(len(centres), fetch)

    def _in_batches(
        self,
        count: int,
        fetch: Callable[[NDArray[np.int64]], tuple[NDArray[np.float32], NDArray[np.bool_]]],
    ) -> NDArray[np.float32]:
        probabilities = np.empty((count, len(CLASSES)), np.float32)
        for first in range(0, count, _BATCH):
            # The last batch is filled up with its last window: one shape, one compilation.
            which = np.minimum(np.arange(first, first + _BATCH), count - 1)
            computed = self._compute(*fetch(which)).numpy()
            probabilities[first : first + _BATCH] = computed[: count - first]
        return probabilities
