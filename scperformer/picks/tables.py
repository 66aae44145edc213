"""Picks in lines: CSV, JSON lines and the original program's text."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any, BinaryIO

from scperformer.errors import InputError
from scperformer.picks.pick_json import DAMAGED
from scperformer.types import Onset, Phase, Pick, Polarity, SeedId, format_time, parse_time

COLUMNS = (
    "time",
    "phase",
    "network",
    "station",
    "location",
    "channel",
    "probability",
    "uncertainty_s",
    "snr",
    "polarity",
    "onset",
    "decision_delay_s",
    "model",
    "public_id",
    "components",
    "model_sha256",
    "filter",
    "recipe",
)

_LEAST_DIGITS = 6


def write_text(file: BinaryIO, picks: Sequence[Pick], *, precision: int) -> None:
    """Write the original program's lines: ``NYSH P 0.9997 01.04.2021 12:35:55.66``."""
    for pick in picks:
        file.write((text_line(pick, precision=precision) + "\n").encode())


def write_csv(file: BinaryIO, picks: Sequence[Pick], *, precision: int) -> None:
    """Write a header and a row for each pick; numbers that are not finite stay empty."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
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


def row(pick: Pick, *, precision: int = _LEAST_DIGITS) -> dict[str, Any]:
    """Return a pick as plain values by column: times to the microsecond, rounded down.

    Args:
        pick: the pick.
        precision: digits of the probability, at least 6, rounded down.
    """
    seed_id = pick.seed_id
    return {
        "time": format_time(pick.time_ns),
        "phase": str(pick.phase),
        "network": seed_id.network,
        "station": seed_id.station,
        "location": seed_id.location,
        "channel": seed_id.channel,
        "probability": float(floored(pick.probability, max(precision, _LEAST_DIGITS))),
        "uncertainty_s": _finite(pick.uncertainty_s, "{:.6f}"),
        "snr": _finite(pick.snr, "{:.6g}"),
        "polarity": None if pick.polarity is None else str(pick.polarity),
        "onset": str(pick.onset),
        "decision_delay_s": _finite(pick.decision_delay_s, "{:.6f}"),
        "model": pick.model,
        "public_id": pick.public_id,
        "components": pick.n_components,
        "model_sha256": pick.model_sha256,
        "filter": pick.filter_id,
        "recipe": pick.recipe,
    }


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


def pick_from_row(values: Mapping[str, Any]) -> Pick:
    """Make a pick of `row`'s values, numbers as such or as text.

    Raises:
        KeyError: a column is missing.
        ValueError: a value is of the wrong kind.
    """
    return Pick(
        time_ns=parse_time(values["time"]),
        phase=Phase(values["phase"]),
        seed_id=SeedId(*(values[key] for key in ("network", "station", "location", "channel"))),
        probability=_number(values["probability"]),
        uncertainty_s=_number(values["uncertainty_s"]),
        snr=_number(values["snr"]),
        polarity=Polarity(values["polarity"]) if values["polarity"] else None,
        onset=Onset(values["onset"]),
        decision_delay_s=_number(values["decision_delay_s"]),
        model=values["model"],
        model_sha256=values["model_sha256"],
        filter_id=values["filter"],
        n_components=int(values["components"]),
        recipe=values.get("recipe") or "",
    )


def floored(probability: float, digits: int) -> str:
    """Write a probability with so many decimals, never larger than it is."""
    value = Decimal(repr(float(probability)))
    return str(value.quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR))


def _finite(value: float, pattern: str) -> float | None:
    return float(pattern.format(value)) if math.isfinite(value) else None


def _number(value: Any) -> float:
    return math.nan if value is None or value == "" else float(value)


def _csv_rows(text: str) -> Iterator[Mapping[str, Any]]:
    return csv.DictReader(io.StringIO(text, newline=""))


def _jsonl_rows(text: str) -> Iterator[Mapping[str, Any]]:
    return (json.loads(line) for line in text.split("\n") if line.strip())
