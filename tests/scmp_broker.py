"""A small SeisComP messaging server that checks every frame a client sends.

`BrokerCore` knows the protocol and touches no socket; `ScmpBroker` serves it on a port of
this machine. It reads frames with code of its own, so that it and the client do not err
alike. What a client does wrong ends its connection and stands in `violations`.
"""

from __future__ import annotations

import base64
import http
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lxml import etree
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

GROUPS = ("STATUS_GROUP", "AMPLITUDE", "PICK", "LOCATION", "EVENT")
MAX_FRAME = 1024 * 1024
SCHEMA = "0.14.0"
NAMESPACE = "http://geofon.gfz.de/ns/seiscomp-schema/0.14"

CLIENT_HEADERS = {
    "CONNECT": {
        "Queue",
        "Ack-Window",
        "Client-Name",
        "Membership-Info",
        "Self-Discard",
        "Seq-No",
        "Subscriptions",
    },
    "SUBSCRIBE": {"Groups"},
    "UNSUBSCRIBE": {"Groups"},
    "SEND": {"D", "L", "E", "T"},
    "STATE": {"D", "L"},
    "DISCONNECT": {"Receipt"},
}


class Violation(Exception):
    pass


@dataclass
class Message:
    """A SEND that was relayed."""

    number: int
    sender: str
    group: str
    mime: str
    payload: bytes
    ids: tuple[str, ...]


@dataclass
class Faults:
    """What goes wrong on purpose; messages with objects are counted from 1."""

    drop_before_relay: set[int] = field(default_factory=set)
    drop_after_relay: set[int] = field(default_factory=set)
    refuse: Callable[[Message], str | None] = lambda message: None
    mute: bool = False


class Peer:
    """A client's connection as the server sees it."""

    def __init__(self, send: Callable[[bytes], None], end: Callable[[bool], None]) -> None:
        self.send = send
        self.end = end
        self.name = ""
        self.count = 0
        self.ack_window = 20
        self.ack_left = 20
        self.ack_due: float | None = None
        self.heard = 0.0
        self.groups: list[str] = []
        self.is_open = True
        self.frames: list[str] = []

    def close(self, *, politely: bool) -> None:
        if self.is_open:
            self.is_open = False
            self.end(politely)


class BrokerCore:
    """Groups, relaying, counting and acknowledging.

    With `queued` a SEND waits for `process`, as it does behind a database, while a STATE
    is counted at once. Without `replay` the broker ignores Seq-No, as SeisComP 7.1 to 7.3.
    """

    def __init__(
        self,
        *,
        replay: bool = True,
        queued: bool = False,
        groups: tuple[str, ...] = GROUPS,
        ack_after_s: float = 1.0,
        silence_s: float = 36.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.replay = replay
        self.queued = queued
        self.groups = groups
        self.ack_after_s = ack_after_s
        self.silence_s = silence_s
        self.faults = Faults()
        self.violations: list[str] = []
        self.published: list[Message] = []
        self.states: list[dict[str, str]] = []
        self.peers: list[Peer] = []
        self._clock = clock
        self.connections = 0
        self._sends = 0
        self._ring: deque[Message] = deque(maxlen=10_000)
        self._tasks: deque[tuple[Peer, Message]] = deque()

    @property
    def ids(self) -> list[str]:
        """Public ids of all objects that were relayed, comments apart, in order."""
        return [public_id for message in self.published for public_id in message.ids]

    def restart(self) -> None:
        """Lose all connections and memory; what was relayed stays known to the test."""
        for peer in list(self.peers):
            self.gone(peer)
        self._ring.clear()
        self._tasks.clear()

    def attach(self, send: Callable[[bytes], None], end: Callable[[bool], None]) -> Peer:
        """Take a connection; `end` closes it, politely (WebSocket's way) or not."""
        peer = Peer(send, end)
        peer.heard = self._clock()
        return peer

    def gone(self, peer: Peer, *, politely: bool = False) -> None:
        if peer in self.peers:
            self.peers.remove(peer)
        peer.close(politely=politely)

    def take(self, peer: Peer, data: bytes | str) -> None:
        """Take a frame of a client."""
        if not peer.is_open:
            return
        try:
            command, headers, payload = _parse(data)
            peer.frames.append(command)
            if (command == "CONNECT") != (not peer.name):
                raise Violation(f"{command} as frame {len(peer.frames)} of a connection")
            if payload and command not in ("SEND", "STATE"):
                raise Violation(f"{command} with a payload")
            getattr(self, f"_{command.lower()}")(peer, headers, payload)
        except Violation as violation:
            self.violations.append(str(violation))
            self._error(peer, f"400 {violation}")

    def process(self, count: int | None = None) -> None:
        """Relay messages that wait."""
        for _ in range(len(self._tasks) if count is None else min(count, len(self._tasks))):
            self._relay(*self._tasks.popleft())

    def tick(self) -> None:
        """Acknowledge what has waited long enough; drop who was silent too long."""
        now = self._clock()
        for peer in list(self.peers):
            if peer.ack_due is not None and now >= peer.ack_due:
                self._ack(peer)
            if now - peer.heard > self.silence_s:
                self._error(peer, "408 Inactivity")

    def _connect(self, peer: Peer, headers: dict[str, str], payload: bytes) -> None:
        name = headers.get("Client-Name", f"anonymous-{id(peer):x}")
        if any(other.name == name for other in self.peers) or name in self.groups:
            self._error(peer, "408 Client name not unique")
            return
        wanted = [g for g in headers.get("Subscriptions", "").split(",") if g]
        peer.name, peer.heard = name, self._clock()
        peer.ack_window = peer.ack_left = _count(headers.get("Ack-Window", "20"))
        self.peers.append(peer)
        self.connections += 1
        self._say(
            peer,
            "CONNECTED",
            Queue="production",
            Version="1.0",
            Schema_Version=SCHEMA,
            Client_Name=name,
            Ack_Window=str(peer.ack_window),
            Groups=",".join(self.groups),
        )
        self._subscribe(peer, {"Groups": ",".join(wanted)}, b"")
        if "Seq-No" in headers and self.replay and peer.is_open:
            seen = _count(headers["Seq-No"])
            for message in self._ring:
                if message.number > seen and message.group in peer.groups:
                    self._deliver(peer, message)

    def _subscribe(self, peer: Peer, headers: dict[str, str], payload: bytes) -> None:
        for group in filter(None, headers["Groups"].split(",")):
            if group not in self.groups:
                self._error(peer, "411 Group does not exist")
                return
            if group in peer.groups:
                raise Violation(f"subscribed to {group} twice")
            peer.groups.append(group)
            self._say(peer, "ENTER", D=group, C=peer.name)

    def _unsubscribe(self, peer: Peer, headers: dict[str, str], payload: bytes) -> None:
        for group in headers["Groups"].split(","):
            if group not in peer.groups:
                raise Violation(f"left {group} without being a member")
            peer.groups.remove(group)
            self._say(peer, "LEAVE", D=group, C=peer.name)

    def _state(self, peer: Peer, headers: dict[str, str], payload: bytes) -> None:
        if headers.get("D") != "STATUS_GROUP":
            raise Violation("STATE to another group than STATUS_GROUP")
        values = dict(pair.split("=") for pair in payload.decode().split("&"))
        if values.get("clientname") != peer.name:
            raise Violation("STATE does not tell the client's name")
        self.states.append(values)
        peer.heard = self._clock()
        self._counted(peer)

    def _send(self, peer: Peer, headers: dict[str, str], payload: bytes) -> None:
        group = headers.get("D", "")
        if group not in self.groups:
            self._error(peer, "411 Group does not exist")
            return
        if headers.get("T") != "application/x-sc-xml" or headers.get("E", "identity") != "identity":
            raise Violation("SEND of something else than plain XML")
        message = Message(0, peer.name, group, headers["T"], payload, check_message(payload))
        peer.heard = self._clock()
        self._sends += bool(message.ids)
        refusal = self.faults.refuse(message)
        if refusal is not None:
            self._error(peer, refusal)
        elif message.ids and self._sends in self.faults.drop_before_relay:
            self.gone(peer)
        elif self.queued:
            self._tasks.append((peer, message))
        else:
            self._relay(peer, message)

    def _disconnect(self, peer: Peer, headers: dict[str, str], payload: bytes) -> None:
        self._say(peer, "RECEIPT", Receipt_Id=headers.get("Receipt", peer.name))
        self.gone(peer, politely=True)

    def _relay(self, sender: Peer, message: Message) -> None:
        message.number = len(self.published) + 1
        self.published.append(message)
        self._ring.append(message)
        if message.ids and self._sends in self.faults.drop_after_relay:
            self.gone(sender)
        if sender in self.peers:
            self._counted(sender)
        for peer in self.peers:
            if message.group in peer.groups:
                self._deliver(peer, message)

    def _deliver(self, peer: Peer, message: Message) -> None:
        self._say(
            peer,
            "RECV",
            message.payload,
            C=message.sender,
            D=message.group,
            N=str(message.number),
            L=str(len(message.payload)),
            T=message.mime,
        )

    def _counted(self, peer: Peer) -> None:
        peer.count += 1
        if peer.ack_window and not self.faults.mute:
            peer.ack_left -= 1
            if peer.ack_left == 0:
                self._ack(peer)
            elif peer.ack_due is None:
                peer.ack_due = self._clock() + self.ack_after_s

    def _ack(self, peer: Peer) -> None:
        peer.ack_left, peer.ack_due = peer.ack_window, None
        self._say(peer, "ACK", N=str(peer.count))

    def _error(self, peer: Peer, text: str) -> None:
        self._say(peer, "ERROR", text.encode(), N=str(peer.count))
        self.gone(peer, politely=True)

    def _say(self, peer: Peer, command: str, payload: bytes = b"", **headers: str) -> None:
        lines = [f"{name.replace('_', '-')}:{value}" for name, value in headers.items()]
        peer.send("\n".join([command, *lines]).encode() + b"\n\n" + payload)


def check_message(payload: bytes) -> tuple[str, ...]:
    """Check a notifier message and return the public ids in it."""
    try:
        root = etree.fromstring(payload)
    except etree.XMLSyntaxError as error:
        raise Violation(f"not XML: {error}") from error
    if root.tag != f"{{{NAMESPACE}}}seiscomp" or root.get("version") != "0.14":
        raise Violation(f"root is {root.tag} {root.get('version')}")
    [body] = root
    ids: list[str] = []
    for notifier in body:
        if notifier.tag != f"{{{NAMESPACE}}}notifier" or notifier.get("operation") != "add":
            raise Violation(f"{notifier.tag} {dict(notifier.attrib)}")
        [child] = notifier
        name = etree.QName(child).localname
        if name not in ("Pick", "Amplitude", "Comment"):
            raise Violation(f"object {name}")
        wanted = ids[-1] if name == "Comment" else "EventParameters"
        if notifier.get("parentID") != wanted:
            raise Violation(f"{name} under {notifier.get('parentID')}, not {wanted}")
        if name != "Comment":
            ids.append(child.get("publicID"))
    return tuple(ids)


def _parse(data: bytes | str) -> tuple[str, dict[str, str], bytes]:
    data = data.encode() if isinstance(data, str) else data
    if len(data) > MAX_FRAME:
        raise Violation(f"frame of {len(data)} bytes")
    head, end, payload = data.partition(b"\n\n")
    lines = head.decode("utf-8").split("\n")
    if not end or lines[0] not in CLIENT_HEADERS:
        raise Violation(f"frame begins with {lines[0]!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not value or name in headers:
            raise Violation(f"{lines[0]}: header {line!r}")
        if name not in CLIENT_HEADERS[lines[0]]:
            raise Violation(f"{lines[0]} knows no header {name!r}")
        headers[name] = value
    if not headers:
        raise Violation(f"{lines[0]} without headers")
    if lines[0] in ("SEND", "STATE") and headers.get("L") != str(len(payload)):
        raise Violation(f"{lines[0]}: length {headers.get('L')} for {len(payload)} bytes")
    if any(len(headers.get(name, "")) > 128 for name in ("Client-Name", "D", "E", "T")):
        raise Violation("a name of more than 128 characters")
    return lines[0], headers, payload


def _count(text: str) -> int:
    if not text.isdigit():
        raise Violation(f"{text!r} is no count")
    return int(text)


class ScmpBroker:
    """A `BrokerCore` on a port of this machine that can stop and return."""

    def __init__(
        self,
        core: BrokerCore,
        *,
        credentials: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.core = core
        self.port = 0
        self.refused = 0
        self._credentials = credentials
        self._tls = tls
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._sockets: set[ServerConnection] = set()
        self._ended = threading.Event()

    @property
    def url(self) -> str:
        return f"{'scmps' if self._tls else 'scmp'}://localhost:{self.port}/"

    def start(self) -> None:
        self._ended.clear()
        self._server = serve(
            self._serve,
            "localhost",
            self.port,
            ssl=self._tls,
            compression=None,
            max_size=None,
            process_request=self._admit,
            select_subprotocol=lambda connection, offered: "scmp" if offered == ["scmp"] else None,
            ping_interval=None,
        )
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        threading.Thread(target=self._tick, daemon=True).start()

    def stop(self) -> None:
        """End all connections without a word."""
        if self._server is None:
            return
        self._ended.set()
        self._server.shutdown()
        with self._lock:
            for connection in list(self._sockets):
                _break(connection)
        self._server = None

    def break_connections(self) -> None:
        with self._lock:
            for connection in list(self._sockets):
                _break(connection)

    @contextmanager
    def locked(self) -> Iterator[BrokerCore]:
        with self._lock:
            yield self.core

    def _admit(self, connection: ServerConnection, request):  # type: ignore[no-untyped-def]
        wanted = "Basic " + base64.b64encode(self._credentials.encode()).decode()
        if self._credentials and request.headers.get("Authorization") != wanted:
            self.refused += 1
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "Authentication required")
        if urlsplit(request.path).path != "/production":
            return connection.respond(http.HTTPStatus.NOT_FOUND, "")
        if request.headers.get("Sec-WebSocket-Protocol") != "scmp":
            self.core.violations.append("handshake without subprotocol scmp")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        def send(data: bytes) -> None:
            with suppress(ConnectionClosed):
                connection.send(data)

        def end(politely: bool) -> None:
            if politely:
                threading.Thread(target=connection.close, daemon=True).start()
            else:
                _break(connection)

        with self._lock:
            self._sockets.add(connection)
            peer = self.core.attach(send, end)
        try:
            for data in connection:
                with self._lock:
                    self.core.take(peer, data)
        except ConnectionClosed:
            pass
        finally:
            with self._lock:
                self._sockets.discard(connection)
                self.core.gone(peer)

    def _tick(self) -> None:
        while not self._ended.wait(0.02):
            with self._lock:
                self.core.tick()


def _break(connection: ServerConnection) -> None:
    with suppress(OSError):
        connection.socket.shutdown(2)
