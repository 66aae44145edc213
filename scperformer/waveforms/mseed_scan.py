"""Record headers of miniSEED a whole buffer at a time.

Runs of miniSEED 2 records that look alike are read with one array operation. A miniSEED 3
record counts if its checksum fits. Damage is stepped over, byte by byte, to the next header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scperformer.types import NS_PER_S
from scperformer.waveforms.mseed_headers import (
    FIXED_AT,
    FIXED_KINDS,
    HEADER_BYTES,
    MOST_BLOCKETTES,
    NO_SEED_CODE,
    RATES_HZ,
    SIGNATURE,
    SIGNATURE_BYTES,
    TEXT,
    UNITS,
    Fixed,
    Frame,
    Header,
    frame_at,
    has_seed_code,
    header_3,
    header_start_ns,
    inner_record,
    is_mseed3,
    is_time,
    nominal_rate_hz,
    record_length,
)
from scperformer.waveforms.mseed_samples import checksum_fits

_CONTROL = re.compile(rb"[0-9]{6}[VAST][ *]")
_MOST_LAYOUTS = 16
_MORE_ROWS = 4

RecordTable = NDArray[np.void]
_KINDS = ("i8", "i8", "S64", "S1", "i8", "f8", "i8", "u1", "?", "i8")
RECORD = np.dtype([*zip(Header._fields, _KINDS, strict=True), ("state", "u1")])
"""A header's fields, and a `State`."""

_BYTES_A_UNIT, _SAMPLES_A_UNIT = np.transpose([UNITS.get(code, (1, 0)) for code in range(256)])


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
    slack = 0 if at_end else HEADER_BYTES + 8 * MOST_BLOCKETTES
    while at < size - slack:
        length = record_length(data, at)
        if length is not None and at + length > size and not at_end:
            break
        if length is not None and at + length <= size:
            if is_mseed3(data, at):
                table, next_at = _read_3(data, at)
            else:
                table = _read_alike(array, at, length, glance)
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
    frame = frame_at(probes[0])
    if frame is None or len({len(probe) for probe in probes}) > 1:
        return None
    rows = np.frombuffer(b"".join(probes), np.uint8).reshape(len(probes), -1)
    if frame.places.max() >= rows.shape[1] or not _alike(rows, rows[0], frame).all():
        return None
    return _table(rows, frame)


def _read_3(data: bytes, at: int) -> tuple[RecordTable, int]:
    """Read the run of miniSEED 3 records from there on, and where it ends."""
    headers: list[Header] = []
    while is_mseed3(data, at) and (header := header_3(data, at)) is not None:
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
        State.NO_SEED_CODE: NO_SEED_CODE,
    }
    return [
        Damage(int(row["offset"]), int(row["length"]), reasons[State(row["state"])])
        for row in records
    ]


def _read_alike(array: NDArray[np.uint8], at: int, length: int, n_rows: int) -> RecordTable:
    """Read the run of records of one length, at least the first.

    Args:
        array: the buffer.
        at: where the first record begins.
        length: bytes of each.
        n_rows: how many to look at first; then ever more, as long as all belong to the run.
    """
    most = (len(array) - at) // length
    tables: list[RecordTable] = []
    n_read = 0
    while n_read < most:
        n_rows = min(n_rows, most - n_read)
        begin = at + n_read * length
        rows = array[begin : begin + n_rows * length].reshape(n_rows, length)
        table = _read_rows(rows)
        table["offset"] = begin + length * np.arange(len(table))
        tables.append(table)
        n_read += len(table)
        if len(table) < n_rows:
            break
        n_rows *= _MORE_ROWS
    return _joined(tables)


def _joined(tables: list[RecordTable]) -> RecordTable:
    return tables[0] if len(tables) == 1 else np.concatenate(tables)


def _read_rows(rows: NDArray[np.uint8]) -> RecordTable:
    """Read rows up to the first that is no record of their length."""
    table = np.zeros(len(rows), RECORD)
    todo = np.ones(len(rows), np.bool_)
    for _ in range(_MOST_LAYOUTS):
        first = int(np.argmax(todo))
        frame = frame_at(rows[first].tobytes())
        if frame is None or frame.length != rows.shape[1]:
            break
        alike = todo & _alike(rows, rows[first], frame)
        table[alike] = _table(rows[alike], frame)
        todo &= ~alike
        if not todo.any():
            return table
    return table[: int(np.argmax(todo))]


_IN_SEQUENCE = np.zeros(256, np.bool_)
_IN_SEQUENCE[list(b"0123456789 \x00")] = True
_IN_QUALITY = np.zeros(256, np.bool_)
_IN_QUALITY[list(b"DRQM")] = True


def _alike(rows: NDArray[np.uint8], like: NDArray[np.uint8], frame: Frame) -> NDArray[np.bool_]:
    """Which rows are records with the frame that one of them has."""
    alike = (rows[:, frame.places] == like[frame.places]).all(axis=1)
    alike &= _IN_SEQUENCE[rows[:, :6]].all(axis=1)
    alike &= _IN_QUALITY[rows[:, 6]] & ((rows[:, 7] == 32) | (rows[:, 7] == 0))
    return np.asarray(alike & is_time(_fixed(rows, frame)))


def _fixed(rows: NDArray[np.uint8], frame: Frame) -> Fixed:
    """Read the fixed section of every row."""
    kinds = [
        (name, frame.order + kind) for name, kind in zip(Fixed._fields, FIXED_KINDS, strict=True)
    ]
    section = np.ascontiguousarray(rows[:, FIXED_AT:HEADER_BYTES]).view(kinds)[:, 0]
    return Fixed(*(section[name].astype(np.int64) for name in Fixed._fields))


def _column(rows: NDArray[np.uint8], at: int, kind: str) -> NDArray[np.generic]:
    """Read a number from the same place of every row."""
    dtype = np.dtype(kind)
    return np.ascontiguousarray(rows[:, at : at + dtype.itemsize]).view(dtype)[:, 0]


def _table(rows: NDArray[np.uint8], frame: Frame) -> RecordTable:
    table = np.zeros(len(rows), RECORD)
    if not len(rows):
        return table
    fixed, found = _fixed(rows, frame), frame.blockettes
    table["length"] = frame.length
    table["code"] = _column(rows, 8, "S12")
    table["quality"] = _column(rows, 6, "S1")
    microseconds = _column(rows, found[1001] + 5, "i1").astype(np.int64) if 1001 in found else 0
    table["start_ns"] = header_start_ns(fixed, microseconds)
    if 100 in found:
        table["rate_hz"] = _column(rows, found[100] + 4, f"{frame.order}f4")
    else:
        pairs = zip(fixed.factor.tolist(), fixed.multiplier.tolist(), strict=True)
        table["rate_hz"] = [nominal_rate_hz(*pair) for pair in pairs]
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
