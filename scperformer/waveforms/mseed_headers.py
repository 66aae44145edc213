"""Record headers of miniSEED 2 and 3, one by one or a whole buffer at a time.

SEED Reference Manual 2.4, chapter 8: fixed section of the data header and the blockettes
100, 1000 and 1001; FDSN miniSEED 3, with FDSN Source Identifiers 1.0. Runs of miniSEED 2
records that look alike are read with one array operation. A miniSEED 3 record counts if
its checksum fits. Damage is stepped over, byte by byte, to the next header.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scperformer.types import NS_PER_S, SeedId
from scperformer.waveforms.mseed_samples import checksum_fits
from scperformer.waveforms.steim import STEIM_1, STEIM_2

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
_MOST_SOURCE_BYTES = 58
_CONTROL = re.compile(rb"[0-9]{6}[VAST][ *]")
_MAX_BLOCKETTES = 16
_MAX_LAYOUTS = 16
_MORE_ROWS = 4

RecordTable = NDArray[np.void]


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


RECORD = np.dtype(
    [
        ("offset", np.int64),
        ("length", np.int64),
        ("code", "S64"),
        ("quality", "S1"),
        ("start_ns", np.int64),
        ("rate_hz", np.float64),
        ("n_samples", np.int64),
        ("encoding", np.uint8),
        ("big_endian", np.bool_),
        ("data_offset", np.int64),
        ("state", np.uint8),
    ]
)


class State(IntEnum):
    """Whether a record with a good header can be decoded."""

    SAMPLES = 0
    NO_SAMPLES = 1
    CONTRADICTION = 2
    UNKNOWN_ENCODING = 3
    NO_SEED_CODE = 4


class Damage(NamedTuple):
    """Bytes that are no usable record."""

    offset: int
    length: int
    reason: str


class HeaderScan(NamedTuple):
    """The records of a buffer.

    Attributes:
        records: those that hold samples, in the order of the buffer.
        texts: codes of channels that hold text.
        damages: stretches that could not be used.
        n_headers: good headers, those without samples (logs, status) included.
        consumed: bytes up to the first that needs more of the file to be judged.
    """

    records: RecordTable
    texts: frozenset[bytes]
    damages: list[Damage]
    n_headers: int
    consumed: int


UNITS = {
    1: (2, 1),
    3: (4, 1),
    4: (4, 1),
    5: (8, 1),
    10: (64, 60),
    11: (64, 105),
    12: (3, 1),
    13: (2, 1),
    14: (2, 1),
    16: (2, 1),
    30: (2, 1),
    32: (2, 1),
}
"""By encoding: bytes that belong together (a Steim frame, a sample), and how many samples fit."""

_BYTES_A_UNIT, _SAMPLES_A_UNIT = np.transpose([UNITS.get(code, (1, 0)) for code in range(256)])
TEXT = 0


class _Fixed(NamedTuple):
    """Bytes 20 to 47 of a miniSEED 2 header: of one record integers, of many arrays."""

    year: Any
    day: Any
    hour: Any
    minute: Any
    second: Any
    unused: Any
    fraction: Any
    n_samples: Any
    factor: Any
    multiplier: Any
    activity: Any
    input_output: Any
    data_quality: Any
    n_blockettes: Any
    correction: Any
    data_offset: Any
    blockette: Any


_FIXED = "HHBBBBHHhhBBBBiHH"
_FIXED_AT, _FIXED_END = 20, HEADER_BYTES
_FIXED_2 = {order: struct.Struct(order + _FIXED) for order in "><"}
_PAIR = {order: struct.Struct(order + "HH") for order in "><"}
_FIXED_3 = struct.Struct("<3sBIHHBBBBdIIBBHI")


class _Frame(NamedTuple):
    """What a miniSEED 2 record is read by: byte order, length, places of its blockettes."""

    order: str
    length: int
    blockettes: dict[int, int]
    fixed: _Fixed


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """What a record shares with its like: the frame, and the bytes that say so."""

    frame: _Frame
    places: NDArray[np.intp]
    values: NDArray[np.uint8]


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
        return _header_3(data, at)
    frame = _frame_at(data, at)
    if frame is None:
        return None
    fixed, found = frame.fixed, frame.blockettes
    microseconds, rate_hz = 0, _nominal_rate_hz(fixed.factor, fixed.multiplier)
    if 1001 in found:
        (microseconds,) = struct.unpack_from("b", data, at + found[1001] + 5)
    if 100 in found:
        (rate_hz,) = struct.unpack_from(f"{frame.order}f", data, at + found[100] + 4)
    return Header(
        at,
        frame.length,
        data[at + 8 : at + _FIXED_AT],
        data[at + 6 : at + 7],
        _start_ns(fixed, microseconds),
        rate_hz,
        fixed.n_samples,
        data[at + found[1000] + 4],
        data[at + found[1000] + 5] > 0,
        fixed.data_offset,
    )


def scan_headers(data: bytes, *, at_end: bool) -> HeaderScan:
    """Find the records of a buffer that starts at a record or in the midst of damage.

    Args:
        data: bytes of a file, at least `MAX_RECORD_BYTES` unless `at_end`.
        at_end: the buffer ends where the file ends.

    Returns:
        The records; offsets count from the buffer's first byte.
    """
    array = np.frombuffer(data, np.uint8)
    tables: list[RecordTable] = []
    damages: list[Damage] = []
    at, size = 0, len(data)
    glance = max(size, 1)
    slack = 0 if at_end else HEADER_BYTES + 8 * _MAX_BLOCKETTES
    while at < size - slack:
        length = record_length(data, at)
        if length is not None and at + length > size and not at_end:
            break
        if length is not None and at + length <= size:
            if is_mseed3(data, at):
                table, next_at = _read_3(data, at)
            else:
                table = _read_alike(array, at, _layout_of(data, at), glance)
                # Where runs are short a look at all that follows would cost the square.
                glance = _MORE_ROWS * len(table)
                next_at = at + length * len(table)
                last = next_at - length
                inner = _next_header(data, last + 1, next_at)
                if inner is not None:
                    damages.append(Damage(last, inner - last, "a record cut short"))
                    table, next_at = table[:-1], inner
            if next_at > at:
                tables.append(table)
                at = next_at
                continue
        end = _next_header(data, at + 1, size) or max(at + 1, size - slack)
        damages += _judge(data, at, end, length, to_the_end=at_end and end == size)
        at = end
    records = _joined(tables) if tables else np.zeros(0, RECORD)
    usable = records["state"] == State.SAMPLES
    damages += _contradictions(records[records["state"] > State.NO_SAMPLES])
    texts = frozenset(records["code"][(records["encoding"] == TEXT) & ~usable].tolist())
    return HeaderScan(records[usable], texts, merge_damages(damages), len(records), min(at, size))


def merge_damages(damages: list[Damage]) -> list[Damage]:
    """Sort damages and join those that touch."""
    merged: list[Damage] = []
    for damage in sorted(damages):
        if merged and merged[-1].offset + merged[-1].length == damage.offset:
            last = merged[-1]
            merged[-1] = Damage(last.offset, last.length + damage.length, last.reason)
        else:
            merged.append(damage)
    return merged


def split_by(records: RecordTable, *fields: str) -> Iterator[RecordTable]:
    """Yield the records that agree in some fields, each kind in the order of the table."""
    if not len(records):
        return
    columns = [records[field] for field in fields]
    varying = [column for column in columns if (column != column[0]).any()]
    if not varying:
        yield records
        return
    keys = [np.unique(column, return_inverse=True)[1] for column in varying]
    order = np.lexsort(keys)
    changes = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    for part in np.split(order, np.flatnonzero(changes) + 1):
        yield records[part]


def end_ns(records: RecordTable) -> NDArray[np.int64]:
    """Times of the samples that would follow each record."""
    durations = np.rint(records["n_samples"] * (NS_PER_S / records["rate_hz"]))
    return np.asarray(records["start_ns"] + durations.astype(np.int64))


def read_probes(probes: list[bytes]) -> RecordTable | None:
    """Read the headers of records taken here and there from a file of equal records.

    Args:
        probes: the first bytes of each record, all of one length.

    Returns:
        A row a probe with offsets of no meaning, or None if one is not like the first.
    """
    if len({len(probe) for probe in probes}) > 1 or _frame_at(probes[0], 0) is None:
        return None
    layout = _layout_of(probes[0], 0)
    rows = np.frombuffer(b"".join(probes), np.uint8).reshape(len(probes), -1)
    if layout.places.max() >= rows.shape[1] or not _alike(rows, layout).all():
        return None
    return _table(rows, layout)


def record_length(data: bytes, at: int = 0) -> int | None:
    """Length of the record that begins there, None if none does."""
    if is_mseed3(data, at):
        header = _header_3(data, at)
        return None if header is None else header.length
    frame = _frame_at(data, at)
    return None if frame is None else frame.length


def inner_record(data: bytes, at: int, end: int) -> int | None:
    """Find a miniSEED 3 header from `at` up to, not including, `end`."""
    while (at := data.find(_MSEED3, at, end + len(_MSEED3) - 1)) >= 0:
        if _header_3(data, at) is not None:
            return at
        at += 1
    return None


def _header_3(data: bytes, at: int) -> Header | None:
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


def _read_3(data: bytes, at: int) -> tuple[RecordTable, int]:
    """Read the run of miniSEED 3 records from there on, and where it ends."""
    headers: list[Header] = []
    while is_mseed3(data, at) and (header := _header_3(data, at)) is not None:
        end = at + header.length
        whole = end <= len(data) and inner_record(data, at + 1, end) is None
        if not whole or not checksum_fits(data, at, header.length):
            break
        headers.append(header)
        at = end
    table = np.array([(*header, 0) for header in headers], RECORD)
    table["state"] = _states(table)
    unnamed = np.array([not has_seed_code(header.code) for header in headers], np.bool_)
    table["state"][unnamed & (table["state"] != State.NO_SAMPLES)] = State.NO_SEED_CODE
    return table, at


def _frame_at(data: bytes, at: int) -> _Frame | None:
    """Find a miniSEED 2 header's byte order, record length and blockettes; None if it is none."""
    if len(data) - at < HEADER_BYTES or SIGNATURE.match(data, at) is None:
        return None
    for order in "><":
        fixed = _Fixed._make(_FIXED_2[order].unpack_from(data, at + _FIXED_AT))
        if _is_time(fixed):
            break
    else:
        return None
    found = _blockettes(data, at, order, fixed.blockette)
    at_1000 = found.get(1000)
    if at_1000 is None or not 7 <= (exponent := data[at + at_1000 + 6]) <= 20:
        return None
    if max(found.values()) + 8 > 1 << exponent:
        return None
    return _Frame(order, 1 << exponent, found, fixed)


def _layout_of(data: bytes, at: int) -> _Layout:
    frame = _frame_at(data, at)
    assert frame is not None
    places = [46, 47, frame.blockettes[1000] + 6]
    places += [start + byte for start in frame.blockettes.values() for byte in range(4)]
    values = [data[at + place] for place in places]
    return _Layout(frame, np.array(places, np.intp), np.array(values, np.uint8))


def _is_time(fixed: _Fixed) -> Any:
    """Tell whether a header, or which of many, has a time that can be."""
    in_year = (fixed.year >= 1900) & (fixed.year <= 2100) & (fixed.day >= 1) & (fixed.day <= 366)
    in_day = (fixed.hour < 24) & (fixed.minute < 60) & (fixed.second <= 60)
    return in_year & in_day & (fixed.fraction <= 10_000)


def _seconds(year: Any, day: Any, hour: Any, minute: Any, second: Any) -> Any:
    """Seconds since 1970, the day counted from the year's beginning; also of arrays."""
    leap_days = (year - 1969) // 4 - (year - 1901) // 100 + (year - 1601) // 400
    days = (year - 1970) * 365 + leap_days + day - 1
    return ((days * 24 + hour) * 60 + minute) * 60 + second


def _start_ns(fixed: _Fixed, microseconds: Any) -> Any:
    """Time of the first sample, of one record or of many."""
    correction = fixed.correction * ((fixed.activity & 2) == 0)  # or it is applied already
    seconds = _seconds(fixed.year, fixed.day, fixed.hour, fixed.minute, fixed.second)
    return seconds * NS_PER_S + (fixed.fraction + correction) * 100_000 + microseconds * 1000


@lru_cache(maxsize=4096)
def _nominal_rate_hz(factor: int, multiplier: int) -> float:
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
        if place < lowest or at + place + 8 > len(data) or len(found) == _MAX_BLOCKETTES:
            return {}
        kind, following = _PAIR[order].unpack_from(data, at + place)
        found.setdefault(kind, place)
        lowest, place = place + 4, following
    return found


def _next_header(data: bytes, at: int, end: int) -> int | None:
    """Find a header that begins from `at` up to, not including, `end`."""
    for match in SIGNATURE.finditer(data, at, end + SIGNATURE_BYTES - 1):
        if record_length(data, match.start()) is not None:
            return match.start()
    return None


def _judge(data: bytes, at: int, end: int, length: int | None, *, to_the_end: bool) -> list[Damage]:
    """Tell damage from what may stand between records.

    That is: the control headers of a full SEED volume, noise records of blanks, and
    zeros after the last record.
    """
    stretch = data[at:end]
    if _CONTROL.match(stretch) is not None:
        return []
    is_noise = len(stretch) >= HEADER_BYTES and not stretch.strip(b" 0123456789")
    if is_noise or (to_the_end and not stretch.strip(b" \x00")):
        return []
    if length is not None and at + length <= end:
        reason = "a record whose checksum does not fit"
    elif length is not None and to_the_end:
        reason = f"the last record is cut short: {end - at} of {length} bytes"
    elif not stretch.strip(b"\x00"):
        reason = "zeros instead of records"
    else:
        reason = "no record header"
    return [Damage(at, end - at, reason)]


def _contradictions(records: RecordTable) -> list[Damage]:
    reasons = {
        State.CONTRADICTION: "a header that contradicts itself",
        State.UNKNOWN_ENCODING: "samples in an encoding that cannot be read",
        State.NO_SEED_CODE: "a source identifier without network, station, location and "
        "channel of SEED",
    }
    return [
        Damage(int(row["offset"]), int(row["length"]), reasons[State(row["state"])])
        for row in records
    ]


def _read_alike(array: NDArray[np.uint8], at: int, layout: _Layout, n_rows: int) -> RecordTable:
    """Read the run of records that have the length of the first, at least that one.

    Args:
        array: the buffer.
        at: where the first record begins.
        layout: of the first record.
        n_rows: how many to look at first; then ever more, as long as all belong to the run.
    """
    length = layout.frame.length
    most = (len(array) - at) // length
    tables: list[RecordTable] = []
    n_read = 0
    while n_read < most:
        n_rows = min(n_rows, most - n_read)
        begin = at + n_read * length
        rows = array[begin : begin + n_rows * length].reshape(n_rows, length)
        table = _read_rows(rows, begin, layout)
        tables.append(table)
        n_read += len(table)
        if len(table) < n_rows:
            break
        n_rows *= _MORE_ROWS
    return _joined(tables)


def _joined(tables: list[RecordTable]) -> RecordTable:
    return tables[0] if len(tables) == 1 else np.concatenate(tables)


def _read_rows(rows: NDArray[np.uint8], at: int, layout: _Layout) -> RecordTable:
    """Read rows up to the first that is no record of their length."""
    table = np.zeros(len(rows), RECORD)
    todo = np.ones(len(rows), np.bool_)
    end = len(rows)
    for _ in range(_MAX_LAYOUTS):
        alike = todo[:end] & _alike(rows[:end], layout)
        table[:end][alike] = _table(rows[:end][alike], layout)
        todo[:end] &= ~alike
        if not todo[:end].any():
            break
        first = int(np.argmax(todo))
        row = rows[first].tobytes()
        if is_mseed3(row) or record_length(row) != layout.frame.length:
            end = first
            break
        layout = _layout_of(row, 0)
    else:
        end = int(np.argmax(todo))
    table["offset"] = at + layout.frame.length * np.arange(len(rows))
    return table[:end]


_IN_SEQUENCE = np.zeros(256, np.bool_)
_IN_SEQUENCE[list(b"0123456789 \x00")] = True
_IN_QUALITY = np.zeros(256, np.bool_)
_IN_QUALITY[list(b"DRQM")] = True


def _alike(rows: NDArray[np.uint8], layout: _Layout) -> NDArray[np.bool_]:
    """Which rows are records of this layout."""
    alike = (rows[:, layout.places] == layout.values).all(axis=1)
    alike &= _IN_SEQUENCE[rows[:, :6]].all(axis=1)
    alike &= _IN_QUALITY[rows[:, 6]] & ((rows[:, 7] == 32) | (rows[:, 7] == 0))
    return np.asarray(alike & _is_time(_fixed(rows, layout)))


def _fixed(rows: NDArray[np.uint8], layout: _Layout) -> _Fixed:
    """Read the fixed section of every row."""
    order = layout.frame.order
    kinds = [(field, order + kind) for field, kind in zip(_Fixed._fields, _FIXED, strict=True)]
    section = np.ascontiguousarray(rows[:, _FIXED_AT:_FIXED_END]).view(kinds)[:, 0]
    return _Fixed(*(section[field].astype(np.int64) for field in _Fixed._fields))


def _column(rows: NDArray[np.uint8], at: int, kind: str) -> NDArray[np.generic]:
    """Read a number from the same place of every row."""
    dtype = np.dtype(kind)
    return np.ascontiguousarray(rows[:, at : at + dtype.itemsize]).view(dtype)[:, 0]


def _table(rows: NDArray[np.uint8], layout: _Layout) -> RecordTable:
    table = np.zeros(len(rows), RECORD)
    if not len(rows):
        return table
    fixed, found = _fixed(rows, layout), layout.frame.blockettes
    table["length"] = layout.frame.length
    table["code"] = _column(rows, 8, "S12")
    table["quality"] = _column(rows, 6, "S1")
    microseconds = _column(rows, found[1001] + 5, "i1").astype(np.int64) if 1001 in found else 0
    table["start_ns"] = _start_ns(fixed, microseconds)
    if 100 in found:
        table["rate_hz"] = _column(rows, found[100] + 4, f"{layout.frame.order}f4")
    else:
        pairs = zip(fixed.factor.tolist(), fixed.multiplier.tolist(), strict=True)
        table["rate_hz"] = [_nominal_rate_hz(*pair) for pair in pairs]
    table["n_samples"] = fixed.n_samples
    table["data_offset"] = fixed.data_offset
    table["encoding"] = rows[:, found[1000] + 4]
    table["big_endian"] = rows[:, found[1000] + 5] > 0
    table["state"] = _states(table)
    return table


def _states(table: RecordTable) -> NDArray[np.uint8]:
    """Judge headers by themselves, so that a decoder never reads beyond a record."""
    room = table["length"] - table["data_offset"]
    code = table["encoding"]
    known = _SAMPLES_A_UNIT[code] > 0
    fits = known & (table["n_samples"] <= room // _BYTES_A_UNIT[code] * _SAMPLES_A_UNIT[code])
    rate = table["rate_hz"]
    fits &= (table["data_offset"] >= HEADER_BYTES) & (room > 0)
    with np.errstate(invalid="ignore"):
        fits &= (rate >= RATES_HZ[0]) & (rate <= RATES_HZ[1])
    states = np.where(fits, State.SAMPLES, State.CONTRADICTION)
    states = np.where(known, states, State.UNKNOWN_ENCODING)
    silent = (table["n_samples"] == 0) | (code == TEXT) | (rate == 0)
    return np.where(silent, State.NO_SAMPLES, states).astype(np.uint8)
