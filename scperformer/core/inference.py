"""Probabilities of the windows of many sensors: the network, and the context stage behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.core.batching import Classification, gather
from scperformer.core.context import ContextStage
from scperformer.core.sensors import Sensor
from scperformer.core.triggers import PHASES, log_odds
from scperformer.core.windows import WindowRun
from scperformer.types import CLASSES, N_COMPONENTS, Classifier

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
        scorable = gathered.scorable & ~_incomplete(filled, gathered.batch.present)
        submitted = _Submitted(
            Classification(self._classifier, gathered.batch, scorable),
            np.where(scorable[:, None], gathered.peaks, np.float32(0.0)),
            gathered.n_live,
            scorable,
        )
        return PendingInference(queue, submitted, self._context)


@dataclass(frozen=True, slots=True, eq=False)
class _Submitted:
    """What the network was given, and what else is known of the windows."""

    classification: Classification
    peaks: NDArray[np.float32]
    n_live: NDArray[np.int64]
    scorable: NDArray[np.bool_]


class PendingInference:
    """A queue on its way through the network.

    Queues are to be brought to their `result` in the order in which they were started:
    the context stage's memory goes on from one to the next.

    Attributes:
        queue: the sensors and their windows.
        n_windows: of all of them.
    """

    def __init__(
        self, queue: Queue, submitted: _Submitted | None, context: ContextStage | None
    ) -> None:
        self.queue = queue
        self.n_windows = 0 if submitted is None else len(submitted.scorable)
        self._submitted = submitted
        self._context = context

    def done(self) -> bool:
        """Whether the network is done."""
        return self._submitted is None or self._submitted.classification.done()

    def result(self) -> Predictions:
        """Wait for the network, run the context stage, return the predictions."""
        outputs = np.empty((0, len(CLASSES)), np.float32)
        peaks = np.empty((0, N_COMPONENTS), np.float32)
        n_live, scorable = np.empty(0, np.int64), np.empty(0, bool)
        if self._submitted is not None:
            outputs = self._submitted.classification.result()
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
