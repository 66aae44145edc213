"""What the network, and the context stage behind it, say to the windows of many sensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.core.batching import classify, gather
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

    In a thread of its own it would be slower: its many short calls wait for Python's
    lock, which the records' bookkeeping holds (1,700 stations sustained against 1,550).

    Args:
        classifier: the network.
        context: the stage behind it, if there is one.
        shift: samples between windows.
    """

    def __init__(self, classifier: Classifier, context: ContextStage | None, shift: int) -> None:
        self._classifier = classifier
        self._context = context
        self._shift = shift

    def answer(self, queue: Queue) -> Answers:
        """Answer a queue."""
        filled = [entry for entry in queue if len(entry[1])]
        answers = np.empty((0, len(CLASSES)), np.float32)
        peaks = np.empty((0, N_COMPONENTS), np.float32)
        n_live, scorable = np.empty(0, np.int64), np.empty(0, bool)
        if filled:
            gathered = gather(
                [run for _, run in filled], self._shift, self._classifier.window_input
            )
            n_live = gathered.n_live
            scorable = gathered.scorable & ~_incomplete(filled, gathered.batch.present)
            answers = classify(self._classifier, gathered.batch, scorable)
            peaks = np.where(scorable[:, None], gathered.peaks, np.float32(0.0))
        if self._context is not None:
            answers = _in_context(self._context, queue, answers, peaks)
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
