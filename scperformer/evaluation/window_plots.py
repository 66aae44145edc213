"""Pictures of an evaluation of windows, drawn from the values of its report.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scperformer.evaluation.pick_plots import (
    draw_f1_lines,
    numbers,
    panels,
    shared_legend,
    style_of,
)
from scperformer.picks.plots import new_figure, save_figure
from scperformer.types import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Values = Mapping[str, Any]

_MOST_COLUMNS = 3


def plot_curves(path: Path, report: Values) -> None:
    """Draw precision against recall of each class, a line a model.

    Raises:
        ConfigurationError: matplotlib is not installed, or the suffix is no format of it.
        OutputError: the picture cannot be written.
    """

    def draw(axis: Axes, own: Values, label: str, number: int) -> None:
        colour, line = style_of(number)
        curve = own["curve"]
        if not curve["recall"]:
            return
        axis.plot(
            curve["recall"], curve["precision"], line, color=colour, linewidth=1.8, label=label
        )
        axis.plot(own["best"]["recall"], own["best"]["precision"], "o", color=colour, markersize=7)

    def frame(axis: Axes, is_last: bool) -> None:
        draw_f1_lines(axis, named=is_last)
        axis.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel="recall")

    _draw_classes(path, report, draw, frame, "precision (dot: best F1)")


def plot_reliability(path: Path, report: Values) -> None:
    """Draw the share of right windows against their probability, a line a model.

    Raises:
        ConfigurationError: matplotlib is not installed, or the suffix is no format of it.
        OutputError: the picture cannot be written.
    """

    def draw(axis: Axes, own: Values, label: str, number: int) -> None:
        colour, line = style_of(number)
        values = own["reliability"]
        axis.plot(
            numbers(values["mean_probability"]),
            numbers(values["share_right"]),
            line,
            marker="o",
            markersize=4,
            color=colour,
            linewidth=1.6,
            label=label,
        )

    def frame(axis: Axes, is_last: bool) -> None:
        del is_last
        axis.plot([0, 1], [0, 1], color="0.6", linewidth=1.0, zorder=0)
        axis.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="probability of the class")
        axis.grid(color="0.92")

    _draw_classes(path, report, draw, frame, "share of the windows that are of it")


def _draw_classes(
    path: Path,
    report: Values,
    draw: Callable[[Axes, Values, str, int], None],
    frame: Callable[[Axes, bool], None],
    label: str,
) -> None:
    figure, axes = panels((13.0, 5.2), len(CLASSES))
    for axis, name in zip(axes, CLASSES, strict=True):
        frame(axis, name == CLASSES[-1])
        for number, model in enumerate(report["models"]):
            draw(axis, model["classes"][name], model["name"], number)
        axis.set_title(f"{name} ({report['models'][0]['classes'][name]['windows']} windows)")
    axes[0].set_ylabel(label)
    shared_legend(figure, axes)
    save_figure(figure, path)


def plot_confusion(path: Path, report: Values) -> None:
    """Draw the confusion matrix of each model, shares of the true class in colour.

    Raises:
        ConfigurationError: matplotlib is not installed, or the suffix is no format of it.
        OutputError: the picture cannot be written.
    """
    models = report["models"]
    columns = min(len(models), _MOST_COLUMNS)
    rows = -(-len(models) // columns)
    figure = new_figure((1.0 + 4.0 * columns, 0.4 + 4.0 * rows))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axis in grid.flat[len(models) :]:
        axis.set_visible(False)
    for axis, model in zip(grid.flat, models, strict=False):
        confusion = np.array(model["confusion"], np.float64)
        shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1.0)
        axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
        for (row, column), share in np.ndenumerate(shares):
            axis.text(
                column,
                row,
                f"{int(confusion[row, column]):,}\n{100 * share:.1f} %",
                ha="center",
                va="center",
                color="white" if share > 0.5 else "black",
            )
        axis.set_xticks(range(len(CLASSES)), CLASSES)
        axis.set_yticks(range(len(CLASSES)), CLASSES)
        axis.set(xlabel="answered", ylabel="true")
        axis.set_title(f"{model['name']}: accuracy {100 * model['accuracy']:.2f} %", fontsize=11)
    save_figure(figure, path)
