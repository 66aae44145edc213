"""CSV: a header and a row for each pick; numbers that are not finite stay empty."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scperformer.errors import InputError
from scperformer.picks.columns import NAMES, row
from scperformer.picks.rows import picks_of_rows
from scperformer.picks.style import Style
from scperformer.picks.words import WANTED, Others
from scperformer.types import Pick

FOOT = b""


def head(picks: Sequence[Pick], style: Style) -> bytes:
    """Return the header."""
    del picks, style
    return line(*NAMES)


def body(pick: Pick, style: Style) -> bytes:
    """Return the pick's row."""
    return line(*row(pick, precision=style.precision).values())


def line(*values: Any) -> bytes:
    """Return values as a line."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def read(path: Path, others: Others) -> Iterator[Pick]:
    """Read picks and labels; see `rows`.

    Raises:
        InputError: no known layout, or a row that is no pick.
        OSError, UnicodeDecodeError, csv.Error: it cannot be read.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        columns = set(reader.fieldnames or ())
        times = {"p_time", "s_time"} & columns or {"phase", "time"} <= columns
        if not {"network", "station"} <= columns or not times:
            listed = ", ".join(sorted(columns)) or "none"
            raise InputError(f"{path}: columns found: {listed}; {WANTED}")
        yield from picks_of_rows(path, ((reader.line_num, row) for row in reader), others)
