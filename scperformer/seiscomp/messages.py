"""Notifier messages and their way to the messaging."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from seiscomp import datamodel

from scperformer.delivery.outbox import Entry, Kind, Outbox
from scperformer.seiscomp.objects import ObjectMaker

_log = logging.getLogger(__name__)

_PARENT = "EventParameters"
_AT_ONCE = 50
_MOST_REFUSALS = 3


class Connection(Protocol):
    """What is used of SeisComP's connection."""

    def send(self, group: str, message: Any) -> bool:
        """Send a message; False while disconnected, or if it is refused."""

    def isConnected(self) -> bool:  # noqa: N802 - SeisComP's name
        """Whether there is a connection."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """Makes the notifier message of an entry of the outbox.

    Attributes:
        maker: makes the objects.
        pick_group, amplitude_group: message groups.
    """

    maker: ObjectMaker
    pick_group: str
    amplitude_group: str

    def wants(self, entry: Entry) -> bool:
        """Whether an entry is to be sent at all."""
        return entry.kind is Kind.PICK or self.maker.has_amplitude(entry.pick)

    def group(self, entry: Entry) -> str:
        """Name the message group of an entry."""
        return self.pick_group if entry.kind is Kind.PICK else self.amplitude_group

    def message(self, entry: Entry) -> Any:
        """Make the message; None if there is nothing to send."""
        if entry.kind is Kind.AMPLITUDE:
            return _message(self.maker.amplitude(entry.pick, entry.created_ns))
        pick = self.maker.pick(entry.pick, entry.created_ns)
        message = _message(pick)
        if message is not None:
            # A notifier carries no children: each comment travels in its own.
            for comment in self.maker.comments(entry.pick):
                _attach(message, pick.publicID(), comment)
        return message


def _message(made: Any) -> Any:
    if made is None:
        return None
    message = datamodel.NotifierMessage()
    _attach(message, _PARENT, made)
    return message


def _attach(message: Any, parent: str, made: Any) -> None:
    message.attach(datamodel.Notifier(parent, datamodel.OP_ADD, made))


class Sender:
    """Empties an outbox into the messaging while there is a connection.

    Args:
        connection: SeisComP's connection.
        outbox: where picks wait.
        encoder: makes messages.
        is_stored: tells whether the database has an entry already; asked for entries that
            waited before the start, which may have been sent before a crash.
    """

    def __init__(
        self,
        connection: Connection,
        outbox: Outbox,
        encoder: Encoder,
        *,
        is_stored: Callable[[Entry], bool] = lambda _: False,
    ) -> None:
        self.is_connected = True
        self._connection = connection
        self._outbox = outbox
        self._encoder = encoder
        self._is_stored = is_stored
        self._n_old = len(outbox)
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
        if self.n_waiting and not self.is_connected and self._connection.isConnected():
            self.found()
        else:
            self.flush()

    def flush(self) -> None:
        """Send what waits, as long as the connection takes it."""
        while self.is_connected and (entries := self._outbox.waiting(_AT_ONCE)):
            last = 0
            for entry in entries:
                if not self._send(entry):
                    break
                last = entry.number
            if last:
                self._outbox.delivered(last)
            if last != entries[-1].number:
                self._refused()
                return

    def _send(self, entry: Entry) -> bool:
        if self._n_old:
            self._n_old -= 1
            if self._is_stored(entry):
                return True
        if not self._encoder.wants(entry):
            return True
        message = self._encoder.message(entry)
        if message is None:
            _log.warning("%s: an object of that id exists; not sent again", entry.public_id)
            return True
        try:
            sent = bool(self._connection.send(self._encoder.group(entry), message))
        except Exception:
            _log.exception("%s: cannot be sent", entry.public_id)
            sent = False
        if sent:
            self._refusals = 0
        return sent

    def _refused(self) -> None:
        """The first message that waits was not taken: no connection, or not wanted."""
        if not self._connection.isConnected():
            if self.is_connected:
                _log.warning("messaging is away; %d messages wait", self.n_waiting)
            self.is_connected = False
            return
        self._refusals += 1
        if self._refusals >= _MOST_REFUSALS:
            self._refusals = 0
            self._outbox.rejected("refused although connected; does the message group exist?")
