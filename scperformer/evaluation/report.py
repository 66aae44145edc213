"""A report declared as data, once, and written as text, Markdown and JSON.

The rows of its tables are the mappings that report.json holds, so that all three say the
same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scperformer.atomic import write_bytes

DIGITS = 6
_NOTHING = "-"

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: its head.
        key: the value's name in a row, or its path there, ``best.residuals.mean_s``. Where
            there is nothing a dash is written; of two ends, ``low to high``.
        form: how `format` writes the number; empty for text.
        unit: of the number, empty if it has none.
        has_interval: the number's interval is written behind it, if ``intervals_95`` beside
            it has one.
    """

    title: str
    key: str
    form: str = ""
    unit: str = ""
    has_interval: bool = False

    @property
    def head(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def cell(self, row: Values) -> str:
        """Write the value of a row."""
        *way, name = [self.key] if self.key in row else self.key.split(".")
        for step in way:
            row = row.get(step) or {}
        text = self._written(row.get(name))
        ends = row.get("intervals_95", {}).get(name) if self.has_interval else None
        return text if text == _NOTHING or not ends else f"{text} ({self._written(ends)})"

    def _written(self, value: Any) -> str:
        if isinstance(value, Mapping):
            value = list(value.values())
        if isinstance(value, list):
            return " to ".join(map(self._written, value))
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            return _NOTHING
        return format(value, self.form)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows, and how they are shown; without rows it is not."""

    columns: Sequence[Column]
    rows: Sequence[Values]

    def cells(self) -> list[list[str]]:
        """Return the heads and each row, written."""
        heads = [column.head for column in self.columns]
        return [heads, *([column.cell(row) for column in self.columns] for row in self.rows)]


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG beside the report, by its name."""

    name: str


Part = str | Table | Picture


@dataclass(frozen=True, slots=True)
class Section:
    """Paragraphs, tables and pictures under a title; not shown if it has tables, but no rows."""

    title: str
    parts: Sequence[Part]

    @property
    def is_shown(self) -> bool:
        tables = [part for part in self.parts if isinstance(part, Table)]
        return not tables or any(table.rows for table in tables)


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found.

    Attributes:
        title: of the whole.
        values: what report.json holds, see `plain`; ``pictures`` says whether they are drawn.
        sections: what report.md holds, in order.
        summary: what the terminal shows.
    """

    title: str
    values: Values
    sections: Sequence[Section]
    summary: Sequence[Part]

    def write(self, folder: Path, draw: Callable[[Path, Values], None]) -> None:
        """Write report.json and report.md, and let the pictures be drawn if there are any.

        Raises:
            OutputError: they cannot be written.
        """
        write_bytes(folder / "report.json", to_json(self).encode())
        write_bytes(folder / "report.md", to_markdown(self).encode())
        if self.values["pictures"]:
            draw(folder, self.values)


def to_json(report: Report) -> str:
    """Return the values."""
    return json.dumps(report.values, indent=1, allow_nan=False)


def to_markdown(report: Report) -> str:
    """Return title and sections."""
    texts = [f"# {report.title}"]
    for section in report.sections:
        if section.is_shown:
            texts += [f"## {section.title}"] if section.title else []
            texts += [_in_markdown(part, bool(report.values["pictures"])) for part in section.parts]
    return "\n\n".join(filter(None, texts)) + "\n"


def _in_markdown(part: Part, has_pictures: bool) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Picture):
        return f"![{part.name.replace('_', ' ')}]({part.name}.png)" if has_pictures else ""
    heads, *rows = part.cells()
    rules = ["---:" if column.form else "---" for column in part.columns]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rules, *rows)) if rows else ""


def to_text(report: Report) -> str:
    """Return the summary, tables in columns of equal width."""
    return "\n\n".join(
        _in_columns(part) if isinstance(part, Table) else part
        for part in report.summary
        if not isinstance(part, Picture)
    )


def _in_columns(table: Table) -> str:
    lines = table.cells()
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column.form else cell.ljust(width)
            for cell, width, column in zip(line, widths, table.columns, strict=True)
        ).rstrip()
        for line in lines
    )


def plain(value: Any) -> Any:
    """Make JSON of values, arrays and dataclasses: rounded, None for what is not finite."""
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value
