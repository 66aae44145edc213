"""Windows of many sensors gathered into one call of the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scperformer.core.spectrogram import spectrogram_columns
from scperformer.core.windows import WindowRun
from scperformer.stft import HOP_SAMPLES
from scperformer.types import (
    WINDOW_SAMPLES,
    BackgroundClassifier,
    Classifier,
    PendingProbabilities,
    WindowBatch,
    WindowInput,
)

NOISE = np.array([0.0, 0.0, 1.0], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """The windows of many runs, ready for the network.

    Attributes:
        batch: what the network needs.
        peaks: (n, 3) float32, largest absolute sample of each component, 0 if absent.
        n_live: (n,) int64, components that cover the window and are not silent.
        scorable: (n,) bool; the other windows count as noise.
    """

    batch: WindowBatch
    peaks: NDArray[np.float32]
    n_live: NDArray[np.int64]
    scorable: NDArray[np.bool_]


def gather(runs: Sequence[WindowRun], shift: int, window_input: WindowInput) -> Gathered:
    """Put runs behind one another and compute what their windows share.

    The runs' waveforms are laid end to end, each a whole number of steps long, so that
    spectrogram columns and maxima of all sensors are computed in one go. What lies
    across two runs belongs to no window.

    Args:
        runs: at least one, none empty.
        shift: samples between windows.
        window_input: what the network looks at.
    """
    lengths = [run.samples.shape[1] for run in runs]
    origins = np.cumsum([0, *lengths[:-1]]) - [int(run.starts[0]) for run in runs]
    samples = np.concatenate([run.samples for run in runs], axis=1)
    starts = np.concatenate([run.starts + o for run, o in zip(runs, origins, strict=True)])
    present = np.concatenate([run.present for run in runs])
    maxima = np.where(present, _window_maxima(samples, starts, shift), np.float32(0.0))
    n_live = np.count_nonzero(maxima > 0.0, axis=1)
    rows, row_starts, stride = _rows(samples, starts, shift, window_input)
    peak = _with_block_peaks(maxima.max(axis=1), runs)
    batch = WindowBatch(rows=rows, starts=row_starts, stride=stride, peak=peak, present=present)
    return Gathered(batch, maxima, n_live, n_live > 0)


def _window_maxima(
    samples: NDArray[np.float32], starts: NDArray[np.int64], shift: int
) -> NDArray[np.float32]:
    """Largest absolute sample of each component in each window, (n, 3)."""
    grain = math.gcd(shift, WINDOW_SAMPLES)
    grains = np.abs(samples).reshape(len(samples), -1, grain).max(axis=2)
    over = sliding_window_view(grains, WINDOW_SAMPLES // grain, axis=1)
    maxima: NDArray[np.float32] = over[:, starts // grain].max(axis=2).T
    return maxima


def _rows(
    samples: NDArray[np.float32], starts: NDArray[np.int64], shift: int, window_input: WindowInput
) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
    if window_input is WindowInput.SAMPLES:
        return np.ascontiguousarray(samples.T), starts, 1
    step = math.gcd(shift, HOP_SAMPLES)
    return spectrogram_columns(samples, step), starts // step, HOP_SAMPLES // step


def _with_block_peaks(peaks: NDArray[np.float32], runs: Sequence[WindowRun]) -> NDArray[np.float32]:
    if all(run.block_peak is None for run in runs):
        return peaks
    blocks = [np.nan if run.block_peak is None else run.block_peak for run in runs]
    by_window = np.repeat(np.array(blocks, dtype=np.float32), [len(run) for run in runs])
    return np.where(np.isnan(by_window), peaks, by_window)


def select(batch: WindowBatch, wanted: NDArray[np.bool_]) -> WindowBatch:
    """Return the wanted windows of a batch; the rows are shared."""
    return WindowBatch(
        rows=batch.rows,
        starts=batch.starts[wanted],
        stride=batch.stride,
        peak=batch.peak[wanted],
        present=batch.present[wanted],
    )


class Classification:
    """A batch on its way through the network.

    Args:
        classifier: the network; one that has no threads of its own classifies at once.
        batch: the windows.
        scorable: (n,) bool, the windows to classify; the others are noise.
    """

    def __init__(
        self, classifier: Classifier, batch: WindowBatch, scorable: NDArray[np.bool_]
    ) -> None:
        self._scorable = scorable
        wanted = batch if scorable.all() else select(batch, scorable)
        self._pending: PendingProbabilities
        if isinstance(classifier, BackgroundClassifier):
            self._pending = classifier.start(wanted)
        else:
            self._pending = Future()
            self._pending.set_result(classifier.classify(wanted))

    def done(self) -> bool:
        """Whether the probabilities are there."""
        return self._pending.done()

    def result(self) -> NDArray[np.float32]:
        """Wait for the probabilities: (n, 3 or more) float32, as the classifier returns them."""
        found = self._pending.result()
        if self._scorable.all():
            return found
        probabilities = np.zeros((len(self._scorable), found.shape[1]), dtype=np.float32)
        probabilities[:, : len(NOISE)] = NOISE
        probabilities[self._scorable] = found
        return probabilities
