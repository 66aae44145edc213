"""Delivers an outbox to a messaging server; no I/O but the outbox.

A message counts as delivered when the server has acknowledged it. When a connection breaks,
a few messages are in doubt: sent, perhaps taken, not acknowledged. Before anything is sent
again the publisher looks for them:

1. It connects under the same name as before. The server refuses a name that is in use, so
   once it accepts, nothing of the broken connection can be on its way any more.
2. It listens to its groups and asks for the messages that the server remembers (the last
   10,000), then sends a message without content. When that comes back, all that the server
   ever took of the broken connection has gone by.
3. Messages in doubt that went by, and those sent before them, are delivered; the others
   are sent.

What remains: a server that was restarted in between, or that has had 10,000 other messages
since, cannot tell; nor can one that does not replay (SeisComP 6.9.4 and 7.1 to 7.3 lose the
request before they get to it, seen with 7.2.3), except for what is still waiting there for
its database. Then the messages in doubt, at most `MAX_IN_FLIGHT`, are sent again and
counted as `repeated`. They carry the same public ids, which SeisComP's database refuses a
second time and its modules know.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from scperformer.delivery.outbox import Entry, Kind, Outbox
from scperformer.errors import ConfigurationError, ScperformerError
from scperformer.messaging import notifier
from scperformer.messaging.scmp import (
    MAX_FRAME_BYTES,
    MAX_NAME_LENGTH,
    XML_TYPE,
    Connected,
    Entered,
    Receipt,
    Received,
    Refusal,
    ServerFrame,
    Session,
)
from scperformer.picks.style import Style

# Also how many messages can be in doubt after a crash; the cursor on disk is never older.
MAX_IN_FLIGHT = 20

# Format errors: not acceptable, not decodable. Other refusals are not the message's fault.
_MESSAGE_ERRORS = (400, 414, 415)
_NAME_IN_USE = 408
_MOST_GROUPS = 20

_log = logging.getLogger(__name__)


class RefusedError(ScperformerError):
    """The server does not want this connection, or has ended it with an error.

    Attributes:
        at_once: the next attempt may come without a pause.
    """

    def __init__(self, message: str, *, at_once: bool = False) -> None:
        self.at_once = at_once
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """How messages are addressed and signed.

    Attributes:
        client_name: name of the connection, at most 128 bytes, unique on the server.
        pick_group: where picks go.
        amplitude_group: where amplitudes go.
        style: how picks are written, and which come with an amplitude; creation time and
            schema version are those of the message.

    Raises:
        ConfigurationError: a name that the protocol cannot carry.
    """

    client_name: str = "scperformer"
    pick_group: str = "PICK"
    amplitude_group: str = "AMPLITUDE"
    style: Style = field(default_factory=Style)

    def __post_init__(self) -> None:
        names = {
            "client name": self.client_name,
            "pick group": self.pick_group,
            "amplitude group": self.amplitude_group,
        }
        faults = [
            f"{what}: got {name!r}; wanted 1 to {MAX_NAME_LENGTH} printable letters, no comma"
            for what, name in names.items()
            if not _is_name(name)
        ]
        if faults:
            raise ConfigurationError(*faults)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, each once."""
        return tuple(dict.fromkeys((self.pick_group, self.amplitude_group)))


@dataclass(slots=True)
class Counts:
    """What a publisher has done.

    Attributes:
        sent: messages sent, each counted once however often it had to be sent.
        acknowledged: messages that the server has acknowledged.
        recovered: messages in doubt that were found with the server.
        repeated: messages in doubt that were sent again while nobody could tell.
        rejected: messages put aside.
        connections: sessions that the server has opened.
    """

    sent: int = 0
    acknowledged: int = 0
    recovered: int = 0
    repeated: int = 0
    rejected: int = 0
    connections: int = 0


class Step(Enum):
    """What a publisher does on its connection."""

    CLOSED = auto()
    GREETING = auto()
    ENTERING = auto()
    LOOKING = auto()
    PUBLISHING = auto()
    LEAVING = auto()


class Publisher:
    """Says what to send next, and draws conclusions from what comes back.

    Frames must be sent in the order in which the methods return them; when they cannot
    be, the connection must be ended and `lost` called. Acknowledgements take effect with
    `pump`, so that many of them cost one note in the outbox.

    Args:
        outbox: the messages.
        labels: how they are addressed and signed.
        ack_window: messages after which the server shall acknowledge.
    """

    def __init__(self, outbox: Outbox, labels: Labels, *, ack_window: int = 1) -> None:
        self.counts = Counts()
        self.step = Step.CLOSED
        self._outbox = outbox
        self._labels = labels
        self._ack_window = ack_window
        self._session = Session(labels.client_name)
        self._in_flight: deque[Entry | None] = deque()
        self._doubt: list[Entry] = []
        self._sought: set[str] = set()
        self._found: set[str] = set()
        self._marker = b""
        self._schema = ""
        self._alone_up_to = 0
        self._sent_here = 0
        self._counted_up_to = 0
        waiting = outbox.waiting(MAX_IN_FLIGHT) if outbox.in_doubt else []
        self._sent_up_to = max((entry.number for entry in waiting), default=0)

    @property
    def server(self) -> Connected | None:
        """The server's welcome, None before it came."""
        return self._session.server

    @property
    def greeted(self) -> bool:
        """Whether the server has let us in, and into the groups that we asked for."""
        return self.step not in (Step.GREETING, Step.ENTERING)

    @property
    def n_waiting(self) -> int:
        """Messages in the outbox; a pick and its amplitude are two."""
        return len(self._outbox)

    @property
    def n_in_flight(self) -> int:
        """Messages that the server has not acknowledged yet."""
        return len(self._in_flight)

    @property
    def confirmed(self) -> bool:
        """Whether the server has acknowledged anything on this connection."""
        return self._session.counted > 0

    def open(self) -> bytes:
        """Begin with a new connection; return its first frame."""
        self._doubt = self._in_doubt()
        self._sought = {entry.public_id for entry in self._doubt} | {self._outbox.last_delivered}
        self._found.clear()
        self._in_flight.clear()
        self._sent_here = 0
        self._session = Session(
            self._labels.client_name,
            ack_window=self._ack_window,
            subscriptions=self._labels.groups if self._doubt else (),
            replay=bool(self._doubt),
        )
        self.step = Step.GREETING
        return self._session.connect()

    def receive(self, data: bytes | str) -> list[bytes]:
        """Take a frame of the server; return what is to be sent because of it.

        Raises:
            ProtocolError: not a frame, or not at this point.
            RefusedError: the server does not go on.
        """
        frame = self._session.receive(data)
        match frame:
            case Connected():
                self._greeted(frame)
            case Refusal():
                self._settle()
                raise self._refusal(frame)
            case Received(sender) if sender == self._session.client_name:
                if self.step is Step.LOOKING and frame.payload == self._marker:
                    return self.stop_looking()
                self._look_at(frame)
        return self._mark(frame)

    def pump(self) -> list[bytes]:
        """Note what was acknowledged; return the messages that can be sent now."""
        self._settle()
        frames: list[bytes] = []
        while self.step is Step.PUBLISHING and (entry := self._next()) is not None:
            try:
                frames.append(self._send(entry))
            except (ScperformerError, ValueError, OverflowError) as error:
                if self._in_flight:
                    break
                self._reject(str(error))
        return frames

    def stop_looking(self) -> list[bytes]:
        """Conclude from what went by; return what is to be sent now."""
        if self.step is not Step.LOOKING:
            return []
        told = bool(self._found)
        # The server takes messages in order: what was sent before one that it has, it has.
        numbers = [entry.number for entry in self._doubt if entry.public_id in self._found]
        there = [entry for entry in self._doubt if numbers and entry.number <= numbers[-1]]
        if there:
            self._outbox.delivered(there[-1].number)
            self.counts.recovered += len(there)
        missing = len(self._doubt) - len(there)
        if missing and not told:
            self.counts.repeated += missing
            _log.warning(
                "the server cannot tell whether %d messages came through before the "
                "connection broke; they are sent again under the same public ids",
                missing,
            )
        self._doubt = []
        self.step = Step.PUBLISHING
        return [self._session.unsubscribe(self._labels.groups), *self.pump()]

    def heartbeat(self, text: str) -> list[bytes]:
        """Return the frame that tells the state of health, where the session has begun."""
        if self.step in (Step.CLOSED, Step.GREETING, Step.LEAVING):
            return []
        return [self._session.heartbeat(text)]

    def leave(self) -> list[bytes]:
        """Return the frame that says goodbye, where the session has begun."""
        if self.step in (Step.CLOSED, Step.GREETING, Step.LEAVING):
            return []
        self.step = Step.LEAVING
        return [self._session.disconnect()]

    def take_leave(self, data: bytes | str) -> bool:
        """Take a frame after `leave`; return whether the server has still more to say.

        Raises:
            ProtocolError: not a frame.
        """
        frame = self._session.receive(data)
        self._settle()
        return not isinstance(frame, Receipt | Refusal)

    def lost(self) -> None:
        """Take note that the connection is no more."""
        self._settle()
        self.step = Step.CLOSED
        self._in_flight.clear()

    def close(self) -> None:
        """Note for the next process what is in doubt."""
        self._outbox.doubt(bool(self._in_doubt()))

    def _in_doubt(self) -> list[Entry]:
        waiting = self._outbox.waiting(MAX_IN_FLIGHT)
        return [entry for entry in waiting if entry.number <= self._sent_up_to]

    def _greeted(self, welcome: Connected) -> None:
        absent = [group for group in self._labels.groups if group not in welcome.groups]
        if absent:
            raise RefusedError(
                f"the server has no group {', '.join(absent)}; it has "
                f"{', '.join(welcome.groups[:_MOST_GROUPS])}: name one of these"
            )
        self.counts.connections += 1
        self._schema = notifier.schema_version(welcome.schema_version)
        self.step = Step.ENTERING if self._doubt else Step.PUBLISHING

    def _mark(self, frame: ServerFrame) -> list[bytes]:
        entered = isinstance(frame, Entered) and self._session.members >= set(self._labels.groups)
        if self.step is not Step.ENTERING or not entered:
            return []
        self._marker = notifier.marker_message(secrets.token_hex(16), version=self._schema)
        self._in_flight.append(None)
        self.step = Step.LOOKING
        return [self._session.send(self._labels.pick_group, self._marker)]

    def _look_at(self, message: Received) -> None:
        is_ours = message.mime_type == XML_TYPE and message.encoding == "identity"
        if not is_ours or len(message.payload) > MAX_FRAME_BYTES:
            return
        self._found |= self._sought.intersection(notifier.public_ids(message.payload))

    def _next(self) -> Entry | None:
        waiting = self._outbox.waiting(MAX_IN_FLIGHT)
        alone = bool(waiting) and waiting[0].number <= self._alone_up_to
        if len(self._in_flight) >= (1 if alone else MAX_IN_FLIGHT):
            return None
        return next((entry for entry in waiting if entry.number > self._sent_here), None)

    def _send(self, entry: Entry) -> bytes:
        labels = self._labels
        style = replace(labels.style, created_ns=entry.created_ns, scml_version=self._schema)
        payload: bytes | None
        if entry.kind is Kind.PICK:
            group = labels.pick_group
            payload = notifier.pick_message(entry.pick, style)
        else:
            group = labels.amplitude_group
            payload = notifier.amplitude_message(entry.pick, style)
        if payload is None:
            raise ValueError("there is nothing to say")
        self._outbox.doubt(True)
        frame = self._session.send(group, payload)
        self._in_flight.append(entry)
        self._sent_here = entry.number
        self._sent_up_to = max(self._sent_up_to, entry.number)
        if entry.number > self._counted_up_to:
            self._counted_up_to = entry.number
            self.counts.sent += 1
        return frame

    def _settle(self) -> None:
        """Note the messages that the server has acknowledged."""
        open_sends = self._session.sends - self._session.acknowledged
        last = None
        while len(self._in_flight) > open_sends:
            entry = self._in_flight.popleft()
            if entry is not None:
                last = entry.number
                self.counts.acknowledged += 1
        if last is not None:
            self._outbox.delivered(last)

    def _refusal(self, refusal: Refusal) -> RefusedError:
        entries = [entry for entry in self._in_flight if entry is not None]
        if refusal.code == _NAME_IN_USE and self.step is Step.GREETING:
            return RefusedError(
                f"the name {self._labels.client_name!r} is in use: by another client, or by "
                "our last connection until the server notices (within 36 s) that it broke"
            )
        if not entries or refusal.code not in _MESSAGE_ERRORS:
            return RefusedError(f"the server says {refusal.text or 'nothing'!r} and closes")
        if len(entries) == 1:
            self._reject(refusal.text)
        else:
            self._alone_up_to = entries[-1].number
        return RefusedError(f"the server rejects a message: {refusal.text!r}", at_once=True)

    def _reject(self, reason: str) -> None:
        self._outbox.rejected(reason)
        self.counts.rejected += 1


def _is_name(text: str) -> bool:
    fits = 1 <= len(text.encode()) <= MAX_NAME_LENGTH
    return fits and text.isprintable() and text == text.strip() and "," not in text
