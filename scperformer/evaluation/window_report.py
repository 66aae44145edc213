"""The report on an evaluation of windows: the values of report.json, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.evaluation.bootstrap import interval
from scperformer.evaluation.report import Column, Picture, Report, Section, Table, Values
from scperformer.evaluation.window_metrics import (
    WindowTally,
    confusion_statistics,
    drawn_intervals,
)
from scperformer.types import CLASSES

_OVERALL = ("accuracy", "macro_f1")
_BY_CLASS = ("precision", "recall", "f1")

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
