"""A small SeedLink server of the versions 3 and 4: real sockets, and the faults of real servers.

Version 3 is spoken in multi-station mode (HELLO, STATION, SELECT, DATA, FETCH, TIME, END,
INFO ID, INFO STATIONS); packets have 520 bytes: ``SL``, six hexadecimal digits, a miniSEED
record of 512 bytes. Behaviour is SeisComP's: sequence numbers count the packets of a
station, ``DATA n`` for a packet that is not there waits for new ones, ``DATA n time``
then goes by time, packets that end before the time are left out, refused commands get
ERROR. Version 4 is what a client gets that asks for it by SLPROTO, as FDSN specifies it.
"""

from __future__ import annotations

import io
import json
import random
import re
import socket
import ssl
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import obspy

from scperformer.types import NS_PER_S, Record, SeedId, parse_time
from scperformer.waveforms.mseed_stream import decode_record

Station = tuple[str, str]
_TIME_FIELDS = 6
_NUMBERS_3 = 1 << 24


def pack(records: Iterable[Record]) -> list[bytes]:
    """Pack each channel's records into miniSEED of 512 bytes, in the order of start times."""
    packed: list[tuple[int, bytes]] = []
    for record in records:
        trace = obspy.Trace(np.ascontiguousarray(record.samples))
        code = record.seed_id
        trace.stats.network, trace.stats.station = code.network, code.station
        trace.stats.location, trace.stats.channel = code.location, code.channel
        trace.stats.sampling_rate = record.sampling_rate_hz
        trace.stats.starttime = obspy.UTCDateTime(ns=record.start_ns)
        buffer = io.BytesIO()
        trace.write(buffer, format="MSEED", reclen=512)
        data = buffer.getvalue()
        packed += [(start_of(data[at : at + 512]), data[at : at + 512]) for at in _steps(data)]
    return [data for _, data in sorted(packed, key=lambda item: item[0])]


def _steps(data: bytes) -> range:
    return range(0, len(data), 512)


def start_of(data: bytes) -> int:
    record = decode_record(bytes(data))
    assert record is not None
    return record.start_ns


@dataclass
class Faults:
    """What goes wrong.

    Attributes:
        drop_after: packets after which a connection is cut, one number for each in turn.
        cut_packet: a cut comes in the middle of a packet.
        repeat: share of packets sent again, late.
        swap: share of packets that change places with the one before.
        late: share of packets that come up to thirty packets later, but for the first twelve.
        refuse: station codes that are refused.
        no_info: INFO is not served.
        no_times: times are not served: TIME, ``DATA n time``, ``DATA ALL time`` get ERROR.
        shift_sequence_at: number of the connection before which the server loses count:
            its sequence numbers change by `shift_sequence_by`.
        sends_all: packets come whether they were asked for or not.
        bad_heads: numbers of packets, in the order sent, whose headers are garbled.
    """

    drop_after: Sequence[int] = ()
    cut_packet: bool = False
    repeat: float = 0.0
    swap: float = 0.0
    late: float = 0.0
    refuse: Sequence[str] = ()
    no_info: bool = False
    no_times: bool = False
    shift_sequence_at: int | None = None
    shift_sequence_by: int = 0x5000
    sends_all: bool = False
    bad_heads: Sequence[int] = ()


@dataclass
class _Ring:
    """The packets of a station; the first has the sequence number `first`."""

    first: int = 0
    packets: list[bytearray] = field(default_factory=list)
    ends_ns: list[int] = field(default_factory=list)
    selectors_of: list[SeedId] = field(default_factory=list)


@dataclass
class _Wish:
    station: Station
    version: int = 3
    selectors: list[str] = field(default_factory=list)
    at: int | None = None
    since_ns: int | None = None
    place: int = 0


class SeedLinkServer:
    """Serves records in the order given; start it as a context manager.

    Args:
        packets: miniSEED records of 512 bytes, in the order in which they become known.
        faults: what goes wrong.
        packets_a_second: how fast packets become known, from the first connection that
            asks for data on; None for all from the start.
        first_sequence: sequence number of every station's first packet.
        seed: of the random faults.
        port: where to listen, 0 for any free port.
        version: the highest version that it speaks; may be changed while it runs.
        tls: files of a certificate for localhost and its key, None to speak openly.

    Attributes:
        port: where it listens.
        commands: every command that came.
        n_connections: connections that asked for data.
        has_served_all: set when a connection has been sent everything that there is.
    """

    def __init__(
        self,
        packets: Sequence[bytes],
        *,
        faults: Faults | None = None,
        packets_a_second: float | None = None,
        first_sequence: int = 0,
        seed: int = 0,
        port: int = 0,
        version: int = 3,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.faults = faults or Faults()
        self.version = version
        self.commands: list[str] = []
        self.n_connections = 0
        self._random = random.Random(seed)
        self._first = first_sequence
        self._rate = packets_a_second
        self._feed = self._disturbed(packets)
        self._rings: dict[Station, _Ring] = defaultdict(lambda: _Ring(self._first))
        for data in packets:
            self._rings[_station_of(data)].first = first_sequence
        self._order: list[tuple[Station, int]] = []
        self._grown = threading.Condition()
        self._closing = False
        self._has_shifted = False
        self._asked = threading.Event()
        self.has_served_all = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._clients: list[socket.socket] = []
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if tls else None
        if self._tls and tls:
            self._tls.load_cert_chain(*tls)
        if packets_a_second is None:
            for data in self._feed:
                self.publish(data)
        else:
            self._threads.append(threading.Thread(target=self._grow, daemon=True))

    @property
    def url(self) -> str:
        return f"slink{'s://localhost' if self._tls else '://127.0.0.1'}:{self.port}"

    def __enter__(self) -> SeedLinkServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._asked.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.drop_all()
        with self._grown:
            self._grown.notify_all()

    def drop_all(self) -> None:
        """Cut every connection."""
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    @property
    def is_complete(self) -> bool:
        """Whether every packet has become known."""
        return len(self._order) == len(self._feed)

    def packets_of(self, network: str, station: str) -> list[bytearray]:
        """A station's packets, to be damaged."""
        return self._rings[network, station].packets

    def publish(self, data: bytes) -> None:
        """Put a packet into its station's ring."""
        record = decode_record(data)
        assert record is not None
        station = _station_of(data)
        with self._grown:
            ring = self._rings[station]
            ring.packets.append(bytearray(data))
            ring.ends_ns.append(record.end_ns)
            ring.selectors_of.append(record.seed_id)
            self._order.append((station, len(ring.packets) - 1))
            self._grown.notify_all()

    def _disturbed(self, packets: Sequence[bytes]) -> list[bytes]:
        feed = list(packets)
        for place in range(1, len(feed)):
            if self._random.random() < self.faults.swap:
                feed[place - 1], feed[place] = feed[place], feed[place - 1]
        for place in range(len(feed) - 1, 12, -1):
            if self._random.random() < self.faults.late:
                feed.insert(min(place + self._random.randint(1, 30), len(feed)), feed.pop(place))
        for place in range(len(feed) - 1, -1, -1):
            if self._random.random() < self.faults.repeat:
                feed.insert(min(place + self._random.randint(1, 30), len(feed)), feed[place])
        return feed

    def _grow(self) -> None:
        self._asked.wait()
        begun = time.monotonic()
        for n, data in enumerate(self._feed):
            delay = begun + n / (self._rate or 1.0) - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            if self._closing:
                return
            self.publish(data)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self._clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with plain, suppress(OSError), self._encrypted(plain) as client:
            wishes = self._handshake(client)
            if wishes:
                number = self.n_connections
                self.n_connections += 1
                self._asked.set()
                try:
                    self._send_packets(client, wishes, number)
                finally:
                    client.shutdown(socket.SHUT_RDWR)  # a thread still reads from it

    def _encrypted(self, client: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(client, server_side=True) if self._tls else client

    def _lines(self, client: socket.socket) -> Iterator[str]:
        data = b""
        while True:
            while b"\r" not in data:
                more = client.recv(1024)
                if not more:
                    return
                data += more
            line, _, data = data.partition(b"\r")
            yield line.strip(b"\n").decode()

    def _handshake(self, client: socket.socket) -> list[_Wish]:
        wishes: list[_Wish] = []
        version = 3
        for line in self._lines(client):
            self.commands.append(line)
            command, *arguments = line.split()
            if command == "HELLO":
                self._lose_count()
                offers = " :: SLPROTO:4.0 SLPROTO:3.1" if self.version == 4 else " (2020.075)"
                text = f"SeedLink v{self.version}.1{offers}\r\nA test of scperformer\r\n"
                client.sendall(text.encode())
            elif command in ("SLPROTO", "USERAGENT") and self.version == 4:
                version = 4
                _answer(client, b"OK\r\n")
            elif command == "INFO":
                self._send_info(client, arguments[0], version)
            elif command == "STATION":
                codes = arguments[0].split("_") if version == 4 else reversed(arguments)
                station = (*codes,)
                is_there = station in self._rings or "*" in station[1]
                if is_there and station[1] not in self.faults.refuse:
                    wishes.append(_Wish(station, version))
                    _answer(client, b"OK\r\n")
                else:
                    _answer(client, b"ERROR ARGUMENTS none\r\n" if version == 4 else b"ERROR\r\n")
            elif command == "SELECT":
                wishes[-1].selectors.append(arguments[0])
                _answer(client, b"OK\r\n")
            elif command == "DATA" or (command in ("FETCH", "TIME") and version == 3):
                position = self._position_4 if version == 4 else self._position
                is_fine = position(wishes[-1], command, arguments)
                _answer(client, b"OK\r\n" if is_fine else b"ERROR\r\n")
            elif command == "END":
                return wishes
            else:
                _answer(client, b"ERROR\r\n")
        return []

    def _lose_count(self) -> None:
        if self.faults.shift_sequence_at == self.n_connections and not self._has_shifted:
            self._has_shifted = True
            for ring in self._rings.values():
                ring.first += self.faults.shift_sequence_by

    def _position(self, wish: _Wish, command: str, arguments: list[str]) -> bool:
        """Find the first packet for a wish, as SeisComP's server does."""
        if self.faults.no_times and (command == "TIME" or len(arguments) > 1):
            return False
        with self._grown:
            if "*" in wish.station[1]:
                wish.since_ns = _seedlink_time(arguments[0]) if arguments else None
                wish.place = 0 if arguments else len(self._order)
                return True
            ring = self._rings[wish.station]
            if command != "TIME" and arguments:
                if not re.fullmatch("[0-9A-F]{1,6}", arguments[0]):
                    return False
                index = (int(arguments[0], 16) - ring.first) % _NUMBERS_3
                wish.at = index if index <= len(ring.packets) else None
            times = arguments if command == "TIME" else arguments[1:]
            if times:
                wish.since_ns = _seedlink_time(times[0])
                if wish.at is None:
                    wish.at = 0
            if wish.at is None:
                wish.at = len(ring.packets)
        return True

    def _position_4(self, wish: _Wish, command: str, arguments: list[str]) -> bool:
        """Find the first packet for a wish; numbers with wildcards are refused."""
        number, *times = arguments or [""]
        is_wild = "*" in wish.station[1]
        if number not in ("", "ALL") and (is_wild or not re.fullmatch("[0-9]{1,20}", number)):
            return False
        if times and self.faults.no_times:
            return False
        if times:
            wish.since_ns = parse_time(times[0])
        with self._grown:
            if is_wild:
                wish.place = 0 if number else len(self._order)
                return True
            ring = self._rings[wish.station]
            wish.at = len(ring.packets)
            if number == "ALL":
                wish.at = 0
            elif number and int(number) <= ring.first + len(ring.packets):
                wish.at = max(int(number) - ring.first, 0)
        return True

    def _send_info(self, client: socket.socket, level: str, version: int) -> None:
        if version == 4:
            client.sendall(self._info_4(level))
            return
        if self.faults.no_info:
            client.sendall(b"ERROR\r\n")
            return
        text = '<?xml version="1.0"?><seedlink software="SeedLink v3.1" organization="test">'
        if level == "STATIONS":
            text += "".join(
                f'<station name="{station}" network="{network}" description="a &gt; b" '
                f'begin_seq="000000" end_seq="00FFFF" stream_check="enabled"/>'
                for network, station in list(self._rings)
            )
        text += "</seedlink>"
        parts = [text[at : at + 440] for at in range(0, len(text), 440)]
        for n, part in enumerate(parts):
            is_last = n == len(parts) - 1
            client.sendall((b"SLINFO  " if is_last else b"SLINFO *") + _log_record(part))

    def _info_4(self, level: str) -> bytes:
        document: dict[str, object] = {"software": "SeedLink v4.0", "organization": "test"}
        if self.faults.no_info and level != "ID":
            document["error"] = {"code": "UNAUTHORIZED", "message": "not for you"}
        elif level == "STATIONS":
            document["station"] = [
                {
                    "id": "_".join(station),
                    "description": "a test",
                    "start_seq": ring.first,
                    "end_seq": ring.first + len(ring.packets),
                }
                for station, ring in list(self._rings.items())
            ]
        kind = b"JE" if "error" in document else b"JI"
        return packet_4(kind, 0, "", json.dumps(document).encode())

    def _send_packets(self, client: socket.socket, wishes: list[_Wish], number: int) -> None:
        lock = threading.Lock()
        version = wishes[0].version
        answering = (client, lock, version)
        threading.Thread(target=self._answer_info, args=answering, daemon=True).start()
        by_station = {wish.station: wish for wish in wishes}
        limit = self.faults.drop_after[number] if number < len(self.faults.drop_after) else None
        n_sent, place = 0, 0
        while not self._closing:
            with self._grown:
                if place >= len(self._order):
                    if self.is_complete:
                        self.has_served_all.set()
                    self._grown.wait(0.1)
                    continue
                station, index = self._order[place]
            place += 1
            wish = by_station.get(station) or self._wild(station, wishes)
            is_wanted = wish is not None and place > wish.place
            if not ((is_wanted and self._is_wanted(wish, station, index)) or self.faults.sends_all):
                continue
            ring = self._rings[station]
            number = ring.first + index
            packet = b"SL%06X" % (number % _NUMBERS_3) + ring.packets[index]
            if version == 4:
                packet = packet_4(b"2D", number, "_".join(station), ring.packets[index])
            if n_sent in self.faults.bad_heads:
                packet = b"\xff\xfe" + packet[2:]
            if limit is not None and n_sent == limit:
                if self.faults.cut_packet:
                    client.sendall(packet[:110])
                return
            with lock:
                client.sendall(packet)
            n_sent += 1

    def _wild(self, station: Station, wishes: list[_Wish]) -> _Wish | None:
        for wish in wishes:
            if wish.station[0] == station[0] and "*" in wish.station[1]:
                return wish
        return None

    def _is_wanted(self, wish: _Wish, station: Station, index: int) -> bool:
        ring = self._rings[station]
        if wish.station == station and wish.at is not None and index < wish.at:
            return False
        if wish.since_ns is not None and ring.ends_ns[index] < wish.since_ns:
            return False
        code = ring.selectors_of[index]
        if wish.version == 4:
            stream = "_".join((code.location, *code.channel))
            return any(_matches_4(selector, stream) for selector in wish.selectors)
        text = f"{code.location or '  ':2}{code.channel}"
        return any(_matches(selector, text) for selector in wish.selectors)

    def _answer_info(self, client: socket.socket, lock: threading.Lock, version: int) -> None:
        with suppress(OSError):
            for line in self._lines(client):
                self.commands.append(line)
                if line.startswith("INFO"):
                    with lock:
                        self._send_info(client, line.split()[1], version)


def _station_of(data: bytes) -> Station:
    return data[18:20].decode().strip(), data[8:13].decode().strip()


def _answer(client: socket.socket, text: bytes) -> None:
    """Answer in two pieces, as a busy network may."""
    client.sendall(text[:1])
    client.sendall(text[1:])


def _matches(selector: str, text: str) -> bool:
    pattern = selector.partition(".")[0].replace("?", ".").replace("-", " ")
    return re.fullmatch(pattern if len(pattern) == 5 else ".." + pattern, text) is not None


def _matches_4(selector: str, stream: str) -> bool:
    pattern, _, kind = selector.partition(".")
    return fnmatchcase(stream, pattern) and fnmatchcase("2D", f"{kind}*")


def packet_4(kind: bytes, number: int, station: str, payload: bytes) -> bytes:
    """Make a packet of version 4; `kind` is its format and subformat."""
    head = struct.pack("<2s2sIQB", b"SE", kind, len(payload), number, len(station))
    return head + station.encode() + payload


def _seedlink_time(text: str) -> int:
    fields = [int(field) for field in text.split(",")]
    assert len(fields) == _TIME_FIELDS
    year, month, day, hour, minute, second = fields
    return parse_time(f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")


def _log_record(text: str) -> bytes:
    """Make a miniSEED record of 512 bytes that holds text."""
    header = b"000000D INFO   INFSL" + (2020).to_bytes(2, "big") + (1).to_bytes(2, "big")
    header += bytes(6) + len(text).to_bytes(2, "big") + bytes(4) + bytes(3) + b"\x01" + bytes(4)
    header += (64).to_bytes(2, "big") + (48).to_bytes(2, "big")
    blockette = (1000).to_bytes(2, "big") + bytes(2) + bytes([0, 1, 9, 0])
    return (header + blockette + bytes(8) + text.encode()).ljust(512, b"\0")


def duration_s(packets: Sequence[bytes]) -> float:
    return (start_of(packets[-1]) - start_of(packets[0])) / NS_PER_S
