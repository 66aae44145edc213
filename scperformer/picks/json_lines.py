"""JSON lines: an object for each pick; numbers that are not finite are null."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scperformer.errors import InputError
from scperformer.picks.columns import row
from scperformer.picks.rows import picks_of_rows
from scperformer.picks.style import Style
from scperformer.picks.words import WANTED, Others
from scperformer.types import Pick

FOOT = b""


def head(picks: Sequence[Pick], style: Style) -> bytes:
    """Return what a file begins with: nothing."""
    del picks, style
    return b""


def body(pick: Pick, style: Style) -> bytes:
    """Return the pick's line."""
    values = row(pick, precision=style.precision)
    return (json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read(path: Path, others: Others) -> Iterator[Pick]:
    """Read picks and labels; see `rows`.

    Raises:
        InputError: a line that is no pick.
        OSError, UnicodeDecodeError: it cannot be read.
    """
    yield from picks_of_rows(path, _rows(path), others)


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{path}, line {number}: {error}; {WANTED}") from error
