"""Tables of picks: CSV, JSON lines and the original program's lines of text.

Rows of CSV and of JSON lines may hold picks of any origin, in three layouts that are told by
the columns: this program's own, one row a pick (``network, station, phase, time``) and one row
a record (``p_time, s_time``). ``file`` names the record of a pick, ``event`` or ``event_time``
its earthquake. Times are UTC. Numbers that are not finite are left empty, or null.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scperformer.errors import InputError
from scperformer.picks.columns import (
    COLUMNS,
    DAMAGED,
    NAMES,
    WANTED,
    Others,
    floored,
    phase_of,
    polarity_of,
    read_number,
    row,
    text_of,
)
from scperformer.picks.style import Style
from scperformer.types import Phase, Pick, SeedId, format_time, parse_time

_FURTHER = tuple(
    (column.name, column.field, column.read)
    for column in COLUMNS
    if column.name in ("snr", "onset", "model", "components", "model_sha256", "filter", "recipe")
    and column.read
)
"""Columns that count where they hold what this program writes; in others' tables they may not."""


def picks_of_rows(
    path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]], others: Others
) -> Iterator[Pick]:
    """Read the picks of numbered rows, each by column.

    Raises:
        InputError: a row is no pick; the message names its number.
    """
    for number, values in rows:
        try:
            yield from _picks_of_row(values, others)
        except DAMAGED as error:
            raise InputError(f"{path}, line {number}: {error!r}; {WANTED}") from error


def _picks_of_row(row: Mapping[str, Any], others: Others) -> Iterator[Pick]:
    shared: dict[str, Any] = {
        "file": text_of(row.get("file")),
        "event": text_of(row.get("event") or row.get("event_id") or row.get("event_time")),
    }
    network, station = row["network"], row["station"]
    if "time" not in row:
        for phase in Phase:
            time = text_of(row.get(f"{phase.lower()}_time"))
            if time:
                yield Pick(
                    time_ns=parse_time(time),
                    phase=phase,
                    seed_id=SeedId(network, station, "", ""),
                    polarity=polarity_of(row.get(f"{phase.lower()}_polarity")),
                    **shared,
                )
        return
    named = phase_of(row["phase"], others)
    if named is None:
        return
    location, channel = text_of(row.get("location")), text_of(row.get("channel"))
    probability = read_number(row.get("probability"))
    yield Pick(
        time_ns=parse_time(row["time"]),
        phase=named,
        seed_id=SeedId(network, station, location, channel),
        probability=1.0 if math.isnan(probability) else probability,
        uncertainty_s=read_number(row.get("uncertainty_s")),
        decision_delay_s=read_number(row.get("decision_delay_s")),
        polarity=polarity_of(row.get("polarity")),
        **shared,
        **_further(row),
    )


def _further(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field, read in _FURTHER:
        try:
            found[field] = read(row[name])
        except DAMAGED:
            continue
    return found


def csv_line(*values: Any) -> bytes:
    """Return values as a line of CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


class TextLines:
    """The original program's: ``NYSH P 0.9997 01.04.2021 12:35:55.66``. Only written."""

    FOOT = b""

    def head(self, picks: Sequence[Pick], style: Style) -> bytes:
        """Return what a file begins with: nothing."""
        del picks, style
        return b""

    def body(self, pick: Pick, style: Style) -> bytes:
        """Return station, phase, probability (rounded down) and time, as the original did."""
        stamp = format_time(pick.time_ns, "%d.%m.%Y %H:%M:%S.%f").rstrip("0")
        if stamp.endswith("."):
            stamp += "0"
        probability = floored(pick.probability, style.precision)
        return f"{pick.seed_id.station} {pick.phase} {probability} {stamp}\n".encode()


class JsonLines(TextLines):
    """An object for each pick."""

    def body(self, pick: Pick, style: Style) -> bytes:
        """Return the pick's line."""
        values = row(pick, precision=style.precision)
        return (json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n").encode()

    def read(self, path: Path, others: Others) -> Iterator[Pick]:
        """Read picks and labels.

        Raises:
            InputError: a line that is no pick.
            OSError, UnicodeDecodeError: it cannot be read.
        """
        yield from picks_of_rows(path, self._rows(path), others)

    def _rows(self, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield number, json.loads(line)
                    except (ValueError, RecursionError) as error:
                        raise InputError(f"{path}, line {number}: {error}; {WANTED}") from error


class CsvRows:
    """A header and a row for each pick."""

    FOOT = b""

    def head(self, picks: Sequence[Pick], style: Style) -> bytes:
        """Return the header."""
        del picks, style
        return csv_line(*NAMES)

    def body(self, pick: Pick, style: Style) -> bytes:
        """Return the pick's row."""
        return csv_line(*row(pick, precision=style.precision).values())

    def read(self, path: Path, others: Others) -> Iterator[Pick]:
        """Read picks and labels.

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


TEXT_LINES, CSV_ROWS, JSON_LINES = TextLines(), CsvRows(), JsonLines()
