"""SCMP, the wire protocol of SeisComP's messaging: frames and one session. No I/O.

A frame is one WebSocket message: the command, header lines ``Name:value``, an empty line,
the payload. The server counts the SEND and STATE frames of a connection, beginning with 1,
and acknowledges them by that count. What it does with a SEND takes time (a database may
come first); a STATE overtakes. So an acknowledged count of n stands for n minus all STATEs
sent so far, and perhaps a few more, SENDs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from scperformer.errors import InputError

SUBPROTOCOL = "scmp"
STATUS_GROUP = "STATUS_GROUP"
XML_TYPE = "application/x-sc-xml"

# A server drops a client that was silent for 36 s; its own clients speak every 12 s.
HEARTBEAT_S = 12.0

# The server's default limit holds for the frame, headers included.
MAX_FRAME_BYTES = 1024 * 1024
MAX_NAME_LENGTH = 128

MAX_HEADER_BYTES = 64 * 1024
"""Command and headers of a frame; what is longer is no frame."""

_END_OF_HEADERS = b"\n\n"
_MOST_TEXT = 300
_MOST_DIGITS = 18


class ProtocolError(InputError):
    """A frame that SCMP does not know, or not at this point of a session."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One WebSocket message.

    Attributes:
        command: upper case letters.
        headers: names and values in the order sent.
        payload: what follows the empty line.
    """

    command: str
    headers: tuple[tuple[str, str], ...] = ()
    payload: bytes = b""

    def header(self, name: str) -> str | None:
        """Return the first value of a header; None if it is absent."""
        return next((value for key, value in self.headers if key == name), None)

    def encode(self) -> bytes:
        """Return the frame's bytes.

        Raises:
            ProtocolError: a name or value that would break the frame, or too many bytes.
        """
        if not _is_command(self.command):
            raise ProtocolError(f"{self.command!r} is no command; wanted upper case letters")
        lines = [self.command, *(_header_line(name, value) for name, value in self.headers)]
        data = "\n".join(lines).encode() + _END_OF_HEADERS + self.payload
        if len(data) > MAX_FRAME_BYTES:
            raise ProtocolError(
                f"{self.command} of {len(data)} bytes; servers take at most {MAX_FRAME_BYTES}"
            )
        return data

    @classmethod
    def decode(cls, data: bytes | str) -> Frame:
        """Read a frame.

        Raises:
            ProtocolError: no command, no end of the headers, or a header without a colon.
        """
        data = data.encode() if isinstance(data, str) else data
        end = data.find(_END_OF_HEADERS, 0, MAX_HEADER_BYTES)
        if end < 0:
            raise ProtocolError(
                f"frame {_excerpt(data)}: no empty line ends the headers within "
                f"{MAX_HEADER_BYTES} bytes"
            )
        head, payload = data[:end], data[end + len(_END_OF_HEADERS) :]
        try:
            command, *lines = head.decode().split("\n")
        except UnicodeDecodeError as error:
            raise ProtocolError(f"frame {_excerpt(data)}: headers are not UTF-8") from error
        if not _is_command(command):
            raise ProtocolError(f"frame {_excerpt(data)}: wanted a command in upper case letters")
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise ProtocolError(
                    f"{_said(command)}: header {_said(line)!r}; wanted 'Name: value'"
                )
            headers.append((name.strip(), value.strip()))
        return cls(command, tuple(headers), payload)


@dataclass(frozen=True, slots=True)
class Connected:
    """The server's welcome.

    Attributes:
        schema_version: of SeisComP's data model, empty if not told.
        framework_version: of SeisComP, empty if not told.
        client_name: how the server calls us.
        ack_window: messages after which it acknowledges, 0 for never.
        groups: where messages can go.
    """

    schema_version: str
    framework_version: str
    client_name: str
    ack_window: int
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """A message relayed by the server; `number` counts the queue's messages."""

    sender: str
    target: str
    number: int | None
    mime_type: str
    encoding: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """The server is done with so many SEND and STATE frames of this connection."""

    count: int


@dataclass(frozen=True, slots=True)
class Entered:
    """A member has joined a group."""

    group: str
    member: str


@dataclass(frozen=True, slots=True)
class Left:
    """A member has left a group."""

    group: str
    member: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a DISCONNECT."""

    id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An ERROR; the server closes the connection after it.

    Attributes:
        count: SEND and STATE frames of this connection that were done before.
        code: the number that the text begins with, None if it does not.
        text: what the server says, may be empty.
    """

    count: int | None
    code: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Other:
    """A frame that is none of a publisher's business."""

    command: str


ServerFrame = Connected | Received | Ack | Entered | Left | Receipt | Refusal | Other


def parse_server_frame(data: bytes | str) -> ServerFrame:
    """Read a frame that the server sent.

    Raises:
        ProtocolError: not a frame, a header is missing or has no such value, or the
            content length is not the payload's.
    """
    frame = Frame.decode(data)
    length = _count(frame, "L")
    if length is not None and length != len(frame.payload):
        raise ProtocolError(
            f"{frame.command}: content length {length}, but {len(frame.payload)} bytes"
        )
    parse = _PARSERS.get(frame.command)
    return Other(frame.command) if parse is None else parse(frame)


class SessionState(Enum):
    """How far a session has come."""

    NEW = auto()
    CONNECTING = auto()
    OPEN = auto()
    LEAVING = auto()
    CLOSED = auto()


class Session:
    """One connection's life as the protocol sees it: makes frames, reads answers, counts.

    Args:
        client_name: the name to ask for; the server refuses one that is in use, so that
            two connections of one name never live at the same time.
        ack_window: messages after which the server shall acknowledge.
        subscriptions: groups to listen to from the start.
        replay: ask for the messages that the server still remembers.

    Attributes:
        client_name: our name, as the server confirmed it.
        state: how far the session has come.
        server: the welcome, None before it came.
        members: groups that we listen to.
        sends: SENDs so far.
        states: STATEs so far.
        counted: SENDs and STATEs that the server is done with.
        acknowledged: SENDs that the server is certainly done with.
    """

    def __init__(
        self,
        client_name: str,
        *,
        ack_window: int = 1,
        subscriptions: Sequence[str] = (),
        replay: bool = False,
    ) -> None:
        self.client_name = client_name
        self.state = SessionState.NEW
        self.server: Connected | None = None
        self.members: set[str] = set()
        self.sends = 0
        self.states = 0
        self.acknowledged = 0
        self._ack_window = ack_window
        self._subscriptions = tuple(subscriptions)
        self._replay = replay
        self.counted = 0

    def connect(self) -> bytes:
        """Return the first frame of the session."""
        self._expect("CONNECT", SessionState.NEW)
        self.state = SessionState.CONNECTING
        headers = [
            ("Ack-Window", str(self._ack_window)),
            ("Client-Name", _name(self.client_name)),
            ("Membership-Info", "0"),
            ("Self-Discard", "0"),
        ]
        if self._replay:
            headers.append(("Seq-No", "0"))
        if self._subscriptions:
            headers.append(("Subscriptions", _group_list(self._subscriptions)))
        return Frame("CONNECT", tuple(headers)).encode()

    def unsubscribe(self, groups: Sequence[str]) -> bytes:
        """Return the frame that ends listening to groups."""
        self._expect("UNSUBSCRIBE", SessionState.OPEN)
        return Frame("UNSUBSCRIBE", (("Groups", _group_list(groups)),)).encode()

    def send(self, group: str, payload: bytes, *, mime_type: str = XML_TYPE) -> bytes:
        """Return the frame of a message; the next SEND to be acknowledged.

        Raises:
            ProtocolError: the message is too large, or the session is not open.
        """
        self._expect("SEND", SessionState.OPEN)
        headers = (("D", _name(group)), ("L", str(len(payload))), ("T", mime_type))
        data = Frame("SEND", headers, payload).encode()
        self.sends += 1
        return data

    def heartbeat(self, text: str) -> bytes:
        """Return the frame that tells the client's state of health."""
        self._expect("STATE", SessionState.OPEN)
        payload = text.encode()
        headers = (("D", STATUS_GROUP), ("L", str(len(payload))))
        data = Frame("STATE", headers, payload).encode()
        self.states += 1
        return data

    def disconnect(self) -> bytes:
        """Return the frame that asks the server to end the session."""
        self._expect("DISCONNECT", SessionState.OPEN)
        self.state = SessionState.LEAVING
        return Frame("DISCONNECT", (("Receipt", _name(self.client_name)),)).encode()

    def receive(self, data: bytes | str) -> ServerFrame:
        """Read a frame of the server and take note of it.

        Raises:
            ProtocolError: not a frame, or not at this point.
        """
        frame = parse_server_frame(data)
        if self.state is SessionState.CONNECTING:
            if not isinstance(frame, Connected | Refusal):
                raise ProtocolError(f"{type(frame).__name__}: wanted CONNECTED or ERROR first")
        elif self.state not in (SessionState.OPEN, SessionState.LEAVING):
            raise ProtocolError(f"{type(frame).__name__}: the session is {self.state.name}")
        self._note(frame)
        return frame

    def _note(self, frame: ServerFrame) -> None:
        match frame:
            case Connected():
                if self.state is not SessionState.CONNECTING:
                    raise ProtocolError("CONNECTED: a second time")
                self.state, self.server = SessionState.OPEN, frame
                self.client_name = frame.client_name
            case Ack(count):
                self._acknowledge(count)
            case Entered(group, member) if member == self.client_name:
                self.members |= {group} & set(self._subscriptions)
            case Left(group, member) if member == self.client_name:
                self.members.discard(group)
            case Refusal(count):
                self.state = SessionState.CLOSED
                if count is not None and self.counted <= count <= self.sends + self.states:
                    self._acknowledge(count)
            case Receipt():
                self.state = SessionState.CLOSED

    def _acknowledge(self, count: int) -> None:
        if not self.counted <= count <= self.sends + self.states:
            raise ProtocolError(
                f"ACK of {count}; wanted {self.counted} to {self.sends + self.states}"
            )
        self.counted = count
        self.acknowledged = max(self.acknowledged, count - self.states)

    def _expect(self, command: str, state: SessionState) -> None:
        if self.state is not state:
            raise ProtocolError(f"{command}: the session is {self.state.name}, not {state.name}")


def _connected(frame: Frame) -> Connected:
    return Connected(
        schema_version=_said(frame.header("Schema-Version") or ""),
        framework_version=_said(frame.header("Framework-Version") or ""),
        client_name=_name(_wanted(frame, "Client-Name")),
        ack_window=_count(frame, "Ack-Window") or 0,
        groups=tuple(filter(None, map(str.strip, _wanted(frame, "Groups").split(",")))),
    )


def _received(frame: Frame) -> Received:
    return Received(
        sender=_wanted(frame, "C"),
        target=_wanted(frame, "D"),
        number=_count(frame, "N"),
        mime_type=frame.header("T") or "",
        encoding=frame.header("E") or "identity",
        payload=frame.payload,
    )


def _ack(frame: Frame) -> Ack:
    count = _count(frame, "N")
    if count is None:
        raise ProtocolError("ACK: header 'N' is missing")
    return Ack(count)


def _refusal(frame: Frame) -> Refusal:
    text = _said(frame.payload[: 4 * _MOST_TEXT].decode(errors="replace").strip())
    code = text.partition(" ")[0]
    return Refusal(_count(frame, "N"), int(code) if _is_number(code) else None, text)


_PARSERS: dict[str, Callable[[Frame], ServerFrame]] = {
    "CONNECTED": _connected,
    "RECV": _received,
    "ACK": _ack,
    "ENTER": lambda frame: Entered(_wanted(frame, "D"), _wanted(frame, "C")),
    "LEAVE": lambda frame: Left(_wanted(frame, "D"), _wanted(frame, "C")),
    "RECEIPT": lambda frame: Receipt(frame.header("Receipt-Id") or ""),
    "ERROR": _refusal,
}


def _wanted(frame: Frame, name: str) -> str:
    value = frame.header(name)
    if not value:
        raise ProtocolError(f"{frame.command}: header {name!r} is missing")
    return value


def _count(frame: Frame, name: str) -> int | None:
    value = frame.header(name)
    if value is None:
        return None
    if not _is_number(value):
        raise ProtocolError(f"{frame.command}: header {name!r} is {_said(value)!r}; wanted a count")
    return int(value)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _is_command(text: str) -> bool:
    return text.isascii() and text.isalpha() and text.isupper()


def _header_line(name: str, value: str) -> str:
    if not name or name != name.strip() or ":" in name or "\n" in name:
        raise ProtocolError(f"{name!r} cannot name a header")
    if not value or value != value.strip() or "\n" in value:
        raise ProtocolError(f"header {name!r} cannot be {value!r}: wanted one line, not empty")
    return f"{name}:{value}"


def _name(text: str) -> str:
    if len(text.encode()) > MAX_NAME_LENGTH:
        raise ProtocolError(f"name {_said(text)!r}: servers take at most {MAX_NAME_LENGTH} bytes")
    return text


def _group_list(groups: Sequence[str]) -> str:
    if any("," in group for group in groups):
        raise ProtocolError(f"groups {list(groups)}: a name cannot hold a comma")
    return ",".join(map(_name, groups))


def _said(text: str) -> str:
    """Shorten what a server says to what a log can take."""
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "..."


def _excerpt(data: bytes) -> str:
    return repr(data[:40]) + ("..." if len(data) > 40 else "")
