"""What stands of a pick in tables and in JSON: each value declared once, to write and to read.

Tables round, and are read by `rows`, which takes those of others, too; JSON of a store keeps
every digit (`pick_json`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import partial
from operator import attrgetter
from typing import Any

from scperformer.types import Onset, Phase, Pick, Polarity, SeedId, format_time, parse_time

CODES = ("seed_id.network", "seed_id.station", "seed_id.location", "seed_id.channel")
LEAST_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Column:
    """One value of a pick.

    Attributes:
        name: in tables.
        field: of `Pick`, with dots.
        rounded: the value as tables have it: text, a number, or None.
        exact: the value as JSON has it that is to give back the same pick.
        read: the pick's value, from either or from text; None where others say it already.
    """

    name: str
    field: str
    rounded: Callable[[Any], Any]
    exact: Callable[[Any], Any]
    read: Callable[[Any], Any] | None

    def of(self, pick: Pick) -> Any:
        """The value of a pick."""
        return attrgetter(self.field)(pick)


def floored(probability: float, digits: int) -> str:
    """Write a probability with so many decimals, never larger than it is."""
    value = Decimal(repr(float(probability)))
    return str(value.quantize(Decimal(1).scaleb(-digits), ROUND_FLOOR))


def read_number(value: Any) -> float:
    """Take a number, or text of one; nan where there is none."""
    text = value.strip() if isinstance(value, str) else value
    return math.nan if text is None or text == "" else float(text)


def read_text(value: Any) -> str:
    """Take a text that can be written as UTF-8.

    Raises:
        TypeError, ValueError: it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"got {value!r}; wanted text")
    value.encode()
    return value


def _probability(value: Any) -> float:
    probability = read_number(value)
    if probability < 0.0 or probability > 1.0:
        raise ValueError(f"a probability of {probability}")
    return probability


def _finite(pattern: str, value: float) -> float | None:
    return float(pattern.format(value)) if math.isfinite(value) else None


def _named(value: Polarity | Onset | None) -> str | None:
    return None if value is None else str(value)


def _polarity(value: Any) -> Polarity | None:
    return None if value is None or value == "" else Polarity(value)


def _onset(value: Any) -> Onset | None:
    return None if value is None or value == "" else Onset(value)


_microseconds = partial(_finite, "{:.6f}")
_six_digits = partial(_finite, "{:.6g}")

COLUMNS = (
    Column("time", "time_ns", format_time, int, parse_time),
    Column("phase", "phase", str, str, Phase),
    Column("network", "seed_id.network", str, str, read_text),
    Column("station", "seed_id.station", str, str, read_text),
    Column("location", "seed_id.location", str, str, read_text),
    Column("channel", "seed_id.channel", str, str, read_text),
    Column("probability", "probability", float, float, _probability),
    Column("uncertainty_s", "uncertainty_s", _microseconds, float, read_number),
    Column("snr", "snr", _six_digits, float, read_number),
    Column("polarity", "polarity", _named, _named, _polarity),
    Column("onset", "onset", _named, _named, _onset),
    Column("decision_delay_s", "decision_delay_s", _microseconds, float, read_number),
    Column("model", "model", str, str, read_text),
    Column("public_id", "public_id", str, str, None),
    Column("components", "n_components", int, int, int),
    Column("model_sha256", "model_sha256", str, str, read_text),
    Column("filter", "filter_id", str, str, read_text),
    Column("recipe", "recipe", str, str, read_text),
)
"""All of a pick but `event` and `file`, which only labels have."""

NAMES = tuple(column.name for column in COLUMNS)
OLDER: Mapping[str, str] = {"recipe": ""}
"""What stands for columns that version 0.1 did not write."""


def row(pick: Pick, *, precision: int = LEAST_DIGITS) -> dict[str, Any]:
    """Return a pick as plain values by column: times to the microsecond, rounded down.

    Args:
        pick: the pick.
        precision: digits of the probability, at least 6, rounded down.
    """
    values = {column.name: column.rounded(column.of(pick)) for column in COLUMNS}
    values["probability"] = float(floored(pick.probability, max(precision, LEAST_DIGITS)))
    return values


def pick_of(fields: Mapping[str, Any]) -> Pick:
    """Make a pick of values by `Column.field`."""
    rest = {field: value for field, value in fields.items() if field not in CODES}
    return Pick(seed_id=SeedId(*(fields[code] for code in CODES)), **rest)
