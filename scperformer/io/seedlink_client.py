"""One connection to a SeedLink server, by obspy's client with its faults mended.

What obspy 1.4 and 1.5 do, and what is done about it here:

- A server that closes the connection looks like one without data: the client goes on
  reading nothing for two minutes. -> The end of the stream is an error at once.
- Reading blocks for those minutes: no keepalive is sent to a silent server, and
  nothing can end it. -> It reads in short turns.
- Stations chosen by wildcards have no sequence number: what comes while the
  connection is down is lost. -> Wildcards are resolved by ``INFO STATIONS``; every
  station goes on where it was.
- ``DATA n time`` cannot be sent (it adds text to bytes), and ``DATA n`` alone gets
  nothing old from a server that no longer has packet n. After packet FFFFFF it asks
  for 0x1000000, which servers refuse. -> Both are sent here.
- A station without selectors is given up, a refused one is not named, and a
  connection lost while stations are being chosen loses those. -> Negotiated here.
- An answer that comes in two pieces counts as wrong, a greeting without a date too,
  bytes that are no packet shift all that follow, and every packet is unpacked twice.
- Without a timeout it cannot connect at all; with one it ends after that time.

Its loop of packets, its buffer and its keepalives are used as they are.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from obspy.clients.seedlink.client.seedlinkconnection import SeedLinkConnection
from obspy.clients.seedlink.client.slstate import SLState
from obspy.clients.seedlink.seedlinkexception import SeedLinkException
from obspy.clients.seedlink.slpacket import SLPacket

from scperformer.types import format_time

CONNECT_S = 10.0
KEEPALIVE_S = 30
SILENCE_S = 120.0
"""A connection on which nothing has come for so long, no keepalive either, is dead."""

_ANSWER_S = 30.0
_POLL_S = 0.2
_QUIET_S = 5.0
_SEQUENCE_MASK = 0xFFFFFF
_PACKET = re.compile(rb"SL([0-9A-Fa-f]{6})")
_STATION = re.compile(r"<station\s([^>]*)>")
_ATTRIBUTE = re.compile(r"(\w+)\s*=\s*[\"']([^\"']*)[\"']")
_INFO_HEADER = b"SLINFO"
_OLDEST_WITH_INFO = 2.92
_OLDEST_WITH_RESUME_TIME = 2.93

# Its lines name the server that was configured last; what they tell is told here.
logging.getLogger("obspy.clients.seedlink").setLevel(logging.CRITICAL)


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


class SeedLinkClient(SeedLinkConnection):  # type: ignore[misc]
    """A connection; it ends with `LinkError`, never by connecting anew.

    Args:
        host: name or address of the server.
        port: its port.
        stop: set to end; whatever waits then raises `LinkStopped` within 0.2 s.
        outdated: set to end, likewise, with `LinkOutdated`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        stop: threading.Event,
        *,
        outdated: threading.Event | None = None,
    ) -> None:
        super().__init__()
        self.sladdr = f"{host}:{port}"
        self.multistation = True
        self.netto = 0
        self.keepalive = KEEPALIVE_S
        self._host, self._port = host, port
        self._stop = stop
        self._outdated = outdated or threading.Event()
        self._heard_s = time.monotonic()

    def open(self) -> None:
        """Connect and greet.

        Raises:
            LinkError: no server there, or none of SeedLink.
        """
        try:
            self.socket = socket.create_connection((self._host, self._port), timeout=CONNECT_S)
            self.socket.settimeout(_POLL_S)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self.say_hello()
        except (OSError, SeedLinkException) as error:
            raise LinkError(f"cannot connect: {error}") from error
        if self.check_version(_OLDEST_WITH_INFO) < 0:
            self.keepalive = 0

    def stations(self) -> list[tuple[str, str]] | None:
        """Ask which stations there are: (network, station); None if the server does not say."""
        if self.check_version(_OLDEST_WITH_INFO) < 0:
            return None
        self.send_data(b"INFO STATIONS\r", "INFO", 0)
        text = self._info_text()
        found = []
        for station in _STATION.findall(text):
            attributes = dict(_ATTRIBUTE.findall(station))
            if "name" in attributes and "network" in attributes:
                found.append((attributes["network"].strip(), attributes["name"].strip()))
        return found or None

    def subscribe(self, requests: Sequence[StationRequest]) -> list[tuple[StationRequest, str]]:
        """Ask for stations and start the flow of packets; return those with a problem, and it.

        Raises:
            LinkError: all were refused, or the connection was lost.
        """
        problems = []
        n_accepted = 0
        for request in requests:
            accepted = self._subscribe(request)
            n_accepted += accepted is not None
            if accepted is None:
                problems.append((request, "refused"))
            elif accepted != self._actions(request)[0]:
                problems.append((request, f"the past is not served; asked with {accepted}"))
        if not n_accepted:
            raise LinkError(f"none of {len(requests)} stations is offered")
        self.send_data(b"END\r", "END", 0)
        self.state.recptr = self.state.sendptr = 0
        self.state.state = SLState.SL_DATA
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
            since = format_time(request.since_ns, " %Y,%m,%d,%H,%M,%S")
        if request.after is None:
            return [f"TIME{since}", "DATA"] if since else ["DATA"]
        by_number = f"DATA {(request.after + 1) & _SEQUENCE_MASK:06X}"
        if since and self.check_version(_OLDEST_WITH_RESUME_TIME) >= 0:
            return [by_number + since, by_number, "DATA"]
        return [by_number, "DATA"]

    def _command(self, text: str) -> bool:
        answer = self.send_data(text.encode("ascii") + b"\r", text, 1) or b""
        if answer.startswith(b"OK"):
            return True
        if answer.startswith(b"ERROR"):
            return False
        raise LinkError(f"answered {answer!r} to {text!r}; wanted OK or ERROR")

    def packets(self) -> Iterator[tuple[int, bytes]]:
        """Yield sequence numbers and records as they come, until the connection is lost.

        Raises:
            LinkError: it was lost.
            LinkStopped: the program is being stopped.
            LinkOutdated: it shall be given up.
        """
        while True:
            try:
                packet = self.collect()
            except SeedLinkException as error:
                raise LinkError(str(error)) from error
            if isinstance(packet, SLPacket):
                yield int(bytes(packet.slhead[2:8]), 16), bytes(packet.msrecord)
            elif packet is not None:
                raise LinkError("the server ended the stream")

    # From here on: what obspy's class calls.

    def is_connected(self, timeout: float = 1.0) -> bool:
        """Tell whether there is a socket; reading shows whether it is alive."""
        del timeout
        return self.socket is not None

    def send_data(self, sendbytes: bytes, code: str, resplen: int) -> bytes | None:
        """Send a command; return the first line of its answer if one is wanted."""
        try:
            self.socket.sendall(sendbytes)
        except OSError as error:
            raise LinkError(f"cannot send {code}: {error}") from error
        if resplen <= 0:
            return None
        lines = self._read_lines(2 if sendbytes.startswith(b"HELLO") else 1)
        return lines[0] + b" \r\n"

    def receive_data(self, maxbytes: int, code: str) -> bytes:
        """Read what there is; nothing after some quiet seconds, so that keepalives are sent."""
        del code
        deadline_s = time.monotonic() + _QUIET_S
        while True:
            data = self._received(maxbytes)
            if data or time.monotonic() >= deadline_s:
                return data

    def update_stream(self, slpacket: Any) -> None:
        """Check a packet's header; sequence numbers are kept by the source."""
        if _PACKET.fullmatch(bytes(slpacket.slhead)) is None:
            raise LinkError(f"bytes that are no SeedLink packet: {bytes(slpacket.slhead)!r}")

    def _received(self, n_bytes: int) -> bytes:
        """Read for one short turn; empty if nothing came."""
        if self._stop.is_set():
            raise LinkStopped
        if self._outdated.is_set():
            raise LinkOutdated
        try:
            data: bytes = self.socket.recv(n_bytes)
        except TimeoutError:
            silent_s = time.monotonic() - self._heard_s
            if silent_s > SILENCE_S:
                raise LinkError(f"nothing heard for {silent_s:.0f} s") from None
            return b""
        except OSError as error:
            raise LinkError(f"lost: {error}") from error
        if not data:
            raise LinkError("closed by the server")
        self._heard_s = time.monotonic()
        return data

    def _read_lines(self, n_lines: int) -> list[bytes]:
        """Read exactly so many lines, byte by byte: packets may follow."""
        deadline_s = time.monotonic() + _ANSWER_S
        data = b""
        while data.count(b"\r\n") < n_lines:
            data += self._received(1)
            if time.monotonic() > deadline_s:
                raise LinkError(f"no answer for {_ANSWER_S:.0f} s (only {data!r})")
        return data.split(b"\r\n")[:n_lines]

    def _info_text(self) -> str:
        """Read the packets of an answer to INFO, up to the one that ends it."""
        text = b""
        while True:
            head = self._read_exactly(SLPacket.SLHEADSIZE)
            if not head.startswith(_INFO_HEADER):
                return ""
            record = self._read_exactly(SLPacket.SLRECSIZE)
            order = "big" if record[20] in (7, 8) else "little"
            first = int.from_bytes(record[44:46], order)  # type: ignore[arg-type]
            length = int.from_bytes(record[30:32], order)  # type: ignore[arg-type]
            text += record[first : first + length]
            if head[-1:] != b"*":
                return text.decode("ascii", "replace")

    def _read_exactly(self, n_bytes: int) -> bytes:
        deadline_s = time.monotonic() + _ANSWER_S
        data = b""
        while len(data) < n_bytes:
            data += self._received(n_bytes - len(data))
            if data.startswith(b"ERROR\r\n") and len(data) < SLPacket.SLHEADSIZE:
                return data
            if time.monotonic() > deadline_s:
                raise LinkError(f"no answer to INFO for {_ANSWER_S:.0f} s")
        return data
