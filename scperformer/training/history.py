"""What happened in each epoch: a CSV table and, with matplotlib, its curves."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from scperformer.training.files import write_bytes


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch.

    Attributes:
        number: counted from 1.
        loss: mean loss of the epoch's batches.
        validation_loss: loss on the records held apart.
        agreement: share of their windows with the targets' most probable class, among
            the windows with three, two and one components left; nan where there are none.
        learning_rate: at the epoch's end.
        duration_s: wall time.
    """

    number: int
    loss: float
    validation_loss: float
    agreement_three: float
    agreement_two: float
    agreement_one: float
    learning_rate: float
    duration_s: float

    def __str__(self) -> str:
        return (
            f"epoch {self.number}: loss {self.loss:.4f}, held apart {self.validation_loss:.4f}, "
            f"agreement {self.agreement_three:.4f} with three components, "
            f"{self.agreement_two:.4f} with two, {self.agreement_one:.4f} with one "
            f"({self.duration_s:.0f} s)"
        )


def write_table(epochs: Sequence[Epoch], path: Path) -> None:
    """Write a row an epoch as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [item.name for item in fields(Epoch)])
    writer.writeheader()
    for epoch in epochs:
        writer.writerow({name: _shortened(value) for name, value in asdict(epoch).items()})
    write_bytes(path, text.getvalue().encode())


def write_curves(epochs: Sequence[Epoch], path: Path) -> bool:
    """Draw losses and agreements over the epochs as PNG.

    Returns:
        Whether it was drawn; without matplotlib it is not.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in epochs]
    left.plot(numbers, [epoch.loss for epoch in epochs], label="training")
    left.plot(numbers, [epoch.validation_loss for epoch in epochs], label="held apart")
    left.set(xlabel="epoch", ylabel="loss", yscale="log")
    for count in ("three", "two", "one"):
        shares = [getattr(epoch, f"agreement_{count}") for epoch in epochs]
        right.plot(numbers, shares, label=f"{count} component{'s' if count != 'one' else ''}")
    right.set(xlabel="epoch", ylabel="agreement with the targets, held apart")
    left.legend()
    right.legend()
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    write_bytes(path, drawn.getvalue())
    return True


def _shortened(value: float) -> str:
    return f"{value:.6g}"
