"""What happened in a training: a CSV table and, with matplotlib, its curves."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Mapping, Sequence
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


_NOT_DRAWN = frozenset({"epoch", "step", "learning_rate", "duration_s"})


def write_curves(rows: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Draw the losses of a history, and beside them all other scores, over its epochs as PNG.

    Returns:
        Whether it was drawn; without matplotlib it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    drawn = [name for name in rows[0] if name not in _NOT_DRAWN]
    losses = [name for name in drawn if "loss" in name]
    scores = [name for name in drawn if name not in losses]
    panels = [("loss", "log", losses), ("scores, held out", "linear", scores)]
    panels = [panel for panel in panels if panel[2]]
    figure = Figure(figsize=(4.5 * len(panels), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, scale, names) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for name in names:
            values = [row[name] for row in rows]
            axes.plot([row["epoch"] for row in rows], values, label=name.replace("_", " "))
        axes.set(xlabel="epoch", ylabel=title, yscale=scale)
        axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    write_bytes(path, content.getvalue())
    return True
