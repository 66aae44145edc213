"""The results of an evaluation of windows, as JSON values, as Markdown and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.evaluation.pick_report import aligned, joined, number, picture, table
from scperformer.evaluation.pick_statistics import Reliability
from scperformer.evaluation.window_metrics import (
    WindowTally,
    confusion_statistics,
    drawn_intervals,
)
from scperformer.types import CLASSES

Values = Mapping[str, Any]

_NOTES = """\
- Classes are P, S and noise; a window is answered with its most probable class.
- *Average precision* is the area under a class's precision-recall curve, each class against the \
others.
- *Brier score* is the mean of the summed squared differences of the three probabilities, 0 is \
perfect and 2 the worst. *Calibration error* is the mean difference between probability and \
share of right windows, in {bins} bins.
- Intervals hold 95 % of {draws} bootstrap draws of windows. Windows of one earthquake resemble \
each other, so the true intervals are wider."""


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
        "accuracy": float(statistics["accuracy"]),
        "macro_f1": float(statistics["macro_f1"]),
        "brier": tally.brier,
        "log_loss": tally.log_loss,
        "calibration": _reliability_values(tally.reliability()),
        "confusion": tally.confusion.tolist(),
        "intervals_95": {
            name: drawn[name][0] for name in ("accuracy", "macro_f1") if name in drawn
        },
        "classes": {
            name: _class_values(tally, column, statistics, drawn)
            for column, name in enumerate(CLASSES)
        },
    }


def _class_values(
    tally: WindowTally, column: int, statistics: Mapping[str, Any], drawn: Mapping[str, Any]
) -> dict[str, Any]:
    curve = tally.curve(column)
    places = curve.thinned() if len(curve.recall) else np.empty(0, np.int64)
    names = ("precision", "recall", "f1")
    best = curve.best
    return {
        "windows": int(tally.confusion[column].sum()),
        **{name: float(statistics[name][column]) for name in names},
        "intervals_95": {name: drawn[name][column] for name in names if name in drawn},
        "average_precision": curve.average_precision,
        "best": None
        if best is None
        else {
            "threshold": float(curve.threshold[best]),
            "precision": float(curve.precision[best]),
            "recall": float(curve.recall[best]),
            "f1": float(curve.f1[best]),
        },
        "brier": float(tally.brier_by_class[column]),
        "reliability": _reliability_values(tally.reliability(column)),
        "curve": {
            "threshold": curve.threshold[places].tolist(),
            "precision": curve.precision[places].tolist(),
            "recall": curve.recall[places].tolist(),
        },
    }


def _reliability_values(own: Reliability) -> dict[str, Any]:
    return {
        "windows": own.n.tolist(),
        "mean_probability": own.probability.tolist(),
        "share_right": own.share.tolist(),
        "calibration_error": own.calibration_error,
    }


def markdown(report: Values) -> str:
    """Write the report; `report` is what report.json holds."""
    bins = len(report["models"][0]["calibration"]["windows"])
    parts = [
        "# Evaluation of windows",
        _data_section(report),
        _NOTES.format(draws=report["settings"]["draws"], bins=bins),
        _score_section(report),
        picture(report, "precision_recall"),
        _class_section(report),
        _confusion_section(report),
        picture(report, "reliability"),
        _difference_section(report),
    ]
    return joined(*parts) + "\n"


def summary(report: Values) -> str:
    """Return the short table for the terminal."""
    header = ["model", "class", "windows", "precision", "recall", "F1", "average precision"]
    rows = [
        [
            model["name"],
            name,
            str(own["windows"]),
            *(number(own[key]) for key in ("precision", "recall", "f1", "average_precision")),
        ]
        for model in report["models"]
        for name, own in model["classes"].items()
    ]
    lines = [
        f"{model['name']}: accuracy {number(model['accuracy'], '.4f')}, Brier score "
        f"{number(model['brier'], '.4f')}, calibration error "
        f"{number(model['calibration']['calibration_error'], '.4f')}"
        for model in report["models"]
    ]
    return aligned(header, rows, n_text=2) + "\n\n" + "\n".join(lines)


def _data_section(report: Values) -> str:
    rows = [
        [data["file"], data["split"], str(data["windows"]), *map(str, data["classes"])]
        for data in report["data"]
    ]
    return table(["file", "split", "windows", *CLASSES], rows)


def _with_interval(values: Values, name: str) -> str:
    pair = values["intervals_95"].get(name)
    text = number(values[name], ".4f")
    return (
        text if pair is None else f"{text} ({number(pair[0], '.4f')} to {number(pair[1], '.4f')})"
    )


def _score_section(report: Values) -> str:
    header = ["model", "accuracy", "mean F1", "Brier score", "log loss", "calibration error"]
    rows = [
        [
            model["name"],
            _with_interval(model, "accuracy"),
            _with_interval(model, "macro_f1"),
            *(number(model[name], ".4f") for name in ("brier", "log_loss")),
            number(model["calibration"]["calibration_error"], ".4f"),
        ]
        for model in report["models"]
    ]
    return table(header, rows)


def _class_section(report: Values) -> str:
    header = ["model", "class", "windows", "precision", "recall", "F1", "average precision"]
    header += ["best threshold", "F1 there", "Brier score", "calibration error"]
    rows = []
    for model in report["models"]:
        for name, own in model["classes"].items():
            best = own["best"] or {}
            rows.append(
                [
                    model["name"],
                    name,
                    str(own["windows"]),
                    *(_with_interval(own, key) for key in ("precision", "recall", "f1")),
                    number(own["average_precision"], ".4f"),
                    number(best.get("threshold"), ".4f"),
                    number(best.get("f1"), ".4f"),
                    number(own["brier"], ".4f"),
                    number(own["reliability"]["calibration_error"], ".4f"),
                ]
            )
    return f"## Classes\n\n{table(header, rows)}"


def _confusion_section(report: Values) -> str:
    parts = ["## Confusion", picture(report, "confusion")]
    for model in report["models"]:
        rows = [
            [f"is {name}", *map(str, row)]
            for name, row in zip(CLASSES, model["confusion"], strict=True)
        ]
        parts.append(table([model["name"], *(f"answered {name}" for name in CLASSES)], rows))
    return joined(*parts)


def _difference_section(report: Values) -> str:
    if not report["differences"]:
        return ""
    rows = [
        [
            " minus ".join(item["models"]),
            *(
                " to ".join(number(end, "+.4f") for end in item[name])
                for name in ("accuracy", "macro_f1")
            ),
        ]
        for item in report["differences"]
    ]
    return "## Differences, on the same draws\n\n" + table(["models", "accuracy", "mean F1"], rows)
