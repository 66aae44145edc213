"""How well windows are classified: counted up in bounded memory, and the report on it.

Precision-recall curves come from counts in bins of log-odds 1/128 wide, so that a file
of any length needs no list of its scores; everything else is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.evaluation.report import Column, Picture, Report, Section, Table, Values
from scperformer.evaluation.statistics import Numbers, Reliability, interval, ratio
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
_OVERALL = ("accuracy", "macro_f1")
_BY_CLASS = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Precision and recall of a class against all others, from the highest threshold down.

    Attributes:
        threshold: (n,) least probability.
        precision, recall: (n,).
        average_precision: sum of precision times the step in recall.
    """

    threshold: Numbers
    precision: Numbers
    recall: Numbers
    average_precision: float

    @property
    def best(self) -> int | None:
        """Place of the largest F1, None where the class does not occur."""
        return int(np.argmax(self.f1)) if len(self.recall) else None

    @property
    def f1(self) -> Numbers:
        """(n,) harmonic means of precision and recall."""
        product = 2.0 * self.precision * self.recall
        return np.asarray(np.nan_to_num(ratio(product, self.precision + self.recall)))

    def thinned(self) -> NDArray[np.int64]:
        """Return places of points to draw, not too many, the best one among them."""
        n = len(self.recall)
        places = np.unique(np.linspace(0, n - 1, _MOST_POINTS if n else 0).astype(np.int64))
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
            return Curve(none, none, none, float("nan"))
        precision, recall = hits / (hits + false), hits / n_true
        average = float(np.sum(precision * np.diff(recall, prepend=0.0)))
        edges = filled / _BINS_PER_UNIT - _LARGEST_LOG_ODDS
        return Curve(1.0 / (1.0 + np.exp(-edges)), precision, recall, average)


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


_NOTES = """\
- Classes are P, S and noise; a window is answered with its most probable class.
- *Average precision* is the area under a class's precision-recall curve, each class against the \
others.
- *Brier score* is the mean of the summed squared differences of the three probabilities, 0 is \
perfect and 2 the worst. *Calibration error* is the mean difference between probability and \
share of right windows, in {bins} bins.
- Intervals hold 95 % of {draws} bootstrap draws of windows. Windows of one earthquake resemble \
each other, so the true intervals are wider."""

_DATA = (
    Column("file", "file"),
    Column("split", "split"),
    Column("windows", "windows", "d"),
    *(Column(name, f"{name} windows", "d") for name in CLASSES),
)
_SCORES = (
    Column("model", "name"),
    Column("accuracy", "accuracy", ".4f", has_interval=True),
    Column("mean F1", "macro_f1", ".4f", has_interval=True),
    Column("Brier score", "brier", ".4f"),
    Column("log loss", "log_loss", ".4f"),
    Column("calibration error", "calibration.calibration_error", ".4f"),
)
_CLASSES = (
    Column("model", "model"),
    Column("class", "class"),
    Column("windows", "windows", "d"),
    Column("precision", "precision", ".4f", has_interval=True),
    Column("recall", "recall", ".4f", has_interval=True),
    Column("F1", "f1", ".4f", has_interval=True),
    Column("average precision", "average_precision", ".4f"),
    Column("best threshold", "best.threshold", ".4f"),
    Column("F1 there", "best.f1", ".4f"),
    Column("Brier score", "brier", ".4f"),
    Column("calibration error", "reliability.calibration_error", ".4f"),
)
_CLASS_SUMMARY = (
    *_CLASSES[:3],
    Column("precision", "precision", ".3f"),
    Column("recall", "recall", ".3f"),
    Column("F1", "f1", ".3f"),
    Column("average precision", "average_precision", ".3f"),
)
_SUMMARY = (
    Column("model", "name"),
    Column("accuracy", "accuracy", ".4f"),
    Column("Brier score", "brier", ".4f"),
    Column("calibration error", "calibration.calibration_error", ".4f"),
)
_DIFFERENCES = (
    Column("models", "names"),
    Column("accuracy", "accuracy", "+.4f"),
    Column("mean F1", "macro_f1", "+.4f"),
)


def window_values(tally: WindowTally, draws: NDArray[np.int64] | None) -> dict[str, Any]:
    """Return all about one model.

    Args:
        tally: what it answered.
        draws: (n, 3, 3) drawn confusion matrices, None for none.
    """
    statistics = confusion_statistics(tally.confusion)
    drawn = {} if draws is None else drawn_intervals(draws)
    return {
        "windows": tally.n,
        **{name: statistics[name] for name in _OVERALL},
        "brier": tally.brier,
        "log_loss": tally.log_loss,
        "calibration": tally.reliability.values("windows"),
        "confusion": tally.confusion,
        "intervals_95": {name: drawn[name][0] for name in _OVERALL if name in drawn},
        "classes": {
            name: _class_values(tally, column, statistics, drawn)
            for column, name in enumerate(CLASSES)
        },
    }


def _class_values(
    tally: WindowTally, column: int, statistics: Mapping[str, Any], drawn: Mapping[str, Any]
) -> dict[str, Any]:
    curve = tally.curve(column)
    best, shown = curve.best, curve.thinned()
    points = {name: getattr(curve, name) for name in ("threshold", *_BY_CLASS)}
    return {
        "windows": tally.confusion[column].sum(),
        **{name: statistics[name][column] for name in _BY_CLASS},
        "intervals_95": {name: drawn[name][column] for name in _BY_CLASS if name in drawn},
        "average_precision": curve.average_precision,
        "best": None if best is None else {name: own[best] for name, own in points.items()},
        "brier": tally.brier_by_class[column],
        "reliability": tally.reliability_by_class[column].values("windows"),
        "curve": {name: points[name][shown] for name in ("threshold", "precision", "recall")},
    }


def compare(names: Sequence[str], draws: NDArray[np.int64] | None) -> list[dict[str, Any]]:
    """Compare every two models: 95 % intervals of the differences on the same draws.

    Args:
        names: of the models.
        draws: (n, n_models, 3, 3) drawn confusion matrices, None for none.
    """
    if draws is None:
        return []
    drawn = confusion_statistics(draws)
    return [
        {"models": [names[one], names[other]]}
        | {name: interval(drawn[name][:, one] - drawn[name][:, other]) for name in _OVERALL}
        for one, other in combinations(range(len(names)), 2)
    ]


def window_report(values: Values) -> Report:
    """Declare the report; `values` are those of report.json, see `report.plain`."""
    models = values["models"]
    by_class = [
        {"model": model["name"], "class": name, **own}
        for model in models
        for name, own in model["classes"].items()
    ]
    data = [{**row, **_by_class("{} windows", row["classes"])} for row in values["data"]]
    differences = [{**row, "names": " minus ".join(row["models"])} for row in values["differences"]]
    bins = len(models[0]["calibration"]["windows"])
    notes = _NOTES.format(draws=values["settings"]["draws"], bins=bins)
    sections = [
        Section(
            "", [Table(_DATA, data), notes, Table(_SCORES, models), Picture("precision_recall")]
        ),
        Section("Classes", [Table(_CLASSES, by_class)]),
        Section("Confusion", [Picture("confusion"), *map(_confusion, models)]),
        Section("", [Picture("reliability")]),
        Section("Differences, on the same draws", [Table(_DIFFERENCES, differences)]),
    ]
    summary = [Table(_CLASS_SUMMARY, by_class), Table(_SUMMARY, models)]
    return Report("Evaluation of windows", values, sections, summary)


def _by_class(pattern: str, numbers: Sequence[int]) -> dict[str, int]:
    return {pattern.format(name): n for name, n in zip(CLASSES, numbers, strict=True)}


def _confusion(model: Values) -> Table:
    answered = [Column(f"answered {name}", f"answered {name}", "d") for name in CLASSES]
    rows = [
        {"true": f"is {name}", **_by_class("answered {}", row)}
        for name, row in zip(CLASSES, model["confusion"], strict=True)
    ]
    return Table([Column(model["name"], "true"), *answered], rows)
