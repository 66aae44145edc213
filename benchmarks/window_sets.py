"""Windows for the networks: runs as the pipeline cuts them, and the same cut for Keras."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.archives import record_trace
from scperformer.config import DEFAULT_FILTER
from scperformer.core.filters import parse_filter
from scperformer.core.inference import gather
from scperformer.core.windows import Segment, WindowRun
from scperformer.stft import HOP_SAMPLES
from scperformer.types import (
    N_COMPONENTS,
    WINDOW_SAMPLES,
    Classifier,
    WindowBatch,
    WindowInput,
)

SHIFT_SAMPLES = HOP_SAMPLES


@dataclass(frozen=True, slots=True, eq=False)
class WindowSet:
    """Consecutive windows of one station at shift 16.

    Attributes:
        samples: (3, m) float32, filtered; window i begins at sample 16 i.
        n_windows: how many.
    """

    samples: NDArray[np.float32]
    n_windows: int

    def batches(self, batch_size: int, window_input: WindowInput) -> Iterator[WindowBatch]:
        """Yield batches; their columns and maxima are computed here."""
        for first in range(0, self.n_windows, batch_size):
            run = self._run(first, min(batch_size, self.n_windows - first))
            yield gather([run], SHIFT_SAMPLES, window_input).batch

    def classify(self, classifier: Classifier, batch_size: int) -> NDArray[np.float32]:
        """Answer all windows, spectrogram included, (n_windows, 3)."""
        batches = self.batches(batch_size, classifier.window_input)
        return np.concatenate([classifier.classify(batch) for batch in batches])

    def cut(self) -> NDArray[np.float32]:
        """Return (n_windows, 400, 3) windows, for a network that shares nothing."""
        views = np.lib.stride_tricks.sliding_window_view(self.samples, WINDOW_SAMPLES, axis=1)
        shifted = views[:, : self.n_windows * SHIFT_SAMPLES : SHIFT_SAMPLES]
        return np.ascontiguousarray(shifted.transpose(1, 2, 0))

    def _run(self, first: int, n: int) -> WindowRun:
        begin = first * SHIFT_SAMPLES
        return WindowRun(
            segment=Segment(begin),
            starts=begin + SHIFT_SAMPLES * np.arange(n, dtype=np.int64),
            samples=self.samples[:, begin : begin + _length(n)],
            present=np.ones((n, N_COMPONENTS), dtype=bool),
            run_start=np.zeros(N_COMPONENTS, dtype=np.int64),
            offset_ns=np.zeros(N_COMPONENTS, dtype=np.int64),
            letters=("N", "E", "Z"),
            raw=(None, None, None),
        )


def window_set(n_windows: int) -> WindowSet:
    """Filter as much of the record as so many windows need; it is repeated if too short."""
    trace, _ = record_trace()
    raw = np.stack([np.resize(row, _length(n_windows)) for row in trace]).astype(np.float64)
    state = parse_filter(DEFAULT_FILTER).start()
    state.prime(np.ones(N_COMPONENTS, dtype=bool), raw[:, 0])
    return WindowSet(state.process(raw).astype(np.float32), n_windows)


def _length(n_windows: int) -> int:
    return (n_windows - 1) * SHIFT_SAMPLES + WINDOW_SAMPLES
