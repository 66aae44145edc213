"""miniSEED records as they come, one by one: from packets, pipes and sockets.

`mseed` reads files megabytes at a time; here a record is unpacked as soon as its last
byte is there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache

from scperformer.errors import RecordError
from scperformer.types import Record, SeedId
from scperformer.waveforms.mseed_headers import (
    HEADER_BYTES,
    LEAST_BYTES,
    NO_SEED_CODE,
    RATES_HZ,
    SIGNATURE,
    SIGNATURE_BYTES,
    TEXT,
    UNITS,
    Header,
    has_seed_code,
    header_at,
    inner_record,
    is_mseed3,
    record_length,
    seed_id_of,
)
from scperformer.waveforms.mseed_samples import checksum_fits, unpack

_log = logging.getLogger(__name__)

_MOST_HEADER_BYTES = 256


def decode_record(data: bytes) -> Record | None:
    """Unpack a whole miniSEED record, of version 2 or 3.

    Returns:
        The record with samples as int32, float32 or float64; None if it holds no
        samples (log, state of health, empty).

    Raises:
        RecordError: it cannot be used; the message begins with its stream's code.
    """
    header = header_at(data)
    if header is None:
        raise RecordError(f"{seed_id_of(data[8:20])}: no miniSEED record")
    seed_id = seed_id_of(header.code)
    if header.length != len(data):
        raise RecordError(
            f"{seed_id}: a record of {len(data)} bytes that says it has {header.length}"
        )
    if is_mseed3(data) and not checksum_fits(data, 0, len(data)):
        raise RecordError(f"{seed_id}: a record whose checksum does not fit")
    if header.n_samples == 0 or header.encoding == TEXT or header.rate_hz == 0.0:
        return None
    if fault := _fault(header):
        raise RecordError(f"{seed_id}: {fault}")
    room = header.length - header.data_offset
    place = header.data_offset, room, header.n_samples, header.big_endian
    samples, unsound, n_unsealed = unpack(data, header.encoding, [place])
    if unsound:
        raise RecordError(f"{seed_id}: samples that contradict their record's header")
    if n_unsealed:
        _tell_unsealed(seed_id)
    return Record(seed_id, header.start_ns, header.rate_hz, samples)


def _fault(header: Header) -> str:
    """Say why the samples that a header promises cannot be; empty if they can."""
    if not has_seed_code(header.code):
        return NO_SEED_CODE
    if header.encoding not in UNITS:
        return f"samples in the encoding {header.encoding}, which cannot be read"
    room = header.length - header.data_offset
    n_bytes, n_fit = UNITS[header.encoding]
    if header.data_offset < HEADER_BYTES or header.n_samples > room // n_bytes * n_fit:
        return f"a header that promises {header.n_samples} samples in {room} bytes"
    if not RATES_HZ[0] <= header.rate_hz <= RATES_HZ[1]:
        return f"a sampling rate of {header.rate_hz:g} Hz"
    return ""


class RecordStream:
    """Finds the records in a stream of bytes, whatever stands between them.

    Attributes:
        n_skipped_bytes: bytes that belonged to no record.
    """

    def __init__(self) -> None:
        self.n_skipped_bytes = 0
        self._buffer = b""
        self._at = 0

    def push(self, data: bytes) -> Iterator[bytes]:
        """Take bytes; yield the records that are complete."""
        self._buffer += data
        while (length := self._length()) is not None:
            self._at += length
            yield self._buffer[self._at - length : self._at]
        self._buffer, self._at = self._buffer[self._at :], 0

    def finish(self) -> None:
        """Take notice that nothing follows: what is left is no record."""
        self._skip(self._n_left)

    @property
    def _n_left(self) -> int:
        return len(self._buffer) - self._at

    def _length(self) -> int | None:
        """Length of the complete record that comes next, after skipping what is none."""
        while self._n_left >= LEAST_BYTES:
            length = record_length(self._buffer, self._at)
            if length is None:
                if self._may_be_cut():
                    return None
                self._skip(self._next_signature())
                continue
            inner = self._inner_record(length)
            if inner is None:
                return length if length <= self._n_left else None
            self._skip(inner)
        return None

    def _may_be_cut(self) -> bool:
        """Tell whether a header may become readable with more bytes: its blockettes follow."""
        if self._n_left >= _MOST_HEADER_BYTES or is_mseed3(self._buffer, self._at):
            return False
        return SIGNATURE.match(self._buffer, self._at) is not None

    def _next_signature(self) -> int:
        found = SIGNATURE.search(self._buffer, self._at + 1)
        return found.start() - self._at if found else max(self._n_left - SIGNATURE_BYTES + 1, 1)

    def _inner_record(self, length: int) -> int | None:
        """Find a record inside the one that comes next: that one's length is damaged."""
        end = min(length, self._n_left)
        if is_mseed3(self._buffer, self._at):
            found = inner_record(self._buffer, self._at + 1, self._at + end)
            return None if found is None else found - self._at
        inner = 128
        while inner < min(length, self._n_left - HEADER_BYTES):
            if record_length(self._buffer, self._at + inner) is not None:
                return inner
            inner <<= 1
        return None

    def _skip(self, n_bytes: int) -> None:
        self.n_skipped_bytes += n_bytes
        self._at += n_bytes


@lru_cache(maxsize=10_000)
def _tell_unsealed(seed_id: SeedId) -> None:
    """Say it once for a channel: the cache remembers for which it was said."""
    _log.info("%s: Steim records without their last integrity word; used", seed_id)
