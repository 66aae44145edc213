"""One connection to a SeedLink server that may be slow, broken or hostile.

Whatever the server does, it costs bounded memory and time: lines, packets, answers to INFO
and stretches that are no packets have a largest size, every answer has a deadline, and a
connection on which no whole packet comes is dead, however many bytes do. Reading goes in
short turns, so that a stream can be stopped at any time.

It speaks SeedLink 4 where the server offers it, else 3 (`seedlink_versions`).
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence

from scperformer import __version__
from scperformer.waveforms.seedlink_versions import (
    LARGEST_INFO_BYTES,
    NoPacketError,
    Offered,
    Packet,
    StationRequest,
    Version3,
    Version4,
    excerpt,
)
from scperformer.waveforms.selection import Address

CONNECT_S = 10.0
KEEPALIVE_S = 30.0
"""How long no packet may come before the server is asked for a sign of life."""

SILENCE_S = 120.0
"""A connection on which no whole packet has come for so long, no sign of life either, is dead."""

ANSWER_S = 30.0
INFO_S = 120.0
"""How long an answer to INFO STATIONS may take."""

NEGOTIATION_S = 1800.0
"""How long it may take to ask for all stations."""

LONGEST_LINE_BYTES = 4096
MOST_GARBAGE_BYTES = 1 << 16
"""So much may come between two packets before the connection is given up."""

_POLL_S = 0.2
_READ_BYTES = 1 << 16
_GREETING = re.compile(rb"seedlink\b(?: v(\d{1,3}(?:\.\d{1,3})?)(?!\d))?", re.IGNORECASE)
_OFFERS_4 = re.compile(rb"\sSLPROTO:4\.\d", re.IGNORECASE)
_ERROR, _END = b"ERROR", b"END"


class LinkError(Exception):
    """The connection cannot be made or used, or was lost."""


class LinkStopped(Exception):  # noqa: N818 - no error
    """The program is being stopped."""


class LinkOutdated(Exception):  # noqa: N818 - no error
    """Another connection shall take the place of this one."""


class SeedLinkClient:
    """A connection; it ends with `LinkError`, never by connecting anew.

    Args:
        address: of the server.
        stop: set to end; whatever waits then raises `LinkStopped` within 0.2 s.
        outdated: set to end, likewise, with `LinkOutdated`.

    Attributes:
        version: the version of SeedLink that it speaks.
        n_skipped_bytes: bytes between packets that belonged to none.
    """

    def __init__(
        self,
        address: Address,
        stop: threading.Event,
        *,
        outdated: threading.Event | None = None,
    ) -> None:
        self.n_skipped_bytes = 0
        self.version: Version3 | Version4 = Version3(0.0)
        self._address = address
        self._stop = stop
        self._outdated = outdated or threading.Event()
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._refusal = ""

    def open(self) -> None:
        """Connect and greet.

        Raises:
            LinkError: no server there, or none of SeedLink.
        """
        try:
            self._socket = socket.create_connection(self._address[:2], timeout=CONNECT_S)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._address.is_encrypted:
                context = ssl.create_default_context()
                host = self._address.host
                self._socket = context.wrap_socket(self._socket, server_hostname=host)
            self._socket.settimeout(_POLL_S)
        except OSError as error:
            raise LinkError(f"cannot connect: {error}") from error
        greeting = self._ask("HELLO")
        match = _GREETING.match(greeting)
        if match is None:
            raise LinkError(f"no SeedLink server: it greets with {excerpt(greeting)}")
        self.version = Version3(float(match[1] or 0.0))
        self._line("HELLO", time.monotonic() + ANSWER_S)
        if _OFFERS_4.search(greeting) and self._command("SLPROTO 4.0"):
            self.version = Version4()
            self._command(f"USERAGENT scperformer/{__version__}")

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._socket is not None:
            self._socket.close()

    def stations(self) -> Offered | None:
        """Ask which stations there are; None if the server does not say.

        Raises:
            LinkError: the answer is none, is too long or takes too long.
        """
        if not self.version.has_info:
            return None
        self._send("INFO STATIONS")
        return self.version.stations(self._info())

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
                problems.append((request, f"refused{self._refusal}"))
            elif accepted != self.version.actions(request)[0]:
                problems.append((request, f"the past is not served; asked with {accepted}"))
        if not n_accepted:
            raise LinkError(f"none of {len(requests)} stations is offered")
        self._send("END")
        return problems

    def _subscribe(self, request: StationRequest) -> str | None:
        """Choose a station; return the command with which its data will come, None for none."""
        if not self._command(self.version.station(request)):
            return None
        selected = [self._command(self.version.select(s)) for s in request.selectors]
        if not any(selected):
            return None
        return next(filter(self._command, self.version.actions(request)), None)

    def _command(self, text: str) -> bool:
        answer = self._ask(text)
        if answer.startswith(b"OK"):
            return True
        if answer.startswith(_ERROR):
            reason = answer[len(_ERROR) :].strip()
            self._refusal = f": {excerpt(reason)}" if reason else ""
            return False
        raise LinkError(f"answered {excerpt(answer)} to {text!r}; wanted OK or ERROR")

    def packets(self) -> Iterator[Packet]:
        """Yield packets with records as they come, until the connection is lost.

        Raises:
            LinkError: it was lost.
            LinkStopped: the program is being stopped.
            LinkOutdated: it shall be given up.
        """
        heard_s = asked_s = time.monotonic()
        n_garbage = 0
        while True:
            while not self._buffer.startswith((_ERROR, _END)):
                try:
                    packet = self._packet()
                except NoPacketError:
                    n_garbage += self._skip()
                    continue
                if packet is None:
                    break
                heard_s = asked_s = time.monotonic()
                n_garbage = 0
                if packet.sequence is not None:
                    yield packet
            else:
                raise LinkError(f"the server ended the stream: {excerpt(self._buffer)}")
            if n_garbage > MOST_GARBAGE_BYTES:
                raise LinkError(f"{n_garbage} bytes that are no SeedLink packets")
            self._receive()
            now_s = time.monotonic()
            if now_s - heard_s > SILENCE_S:
                raise LinkError(f"no packet for {now_s - heard_s:.0f} s")
            if now_s - asked_s > KEEPALIVE_S and self.version.has_info:
                self._send("INFO ID")
                asked_s = now_s

    def _packet(self) -> Packet | None:
        """Take a packet out of the buffer, None if its end has not come.

        Raises:
            NoPacketError: what comes is none.
        """
        packet = self.version.packet(self._buffer)
        if packet is not None:
            del self._buffer[: packet.n_bytes]
        return packet

    def _skip(self) -> int:
        """Leave out bytes up to what may be the next packet; return how many."""
        found = self.version.next_packet.search(self._buffer, 1)
        end = len(self._buffer) - self.version.next_packet_bytes + 1
        n_bytes = found.start() if found else end
        del self._buffer[:n_bytes]
        self.n_skipped_bytes += n_bytes
        return n_bytes

    def _ask(self, command: str) -> bytes:
        """Send a command; return the line that answers it."""
        self._send(command)
        return self._line(command, time.monotonic() + ANSWER_S)

    def _send(self, command: str) -> None:
        assert self._socket is not None
        try:
            self._socket.sendall(command.encode("ascii") + self.version.line_end)
        except OSError as error:
            raise LinkError(f"cannot send {command}: {error}") from error

    def _line(self, command: str, deadline_s: float) -> bytes:
        """Read a line, without its end."""
        while (end := self._buffer.find(b"\r\n", 0, LONGEST_LINE_BYTES)) < 0:
            if len(self._buffer) >= LONGEST_LINE_BYTES:
                raise LinkError(f"a line without end: {excerpt(self._buffer)} to {command!r}")
            self._receive()
            if time.monotonic() > deadline_s:
                got = f" (only {excerpt(self._buffer)})" if self._buffer else ""
                raise LinkError(f"no answer to {command!r} for {ANSWER_S:.0f} s{got}")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _info(self) -> bytes:
        """Read the packets of an answer to INFO, up to the one that ends it."""
        deadline_s = time.monotonic() + INFO_S
        text = bytearray()
        while not self._buffer.startswith(_ERROR):
            try:
                packet = self._packet()
            except NoPacketError as error:
                raise LinkError(f"answered {error} to INFO") from None
            if packet is None:
                self._receive()
                if time.monotonic() > deadline_s:
                    raise LinkError(f"no whole answer to INFO for {INFO_S:.0f} s")
                continue
            if packet.sequence is not None:
                raise LinkError(f"answered {excerpt(packet.payload)} to INFO")
            text += packet.payload
            if len(text) > LARGEST_INFO_BYTES:
                raise LinkError(f"an answer to INFO of more than {LARGEST_INFO_BYTES} bytes")
            if packet.is_last:
                return bytes(text)
        self._line("INFO", deadline_s)
        return b""

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
