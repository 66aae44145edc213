"""Probabilities of the windows of many sensors: the network, and the context stage behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scperformer.core.context import ContextStage
from scperformer.core.sensors import Sensor
from scperformer.core.spectrogram import spectrogram_columns
from scperformer.core.triggers import PHASES, log_odds
from scperformer.core.windows import WindowRun
from scperformer.stft import HOP_SAMPLES
from scperformer.types import (
    CLASSES,
    N_COMPONENTS,
    WINDOW_SAMPLES,
    BackgroundClassifier,
    Classifier,
    PendingProbabilities,
    WindowBatch,
    WindowInput,
)

NOISE = np.array([0.0, 0.0, 1.0], dtype=np.float32)
Queue = Sequence[tuple[Sensor, WindowRun]]


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What is predicted for the windows of a queue, run after run.

    Attributes:
        probabilities: (n, 3) float32, P, S and noise.
        odds: (n, 2) float64, log-odds of P and S.
        n_live: (n,) int64, components that cover the window and are not silent.
        scorable: (n,) bool; the other windows count as noise.
    """

    probabilities: NDArray[np.float32]
    odds: NDArray[np.float64]
    n_live: NDArray[np.int64]
    scorable: NDArray[np.bool_]


class Inference:
    """Takes queues of windows through the network and the context stage, one after another.

    The network's arithmetic runs beside the records' bookkeeping if the classifier has
    threads for it. All else is many short calls, which in a thread of their own would
    wait for Python's lock, and stays here.

    Args:
        classifier: the network.
        context: the stage behind it, if there is one.
        shift: samples between windows.
    """

    def __init__(self, classifier: Classifier, context: ContextStage | None, shift: int) -> None:
        self._classifier = classifier
        self._context = context
        self._shift = shift

    def start(self, queue: Queue) -> PendingInference:
        """Begin with a queue."""
        filled = [entry for entry in queue if len(entry[1])]
        if not filled:
            return PendingInference(queue, None, self._context)
        gathered = gather([run for _, run in filled], self._shift, self._classifier.window_input)
        scorable = (gathered.n_live > 0) & ~_incomplete(filled, gathered.batch.present)
        submitted = Submitted(
            self._classify(gathered.batch, scorable),
            np.where(scorable[:, None], gathered.peaks, np.float32(0.0)),
            gathered.n_live,
            scorable,
        )
        return PendingInference(queue, submitted, self._context)

    def _classify(self, batch: WindowBatch, scorable: NDArray[np.bool_]) -> PendingProbabilities:
        """Begin with the scorable windows; a network that has no threads answers at once."""
        if not scorable.all():
            batch = replace(
                batch,
                starts=batch.starts[scorable],
                peak=batch.peak[scorable],
                present=batch.present[scorable],
            )
        if isinstance(self._classifier, BackgroundClassifier):
            return self._classifier.start(batch)
        answered: Future[NDArray[np.float32]] = Future()
        answered.set_result(self._classifier.classify(batch))
        return answered


@dataclass(frozen=True, slots=True, eq=False)
class Submitted:
    """What the network was given, and what else is known of the windows."""

    pending: PendingProbabilities
    peaks: NDArray[np.float32]
    n_live: NDArray[np.int64]
    scorable: NDArray[np.bool_]

    def outputs(self) -> NDArray[np.float32]:
        """Wait for what the network answers, (n, 3 or more); what is not scorable is noise."""
        found = self.pending.result()
        if self.scorable.all():
            return found
        outputs = np.zeros((len(self.scorable), found.shape[1]), dtype=np.float32)
        outputs[:, : len(NOISE)] = NOISE
        outputs[self.scorable] = found
        return outputs


class PendingInference:
    """A queue on its way through the network.

    Queues are to be brought to their `result` in the order in which they were started:
    the context stage's memory goes on from one to the next.

    Attributes:
        queue: the sensors and their windows.
        n_windows: of all of them.
    """

    def __init__(
        self, queue: Queue, submitted: Submitted | None, context: ContextStage | None
    ) -> None:
        self.queue = queue
        self.n_windows = 0 if submitted is None else len(submitted.scorable)
        self._submitted = submitted
        self._context = context

    def done(self) -> bool:
        """Whether the network is done."""
        return self._submitted is None or self._submitted.pending.done()

    def result(self) -> Predictions:
        """Wait for the network, run the context stage, return the predictions."""
        outputs = np.empty((0, len(CLASSES)), np.float32)
        peaks = np.empty((0, N_COMPONENTS), np.float32)
        n_live, scorable = np.empty(0, np.int64), np.empty(0, bool)
        if self._submitted is not None:
            outputs = self._submitted.outputs()
            peaks, n_live = self._submitted.peaks, self._submitted.n_live
            scorable = self._submitted.scorable
        if self._context is not None:
            outputs = _in_context(self._context, self.queue, outputs, peaks)
        probabilities = outputs[:, : len(CLASSES)]
        return Predictions(
            probabilities, log_odds(probabilities[:, : len(PHASES)]), n_live, scorable
        )


def _incomplete(queue: Queue, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Windows that lack a component at sensors that require all."""
    strict = [sensor.requires_all for sensor, _ in queue]
    if not any(strict):
        return np.zeros(len(present), dtype=bool)
    missing: NDArray[np.bool_] = np.repeat(strict, [len(run) for _, run in queue])
    return missing & ~present.all(axis=1)


def _in_context(
    context: ContextStage,
    queue: Queue,
    outputs: NDArray[np.float32],
    peaks: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Run the context stage; a segment's end makes it forget the sensor."""
    runs = [
        (sensor.memory, len(run), run.ends) for sensor, run in queue if sensor.memory is not None
    ]
    states, lengths, ends = zip(*runs, strict=True)
    return context.predict(outputs, peaks, states, lengths, ends)


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """The windows of many runs, ready for the network.

    Attributes:
        batch: what the network needs.
        peaks: (n, 3) float32, largest absolute sample of each component, 0 if absent.
        n_live: (n,) int64, components that cover the window and are not silent.
    """

    batch: WindowBatch
    peaks: NDArray[np.float32]
    n_live: NDArray[np.int64]


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
    return Gathered(batch, maxima, n_live)


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


_COLUMNS_APART = WINDOW_SAMPLES // HOP_SAMPLES


def classify_windows(classifier: Classifier, windows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Answer windows.

    Args:
        classifier: answers them.
        windows: (n, 400, 3), filtered, components N, E, Z, in any unit.

    Returns:
        (n, 3) float32 probabilities of P, S and noise.
    """
    answers = classifier.classify(window_batch(windows, classifier.window_input))
    return answers[:, : len(CLASSES)]


def window_batch(windows: NDArray[np.floating], window_input: WindowInput) -> WindowBatch:
    """Make a batch of windows (n, 400, 3).

    Windows are divided by their peaks first, so that their size does not matter, and put
    one behind the other; 400 samples are 25 columns, of which the last 3 reach into the
    next window and belong to none.
    """
    n = len(windows)
    peak = np.abs(windows).max(axis=(1, 2), initial=0.0)
    normal = windows / np.where(peak > 0, peak, 1)[:, np.newaxis, np.newaxis]
    samples = normal.reshape(n * WINDOW_SAMPLES, N_COMPONENTS).astype(np.float32)
    if window_input is WindowInput.SAMPLES:
        rows, apart = samples, WINDOW_SAMPLES
    else:
        rows, apart = spectrogram_columns(np.ascontiguousarray(samples.T)), _COLUMNS_APART
    return WindowBatch(
        rows=rows,
        starts=np.arange(n, dtype=np.int64) * apart,
        stride=1,
        peak=(peak > 0).astype(np.float32),
        present=np.ones((n, N_COMPONENTS), dtype=np.bool_),
    )
