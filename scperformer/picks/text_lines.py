"""The original program's lines: ``NYSH P 0.9997 01.04.2021 12:35:55.66``. Only written."""

from __future__ import annotations

from collections.abc import Sequence

from scperformer.picks.columns import floored
from scperformer.picks.style import Style
from scperformer.types import Pick, format_time

FOOT = b""


def head(picks: Sequence[Pick], style: Style) -> bytes:
    """Return what a file begins with: nothing."""
    del picks, style
    return b""


def body(pick: Pick, style: Style) -> bytes:
    """Return station, phase, probability (rounded down) and time, as the original did."""
    stamp = format_time(pick.time_ns, "%d.%m.%Y %H:%M:%S.%f").rstrip("0")
    if stamp.endswith("."):
        stamp += "0"
    probability = floored(pick.probability, style.precision)
    return f"{pick.seed_id.station} {pick.phase} {probability} {stamp}\n".encode()
