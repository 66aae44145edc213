"""The messages that an outbox holds, and their lines in a journal."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scperformer.picks.pick_json import DAMAGED, pick_from_json, pick_to_json
from scperformer.picks.scml import AMPLITUDE_TYPE, has_amplitude
from scperformer.types import ALL_PHASES, Phase, Pick

REMEMBERED_PICKS = 20_000


class Kind(StrEnum):
    """What a message tells of a pick."""

    PICK = "pick"
    AMPLITUDE = "amplitude"


@dataclass(frozen=True, slots=True)
class Entry:
    """A message that waits.

    Attributes:
        number: counts the messages of an outbox from 1; never given twice.
        kind: the pick itself or its amplitude.
        created_ns: creation time of the message.
        pick: what it is about.
    """

    number: int
    kind: Kind
    created_ns: int
    pick: Pick

    @property
    def public_id(self) -> str:
        """The public id of the object in the message."""
        suffix = f".{AMPLITUDE_TYPE}" if self.kind is Kind.AMPLITUDE else ""
        return self.pick.public_id + suffix


class Recent:
    """The public ids of the last picks taken."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def new(self, picks: Sequence[Pick]) -> list[Pick]:
        """Return the picks that are not among them, each once."""
        unique: dict[str, Pick] = {}
        for pick in picks:
            unique.setdefault(pick.public_id, pick)
        return [pick for public_id, pick in unique.items() if public_id not in self._ids]

    def add(self, picks: Sequence[Pick]) -> None:
        """Remember picks, and forget the oldest."""
        self._ids.update((pick.public_id, None) for pick in picks)
        while len(self._ids) > REMEMBERED_PICKS:
            del self._ids[next(iter(self._ids))]


def new_entries(
    picks: Sequence[Pick],
    number: int,
    created_ns: int,
    *,
    amplitude_phases: frozenset[Phase] = ALL_PHASES,
) -> list[Entry]:
    """Make the messages of picks, with amplitudes of these phases; numbers follow `number`."""
    kinds = [
        (kind, pick)
        for pick in picks
        for kind in Kind
        if kind is Kind.PICK or has_amplitude(pick, amplitude_phases)
    ]
    return [
        Entry(number + i, kind, created_ns, pick) for i, (kind, pick) in enumerate(kinds, start=1)
    ]


def entry_line(entry: Entry) -> bytes:
    """Return an entry as a line of JSON."""
    return (json.dumps(entry_values(entry), allow_nan=False) + "\n").encode()


def entry_values(entry: Entry) -> dict[str, Any]:
    """Return an entry as values for JSON."""
    return {
        "number": entry.number,
        "kind": entry.kind,
        "created_ns": entry.created_ns,
        "pick": {key: _finite(value) for key, value in pick_to_json(entry.pick).items()},
    }


def parse_entry(line: bytes) -> Entry | None:
    """Read `entry_line`; None if it is something else."""
    try:
        values = json.loads(line)
        kind, pick = Kind(values["kind"]), pick_from_json(values["pick"])
        return Entry(int(values["number"]), kind, int(values["created_ns"]), pick)
    except DAMAGED:
        return None


def _finite(value: Any) -> Any:
    """Put null, which every reader of JSON knows, in the place of nan and infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
