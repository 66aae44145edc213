"""Pictures of an evaluation, drawn from the values of its report.json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scperformer.evaluation.pick_tables import PHASES
from scperformer.evaluation.report import Values
from scperformer.evaluation.statistics import FEWEST_JUDGED, FEWEST_SHOWN
from scperformer.picks.plots import new_figure, save_figure
from scperformer.types import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart by every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")
_F1_LINES = (0.5, 0.6, 0.7, 0.8, 0.9)
_POINTS = (("best", "o", "best threshold"), ("recommended", "s", "recommended thresholds"))
_STRATUM_WORDS = {
    "all": "",
    "three": ", three components",
    "fewer": ", fewer components",
}
_MOST_COLUMNS = 3
_BARS = f"(bars: 95 %; open circles: fewer than {FEWEST_SHOWN} {{}})"


def draw_pick_report(folder: Path, values: Values) -> None:
    """Draw precision_recall.png, residuals.png and reliability.png of picks.

    Raises:
        ConfigurationError: matplotlib is not installed.
        OutputError: a picture cannot be written.
    """
    _pick_curves(folder / "precision_recall.png", values)
    _residuals(folder / "residuals.png", values)
    _pick_reliability(folder / "reliability.png", values)


def draw_window_report(folder: Path, values: Values) -> None:
    """Draw precision_recall.png, reliability.png and confusion.png of windows.

    Raises:
        ConfigurationError: matplotlib is not installed.
        OutputError: a picture cannot be written.
    """
    models = values["models"]
    with _picture(folder / "precision_recall.png", (13.0, 5.2), 1, len(CLASSES)) as grid:
        for axis, name in zip(grid[0], CLASSES, strict=True):
            scores = [(model["name"], model["classes"][name]) for model in models]
            _draw_curves(axis, scores, named=name == CLASSES[-1])
            axis.set(xlabel="recall", title=f"{name} ({scores[0][1]['windows']} windows)")
        grid[0, 0].set_ylabel("precision (dot: best F1)")
    with _picture(folder / "reliability.png", (13.0, 5.2), 1, len(CLASSES)) as grid:
        for axis, name in zip(grid[0], CLASSES, strict=True):
            scores = [(model["name"], model["classes"][name]) for model in models]
            _draw_reliability(axis, scores, "windows")
            title = f"{name} ({scores[0][1]['windows']} windows)"
            axis.set(xlabel="probability of the class", title=title)
        grid[0, 0].set_ylabel(f"share of the windows that are of it\n{_BARS.format('windows')}")
    _confusion(folder / "confusion.png", models)


def _pick_curves(path: Path, values: Values) -> None:
    """Precision against recall; records with three and with fewer components get own rows."""
    pickers = values["pickers"]
    strata = pickers[0]["scores"]
    rows = ["three", "fewer"] if {"three", "fewer"} <= set(strata) else ["all"]
    with _picture(path, (11.0, 0.8 + 5.0 * len(rows)), len(rows), len(PHASES)) as grid:
        for axes, stratum in zip(grid, rows, strict=True):
            for axis, phase in zip(axes, PHASES, strict=True):
                scores = [(one["name"], one["scores"][stratum][phase]) for one in pickers]
                _draw_curves(axis, scores, named=phase == PHASES[-1])
                labels = strata[stratum][phase]["curve"]["labels"][0]
                axis.set_title(f"{phase}{_STRATUM_WORDS[stratum]} ({labels} labels)")
            axes[0].set_ylabel("precision: share of the picks that are right")
        for axis in grid[-1]:
            axis.set_xlabel("recall: share of the labelled arrivals that are found")
        for kind, marker, label in _POINTS:
            face = "0.3" if kind == "best" else "white"
            grid[0, 0].plot([], [], marker, color="0.3", markerfacecolor=face, label=label)


def _draw_curves(axis: Axes, scores: Sequence[tuple[str, Values]], *, named: bool) -> None:
    """Draw precision against recall of each, its points, and lines of equal F1 behind them."""
    for f1 in _F1_LINES:
        lowest = f1 / (2.0 - f1)
        recall = np.linspace(lowest, 1.0, 200)
        axis.plot(recall, f1 * recall / (2 * recall - f1), color="0.85", linewidth=0.8, zorder=0)
        if named:
            axis.annotate(
                f"F1 {f1:g}",
                (1.0, lowest),
                xycoords=("axes fraction", "data"),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color="0.45",
            )
    for number, (name, score) in enumerate(scores):
        curve = score["curve"]
        _line(axis, number, curve["recall"], curve["precision"], label=name)
        for kind, marker, _ in _POINTS:
            point = score.get(kind) or {}
            if point.get("recall") is not None and point.get("precision") is not None:
                axis.plot(
                    point["recall"],
                    point["precision"],
                    marker,
                    color=_colour(number),
                    markersize=8,
                    markerfacecolor=_colour(number) if kind == "best" else "white",
                    markeredgewidth=1.8,
                    zorder=4,
                )
    axis.set(xlim=(0.0, 1.01), ylim=(0.0, 1.01))


def _residuals(path: Path, values: Values) -> None:
    """Pick minus label at the best threshold: histograms, and shares within a distance."""
    tolerance_s = values["settings"]["tolerance_s"]
    with _picture(path, (11.0, 8.0), 2, len(PHASES), sharex=False, sharey="row") as grid:
        for (upper, lower), phase in zip(grid.T, PHASES, strict=True):
            for number, picker in enumerate(values["pickers"]):
                best = picker["scores"]["all"][phase]["best"]
                if best is not None and best["residuals"]["n"]:
                    _draw_residuals(upper, lower, best, picker["name"], number)
            upper.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
            upper.set(title=phase, xlim=(-tolerance_s, tolerance_s))
            upper.set_xlabel("pick minus label (s)")
            lower.set(xlim=(0.0, tolerance_s), ylim=(0.0, 101.0))
            lower.set_xlabel("distance from the label (s)")
            _rule(upper, lower)
        grid[0, 0].set_ylabel("share of the matched picks (%)")
        grid[1, 0].set_ylabel("labels with a pick within the distance (%)")


def _draw_residuals(upper: Axes, lower: Axes, best: Values, name: str, number: int) -> None:
    own = best["residuals"]
    edges_s, counts = np.array(own["bin_edges_s"]), np.array(own["histogram"], np.float64)
    _stairs(upper, number, 100.0 * counts / counts.sum(), edges_s)
    half = len(counts) // 2
    within = counts[half:].copy()
    within[1:] += counts[:half][::-1]
    shares = 100.0 * np.concatenate([[0.0], np.cumsum(within)]) / max(best["labels"], 1)
    _line(lower, number, np.concatenate([[0.0], edges_s[half + 1 :]]), shares, label=name)


def _pick_reliability(path: Path, values: Values) -> None:
    """Share of right picks against their probability, and how many there are."""
    sharing = {"sharex": True, "sharey": "row", "height_ratios": [3, 1]}
    pickers = values["pickers"]
    counts = [one["scores"]["all"][p]["reliability"]["picks"] for one in pickers for p in PHASES]
    most = max(FEWEST_JUDGED, *map(max, counts))
    with _picture(path, (11.0, 7.8), 2, len(PHASES), **sharing) as grid:
        for (upper, lower), phase in zip(grid.T, PHASES, strict=True):
            scores = [(one["name"], one["scores"]["all"][phase]) for one in pickers]
            _draw_reliability(upper, scores, "picks")
            for number, (_, score) in enumerate(scores):
                picks = score["reliability"]["picks"]
                _stairs(lower, number, picks, np.linspace(0, 1, len(picks) + 1))
            upper.set_title(phase)
            lower.axhline(FEWEST_JUDGED, color="0.3", linewidth=1.2, linestyle=":", zorder=0)
            lower.set_yscale("log", nonpositive="clip")
            lower.set_ylim(0.8, 1.6 * most)
            lower.set_xlabel("probability of the pick")
            _rule(lower)
        grid[0, 0].set_ylabel(f"share of the picks that are right\n{_BARS.format('picks')}")
        grid[1, 0].set_ylabel(f"number of picks\n(dotted: {FEWEST_JUDGED})")


def _draw_reliability(axis: Axes, scores: Sequence[tuple[str, Values]], what: str) -> None:
    """Draw shares with their intervals; bins with few of `what` are pale, off the line."""
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1.0, zorder=0)
    for number, (name, score) in enumerate(scores):
        own = score["reliability"]
        n, x, y, low, high = (
            np.array(column, np.float64)
            for column in (
                own[what],
                own["mean_probability"],
                own["share_right"],
                own["share_right_95"]["low"],
                own["share_right_95"]["high"],
            )
        )
        many, few = n >= FEWEST_SHOWN, (n > 0) & (n < FEWEST_SHOWN)
        _line(axis, number, x[many], y[many], marker="o", markersize=5, label=name)
        reach = np.stack([y - low, high - y])[:, many]
        colour = _colour(number)
        axis.errorbar(x[many], y[many], reach, fmt="none", ecolor=colour, capsize=2.5, alpha=0.6)
        axis.plot(x[few], y[few], "o", color=colour, markerfacecolor="white", alpha=0.5)
    axis.set(xlim=(0, 1), ylim=(-0.03, 1.03))
    _rule(axis)


def _confusion(path: Path, models: Sequence[Values]) -> None:
    """Confusion matrices, shares of the true class in colour."""
    columns = min(len(models), _MOST_COLUMNS)
    rows = -(-len(models) // columns)
    inches = (1.0 + 4.0 * columns, 0.4 + 4.0 * rows)
    with _picture(path, inches, rows, columns, sharex=False, sharey=False) as grid:
        for axis in grid.flat[len(models) :]:
            axis.set_visible(False)
        for axis, model in zip(grid.flat, models, strict=False):
            confusion = np.array(model["confusion"], np.float64)
            shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1.0)
            axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
            for (row, column), share in np.ndenumerate(shares):
                text = f"{int(confusion[row, column]):,}\n{100 * share:.1f} %"
                colour = "white" if share > 0.5 else "black"
                axis.text(column, row, text, ha="center", va="center", color=colour)
            axis.set_xticks(range(len(CLASSES)), CLASSES)
            axis.set_yticks(range(len(CLASSES)), CLASSES)
            axis.set(xlabel="answered", ylabel="true")
            accuracy = f"{model['name']}: accuracy {100 * model['accuracy']:.2f} %"
            axis.set_title(accuracy, fontsize=11)


@contextmanager
def _picture(
    path: Path, inches: tuple[float, float], rows: int, columns: int, **options: Any
) -> Iterator[NDArray[Any]]:
    """Give panels (rows, columns) to draw on; one legend is put below, and they are saved."""
    figure = new_figure(inches)
    figure.set_layout_engine("constrained")
    options = {"sharex": True, "sharey": True, **options}
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    yield grid
    handles: dict[str, Any] = {}
    for axis in grid.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        columns = min(len(handles), 4)
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns)
    save_figure(figure, path)


def _line(axis: Axes, number: int, x: Any, y: Any, **options: Any) -> None:
    x, y = (np.array(values, np.float64) for values in (x, y))
    axis.plot(x, y, _dashes(number), color=_colour(number), linewidth=1.8, **options)


def _stairs(axis: Axes, number: int, values: Any, edges: Any) -> None:
    axis.stairs(values, edges, color=_colour(number), linestyle=_dashes(number), linewidth=1.5)


def _rule(*axes: Axes) -> None:
    for axis in axes:
        axis.grid(color="0.92")
        axis.set_axisbelow(True)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _dashes(number: int) -> str:
    return _DASHES[number // len(COLOURS) % len(_DASHES)]
