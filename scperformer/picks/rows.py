"""Rows of tables, of CSV and JSON lines alike, that hold picks of any origin.

Three layouts, told by the columns: this program's own, one row a pick (``network, station,
phase, time``) and one row a record (``p_time, s_time``). ``file`` names the record of a pick,
``event`` or ``event_time`` its earthquake. Times are UTC.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scperformer.errors import InputError
from scperformer.picks.columns import COLUMNS, read_number
from scperformer.picks.pick_json import DAMAGED
from scperformer.picks.words import WANTED, Others, phase_of, polarity_of, text_of
from scperformer.types import Phase, Pick, SeedId, parse_time

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
    for number, row in rows:
        try:
            yield from _picks_of_row(row, others)
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
