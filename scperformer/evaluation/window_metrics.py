"""How well windows are classified, counted up part by part in bounded memory.

Precision-recall curves come from counts in bins of log-odds 1/128 wide, so that a file
of any length needs no list of its scores; everything else is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.evaluation.bootstrap import interval
from scperformer.evaluation.statistics import Numbers, Reliability, ratio
from scperformer.types import CLASSES

Counts = NDArray[np.int64]

N_CLASSES = len(CLASSES)
RELIABILITY_BINS = 15
_LARGEST_LOG_ODDS = 17.0
_BINS_PER_UNIT = 128
_BINS = round(2 * _LARGEST_LOG_ODDS * _BINS_PER_UNIT)
_SMALLEST = 1e-7
_MOST_POINTS = 300
MOST_MODELS = 30


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Precision and recall of a class against all others, from the highest threshold down.

    Attributes:
        threshold: (n,) least probability.
        precision, recall: (n,).
        average_precision: sum of precision times the step in recall.
        best: place of the largest F1, None where the class does not occur.
    """

    threshold: Numbers
    precision: Numbers
    recall: Numbers
    average_precision: float
    best: int | None

    @property
    def f1(self) -> Numbers:
        """(n,) harmonic means of precision and recall."""
        product = 2.0 * self.precision * self.recall
        return np.asarray(np.nan_to_num(ratio(product, self.precision + self.recall)))

    def thinned(self, most: int = _MOST_POINTS) -> NDArray[np.int64]:
        """Return places of points to draw: at most so many, the best one among them."""
        n = len(self.recall)
        places = np.unique(np.linspace(0, n - 1, most if n else 0).astype(np.int64))
        return places if self.best is None else np.union1d(places, [self.best])


class WindowTally:
    """Counts up what a classifier answers and what was true.

    Attributes:
        confusion: (3, 3) int64, rows what was true, columns what was answered.
        reliability: of the probability of the class that was answered.
        reliability_by_class: of the probability of each class.
    """

    def __init__(self) -> None:
        self.confusion = np.zeros((N_CLASSES, N_CLASSES), np.int64)
        self._log_odds = np.zeros((N_CLASSES, 2, _BINS), np.int64)
        self.reliability = Reliability(RELIABILITY_BINS)
        self.reliability_by_class = [Reliability(RELIABILITY_BINS) for _ in CLASSES]
        self._squares = np.zeros(N_CLASSES)
        self._log_loss = 0.0

    def add(self, probabilities: NDArray[np.floating], truth: Counts) -> None:
        """Count windows.

        Args:
            probabilities: (n, 3) of P, S and noise.
            truth: (n,) classes.
        """
        own = np.asarray(probabilities, np.float64)
        answers = own.argmax(axis=1)
        np.add.at(self.confusion, (truth, answers), 1)
        is_true = truth[:, None] == np.arange(N_CLASSES)
        self._squares += ((own - is_true) ** 2).sum(axis=0)
        chosen = np.clip(own[np.arange(len(own)), truth], _SMALLEST, None)
        self._log_loss -= float(np.log(chosen).sum())
        for column in range(N_CLASSES):
            self._count_class(column, own[:, column], is_true[:, column])
        self.reliability.add(own.max(axis=1, initial=0.0), answers == truth)

    def _count_class(self, column: int, scores: Numbers, is_true: NDArray[np.bool_]) -> None:
        places = _bin_of(scores)
        for row, chosen in enumerate((is_true, ~is_true)):
            self._log_odds[column, row] += np.bincount(places[chosen], minlength=_BINS)
        self.reliability_by_class[column].add(scores, is_true)

    @property
    def n(self) -> int:
        """Windows counted."""
        return int(self.confusion.sum())

    @property
    def brier(self) -> float:
        """Mean over windows of the summed squared differences of all classes (Brier 1950)."""
        return float(self.brier_by_class.sum())

    @property
    def brier_by_class(self) -> Numbers:
        """(3,) mean squared difference of each class."""
        return np.asarray(ratio(self._squares, np.full(N_CLASSES, self.n)))

    @property
    def log_loss(self) -> float:
        """Mean negative logarithm of the true class's probability, at least 1e-7."""
        return float(ratio(self._log_loss, self.n))

    def curve(self, column: int) -> Curve:
        """Return precision and recall of a class; empty where no window is of that class."""
        own = self._log_odds[column]
        filled = np.flatnonzero(own.sum(axis=0))[::-1]
        hits, false = (np.cumsum(row[filled]) for row in own)
        n_true = int(own[0].sum())
        if not n_true:
            none = np.empty(0)
            return Curve(none, none, none, float("nan"), None)
        precision, recall = hits / (hits + false), hits / n_true
        average = float(np.sum(precision * np.diff(recall, prepend=0.0)))
        edges = filled / _BINS_PER_UNIT - _LARGEST_LOG_ODDS
        curve = Curve(1.0 / (1.0 + np.exp(-edges)), precision, recall, average, 0)
        best = int(np.argmax(curve.f1))
        return Curve(curve.threshold, precision, recall, average, best)


def _bin_of(scores: Numbers) -> NDArray[np.int64]:
    with np.errstate(divide="ignore"):
        odds = np.log(scores) - np.log1p(-scores)
    shifted = np.clip(odds, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS) + _LARGEST_LOG_ODDS
    places: NDArray[np.int64] = (shifted * _BINS_PER_UNIT).astype(np.int64)
    return np.minimum(places, _BINS - 1)


def confusion_statistics(confusion: NDArray[np.generic]) -> dict[str, NDArray[np.float64]]:
    """Return statistics of confusion matrices.

    Args:
        confusion: (..., 3, 3), rows what was true.

    Returns:
        ``accuracy`` and ``macro_f1`` (...), and ``precision``, ``recall`` and ``f1``
        (..., 3); nan where a class occurs neither as truth nor as answer.
    """
    own = np.asarray(confusion, np.float64)
    hits = np.diagonal(own, axis1=-2, axis2=-1)
    answered, true = own.sum(axis=-2), own.sum(axis=-1)
    f1 = ratio(2.0 * hits, answered + true)
    return {
        "accuracy": ratio(hits.sum(axis=-1), own.sum(axis=(-2, -1))),
        "precision": ratio(hits, answered),
        "recall": ratio(hits, true),
        "f1": f1,
        "macro_f1": f1.mean(axis=-1),
    }


class JointTally:
    """Counts which classes several classifiers answer together, so that draws are paired.

    Args:
        n_models: number of classifiers, at most `MOST_MODELS`.
    """

    def __init__(self, n_models: int) -> None:
        self._n_models = n_models
        self._counts: dict[int, int] = {}

    def add(self, truth: Counts, answers: NDArray[np.integer]) -> None:
        """Count windows: their classes, (n,), and the answers, (n, n_models)."""
        code = truth.astype(np.int64)
        for column in range(self._n_models):
            code = code * N_CLASSES + answers[:, column]
        for value, count in zip(*np.unique(code, return_counts=True), strict=True):
            self._counts[int(value)] = self._counts.get(int(value), 0) + int(count)

    def draws(self, n_draws: int, *, seed: int) -> Counts:
        """Draw windows with replacement, as many as there are.

        Returns:
            (n_draws, n_models, 3, 3) int64 confusion matrices; each draw is the same
            windows for all models.
        """
        codes = sorted(self._counts)
        counts = np.array([self._counts[code] for code in codes], np.int64)
        total = int(counts.sum())
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(total, counts / max(total, 1), size=n_draws)
        confusion = np.zeros((n_draws, self._n_models, N_CLASSES, N_CLASSES), np.int64)
        for code, column in zip(codes, drawn.T, strict=True):
            digits = [code // N_CLASSES**power % N_CLASSES for power in range(self._n_models + 1)]
            truth = digits[-1]
            for model in range(self._n_models):
                confusion[:, model, truth, digits[self._n_models - 1 - model]] += column
        return confusion


def drawn_intervals(confusion: Counts) -> dict[str, list[tuple[float, float]]]:
    """Return 95 % intervals of `confusion_statistics` over draws (n_draws, 3, 3)."""
    table = {}
    for name, values in confusion_statistics(confusion).items():
        columns = values.reshape(len(values), -1).T
        table[name] = [interval(column) for column in columns]
    return table
