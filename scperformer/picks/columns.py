"""What stands of a pick in tables and in JSON: each value declared once, to write and to read.

Tables round, and may be those of others (`tables`); the JSON that a store keeps has every
digit, and gives back the same pick. Others' crustal phases count by their first letter: P,
Pg, Pn, Pb, P*, P1 and PmP as P, the same of S, also in lower case or behind the i, e or q of
an onset. All others (PKP, pP, ScS, Lg) are left out and counted.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import partial
from operator import attrgetter
from typing import Any

from scperformer.types import (
    NS_PER_S,
    Onset,
    Phase,
    Pick,
    Polarity,
    SeedId,
    format_time,
    parse_time,
)

WANTED = (
    "wanted CSV or JSON lines with network, station and either phase, time or p_time, s_time; "
    "Parquet with the same; QuakeML; or SCML"
)

Others = Counter[str]
"""How many picks of other phases than P and S were left out, by phase."""

DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading damaged JSON, or what is not of our making, can raise."""

# The years that times can be written with: 1 to 9999.
_TIMES_NS = (-62_135_596_800 * NS_PER_S, 253_402_300_800 * NS_PER_S)

CODES = ("seed_id.network", "seed_id.station", "seed_id.location", "seed_id.channel")
LEAST_DIGITS = 6

_PHASE_HINT = re.compile(r"[iIeEqQ]?([PpSs])(?:[gnb*1]|mP|mS)?")
_ANALYSTS_POLARITIES = {
    **dict.fromkeys(("up", "u", "c", "+", "compression"), Polarity.POSITIVE),
    **dict.fromkeys(("down", "d", "-", "dilatation"), Polarity.NEGATIVE),
}


def phase_of(hint: object, others: Others) -> Phase | None:
    """Return P or S; count what is neither, and return None."""
    found = _PHASE_HINT.fullmatch(text_of(hint))
    if found is None:
        others[text_of(hint)] += 1
        return None
    return Phase(found.group(1).upper())


def polarity_of(value: object) -> Polarity | None:
    """Return a first motion; None where none is stated that is known."""
    text = text_of(value).lower()
    return Polarity(text) if text in list(Polarity) else _ANALYSTS_POLARITIES.get(text)


def text_of(value: object) -> str:
    """Return a value as text without space around it, empty for None."""
    return "" if value is None else str(value).strip()


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


def _member(kind: type[Polarity] | type[Onset], value: Any) -> Polarity | Onset | None:
    return None if value is None or value == "" else kind(value)


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
    Column("polarity", "polarity", _named, _named, partial(_member, Polarity)),
    Column("onset", "onset", _named, _named, partial(_member, Onset)),
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

    The probability has `precision` digits, at least 6, and is rounded down.
    """
    values = {column.name: column.rounded(column.of(pick)) for column in COLUMNS}
    values["probability"] = float(floored(pick.probability, max(precision, LEAST_DIGITS)))
    return values


_FIELDS = tuple(column for column in COLUMNS if column.read and column.field != "time_ns")


def pick_to_json(pick: Pick) -> dict[str, Any]:
    """Return a pick as plain values from which it comes back exactly."""
    values = {column.field: column.exact(column.of(pick)) for column in _FIELDS}
    codes = [values.pop(code) for code in CODES]
    return {"time_ns": int(pick.time_ns), "seed_id": codes, **values}


def pick_from_json(values: Mapping[str, Any]) -> Pick:
    """Make a pick of `pick_to_json`'s values; a number that is null is nan.

    Raises:
        One of `DAMAGED`: the values are not a pick's.
    """
    codes = dict(zip(CODES, values["seed_id"], strict=True))
    given = {**OLDER, **values, **codes}
    fields = {c.field: c.read(given[c.field]) for c in _FIELDS if c.read}
    seed_id = SeedId(*(fields.pop(code) for code in CODES))
    return Pick(time_ns=time_from_json(values["time_ns"]), seed_id=seed_id, **fields)


def time_from_json(value: Any) -> int:
    """Take a time in ns that can be written as a date.

    Raises:
        One of `DAMAGED`: it is none.
    """
    time_ns = int(value)
    if not _TIMES_NS[0] <= time_ns < _TIMES_NS[1]:
        raise ValueError(f"a time of {time_ns} ns")
    return time_ns
