"""Picks as notebooks show them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scperformer.types import Pick

MOST_ROWS = 60
"""Longer tables are shown by their beginning and their end."""

_HEADS = ("time (UTC)", "phase", "channel", "probability", "± (s)", "SNR", "onset", "first motion")


def pick_table(picks: Sequence[Pick]) -> str:
    """Return picks as an HTML table."""
    head = "".join(f"<th>{escape(name)}</th>" for name in _HEADS)
    half = MOST_ROWS // 2
    if len(picks) <= MOST_ROWS:
        body = "".join(map(_row, picks))
    else:
        rest = f"{len(picks) - 2 * half:,} more"
        between = f'<tr><td colspan="{len(_HEADS)}">... {rest} ...</td></tr>'
        body = "".join((*map(_row, picks[:half]), between, *map(_row, picks[-half:])))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(pick: Pick) -> str:
    from scperformer.types import format_time  # noqa: PLC0415 - that module needs this one

    values = (
        format_time(pick.time_ns, "%Y-%m-%d %H:%M:%S.%f")[:-3],
        pick.phase,
        pick.seed_id,
        f"{pick.probability:.3f}",
        _number(pick.uncertainty_s, ".3f"),
        _number(pick.snr, ".1f"),
        pick.onset or "",
        pick.polarity or "",
    )
    return f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in values)}</tr>"


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else ""
