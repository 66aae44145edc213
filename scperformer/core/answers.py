"""What the network, and the context stage behind it, say to the windows of many sensors."""

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
class Answers:
    """Answers to the windows of a queue, run after run.

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


class Answerer:
    """Answers queues one after another.

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

    def start(self, queue: Queue) -> Answering:
        """Begin to answer a queue."""
        filled = [entry for entry in queue if len(entry[1])]
        if not filled:
            return Answering(queue, None, self._context)
        gathered = gather([run for _, run in filled], self._shift, self._classifier.window_input)
        scorable = gathered.scorable & ~_incomplete(filled, gathered.batch.present)
        asked = _Asked(
            Classification(self._classifier, gathered.batch, scorable),
            np.where(scorable[:, None], gathered.peaks, np.float32(0.0)),
            gathered.n_live,
            scorable,
        )
        return Answering(queue, asked, self._context)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What was asked of the network, and what else is known of the windows."""

    classification: Classification
    peaks: NDArray[np.float32]
    n_live: NDArray[np.int64]
    scorable: NDArray[np.bool_]


class Answering:
    """A queue whose windows are being answered.

    Queues are to be brought to their `result` in the order in which they were started:
    the context stage's memory goes on from one to the next.

    Attributes:
        queue: the sensors and their windows.
        n_windows: of all of them.
    """

    def __init__(self, queue: Queue, asked: _Asked | None, context: ContextStage | None) -> None:
        self.queue = queue
        self.n_windows = 0 if asked is None else len(asked.scorable)
        self._asked = asked
        self._context = context

    def done(self) -> bool:
        """Whether the network has answered."""
        return self._asked is None or self._asked.classification.done()

    def result(self) -> Answers:
        """Wait for the network, ask the context stage, return the answers."""
        answers = np.empty((0, len(CLASSES)), np.float32)
        peaks = np.empty((0, N_COMPONENTS), np.float32)
        n_live, scorable = np.empty(0, np.int64), np.empty(0, bool)
        if self._asked is not None:
            answers = self._asked.classification.result()
            peaks, n_live = self._asked.peaks, self._asked.n_live
            scorable = self._asked.scorable
        if self._context is not None:
            answers = _in_context(self._context, self.queue, answers, peaks)
        probabilities = answers[:, : len(CLASSES)]
        return Answers(probabilities, log_odds(probabilities[:, : len(PHASES)]), n_live, scorable)


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
    answers: NDArray[np.float32],
    peaks: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Let the context stage answer; a segment's end makes it forget the sensor."""
    runs = [
        (sensor.memory, len(run), run.ends) for sensor, run in queue if sensor.memory is not None
    ]
    states, lengths, ends = zip(*runs, strict=True)
    return context.answer(answers, peaks, states, lengths, ends)
