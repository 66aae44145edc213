"""Pictures of an evaluation of picks, drawn from the values of its report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scperformer.picks.plots import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Mapping[str, Any]

PHASES = ("P", "S")
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


def plot_precision_recall(path: Path, report: Values) -> None:
    """Draw precision against recall over thresholds, P beside S, a line a picker.

    Records with three and with fewer live components get rows of their own.

    Args:
        path: the picture; the suffix tells the format.
        report: as in report.json.

    Raises:
        ConfigurationError: matplotlib is not installed, or the suffix is no format of it.
        OutputError: the picture cannot be written.
    """
    strata = report["pickers"][0]["scores"]
    rows = ["three", "fewer"] if {"three", "fewer"} <= set(strata) else ["all"]
    figure = new_figure((11.0, 0.8 + 5.0 * len(rows)))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(rows), len(PHASES), sharex=True, sharey=True, squeeze=False)
    for axes, stratum in zip(grid, rows, strict=True):
        for axis, phase in zip(axes, PHASES, strict=True):
            draw_f1_lines(axis, named=phase == PHASES[-1])
            for number, picker in enumerate(report["pickers"]):
                _draw_picker(axis, picker["scores"][stratum][phase], picker["name"], number)
            labels = strata[stratum][phase]["curve"]["labels"][0]
            axis.set_title(f"{phase}{_STRATUM_WORDS[stratum]} ({labels} labels)")
            axis.set(xlim=(0.0, 1.01), ylim=(0.0, 1.01))
        axes[0].set_ylabel("precision: share of the picks that are right")
    for axis in grid[-1]:
        axis.set_xlabel("recall: share of the labelled arrivals that are found")
    for kind, marker, label in _POINTS:
        face = "0.3" if kind == "best" else "white"
        grid[0, 0].plot([], [], marker, color="0.3", markerfacecolor=face, label=label)
    shared_legend(figure, grid.ravel().tolist())
    save_figure(figure, path)


def _draw_picker(axis: Axes, score: Values, name: str, number: int) -> None:
    colour, line = style_of(number)
    curve = score["curve"]
    axis.plot(
        numbers(curve["recall"]),
        numbers(curve["precision"]),
        line,
        color=colour,
        linewidth=1.8,
        label=name,
    )
    for kind, marker, _ in _POINTS:
        point = score[kind]
        if point and point["recall"] is not None and point["precision"] is not None:
            axis.plot(
                point["recall"],
                point["precision"],
                marker,
                color=colour,
                markersize=8,
                markerfacecolor=colour if kind == "best" else "white",
                markeredgewidth=1.8,
                zorder=4,
            )


def plot_residuals(path: Path, report: Values) -> None:
    """Draw pick minus label at the best threshold: histograms, and shares within a distance.

    Raises:
        ConfigurationError: matplotlib is not installed, or the suffix is no format of it.
        OutputError: the picture cannot be written.
    """
    figure = new_figure((11.0, 8.0))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(2, len(PHASES), sharey="row")
    tolerance_s = report["settings"]["tolerance_s"]
    for column, phase in enumerate(PHASES):
        upper, lower = grid[0, column], grid[1, column]
        for number, picker in enumerate(report["pickers"]):
            best = picker["scores"]["all"][phase]["best"]
            if best is not None and best["residuals"]["n"]:
                _draw_residuals(upper, lower, best, picker["name"], number)
        upper.axvline(0.0, color="0.6", linewidth=0.8, zorder=0)
        upper.set(title=phase, xlim=(-tolerance_s, tolerance_s), xlabel="pick minus label (s)")
        lower.set(xlim=(0.0, tolerance_s), ylim=(0.0, 101.0), xlabel="distance from the label (s)")
        for axis in (upper, lower):
            axis.grid(color="0.92")
            axis.set_axisbelow(True)
    grid[0, 0].set_ylabel("share of the matched picks (%)")
    grid[1, 0].set_ylabel("labels with a pick within the distance (%)")
    shared_legend(figure, grid.ravel().tolist())
    save_figure(figure, path)


def _draw_residuals(upper: Axes, lower: Axes, best: Values, name: str, number: int) -> None:
    own = best["residuals"]
    edges_s, counts = numbers(own["bin_edges_s"]), numbers(own["histogram"])
    colour, line = style_of(number)
    upper.stairs(
        100.0 * counts / counts.sum(), edges_s, color=colour, linestyle=line, linewidth=1.4
    )
    half = len(counts) // 2
    within = counts[half:].copy()
    within[1:] += counts[:half][::-1]
    shares = 100.0 * np.concatenate([[0.0], np.cumsum(within)]) / max(best["labels"], 1)
    distances_s = np.concatenate([[0.0], edges_s[half + 1 :]])
    lower.plot(distances_s, shares, line, color=colour, linewidth=1.8, label=name)


def plot_reliability(path: Path, report: Values) -> None:
    """Draw the share of right picks against their probability, and how many there are.

    Raises:
        ConfigurationError: matplotlib is not installed, or the suffix is no format of it.
        OutputError: the picture cannot be written.
    """
    figure = new_figure((11.0, 7.5))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(2, len(PHASES), sharex=True, sharey="row", height_ratios=[3, 1])
    for column, phase in enumerate(PHASES):
        upper, lower = grid[0, column], grid[1, column]
        upper.plot([0, 1], [0, 1], color="0.6", linewidth=1.0, zorder=0)
        for number, picker in enumerate(report["pickers"]):
            own = picker["scores"]["all"][phase]["reliability"]
            colour, line = style_of(number)
            upper.plot(
                numbers(own["mean_probability"]),
                numbers(own["share_right"]),
                line,
                marker="o",
                color=colour,
                linewidth=1.6,
                markersize=5,
                label=picker["name"],
            )
            edges = np.linspace(0, 1, len(own["picks"]) + 1)
            lower.stairs(own["picks"], edges, color=colour, linestyle=line, linewidth=1.6)
        upper.set(title=phase, xlim=(0, 1), ylim=(-0.02, 1.02))
        lower.set_yscale("log", nonpositive="clip")
        lower.set_ylim(bottom=0.8)
        lower.set_xlabel("probability of the pick")
        for axis in (upper, lower):
            axis.grid(color="0.92")
            axis.set_axisbelow(True)
    grid[0, 0].set_ylabel("share of the picks that are right")
    grid[1, 0].set_ylabel("number of picks")
    shared_legend(figure, grid.ravel().tolist())
    save_figure(figure, path)


def panels(inches: tuple[float, float], columns: int) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure of so many panels beside each other with one vertical axis."""
    figure = new_figure(inches)
    figure.set_layout_engine("constrained")
    axes: Sequence[Axes] = figure.subplots(1, columns, sharey=True)
    return figure, axes


def shared_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend below all panels, each name once."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=min(len(handles), 4),
        )


def draw_f1_lines(axis: Axes, *, named: bool) -> None:
    """Draw lines of equal F1 into a plot of precision against recall; name them outside."""
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


def style_of(number: int) -> tuple[str, str]:
    """Return colour and line style of a picker by its number."""
    return COLOURS[number % len(COLOURS)], _DASHES[number // len(COLOURS) % len(_DASHES)]


def numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Return values as an array, None as nan."""
    return np.array([np.nan if value is None else value for value in values], np.float64)
