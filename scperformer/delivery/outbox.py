"""Messages on their way to a messaging server: kept until the server has acknowledged them."""

from __future__ import annotations

import itertools
import json
import logging
import math
import sqlite3
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scperformer.delivery.store import Store
from scperformer.errors import OutputError
from scperformer.picks.columns import DAMAGED, pick_from_json, pick_to_json
from scperformer.picks.scml import AMPLITUDE_TYPE, has_amplitude
from scperformer.types import ALL_PHASES, Phase, Pick

MEMORY_LIMIT = 100_000
_REMEMBERED_MESSAGES = 40_000

_log = logging.getLogger(__name__)


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


class Outbox:
    """Where messages wait, in order. Calls may come from several threads.

    Nothing of a long absence of the server is held in memory but the next few messages,
    unless the store itself is in memory: then the oldest are dropped beyond a limit.

    Args:
        store: where they are kept; by default in memory, where a crash loses them.
        name: tells the outboxes of a store apart.
        limit: most messages in memory.
        amplitude_phases: phases whose picks come with an amplitude.

    Attributes:
        last_delivered: public id of the last message that was delivered, empty if there is none.
        delivered_ns: when that was, 0 if it was before the start.
        in_doubt: whether the first messages may have been sent already; kept over a crash.
        dropped: messages lost beyond the limit.

    Raises:
        OutputError: the store cannot be read.
    """

    def __init__(
        self,
        store: Store | None = None,
        name: str = "",
        *,
        limit: int = MEMORY_LIMIT,
        amplitude_phases: frozenset[Phase] = ALL_PHASES,
    ) -> None:
        self._store = store or Store()
        self._name = name
        self._limit = limit
        self._phases = amplitude_phases
        self.dropped = 0
        self.delivered_ns = 0
        self._loaded: deque[Entry] = deque()
        self._loaded_up_to = 0
        self._passed = 0
        rows = self._store.rows(
            "SELECT number, last_delivered, in_doubt FROM outboxes WHERE name = ?", (name,)
        )
        noted, last_delivered, in_doubt = rows[0] if rows else (0, "", 0)
        self.last_delivered: str = last_delivered
        self.in_doubt = bool(in_doubt)
        self._waiting: int
        [(self._waiting, last)] = self._store.rows(
            "SELECT count(*), coalesce(max(number), 0) FROM messages WHERE outbox = ?", (name,)
        )
        self._number: int = max(noted, last)

    def __len__(self) -> int:
        """Return how many messages wait."""
        return self._waiting

    def append(self, picks: Sequence[Pick], *, created_ns: int) -> int:
        """Take picks and return how many messages that makes.

        A pick that was taken lately is left out.

        Raises:
            OutputError: they cannot be kept; none of them was taken.
        """
        with self._store.lock:
            n = 0
            try:
                with self._store.writing() as connection:
                    oldest = self._number - _REMEMBERED_MESSAGES
                    row = (self._name, oldest)
                    connection.execute("DELETE FROM taken WHERE outbox = ? AND number < ?", row)
                    for pick in picks:
                        for entry in self._new(connection, pick, self._number + n, created_ns):
                            message = json.dumps(_to_json(entry)).encode()
                            values = (self._name, entry.number, message)
                            connection.execute("INSERT INTO messages VALUES (?, ?, ?)", values)
                            n += 1
            except OutputError as error:
                raise OutputError(f"{error}; {n} messages were not taken") from error
            self._number += n
            self._waiting += n
            if self._store.folder is None and self._waiting > self._limit:
                self._drop(self._waiting - self._limit)
            return n

    def waiting(self, limit: int) -> list[Entry]:
        """Return the messages that have waited longest.

        Raises:
            OutputError: they cannot be read.
        """
        with self._store.lock:
            while len(self._loaded) < min(limit, self._waiting):
                self._load(limit - len(self._loaded))
            return list(itertools.islice(self._loaded, limit))

    def doubt(self, doubt: bool) -> None:
        """Set `in_doubt`: before the first message is sent, and when none is under way."""
        with self._store.lock:
            if doubt != self.in_doubt:
                self.in_doubt = doubt
                self._note()

    def delivered(self, number: int) -> None:
        """Forget those of the messages that `waiting` returned up to this number."""
        with self._store.lock:
            self._pass(number)
            self.delivered_ns = time.time_ns()

    def rejected(self, reason: str) -> None:
        """Put aside the message that has waited longest.

        Raises:
            OutputError: that cannot be done; it still waits.
        """
        with self._store.lock:
            [entry] = self.waiting(1)
            fate = self._store.put_aside(reason, _to_json(entry))
            _log.error("%s: the server rejects it (%s); %s", entry.public_id, reason, fate)
            self._pass(entry.number, delivered=False)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _new(
        self, connection: sqlite3.Connection, pick: Pick, number: int, created_ns: int
    ) -> list[Entry]:
        """Remember a pick and make its messages, none if it was taken lately."""
        row = (self._name, pick.public_id, number)
        taken = connection.execute("INSERT OR IGNORE INTO taken VALUES (?, ?, ?)", row)
        kinds = [k for k in Kind if k is Kind.PICK or has_amplitude(pick, self._phases)]
        return [
            Entry(n, kind, created_ns, pick)
            for n, kind in enumerate(kinds if taken.rowcount else (), number + 1)
        ]

    def _pass(self, number: int, *, delivered: bool = True) -> None:
        while self._loaded and self._loaded[0].number <= number:
            entry = self._loaded.popleft()
            self._waiting -= 1
            self._passed = entry.number
            self.last_delivered = entry.public_id if delivered else self.last_delivered
        self._note()

    def _note(self) -> None:
        """Bring to the disk how far the server is."""
        row = (self._name, self._number, self.last_delivered, self.in_doubt)
        try:
            with self._store.writing() as connection:
                connection.execute(
                    "DELETE FROM messages WHERE outbox = ? AND number <= ?",
                    (self._name, self._passed),
                )
                connection.execute("REPLACE INTO outboxes VALUES (?, ?, ?, ?)", row)
        except OutputError as error:
            _log.error("%s; what was delivered cannot be noted", error)

    def _load(self, limit: int) -> None:
        rows = self._store.rows(
            "SELECT number, message FROM messages WHERE outbox = ? AND number > ? "
            "ORDER BY number LIMIT ?",
            (self._name, self._loaded_up_to, limit),
        )
        for number, message in rows:
            entry = _from_json(message, number)
            if entry is not None:
                self._loaded.append(entry)
            else:
                fate = self._store.put_aside("damaged", {"line": str(message)})
                _log.error("%s: a message is damaged; %s", self._store.path, fate)
                self._waiting -= 1
            self._loaded_up_to = number
        if not rows:
            self._waiting = len(self._loaded)

    def _drop(self, n: int) -> None:
        if not self.dropped:
            _log.error("more than %d messages wait; the oldest are lost", self._limit)
        self.dropped += n
        self._pass(self.waiting(n)[-1].number, delivered=False)


def _to_json(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "kind": entry.kind,
        "created_ns": entry.created_ns,
        "pick": {key: _finite(value) for key, value in pick_to_json(entry.pick).items()},
    }


def _from_json(message: bytes, number: int) -> Entry | None:
    try:
        values = json.loads(message)
        kind, pick = Kind(values["kind"]), pick_from_json(values["pick"])
        is_whole = values["number"] == number
        return Entry(number, kind, int(values["created_ns"]), pick) if is_whole else None
    except DAMAGED:
        return None


def _finite(value: Any) -> Any:
    """Put null, which every reader of JSON knows, in the place of nan and infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
