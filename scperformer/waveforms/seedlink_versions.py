"""What SeedLink 3 and SeedLink 4 put on the wire: commands, packets, lists of stations.

Version 3 is as SeisComP and IRIS serve it: ``DATA n time``, for a server that no longer has
packet n; numbers that wrap behind FFFFFF; answers to INFO in several pieces. Version 4 is as
FDSN specifies it (https://docs.fdsn.org/projects/seedlink), with ringserver's habits: it
finds a packet by its number only while it has the one before, and by time otherwise.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from scperformer.types import format_time
from scperformer.waveforms.mseed_headers import seed_id_of
from scperformer.waveforms.selection import Station, StationPattern, selector_parts

LARGEST_DATA_BYTES = 1 << 20
LARGEST_INFO_BYTES = 1 << 24
"""An answer to INFO STATIONS may be so large: 100,000 stations."""

Offered = dict[Station, range | None]
"""The stations of a server and the numbers of the packets that it has, None if it does not say."""

_NOWHERE: Station = ("", "")
_EXCERPT_BYTES = 60
_CODE = re.compile(r"[A-Za-z0-9_]{1,8}")


class NoPacketError(Exception):
    """What a buffer begins with is no packet."""


class Packet(NamedTuple):
    """A packet as it came.

    Attributes:
        n_bytes: its length, with its header.
        station: network and station code; empty where there are none, as in INFO.
        sequence: its number, None for an answer to INFO.
        payload: a record or text; empty where it is longer than any record may be.
        is_last: whether it ends an answer to INFO.
    """

    n_bytes: int
    station: Station
    sequence: int | None
    payload: bytes
    is_last: bool = True


@dataclass(frozen=True, slots=True)
class StationRequest(StationPattern):
    """What is wanted of a station, or of those that wildcards mean.

    Attributes:
        after: number of the last packet that came, None if none did.
        since_ns: begin with packets that reach beyond this time, None for what comes next.
    """

    after: int | None = None
    since_ns: int | None = None

    def since(self, pattern: str) -> str:
        """Write the time to begin at, to whole seconds; empty if there is none."""
        return "" if self.since_ns is None else format_time(max(self.since_ns, 0), pattern)


class Version3:
    """SeedLink 2.5 to 3.1.

    Args:
        release: what the server says it is, 0 if it does not say; then it knows everything.
    """

    number = 3
    line_end = b"\r"
    # Among bytes that are no packets a header is believed where a record's header follows.
    next_packet = re.compile(rb"SL(?:[0-9A-Fa-f]{6}|INFO..)[0-9 \x00]{6}[DRQM]", re.DOTALL)
    next_packet_bytes = 15

    _HEAD_BYTES, _PACKET_BYTES = 8, 520
    _NUMBER = re.compile(rb"SL([0-9A-Fa-f]{6})")
    _NUMBER_MASK = 0xFFFFFF
    # Bounded, so that no text makes them look at its parts again and again.
    _STATION = re.compile(r"<station\s([^<>]{0,4096})>")
    _ATTRIBUTE = re.compile(r"\b(\w{1,32})\s{0,8}=\s{0,8}[\"']([^\"']*)[\"']")

    def __init__(self, release: float) -> None:
        self.release = release
        known = release or math.inf
        self.has_info = known >= 2.92
        self._has_resume_time = known >= 2.93

    def station(self, request: StationRequest) -> str:
        """Return the command that chooses a station."""
        return f"STATION {request.station} {request.network}"

    def select(self, selector: str) -> str:
        """Return the command that chooses some of its channels."""
        return f"SELECT {selector}"

    def actions(self, request: StationRequest) -> list[str]:
        """Return commands that begin a station's data, the best one first."""
        since = request.since(" %Y,%m,%d,%H,%M,%S")
        if request.after is None:
            return [f"TIME{since}", "DATA"] if since else ["DATA"]
        by_number = f"DATA {(request.after + 1) & self._NUMBER_MASK:06X}"
        if since and self._has_resume_time:
            return [by_number + since, by_number, "DATA"]
        return [by_number, "DATA"]

    def packet(self, buffer: bytearray) -> Packet | None:
        """Read the packet that a buffer begins with, None if its end has not come.

        Raises:
            NoPacketError: it begins with something else.
        """
        if len(buffer) < self._PACKET_BYTES:
            return None
        head = bytes(buffer[: self._HEAD_BYTES])
        record = bytes(buffer[self._HEAD_BYTES : self._PACKET_BYTES])
        number = self._NUMBER.match(head)
        if number is not None:
            seed_id = seed_id_of(record[8:20])
            station = seed_id.network, seed_id.station
            return Packet(self._PACKET_BYTES, station, int(number[1], 16), record)
        if not head.startswith(b"SLINFO"):
            raise NoPacketError(excerpt(buffer))
        return Packet(self._PACKET_BYTES, _NOWHERE, None, _text_of(record), head[-1:] != b"*")

    def stations(self, info: bytes) -> Offered | None:
        """Read an answer to INFO STATIONS, None if it names none."""
        found: Offered = {}
        for text in self._STATION.findall(info.decode("ascii", "replace")):
            attributes = dict(self._ATTRIBUTE.findall(text))
            station = _station(attributes.get("network", ""), attributes.get("name", ""))
            if station is not None:
                found[station] = None
        return found or None


class Version4:
    """SeedLink 4.0."""

    number = 4
    line_end = b"\r\n"
    has_info = True
    next_packet = re.compile(rb"SE[23JX][DECTOLI].{3}\x00", re.DOTALL)
    next_packet_bytes = 8

    _HEADER = struct.Struct("<4sIQB")
    _SIGNATURE = re.compile(rb"SE[0-9A-Z]{2}")
    _INFO = (b"SEJI", b"SEJE")

    def station(self, request: StationRequest) -> str:
        """Return the command that chooses a station."""
        return f"STATION {request.network}_{request.station}"

    def select(self, selector: str) -> str:
        """Return the command that chooses some of its channels: ``00HH?.D`` is ``00_H_H_?.?D``."""
        location, channel = selector_parts(selector)
        location = "*" if location == "??" else location.replace("-", "")
        sign = "!" if selector.startswith("!") else ""
        _, dot, kind = selector.partition(".")
        return f"SELECT {sign}{'_'.join((location, *channel))}{f'.?{kind}' if dot else ''}"

    def actions(self, request: StationRequest) -> list[str]:
        """Return commands that begin a station's data, the best one first."""
        if request.after is not None:
            return [f"DATA {request.after + 1}", "DATA"]
        since = request.since(" %Y-%m-%dT%H:%M:%SZ")
        return [f"DATA ALL{since}", "DATA"] if since else ["DATA"]

    def packet(self, buffer: bytearray) -> Packet | None:
        """Read the packet that a buffer begins with, None if its end has not come.

        A payload that is larger than any may be is taken for an empty one: its number counts.

        Raises:
            NoPacketError: it begins with something else.
        """
        if len(buffer) < self._HEADER.size:
            return None
        signature, n_payload, sequence, n_code = self._HEADER.unpack_from(buffer)
        if self._SIGNATURE.match(signature) is None:
            raise NoPacketError(excerpt(buffer))
        begin = self._HEADER.size + n_code
        if len(buffer) < begin:
            return None
        is_info = signature in self._INFO
        code = bytes(buffer[self._HEADER.size : begin])
        station = None if is_info else _packet_station(code)
        if n_payload > (LARGEST_INFO_BYTES if is_info else LARGEST_DATA_BYTES):
            if station is None:
                raise NoPacketError(f"{n_payload} bytes")
            n_payload = 0
        end = begin + n_payload
        if len(buffer) < end:
            return None
        payload = bytes(buffer[begin:end])
        return Packet(end, station or _NOWHERE, None if is_info else sequence, payload)

    def stations(self, info: bytes) -> Offered | None:
        """Read an answer to INFO STATIONS, None if it is no list of stations."""
        try:
            document = json.loads(info)
        except (ValueError, RecursionError):
            return None
        entries = document.get("station") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            return None
        found: Offered = {}
        for entry in entries:
            code = entry.get("id") if isinstance(entry, dict) else None
            station = _station_in(code) if isinstance(code, str) else None
            if station is not None:
                found[station] = _numbers(entry.get("start_seq"), entry.get("end_seq"))
        return found


def excerpt(data: bytes | bytearray) -> str:
    """Return the beginning of what a server sent, for a message."""
    more = "..." if len(data) > _EXCERPT_BYTES else ""
    return f"{bytes(data[:_EXCERPT_BYTES])!r}{more}"


@lru_cache(maxsize=10_000)
def _packet_station(code: bytes) -> Station | None:
    return _station_in(code.decode("ascii", "replace"))


def _station_in(code: str) -> Station | None:
    """Read NET_STA."""
    network, _, station = code.partition("_")
    return _station(network, station)


def _station(network: str, station: str) -> Station | None:
    """Return a station, None if a server cannot mean one by it."""
    codes = network.strip(), station.strip()
    return codes if all(map(_CODE.fullmatch, codes)) else None


def _numbers(first: Any, following: Any) -> range | None:
    """Return the numbers from the first to the next one that a server will give.

    Servers differ in whether they say that one or the last that they gave; both are in it.
    """
    if not (isinstance(first, int) and isinstance(following, int)):
        return None
    return range(first, following + 1)


def _text_of(record: bytes) -> bytes:
    """Return what a log record says."""
    order = "big" if record[20] in (7, 8) else "little"
    first = int.from_bytes(record[44:46], order)  # type: ignore[arg-type]
    length = int.from_bytes(record[30:32], order)  # type: ignore[arg-type]
    return record[first : first + length]
