"""Numbers, times and lists in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scperformer.types import NS_PER_S, format_time

NOTHING = "-"


def counted(count: int, what: str, plural: str = "") -> str:
    """Return ``1 pick``, ``1,234 picks``."""
    return f"{count:,} {what if count == 1 else plural or what + 's'}"


def percent(share: float) -> str:
    """Return a share in per cent; all and nothing are said only where they are exact."""
    if not math.isfinite(share):
        return NOTHING
    shown = f"{100.0 * share:.1f}"
    if shown == "100.0" and share < 1.0:
        shown = "99.9"
    elif shown == "0.0" and share > 0.0:
        return "under 0.1 %"
    return f"{shown.removesuffix('.0')} %"


def decimals(value: float, digits: int) -> str:
    """Return a number with thousands separators, a dash for nan."""
    return f"{value:,.{digits}f}" if math.isfinite(value) else NOTHING


def rate(per_hour: float) -> str:
    """Return a rate: decimals where they count."""
    if per_hour >= 100 or not per_hour:
        return f"{per_hour:,.0f}"
    return f"{per_hour:.1f}" if per_hour >= 1 else f"{per_hour:.2g}"


def long_time(hours: float) -> str:
    """Return hours: decimals where they count."""
    return f"{hours:,.0f}" if hours >= 1000 else f"{hours:.1f}"


def moment(time_ns: int) -> str:
    """Return a time to the nearest second."""
    return format_time(time_ns + NS_PER_S // 2, "%Y-%m-%d %H:%M:%S")


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def duration(width_ns: int) -> str:
    """Return a width of bins: minutes, hours or days."""
    minutes = width_ns // 60_000_000_000
    if minutes < 60:
        return counted(minutes, "minute")
    return counted(minutes // 60, "hour") if minutes < 1440 else counted(minutes // 1440, "day")
