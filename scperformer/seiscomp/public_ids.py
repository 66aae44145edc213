"""Public ids that are the same whenever the pick is the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from scperformer.picks.scml import AMPLITUDE_TYPE
from scperformer.types import Pick, format_time

PICK_CLASS = "Pick"
AMPLITUDE_CLASS = "Amplitude"

_VARIABLE = re.compile(r"@([^@]+)@")
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class PublicIds:
    """Makes public ids.

    Attributes:
        pattern: SeisComP's publicIDPattern, such as ``@classname@/@time/%Y%m%d%H%M%S.%f@.@id@``;
            empty for simplified ids. ``@time@`` is the pick's time, ``@id@`` and ``@globalid@``
            are made from pick and class; scautopick's ``@net@ @sta@ @loc@ @cha@ @type@`` are
            known, others are left as they are.
    """

    pattern: str = ""

    def of_pick(self, pick: Pick) -> str:
        """Return a pick's public id."""
        if not self.pattern:
            return pick.public_id
        return self._resolved(pick, PICK_CLASS)

    def of_amplitude(self, pick: Pick) -> str:
        """Return the public id of a pick's amplitude."""
        if not self.pattern:
            return f"{pick.public_id}.{AMPLITUDE_TYPE}"
        return self._resolved(pick, AMPLITUDE_CLASS)

    def _resolved(self, pick: Pick, class_name: str) -> str:
        def resolve(match: re.Match[str]) -> str:
            name, _, argument = match[1].partition("/")
            if name == "time":
                return format_time(pick.time_ns, argument or "%Y-%m-%dT%H:%M:%S.%fZ")
            return known[name]() if name in known else match[0]

        number = hashlib.sha256(f"{class_name} {pick.public_id}".encode()).hexdigest()[:_DIGITS]
        known: dict[str, Callable[[], str]] = {
            "classname": lambda: class_name,
            "id": lambda: number,
            "globalid": lambda: number,
            "net": lambda: pick.seed_id.network,
            "sta": lambda: pick.seed_id.station,
            "loc": lambda: pick.seed_id.location,
            "cha": lambda: pick.seed_id.channel,
            "type": lambda: str(pick.phase),
        }
        return _VARIABLE.sub(resolve, self.pattern)
