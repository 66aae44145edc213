"""Probabilities of the windows, or of the columns, of many sensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scperformer.config import Settings
from scperformer.core.columns import PowerColumns
from scperformer.core.sensors import Sensor
from scperformer.core.spectrogram import spectrogram_columns
from scperformer.core.streaming import Memory, Step, StreamingNetwork
from scperformer.core.triggers import PHASES, log_odds
from scperformer.core.windows import Reach, WindowRun
from scperformer.errors import ConfigurationError
from scperformer.stft import FRAME_SAMPLES, HOP_SAMPLES
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


class Inference(Protocol):
    """Takes queues of windows or columns through a network, one after another."""

    reach: Reach

    def remember(self) -> Memory | None:
        """Return the memory of a new sensor, None for a network that remembers nothing."""

    def start(self, queue: Queue) -> PendingInference:
        """Begin with a queue."""


class PendingInference(Protocol):
    """A queue on its way through the network.

    Attributes:
        queue: the sensors and their windows.
        n_windows: of all of them.
    """

    queue: Queue
    n_windows: int

    def done(self) -> bool:
        """Whether the network is done."""

    def result(self) -> Predictions:
        """Wait for the network; return the predictions."""


def inference_of(network: Classifier | StreamingNetwork, settings: Settings) -> Inference:
    """Return what takes queues through a network.

    Raises:
        ConfigurationError: a setting does not go with the network.
    """
    if isinstance(network, StreamingNetwork):
        return ColumnInference(network, settings)
    return WindowInference(network, settings.shift_samples)


class WindowInference:
    """A network that answers windows, each for itself.

    Its arithmetic runs beside the records' bookkeeping if it has threads for it. All else
    is many short calls, which in a thread of their own would wait for Python's lock.

    Args:
        classifier: the network.
        shift: samples between windows.
    """

    reach = Reach()

    def __init__(self, classifier: Classifier, shift: int) -> None:
        self._classifier = classifier
        self._shift = shift

    def remember(self) -> None:
        """It remembers nothing."""

    def start(self, queue: Queue) -> PendingInference:
        """Begin with a queue."""
        filled = [entry for entry in queue if len(entry[1])]
        if not filled:
            return _Answered(queue, _NOTHING)
        gathered = gather([run for _, run in filled], self._shift, self._classifier.window_input)
        scorable = (gathered.n_live > 0) & ~_incomplete(filled, gathered.batch.present)
        pending = self._classify(gathered.batch, scorable)
        return _Submitted(queue, pending, gathered.n_live, scorable)

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


class ColumnInference:
    """The streaming network, which takes the columns of each sensor one after another.

    Args:
        network: the network.
        settings: the picker's.

    Raises:
        ConfigurationError: another shift than the spectrogram's hop, or a normalisation by
            blocks, which the network's own level makes needless.
    """

    def __init__(self, network: StreamingNetwork, settings: Settings) -> None:
        self._network = network
        lag = network.shape.look_ahead * HOP_SAMPLES
        self.reach = Reach(window=FRAME_SAMPLES, lag=lag)
        if settings.shift_samples != HOP_SAMPLES:
            raise ConfigurationError(
                f"shift: got {settings.shift_samples}; {network.name} works at {HOP_SAMPLES} "
                "alone; use that, or a model on windows, such as performer"
            )
        if settings.trace_normalization:
            raise ConfigurationError(
                f"traceNormalization: {network.name} follows the level by itself; switch it off, "
                "or use a model on windows, such as performer"
            )

    def remember(self) -> Memory:
        """Return the memory of a new sensor."""
        return self._network.remember()

    def start(self, queue: Queue) -> PendingInference:
        """Answer a queue, at once."""
        filled = [entry for entry in queue if len(entry[1])]
        steps = _steps(queue)
        if not filled:
            self._network.predict(PowerColumns.none(), steps)
            return _Answered(queue, _NOTHING)
        runs = [run for _, run in filled]
        lengths = [run.samples.shape[1] // HOP_SAMPLES for run in runs]
        firsts = np.cumsum([0, *lengths[:-1]])
        rows = np.concatenate(
            [np.arange(first, first + len(run)) for first, run in zip(firsts, runs, strict=True)]
        )
        samples = np.concatenate([run.samples for run in runs], axis=1)
        present = np.concatenate([run.present for run in runs])
        columns = PowerColumns.of(samples, rows, present)
        probabilities = self._network.predict(columns, steps)
        n_live = np.count_nonzero(columns.live, axis=1)
        scorable = (n_live > 0) & ~_incomplete(filled, present)
        probabilities[~scorable] = NOISE
        odds = log_odds(probabilities[:, : len(PHASES)])
        return _Answered(queue, Predictions(probabilities, odds, n_live, scorable))


def _steps(queue: Queue) -> list[Step]:
    """Return whose columns they are; runs of one sensor that follow each other are one step."""
    steps: list[Step] = []
    for sensor, run in queue:
        if sensor.memory is None:
            continue
        index = int(run.starts[0]) // HOP_SAMPLES if len(run) else 0
        last = steps[-1] if steps else None
        if (
            last is not None
            and last.memory is sensor.memory
            and not last.ends
            and (not len(run) or not last.n or index == last.index + last.n)
        ):
            first = last.index if last.n else index
            steps[-1] = Step(sensor.memory, first, last.n + len(run), run.ends)
        else:
            steps.append(Step(sensor.memory, index, len(run), run.ends))
    return steps


class _Answered:
    """A queue whose predictions are there."""

    def __init__(self, queue: Queue, predictions: Predictions) -> None:
        self.queue = queue
        self.n_windows = len(predictions.scorable)
        self._predictions = predictions

    def done(self) -> bool:
        return True

    def result(self) -> Predictions:
        return self._predictions


class _Submitted:
    """A queue whose scorable windows are with the network; the others are noise."""

    def __init__(
        self,
        queue: Queue,
        pending: PendingProbabilities,
        n_live: NDArray[np.int64],
        scorable: NDArray[np.bool_],
    ) -> None:
        self.queue = queue
        self.n_windows = len(scorable)
        self._pending = pending
        self._n_live = n_live
        self._scorable = scorable

    def done(self) -> bool:
        return self._pending.done()

    def result(self) -> Predictions:
        probabilities = self._pending.result()
        if not self._scorable.all():
            found = probabilities
            probabilities = np.tile(NOISE, (len(self._scorable), 1))
            probabilities[self._scorable] = found
        odds = log_odds(probabilities[:, : len(PHASES)])
        return Predictions(probabilities, odds, self._n_live, self._scorable)


def _incomplete(queue: Queue, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Windows that lack a component at sensors that require all."""
    strict = [sensor.requires_all for sensor, _ in queue]
    if not any(strict):
        return np.zeros(len(present), dtype=bool)
    missing: NDArray[np.bool_] = np.repeat(strict, [len(run) for _, run in queue])
    return missing & ~present.all(axis=1)


_NOTHING = Predictions(
    np.empty((0, len(CLASSES)), np.float32),
    np.empty((0, len(PHASES))),
    np.empty(0, np.int64),
    np.empty(0, np.bool_),
)


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """The windows of many runs, ready for the network.

    Attributes:
        batch: what the network needs.
        n_live: (n,) int64, components that cover the window and are not silent.
    """

    batch: WindowBatch
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
    return Gathered(batch, n_live)


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
    return classifier.classify(window_batch(windows, classifier.window_input))


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
