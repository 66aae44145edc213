"""Record headers of miniSEED 2, a whole buffer at a time.

SEED Reference Manual 2.4, chapter 8: fixed section of the data header and the
blockettes 100, 1000 and 1001. Runs of records that look alike are read with one
array operation; damage is stepped over, byte by byte, to the next header.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scperformer.types import NS_PER_S, SeedId

HEADER_BYTES = 48
MAX_RECORD_BYTES = 1 << 20

# Sampling rates of anything that could be a seismic channel; what lies outside is damage.
_RATES_HZ = (1e-3, 1e6)
_SIGNATURE_BYTES = 8
_SIGNATURE = re.compile(rb"[0-9 \x00]{6}[DRQM][ \x00]")
_CONTROL = re.compile(rb"[0-9]{6}[VAST][ *]")
_MAX_BLOCKETTES = 16
_MAX_LAYOUTS = 16
_MORE_ROWS = 4

RecordTable = NDArray[np.void]
RECORD = np.dtype(
    [
        ("offset", np.int64),
        ("length", np.int64),
        ("code", "S12"),
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


class Damage(NamedTuple):
    """Bytes that are no usable record."""

    offset: int
    length: int
    reason: str


class HeaderScan(NamedTuple):
    """The records of a buffer.

    Attributes:
        records: those that hold samples, in the order of the buffer.
        damages: stretches that could not be used.
        n_headers: good headers, those without samples (logs, status) included.
        consumed: bytes up to the first that needs more of the file to be judged.
    """

    records: RecordTable
    damages: list[Damage]
    n_headers: int
    consumed: int


class _Encoding(NamedTuple):
    """Samples that fit: bytes a sample, or samples a 32-bit word of a Steim frame."""

    kind: str
    bytes_per_sample: int = 0
    samples_per_word: int = 0


ENCODINGS = {
    1: _Encoding("i", bytes_per_sample=2),
    3: _Encoding("i", bytes_per_sample=4),
    4: _Encoding("f", bytes_per_sample=4),
    5: _Encoding("d", bytes_per_sample=8),
    10: _Encoding("i", samples_per_word=4),
    11: _Encoding("i", samples_per_word=7),
    12: _Encoding("f", bytes_per_sample=3),
    13: _Encoding("f", bytes_per_sample=2),
    14: _Encoding("f", bytes_per_sample=2),
    16: _Encoding("i", bytes_per_sample=2),
    30: _Encoding("i", bytes_per_sample=2),
    32: _Encoding("i", bytes_per_sample=2),
}
STEIM = (10, 11)
_BYTES_PER_SAMPLE = np.zeros(256, np.int64)
_SAMPLES_PER_WORD = np.zeros(256, np.int64)
for _code, _encoding in ENCODINGS.items():
    _BYTES_PER_SAMPLE[_code] = _encoding.bytes_per_sample
    _SAMPLES_PER_WORD[_code] = _encoding.samples_per_word
_ASCII = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """What a record shares with its like: length, byte order, places of the blockettes."""

    length: int
    order: str
    at_1000: int
    at_1001: int | None
    at_100: int | None
    places: NDArray[np.intp]
    values: NDArray[np.uint8]


@lru_cache(maxsize=4096)
def seed_id_of(code: bytes) -> SeedId:
    """Read a header's station, location, channel and network (bytes 8 to 19)."""
    text = "".join(chr(byte) if 32 < byte < 127 else " " for byte in code.ljust(12))
    station, location, channel, network = text[:5], text[5:7], text[7:10], text[10:12]
    fields = (network, station, location, channel)
    return SeedId(*("".join(field.split()) for field in fields))


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
        layout = _layout_at(data, at)
        if layout is not None and at + layout.length <= size:
            table = _read_alike(array, at, layout, glance)
            # Where runs are short a look at all that follows would cost the square of the size.
            glance = _MORE_ROWS * len(table)
            last = at + layout.length * (len(table) - 1)
            at = last + layout.length
            inner = _next_header(data, last + 1, at)
            if inner is not None:
                damages.append(Damage(last, inner - last, "a record cut short"))
                table, at = table[:-1], inner
            tables.append(table)
        elif layout is not None and not at_end:
            break
        else:
            end = _next_header(data, at + 1, size) or max(at + 1, size - slack)
            damages += _judge(data, at, end, layout, to_the_end=at_end and end == size)
            at = end
    records = _joined(tables) if tables else np.zeros(0, RECORD)
    usable = records["state"] == State.SAMPLES
    damages += _contradictions(records[records["state"] > State.NO_SAMPLES])
    return HeaderScan(records[usable], merge_damages(damages), len(records), min(at, size))


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
    layout = _layout_at(probes[0], 0)
    if len({len(probe) for probe in probes}) > 1:
        return None
    rows = np.frombuffer(b"".join(probes), np.uint8).reshape(len(probes), -1)
    if layout is None or layout.places.max() >= rows.shape[1] or not _alike(rows, layout).all():
        return None
    return _table(rows, layout)


def record_length(head: bytes) -> int | None:
    """Length of the record that starts a buffer, None if none does."""
    layout = _layout_at(head, 0)
    return None if layout is None else layout.length


def _layout_at(data: bytes, at: int) -> _Layout | None:
    if len(data) - at < HEADER_BYTES or _SIGNATURE.match(data, at) is None:
        return None
    orders = (o for o in "><" if _is_time(struct.unpack_from(f"{o}HHBBBxH", data, at + 20)))
    order = next(orders, None)
    if order is None:
        return None
    found = _blockettes(data, at, order)
    at_1000 = found.get(1000)
    if at_1000 is None or not 7 <= (exponent := data[at + at_1000 + 6]) <= 20:
        return None
    if max(found.values()) + 8 > 1 << exponent:
        return None
    places = [46, 47, at_1000 + 6]
    places += [start + byte for start in found.values() for byte in range(4)]
    return _Layout(
        length=1 << exponent,
        order=order,
        at_1000=at_1000,
        at_1001=found.get(1001),
        at_100=found.get(100),
        places=np.array(places, np.intp),
        values=np.array([data[at + place] for place in places], np.uint8),
    )


def _is_time(fields: tuple[int, ...]) -> bool:
    year, day, hour, minute, second, fraction = fields
    in_year = 1900 <= year <= 2100 and 1 <= day <= 366
    return in_year and hour < 24 and minute < 60 and second <= 60 and fraction <= 10_000


def _blockettes(data: bytes, at: int, order: str) -> dict[int, int]:
    """Map blockette types to their places in a record; empty if the chain is broken."""
    found: dict[int, int] = {}
    (place,) = struct.unpack_from(f"{order}H", data, at + 46)
    lowest = HEADER_BYTES
    while place:
        if place < lowest or at + place + 8 > len(data) or len(found) == _MAX_BLOCKETTES:
            return {}
        kind, following = struct.unpack_from(f"{order}HH", data, at + place)
        found.setdefault(kind, place)
        lowest, place = place + 4, following
    return found


def _next_header(data: bytes, at: int, end: int) -> int | None:
    """Find a header that begins from `at` up to, not including, `end`."""
    for match in _SIGNATURE.finditer(data, at, end + _SIGNATURE_BYTES - 1):
        if _layout_at(data, match.start()) is not None:
            return match.start()
    return None


def _judge(
    data: bytes, at: int, end: int, layout: _Layout | None, *, to_the_end: bool
) -> list[Damage]:
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
    if layout is not None and to_the_end:
        reason = f"the last record is cut short: {end - at} of {layout.length} bytes"
    elif not stretch.strip(b"\x00"):
        reason = "zeros instead of records"
    else:
        reason = "no record header"
    return [Damage(at, end - at, reason)]


def _contradictions(records: RecordTable) -> list[Damage]:
    reasons = {
        State.CONTRADICTION: "a header that contradicts itself",
        State.UNKNOWN_ENCODING: "samples in an encoding that cannot be read",
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
    most = (len(array) - at) // layout.length
    tables: list[RecordTable] = []
    n_read = 0
    while n_read < most:
        n_rows = min(n_rows, most - n_read)
        begin = at + n_read * layout.length
        rows = array[begin : begin + n_rows * layout.length].reshape(n_rows, layout.length)
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
        following = _layout_at(rows[first].tobytes(), 0)
        if following is None or following.length != layout.length:
            end = first
            break
        layout = following
    else:
        end = int(np.argmax(todo))
    table["offset"] = at + layout.length * np.arange(len(rows))
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
    year = _column(rows, 20, f"{layout.order}u2")
    day = _column(rows, 22, f"{layout.order}u2")
    alike &= (year >= 1900) & (year <= 2100) & (day >= 1) & (day <= 366)
    alike &= (rows[:, 24] < 24) & (rows[:, 25] < 60) & (rows[:, 26] <= 60)
    alike &= _column(rows, 28, f"{layout.order}u2") <= 10_000
    return np.asarray(alike)


def _column(rows: NDArray[np.uint8], at: int, kind: str) -> NDArray[np.int64]:
    """Read an integer from the same place of every row."""
    dtype = np.dtype(kind)
    raw = np.ascontiguousarray(rows[:, at : at + dtype.itemsize])
    return raw.view(dtype)[:, 0].astype(np.int64)


def _table(rows: NDArray[np.uint8], layout: _Layout) -> RecordTable:
    table = np.zeros(len(rows), RECORD)
    if not len(rows):
        return table
    table["length"] = layout.length
    table["code"] = np.ascontiguousarray(rows[:, 8:20]).view("S12")[:, 0]
    table["quality"] = np.ascontiguousarray(rows[:, 6:7]).view("S1")[:, 0]
    table["start_ns"] = _start_ns(rows, layout)
    table["rate_hz"] = _rate_hz(rows, layout)
    table["n_samples"] = _column(rows, 30, f"{layout.order}u2")
    table["data_offset"] = _column(rows, 44, f"{layout.order}u2")
    table["encoding"] = rows[:, layout.at_1000 + 4]
    table["big_endian"] = rows[:, layout.at_1000 + 5] > 0
    table["state"] = _states(table)
    return table


def _start_ns(rows: NDArray[np.uint8], layout: _Layout) -> NDArray[np.int64]:
    order = layout.order
    years = (_column(rows, 20, f"{order}u2") - 1970).astype("datetime64[Y]")
    days = years.astype("datetime64[D]").astype(np.int64) + _column(rows, 22, f"{order}u2") - 1
    seconds = _column(rows, 24, "u1") * 3600 + _column(rows, 25, "u1") * 60
    seconds += days * 86_400 + _column(rows, 26, "u1")
    nanoseconds = seconds * NS_PER_S + _column(rows, 28, f"{order}u2") * 100_000
    correction_is_applied = (rows[:, 36] & 2) > 0
    correction = _column(rows, 40, f"{order}i4") * 100_000
    nanoseconds += np.where(correction_is_applied, 0, correction)
    if layout.at_1001 is not None:
        nanoseconds += _column(rows, layout.at_1001 + 5, "i1") * 1000
    return nanoseconds


def _rate_hz(rows: NDArray[np.uint8], layout: _Layout) -> NDArray[np.float64]:
    if layout.at_100 is not None:
        raw = np.ascontiguousarray(rows[:, layout.at_100 + 4 : layout.at_100 + 8])
        return raw.view(f"{layout.order}f4")[:, 0].astype(np.float64)
    factor = _column(rows, 32, f"{layout.order}i2").astype(np.float64)
    multiplier = _column(rows, 34, f"{layout.order}i2").astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.where(factor < 0, -1.0 / factor, factor)
        return np.where(multiplier < 0, -rate / multiplier, rate * multiplier)


def _states(table: RecordTable) -> NDArray[np.uint8]:
    """Judge headers by themselves, so that a decoder never reads beyond a record."""
    room = table["length"] - table["data_offset"]
    code = table["encoding"]
    capacity = np.where(
        _SAMPLES_PER_WORD[code] > 0,
        room // 64 * 15 * _SAMPLES_PER_WORD[code],
        room // np.maximum(_BYTES_PER_SAMPLE[code], 1),
    )
    known = _SAMPLES_PER_WORD[code] + _BYTES_PER_SAMPLE[code] > 0
    fits = known & (table["n_samples"] <= capacity)
    rate = table["rate_hz"]
    fits &= (table["data_offset"] >= HEADER_BYTES) & (room > 0)
    with np.errstate(invalid="ignore"):
        fits &= (rate >= _RATES_HZ[0]) & (rate <= _RATES_HZ[1])
    states = np.where(fits, State.SAMPLES, State.CONTRADICTION)
    states = np.where(known, states, State.UNKNOWN_ENCODING)
    silent = (table["n_samples"] == 0) | (code == _ASCII) | (rate == 0)
    return np.where(silent, State.NO_SAMPLES, states).astype(np.uint8)
