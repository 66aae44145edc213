"""Notifier messages, their way to the messaging, and which picks the database has already."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seiscomp import core, datamodel

from scperformer.core.sensors import owner
from scperformer.delivery.outbox import Entry, Kind, Outbox
from scperformer.picks.documents import METHOD
from scperformer.seiscomp.objects import ObjectMaker, seed_id_of, to_time
from scperformer.types import NS_PER_S, Pick

_log = logging.getLogger(__name__)

_PARENT = "EventParameters"
_AT_ONCE = 50
_MOST_REFUSALS = 3

SAME_PICK_NS = NS_PER_S // 2
"""Picks of a sensor, phase and owner this close, before and after a restart, are one pick."""


class Connection:
    """SeisComP's connection; every object sent is counted in its object log.

    Args:
        app: the application.
        logs: object logs by message group.
    """

    def __init__(self, app: Any, logs: Mapping[str, Any]) -> None:
        self._app = app
        self._logs = logs

    @property
    def is_there(self) -> bool:
        """Whether there is a connection."""
        return bool(self._app.connection().isConnected())

    def send(self, group: str, message: Any, n_objects: int) -> bool:
        """Send a message about so many objects; False while disconnected, or if it is refused."""
        sent = bool(self._app.connection().send(group, message))
        if sent:
            now = core.Time.UTC()
            for _ in range(n_objects):
                self._app.logObject(self._logs[group], now)
        return sent


class Sender:
    """Empties an outbox into the messaging while there is a connection.

    Args:
        connection: SeisComP's connection.
        outbox: where picks wait.
        maker: makes the objects.
        groups: message group for each kind of entry.
        is_stored: tells whether the database has an entry already; asked for entries that
            waited before the start, which may have been sent before a crash.
    """

    def __init__(
        self,
        connection: Connection,
        outbox: Outbox,
        maker: ObjectMaker,
        groups: Mapping[Kind, str],
        *,
        is_stored: Callable[[Entry], bool] = lambda _: False,
    ) -> None:
        self.is_connected = True
        self._connection = connection
        self._outbox = outbox
        self._maker = maker
        self._groups = groups
        self._is_stored = is_stored
        self._n_old = len(outbox)
        self._sent = dict.fromkeys(Kind, 0)
        self._n_doubtful = 0
        self._refusals = 0

    @property
    def n_waiting(self) -> int:
        """Messages that wait."""
        return len(self._outbox)

    def lost(self) -> None:
        """Take notice of a lost connection."""
        self.is_connected = False

    def found(self) -> None:
        """Take notice of a new connection and send what waits."""
        self.is_connected = True
        self.flush()

    def retry(self) -> None:
        """Try again if there is a connection after all."""
        if self.n_waiting and not self.is_connected and self._connection.is_there:
            self.found()
        else:
            self.flush()

    def flush(self) -> None:
        """Send what waits, as long as the connection takes it."""
        while self.is_connected:
            is_single = bool(self._n_old or self._n_doubtful)
            entries = self._outbox.waiting(1 if is_single else _AT_ONCE)
            if not entries:
                return
            if not self._send(entries):
                self._refused(len(entries))
                return
            self._n_doubtful = max(self._n_doubtful - 1, 0)
            self._outbox.delivered(entries[-1].number)

    def _send(self, entries: Sequence[Entry]) -> bool:
        """Send entries, one message a kind: the server's answer to each takes milliseconds."""
        if self._n_old:
            self._n_old -= 1
            if self._is_stored(entries[0]):
                return True
        return all(
            self._send_kind(kind, [entry for entry in entries if entry.kind is kind])
            for kind in Kind
        )

    def _send_kind(self, kind: Kind, entries: Sequence[Entry]) -> bool:
        new = [entry for entry in entries if entry.number > self._sent[kind]]
        message = self._message(new)
        if message is not None:
            try:
                sent = bool(self._connection.send(self._groups[kind], message, len(new)))
            except Exception:
                _log.exception("%s: cannot be sent", new[0].public_id)
                sent = False
            if not sent:
                return False
            self._refusals = 0
        if new:
            self._sent[kind] = new[-1].number
        return True

    def _message(self, entries: Sequence[Entry]) -> Any:
        """Make the message of entries; None if there is nothing to be sent."""
        message = datamodel.NotifierMessage()
        for entry in entries:
            if entry.kind is Kind.AMPLITUDE and not self._maker.has_amplitude(entry.pick):
                continue
            if not self._attach(message, entry):
                _log.warning("%s: an object of that id exists; not sent again", entry.public_id)
        return message if message.size() else None

    def _attach(self, message: Any, entry: Entry) -> bool:
        """Attach an entry's notifiers; False if this process has an object of that id."""
        maker = self._maker
        is_pick = entry.kind is Kind.PICK
        made = (maker.pick if is_pick else maker.amplitude)(entry.pick, entry.created_ns)
        if made is None:
            return False
        _notify(message, _PARENT, made)
        # A notifier carries no children: each comment travels in its own.
        for comment in maker.comments(entry.pick) if is_pick else ():
            _notify(message, made.publicID(), comment)
        return True

    def _refused(self, n_entries: int) -> None:
        """A message was not taken: no connection, or one of its entries is not wanted."""
        if not self._connection.is_there:
            if self.is_connected:
                _log.warning("messaging is away; %d messages wait", self.n_waiting)
            self.is_connected = False
            return
        if n_entries > 1:
            self._n_doubtful = n_entries
            return
        self._refusals += 1
        if self._refusals >= _MOST_REFUSALS:
            self._refusals = 0
            self._outbox.rejected("refused although connected; does the message group exist?")


def _notify(message: Any, parent: str, made: Any) -> None:
    message.attach(datamodel.Notifier(parent, datamodel.OP_ADD, made))


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
        own = owner(self._maker.style.agency, self._maker.style.author)
        return any(
            other is not None and _owner(other) == own and _is_same(other, pick, hint)
            for other in found
        )


def _is_same(other: Any, pick: Pick, hint: str) -> bool:
    if other.methodID() != METHOD or _hint(other) != hint:
        return False
    return seed_id_of(other.waveformID()).sensor_id == pick.seed_id.sensor_id


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
