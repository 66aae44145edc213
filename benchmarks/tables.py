"""Figures as text: aligned columns with a title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the columns' heads, rows of words, and remarks below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        cells = [self.head, *self.rows]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.head))]
        lines = [self.title, _line(self.head, widths), "  ".join("-" * w for w in widths)]
        lines += [_line(row, widths) for row in self.rows]
        return "\n".join([*lines, *self.remarks]) + "\n"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    rest = [word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([first, *rest])
