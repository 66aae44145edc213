"""What happened in a training: a CSV table and, with matplotlib, its curves."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scperformer.atomic import write_bytes


def write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows of numbers, which all have the same names, as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
    write_bytes(path, text.getvalue().encode())


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the pictures of the curves.

    Attributes:
        title: of the vertical axis.
        curves: label and name of the column of each.
        scale: of the vertical axis, ``linear`` or ``log``.
    """

    title: str
    curves: Mapping[str, str]
    scale: str = "linear"


LOSSES = Panel("loss", {"training": "loss", "held out": "validation_loss"}, "log")
AGREEMENTS = Panel(
    "agreement with the targets, held out",
    {
        "three components": "agreement_three",
        "two components": "agreement_two",
        "one component": "agreement_one",
    },
)


def write_curves(rows: Sequence[Mapping[str, Any]], path: Path, panels: Sequence[Panel]) -> bool:
    """Draw columns of a history over its first one as PNG.

    Returns:
        Whether it was drawn; without matplotlib it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(4.5 * len(panels), 4), layout="constrained")
    FigureCanvasAgg(figure)
    first = next(iter(rows[0]))
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for label, name in panel.curves.items():
            axes.plot([row[first] for row in rows], [row[name] for row in rows], label=label)
        axes.set(xlabel=first, ylabel=panel.title, yscale=panel.scale)
        axes.legend()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    write_bytes(path, drawn.getvalue())
    return True
