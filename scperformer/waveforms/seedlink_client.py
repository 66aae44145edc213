"""One connection to a SeedLink server that may be slow, broken or hostile.

Whatever the server does, it costs bounded memory and time: lines, answers to INFO and
stretches that are no packets have a largest size, every answer has a deadline, and a
connection on which no whole packet comes is dead, however many bytes do. Reading goes in
short turns, so that a stream can be stopped at any time.

SeedLink 3 as SeisComP and IRIS serve it: ``DATA n time``, for a server that no longer has
packet n; sequence numbers that wrap behind FFFFFF; answers in several pieces.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scperformer.types import format_time
from scperformer.waveforms.seedlink_wanted import is_code

CONNECT_S = 10.0
KEEPALIVE_S = 30.0
"""How long no packet may come before the server is asked for a sign of life."""

SILENCE_S = 120.0
"""A connection on which no whole packet has come for so long, no sign of life either, is dead."""

ANSWER_S = 30.0
INFO_S = 120.0
LARGEST_INFO_BYTES = 1 << 24
"""An answer to INFO STATIONS may take so long and be so large: 100,000 stations."""

NEGOTIATION_S = 1800.0
"""How long it may take to ask for all stations."""

LONGEST_LINE_BYTES = 4096
MOST_GARBAGE_BYTES = 1 << 16
"""So much may come between two packets before the connection is given up."""

_POLL_S = 0.2
_READ_BYTES = 1 << 16
_HEAD_BYTES, _RECORD_BYTES = 8, 512
_PACKET_BYTES = _HEAD_BYTES + _RECORD_BYTES
_SEQUENCE_MASK = 0xFFFFFF
_GREETING = re.compile(rb"seedlink\b(?: v(\d{1,3}(?:\.\d{1,3})?)(?!\d))?", re.IGNORECASE)
_PACKET = re.compile(rb"SL([0-9A-Fa-f]{6})")
# Among bytes that are no packets a header is believed where a record's header follows.
_NEXT_PACKET = re.compile(rb"SL(?:[0-9A-Fa-f]{6}|INFO..)[0-9 \x00]{6}[DRQM]", re.DOTALL)
_NEXT_PACKET_BYTES = 15
# Bounded, so that no text makes them look at its parts again and again.
_STATION = re.compile(r"<station\s([^<>]{0,4096})>")
_ATTRIBUTE = re.compile(r"\b(\w{1,32})\s{0,8}=\s{0,8}[\"']([^\"']*)[\"']")
_INFO_HEADER = b"SLINFO"
_ERROR, _END = b"ERROR\r\n", b"END"
_OLDEST_WITH_INFO = 2.92
_OLDEST_WITH_RESUME_TIME = 2.93
_EXCERPT_BYTES = 60


class LinkError(Exception):
    """The connection cannot be made or used, or was lost."""


class LinkStopped(Exception):  # noqa: N818 - no error
    """The program is being stopped."""


class LinkOutdated(Exception):  # noqa: N818 - no error
    """Another connection shall take the place of this one."""


@dataclass(frozen=True, slots=True)
class StationRequest:
    """What is wanted of a station.

    Attributes:
        network: network code.
        station: station code.
        selectors: SeedLink selectors such as ``??HH?`` or ``HHZ.D``, at least one.
        after: sequence number of the last packet that came, None if none did.
        since_ns: begin with packets that reach beyond this time, None for what comes next.
    """

    network: str
    station: str
    selectors: tuple[str, ...]
    after: int | None = None
    since_ns: int | None = None


class SeedLinkClient:
    """A connection; it ends with `LinkError`, never by connecting anew.

    Args:
        host: name or address of the server.
        port: its port.
        stop: set to end; whatever waits then raises `LinkStopped` within 0.2 s.
        outdated: set to end, likewise, with `LinkOutdated`.

    Attributes:
        n_skipped_bytes: bytes between packets that belonged to none.
    """

    def __init__(
        self,
        host: str,
        port: int,
        stop: threading.Event,
        *,
        outdated: threading.Event | None = None,
    ) -> None:
        self.n_skipped_bytes = 0
        self._address = host, port
        self._stop = stop
        self._outdated = outdated or threading.Event()
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._version = 0.0

    def open(self) -> None:
        """Connect and greet.

        Raises:
            LinkError: no server there, or none of SeedLink.
        """
        try:
            self._socket = socket.create_connection(self._address, timeout=CONNECT_S)
            self._socket.settimeout(_POLL_S)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            raise LinkError(f"cannot connect: {error}") from error
        greeting = self._ask("HELLO")
        match = _GREETING.match(greeting)
        if match is None:
            raise LinkError(f"no SeedLink server: it greets with {_excerpt(greeting)}")
        self._version = float(match[1] or 0.0)
        self._line("HELLO", time.monotonic() + ANSWER_S)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()

    def stations(self) -> list[tuple[str, str]] | None:
        """Ask which stations there are: (network, station); None if the server does not say.

        Raises:
            LinkError: the answer is none, is too long or takes too long.
        """
        if not self._is_since(_OLDEST_WITH_INFO):
            return None
        self._send("INFO STATIONS")
        found = []
        for station in _STATION.findall(self._info_text()):
            attributes = dict(_ATTRIBUTE.findall(station))
            codes = attributes.get("network", "").strip(), attributes.get("name", "").strip()
            if all(map(is_code, codes)):
                found.append(codes)
        return found or None

    def subscribe(self, requests: Sequence[StationRequest]) -> list[tuple[StationRequest, str]]:
        """Ask for stations and start the flow of packets; return those with a problem, and it.

        Raises:
            LinkError: all were refused, or the connection was lost.
        """
        problems = []
        n_accepted = 0
        deadline_s = time.monotonic() + NEGOTIATION_S
        for number, request in enumerate(requests):
            if time.monotonic() > deadline_s:
                raise LinkError(
                    f"took {NEGOTIATION_S:.0f} s for {number} of {len(requests)} stations"
                )
            accepted = self._subscribe(request)
            n_accepted += accepted is not None
            if accepted is None:
                problems.append((request, "refused"))
            elif accepted != self._actions(request)[0]:
                problems.append((request, f"the past is not served; asked with {accepted}"))
        if not n_accepted:
            raise LinkError(f"none of {len(requests)} stations is offered")
        self._send("END")
        return problems

    def _subscribe(self, request: StationRequest) -> str | None:
        """Choose a station; return the command with which its data will come, None for none."""
        if not self._command(f"STATION {request.station} {request.network}"):
            return None
        accepted = [self._command(f"SELECT {selector}") for selector in request.selectors]
        if not any(accepted):
            return None
        return next((action for action in self._actions(request) if self._command(action)), None)

    def _actions(self, request: StationRequest) -> list[str]:
        """Commands that begin a station's data, the best one first."""
        since = ""
        if request.since_ns is not None:
            since = format_time(max(request.since_ns, 0), " %Y,%m,%d,%H,%M,%S")
        if request.after is None:
            return [f"TIME{since}", "DATA"] if since else ["DATA"]
        by_number = f"DATA {(request.after + 1) & _SEQUENCE_MASK:06X}"
        if since and self._is_since(_OLDEST_WITH_RESUME_TIME):
            return [by_number + since, by_number, "DATA"]
        return [by_number, "DATA"]

    def _command(self, text: str) -> bool:
        answer = self._ask(text)
        if answer.startswith(b"OK"):
            return True
        if answer.startswith(b"ERROR"):
            return False
        raise LinkError(f"answered {_excerpt(answer)} to {text!r}; wanted OK or ERROR")

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """Yield sequence numbers and records as they come, until the connection is lost.

        Raises:
            LinkError: it was lost.
            LinkStopped: the program is being stopped.
            LinkOutdated: it shall be given up.
        """
        heard_s = asked_s = time.monotonic()
        n_garbage = 0
        while True:
            while len(self._buffer) >= _PACKET_BYTES:
                packet = bytes(self._buffer[:_PACKET_BYTES])
                number = _PACKET.match(packet)
                if number is None and not packet.startswith(_INFO_HEADER):
                    n_garbage += self._skip()
                    continue
                del self._buffer[:_PACKET_BYTES]
                heard_s = asked_s = time.monotonic()
                n_garbage = 0
                if number is not None:
                    yield int(number[1], 16), packet[_HEAD_BYTES:]
            if self._buffer.startswith((_ERROR, _END)):
                raise LinkError("the server ended the stream")
            if n_garbage > MOST_GARBAGE_BYTES:
                raise LinkError(f"{n_garbage} bytes that are no SeedLink packets")
            self._receive()
            now_s = time.monotonic()
            if now_s - heard_s > SILENCE_S:
                raise LinkError(f"no packet for {now_s - heard_s:.0f} s")
            if now_s - asked_s > KEEPALIVE_S and self._is_since(_OLDEST_WITH_INFO):
                self._send("INFO ID")
                asked_s = now_s

    def _skip(self) -> int:
        """Leave out bytes up to what may be the next packet; return how many."""
        found = _NEXT_PACKET.search(self._buffer, 1)
        n_bytes = found.start() if found else len(self._buffer) - _NEXT_PACKET_BYTES + 1
        del self._buffer[:n_bytes]
        self.n_skipped_bytes += n_bytes
        return n_bytes

    def _is_since(self, version: float) -> bool:
        """Tell whether the server is of a version or a later one; one that does not say is."""
        return self._version == 0.0 or self._version >= version

    def _ask(self, command: str) -> bytes:
        """Send a command; return the line that answers it."""
        self._send(command)
        return self._line(command, time.monotonic() + ANSWER_S)

    def _send(self, command: str) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(command.encode("ascii") + b"\r")
        except OSError as error:
            raise LinkError(f"cannot send {command}: {error}") from error

    def _line(self, command: str, deadline_s: float) -> bytes:
        """Read a line, without its end."""
        while (end := self._buffer.find(b"\r\n", 0, LONGEST_LINE_BYTES)) < 0:
            if len(self._buffer) >= LONGEST_LINE_BYTES:
                raise LinkError(f"a line without end: {_excerpt(self._buffer)} to {command!r}")
            self._receive()
            if time.monotonic() > deadline_s:
                got = f" (only {_excerpt(self._buffer)})" if self._buffer else ""
                raise LinkError(f"no answer to {command!r} for {ANSWER_S:.0f} s{got}")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _info_text(self) -> str:
        """Read the packets of an answer to INFO, up to the one that ends it."""
        deadline_s = time.monotonic() + INFO_S
        text = bytearray()
        while True:
            while len(self._buffer) < _PACKET_BYTES and not self._buffer.startswith(_ERROR):
                self._receive()
                if time.monotonic() > deadline_s:
                    raise LinkError(f"no whole answer to INFO for {INFO_S:.0f} s")
            if self._buffer.startswith(_ERROR):
                del self._buffer[: len(_ERROR)]
                return ""
            packet = bytes(self._buffer[:_PACKET_BYTES])
            del self._buffer[:_PACKET_BYTES]
            if not packet.startswith(_INFO_HEADER):
                raise LinkError(f"answered {_excerpt(packet)} to INFO")
            text += _text_of(packet[_HEAD_BYTES:])
            if len(text) > LARGEST_INFO_BYTES:
                raise LinkError(f"an answer to INFO of more than {LARGEST_INFO_BYTES} bytes")
            if packet[_HEAD_BYTES - 1 : _HEAD_BYTES] != b"*":
                return text.decode("ascii", "replace")

    def _receive(self) -> None:
        """Read for one short turn."""
        if self._stop.is_set():
            raise LinkStopped
        if self._outdated.is_set():
            raise LinkOutdated
        assert self._socket is not None
        try:
            data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            return
        except OSError as error:
            raise LinkError(f"lost: {error}") from error
        if not data:
            raise LinkError("closed by the server")
        self._buffer += data


def _text_of(record: bytes) -> bytes:
    """Return what a log record says."""
    order = "big" if record[20] in (7, 8) else "little"
    first = int.from_bytes(record[44:46], order)  # type: ignore[arg-type]
    length = int.from_bytes(record[30:32], order)  # type: ignore[arg-type]
    return record[first : first + length]


def _excerpt(data: bytes | bytearray) -> str:
    more = "..." if len(data) > _EXCERPT_BYTES else ""
    return f"{bytes(data[:_EXCERPT_BYTES])!r}{more}"
