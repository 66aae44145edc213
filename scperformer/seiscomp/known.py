"""Which picks the database has already: what keeps a restart from sending a pick twice."""

from __future__ import annotations

import logging
from typing import Any

from seiscomp import datamodel

from scperformer.core.sensors import owner
from scperformer.delivery.outbox import Entry, Kind
from scperformer.picks.documents import METHOD
from scperformer.seiscomp.objects import ObjectMaker
from scperformer.seiscomp.times import to_time
from scperformer.types import NS_PER_S, Pick, SeedId

_log = logging.getLogger(__name__)

SAME_PICK_NS = NS_PER_S // 2
"""Picks of a sensor, phase and owner this close, before and after a restart, are one pick."""


class StoredPicks:
    """Looks picks up in SeisComP's database.

    Args:
        query: ``app.query()``.
        maker: knows public ids and phase hints.
        until_ns: picks after that time cannot be in the database; None where any may be.
    """

    def __init__(self, query: Any, maker: ObjectMaker, *, until_ns: int | None) -> None:
        self._query = query
        self._maker = maker
        self._until_ns = until_ns

    def new(self, picks: list[Pick]) -> list[Pick]:
        """Leave out the picks that the database has; all are new if it cannot be read."""
        return [pick for pick in picks if not self._has(pick)]

    def has_entry(self, entry: Entry) -> bool:
        """Whether the database has the object of an entry."""
        ids = self._maker.public_ids
        kind, name = (
            (datamodel.Pick, ids.of_pick(entry.pick))
            if entry.kind is Kind.PICK
            else (datamodel.Amplitude, ids.of_amplitude(entry.pick))
        )
        try:
            return self._query.getObject(kind.TypeInfo(), name) is not None
        except Exception:
            _log.exception("%s: cannot be looked up in the database", name)
            return False

    def _has(self, pick: Pick) -> bool:
        if self._until_ns is not None and pick.time_ns > self._until_ns:
            return False
        try:
            return self._find(pick)
        except Exception:
            _log.exception("%s: cannot be looked up in the database", pick.public_id)
            return False

    def _find(self, pick: Pick) -> bool:
        first, last = to_time(pick.time_ns - SAME_PICK_NS), to_time(pick.time_ns + SAME_PICK_NS)
        hint = self._maker.hints.get(pick.phase, str(pick.phase))
        # The rest of the answer must be read, too: a query that stays open blocks the next.
        found = [datamodel.Pick.Cast(item) for item in self._query.getPicks(first, last)]
        own = owner(self._maker.agency, self._maker.author)
        return any(
            other is not None and _owner(other) == own and _is_same(other, pick, hint)
            for other in found
        )


def _is_same(other: Any, pick: Pick, hint: str) -> bool:
    if other.methodID() != METHOD or _hint(other) != hint:
        return False
    waveform = other.waveformID()
    seed_id = SeedId(
        waveform.networkCode(),
        waveform.stationCode(),
        waveform.locationCode(),
        waveform.channelCode(),
    )
    return seed_id.sensor_id == pick.seed_id.sensor_id


def _owner(pick: Any) -> str:
    try:
        info = pick.creationInfo()
        return owner(info.agencyID(), info.author())
    except ValueError:
        return ""


def _hint(pick: Any) -> str:
    try:
        return str(pick.phaseHint().code())
    except ValueError:
        return ""
