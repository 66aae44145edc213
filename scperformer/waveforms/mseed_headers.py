"""Record headers of miniSEED 2 and 3.

SEED Reference Manual 2.4, chapter 8: fixed section of the data header and the blockettes
100, 1000 and 1001; FDSN miniSEED 3, with FDSN Source Identifiers 1.0.
"""

from __future__ import annotations

import re
import struct
from collections import namedtuple
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scperformer.types import NS_PER_S, SeedId

LEAST_BYTES = 40
"""No record is shorter, of either version."""

HEADER_BYTES = 48
MAX_RECORD_BYTES = 1 << 20

# Sampling rates of anything that could be a seismic channel; what lies outside is damage.
RATES_HZ = (1e-3, 1e6)
SIGNATURE = re.compile(rb"[0-9 \x00]{6}[DRQM][ \x00]|MS\x03.{5}", re.DOTALL)
SIGNATURE_BYTES = 8
_MSEED3 = b"MS\x03"
_SOURCE = b"FDSN:"
_MOST_SOURCE_BYTES = 58  # libmseed takes 63; the longest that SEED codes make has 38
MOST_BLOCKETTES = 16


class Header(NamedTuple):
    """What a record says of itself; a `RecordTable` has these columns and `state`.

    Attributes:
        offset: where the record begins.
        length: its bytes.
        code: miniSEED 2: station, location, channel, network; miniSEED 3: source identifier.
        quality: letter of miniSEED 2, publication version of miniSEED 3.
        start_ns, rate_hz, n_samples: as the header has them.
        encoding: how the samples are written.
        big_endian: their byte order.
        data_offset: where they begin, from the record's first byte.
    """

    offset: int
    length: int
    code: bytes
    quality: bytes
    start_ns: int
    rate_hz: float
    n_samples: int
    encoding: int
    big_endian: bool
    data_offset: int


STEIM_1, STEIM_2 = 10, 11
UNITS = {
    1: (2, 1), 3: (4, 1), 4: (4, 1), 5: (8, 1), STEIM_1: (64, 60), STEIM_2: (64, 105),
    12: (3, 1), 13: (2, 1), 14: (2, 1), 16: (2, 1), 30: (2, 1), 32: (2, 1),
}  # fmt: skip
"""By encoding: bytes that belong together (a Steim frame, a sample), and how many samples fit."""

TEXT = 0
NO_SEED_CODE = "a source identifier without network, station, location and channel of SEED"


Fixed = namedtuple(
    "Fixed",
    "year day hour minute second unused fraction n_samples factor multiplier activity "
    "input_output data_quality n_blockettes correction data_offset blockette",
)
"""Bytes 20 to 47 of a miniSEED 2 header: of one record integers, of many arrays."""

FIXED_AT = 20
FIXED_KINDS = "HHBBBBHHhhBBBBiHH"
_FIXED_2 = {order: struct.Struct(order + FIXED_KINDS) for order in "><"}
_PAIR = {order: struct.Struct(order + "HH") for order in "><"}
_FIXED_3 = struct.Struct("<3sBIHHBBBBdIIBBHI")


class Frame(NamedTuple):
    """What a miniSEED 2 record is read by: byte order, length, places of its blockettes."""

    order: str
    length: int
    blockettes: dict[int, int]
    fixed: Fixed

    @property
    def places(self) -> NDArray[np.intp]:
        """Where the bytes stand that say so."""
        places = [46, 47, self.blockettes[1000] + 6]
        places += [start + byte for start in self.blockettes.values() for byte in range(4)]
        return np.array(places)


@lru_cache(maxsize=4096)
def seed_id_of(code: bytes) -> SeedId:
    """Read the code of a header: 12 bytes of miniSEED 2, or a source identifier.

    A source identifier's band, source and subsource make the channel; if they are not of
    one letter each they stay apart (``B_S_SS``), which no SEED channel has.
    """
    if code.startswith(_SOURCE):
        text = code[len(_SOURCE) :].decode("ascii", "replace")
        parts = text.split("_")
        if len(parts) != 6 or not text.isprintable() or ":" in text:
            return SeedId("", "", "", text)
        link = "" if all(len(part) == 1 for part in parts[3:]) else "_"
        network, station, location = parts[:3]
        return SeedId(network, station, location, link.join(parts[3:]))
    text = "".join(chr(byte) if 32 < byte < 127 else " " for byte in code.ljust(12))
    station, location, channel, network = text[:5], text[5:7], text[7:10], text[10:12]
    fields = (network, station, location, channel)
    return SeedId(*("".join(field.split()) for field in fields))


def has_seed_code(code: bytes) -> bool:
    """Tell whether a header's code names a channel as SEED does, in three letters."""
    return not code.startswith(_SOURCE) or len(seed_id_of(code).channel) == 3


def is_mseed3(data: bytes, at: int = 0) -> bool:
    """Tell whether what begins there can only be a record of miniSEED 3."""
    return data.startswith(_MSEED3, at)


def header_at(data: bytes, at: int = 0) -> Header | None:
    """Read the header of the record that begins there, None if none does.

    Of miniSEED 3 neither the checksum nor whether all of it is there has been looked at.
    """
    if is_mseed3(data, at):
        return header_3(data, at)
    frame = frame_at(data, at)
    if frame is None:
        return None
    fixed, found = frame.fixed, frame.blockettes
    microseconds, rate_hz = 0, nominal_rate_hz(fixed.factor, fixed.multiplier)
    if 1001 in found:
        (microseconds,) = struct.unpack_from("b", data, at + found[1001] + 5)
    if 100 in found:
        (rate_hz,) = struct.unpack_from(f"{frame.order}f", data, at + found[100] + 4)
    return Header(
        at,
        frame.length,
        data[at + 8 : at + FIXED_AT],
        data[at + 6 : at + 7],
        header_start_ns(fixed, microseconds),
        rate_hz,
        fixed.n_samples,
        data[at + found[1000] + 4],
        data[at + found[1000] + 5] > 0,
        fixed.data_offset,
    )


def record_length(data: bytes, at: int = 0) -> int | None:
    """Length of the record that begins there, None if none does."""
    if is_mseed3(data, at):
        header = header_3(data, at)
        return None if header is None else header.length
    frame = frame_at(data, at)
    return None if frame is None else frame.length


def inner_record(data: bytes, at: int, end: int) -> int | None:
    """Find a miniSEED 3 header from `at` up to, not including, `end`."""
    while (at := data.find(_MSEED3, at, end + len(_MSEED3) - 1)) >= 0:
        if header_3(data, at) is not None:
            return at
        at += 1
    return None


def header_3(data: bytes, at: int) -> Header | None:
    """Read a miniSEED 3 header if what stands in it can be true."""
    if len(data) - at < LEAST_BYTES:
        return None
    (_, _, nanosecond, year, day, hour, minute, second, encoding, rate, n_samples, _, version,
     n_source, n_extra, n_data) = _FIXED_3.unpack_from(data, at)  # fmt: skip
    data_offset = LEAST_BYTES + n_source + n_extra
    length = data_offset + n_data
    in_time = 1900 <= year <= 2100 and 1 <= day <= 366 and hour < 24 and minute < 60
    if not in_time or second > 60 or nanosecond >= NS_PER_S:
        return None
    if length > MAX_RECORD_BYTES or n_source >= _MOST_SOURCE_BYTES:
        return None
    source = data[at + LEAST_BYTES : at + LEAST_BYTES + n_source]
    return Header(
        at,
        length,
        source if source.startswith(_SOURCE) else _SOURCE + source,
        bytes([version]),
        _seconds(year, day, hour, minute, second) * NS_PER_S + nanosecond,
        -1.0 / rate if rate < 0 else rate,
        n_samples,
        encoding,
        encoding in (STEIM_1, STEIM_2),
        data_offset,
    )


def frame_at(data: bytes, at: int = 0) -> Frame | None:
    """Find a miniSEED 2 header's byte order, record length and blockettes; None if it is none."""
    if len(data) - at < HEADER_BYTES or SIGNATURE.match(data, at) is None:
        return None
    for order in "><":
        fixed = Fixed._make(_FIXED_2[order].unpack_from(data, at + FIXED_AT))
        if is_time(fixed):
            break
    else:
        return None
    found = _blockettes(data, at, order, fixed.blockette)
    at_1000 = found.get(1000)
    if at_1000 is None or not 7 <= (exponent := data[at + at_1000 + 6]) <= 20:
        return None
    if max(found.values()) + 8 > 1 << exponent:
        return None
    return Frame(order, 1 << exponent, found, fixed)


def is_time(fixed: Fixed) -> Any:
    """Tell whether a header, or which of many, has a time that can be."""
    in_year = (fixed.year >= 1900) & (fixed.year <= 2100) & (fixed.day >= 1) & (fixed.day <= 366)
    in_day = (fixed.hour < 24) & (fixed.minute < 60) & (fixed.second <= 60)
    return in_year & in_day & (fixed.fraction <= 10_000)


def _seconds(year: Any, day: Any, hour: Any, minute: Any, second: Any) -> Any:
    """Seconds since 1970, the day counted from the year's beginning; also of arrays."""
    leap_days = (year - 1969) // 4 - (year - 1901) // 100 + (year - 1601) // 400
    days = (year - 1970) * 365 + leap_days + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def header_start_ns(fixed: Fixed, microseconds: Any) -> Any:
    """Time of the first sample, of one record or of many."""
    correction = fixed.correction * ((fixed.activity & 2) == 0)  # or it is applied already
    seconds = _seconds(fixed.year, fixed.day, fixed.hour, fixed.minute, fixed.second)
    return seconds * NS_PER_S + (fixed.fraction + correction) * 100_000 + microseconds * 1000


@lru_cache(maxsize=4096)
def nominal_rate_hz(factor: int, multiplier: int) -> float:
    """Sampling rate by factor and multiplier, each of which is a period if negative."""
    if not (factor and multiplier):
        return 0.0
    rate_hz = float(factor) if factor > 0 else -1.0 / factor
    return rate_hz * multiplier if multiplier > 0 else -rate_hz / multiplier


def _blockettes(data: bytes, at: int, order: str, place: int) -> dict[int, int]:
    """Map blockette types to their places in a record; empty if the chain is broken."""
    found: dict[int, int] = {}
    lowest = HEADER_BYTES
    while place:
        if place < lowest or at + place + 8 > len(data) or len(found) == MOST_BLOCKETTES:
            return {}
        kind, following = _PAIR[order].unpack_from(data, at + place)
        found.setdefault(kind, place)
        lowest, place = place + 4, following
    return found
