"""Picks as JSON: what a store keeps, and gets back exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scperformer.picks.columns import CODES, COLUMNS, OLDER, pick_of
from scperformer.types import NS_PER_S, Pick

DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading damaged JSON, or what is not of our making, can raise."""

# The years that times can be written with: 1 to 9999.
_TIMES_NS = (-62_135_596_800 * NS_PER_S, 253_402_300_800 * NS_PER_S)


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
    return pick_of({"time_ns": time_from_json(values["time_ns"]), **fields})


def time_from_json(value: Any) -> int:
    """Take a time in ns that can be written as a date.

    Raises:
        One of `DAMAGED`: it is none.
    """
    time_ns = int(value)
    if not _TIMES_NS[0] <= time_ns < _TIMES_NS[1]:
        raise ValueError(f"a time of {time_ns} ns")
    return time_ns
