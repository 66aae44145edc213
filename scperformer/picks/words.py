"""Phases and first motions in the words of those who made a pick.

Crustal phases count by their first letter: P, Pg, Pn, Pb, P*, P1 and PmP as P, the same
of S, also in lower case or behind the i, e or q of an onset. All others (PKP, pP, ScS, Lg)
are left out and counted.
"""

from __future__ import annotations

import re
from collections import Counter

from scperformer.types import Phase, Polarity

WANTED = (
    "wanted CSV or JSON lines with network, station and either phase, time or p_time, s_time; "
    "QuakeML; or SCML"
)

Others = Counter[str]
"""How many picks of other phases than P and S were left out, by phase."""

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
