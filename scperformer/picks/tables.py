"""Picks in lines: CSV, JSON lines and the original program's text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from scperformer.errors import InputError
from scperformer.picks.columns import NAMES, floored, pick_from_row, row
from scperformer.picks.pick_json import DAMAGED
from scperformer.types import Pick, format_time


def write_text(file: BinaryIO, picks: Sequence[Pick], *, precision: int) -> None:
    """Write the original program's lines: ``NYSH P 0.9997 01.04.2021 12:35:55.66``."""
    for pick in picks:
        file.write((text_line(pick, precision=precision) + "\n").encode())


def write_csv(file: BinaryIO, picks: Sequence[Pick], *, precision: int) -> None:
    """Write a header and a row for each pick; numbers that are not finite stay empty."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, NAMES, lineterminator="\n")
    writer.writeheader()
    for pick in picks:
        writer.writerow(row(pick, precision=precision))
    text.detach()


def write_jsonl(file: BinaryIO, picks: Sequence[Pick], *, precision: int) -> None:
    """Write an object a line; numbers that are not finite are null."""
    for pick in picks:
        line = json.dumps(row(pick, precision=precision), ensure_ascii=False, allow_nan=False)
        file.write((line + "\n").encode())


def text_line(pick: Pick, *, precision: int) -> str:
    """Return station, phase, probability (rounded down) and time, as the original did."""
    stamp = format_time(pick.time_ns, "%d.%m.%Y %H:%M:%S.%f").rstrip("0")
    if stamp.endswith("."):
        stamp += "0"
    return f"{pick.seed_id.station} {pick.phase} {floored(pick.probability, precision)} {stamp}"


def read_picks(path: Path) -> list[Pick]:
    """Read picks from a ``.csv`` or ``.jsonl`` file of this program.

    Raises:
        InputError: the file cannot be read, has another suffix, or a line of it is
            no pick; the message names the line.
    """
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: picks are read from .csv and .jsonl, not {path.suffix!r}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    picks: list[Pick] = []
    try:
        for values in reader(text):
            picks.append(pick_from_row(values))
    except (*DAMAGED, csv.Error) as error:
        raise InputError(f"{path}: pick {len(picks) + 1} cannot be read: {error!r}") from error
    return picks


def _csv_rows(text: str) -> Iterator[Mapping[str, Any]]:
    return csv.DictReader(io.StringIO(text, newline=""))


def _jsonl_rows(text: str) -> Iterator[Mapping[str, Any]]:
    return (json.loads(line) for line in text.split("\n") if line.strip())
