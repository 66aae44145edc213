"""miniSEED records as they come, one by one: from packets, pipes and sockets.

`mseed` reads files megabytes at a time; here a record is unpacked as soon as its last
byte is there, by obspy's libmseed. Headers are judged first (SEED Reference Manual 2.4,
chapter 8), so that libmseed never reads beyond a record.
"""

from __future__ import annotations

import ctypes
import logging
import re
import struct
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scperformer.errors import RecordError
from scperformer.types import Record, SeedId
from scperformer.waveforms.mseed_headers import (
    ENCODINGS,
    HEADER_BYTES,
    STEIM,
    record_length,
    seed_id_of,
)
from scperformer.waveforms.steim import FRAME_BYTES, hold_just

_log = logging.getLogger(__name__)

LIBMSEED_LOCK = threading.Lock()
"""Held while libmseed is at work: where it sends its messages is one for all threads."""

_RATES_HZ = (1e-3, 1e6)
_MOST_BLOCKETTES = 16
_SIGNATURE = re.compile(rb"[0-9 \x00]{6}[DRQM][ \x00]")
_SIGNATURE_BYTES = 8
_NS_PER_US = 1000
_HEADER = "HHBBBxHHhhBBBBiHH"
"""Bytes 20 to 47: time, samples, rate factors, flags, correction, data and blockette offsets."""

_TEXT_ENCODING = 0


class _Header(NamedTuple):
    order: str
    n_samples: int
    data_offset: int
    encoding: int
    is_big_endian: bool


def decode_record(data: bytes) -> Record | None:
    """Unpack a miniSEED 2 record.

    Args:
        data: the whole record.

    Returns:
        The record with samples as int32, float32 or float64; None if it holds no
        samples (log, state of health, empty).

    Raises:
        RecordError: it cannot be used; the message begins with its stream's code.
    """
    seed_id = seed_id_of(bytes(data[8:20]))
    try:
        header = _judged(data)
        if header is None:
            return None
        with LIBMSEED_LOCK:
            start_ns, rate_hz, samples = _libmseed().unpack(data)
    except (ValueError, struct.error) as error:
        raise RecordError(f"{seed_id}: {error}") from None
    if len(samples) != header.n_samples or not _is_sound(data, header, samples, seed_id):
        raise RecordError(f"{seed_id}: samples that contradict their record's header")
    if rate_hz == 0.0:
        return None
    if not _RATES_HZ[0] <= rate_hz <= _RATES_HZ[1]:
        raise RecordError(f"{seed_id}: a sampling rate of {rate_hz:g} Hz")
    return Record(seed_id, start_ns, rate_hz, samples)


class RecordStream:
    """Finds the records in a stream of bytes, whatever stands between them.

    Attributes:
        n_skipped_bytes: bytes that belonged to no record.
    """

    def __init__(self) -> None:
        self.n_skipped_bytes = 0
        self._buffer = bytearray()

    def push(self, data: bytes) -> Iterator[bytes]:
        """Take bytes; yield the records that are complete."""
        self._buffer += data
        while (length := self._length()) is not None:
            yield bytes(self._buffer[:length])
            del self._buffer[:length]

    def finish(self) -> None:
        """Take notice that nothing follows: what is left is no record."""
        self._skip(len(self._buffer))

    def _length(self) -> int | None:
        """Length of the complete record that starts the buffer, after skipping what is none."""
        while len(self._buffer) >= HEADER_BYTES:
            length = record_length(bytes(self._buffer[:4096]))
            if length is None and self._may_be_cut():
                return None
            if length is None:
                self._skip(self._next_signature())
                continue
            inner = self._inner_record(length)
            if inner is not None:
                self._skip(inner)
                continue
            return length if length <= len(self._buffer) else None
        return None

    def _may_be_cut(self) -> bool:
        """Tell whether a header may become readable with more bytes: its blockettes follow."""
        if len(self._buffer) >= 256:
            return False
        return _SIGNATURE.match(self._buffer) is not None

    def _next_signature(self) -> int:
        found = _SIGNATURE.search(self._buffer, 1)
        return found.start() if found else max(len(self._buffer) - _SIGNATURE_BYTES + 1, 1)

    def _inner_record(self, length: int) -> int | None:
        """Find a record inside the one that starts the buffer: that one's length is damaged."""
        at = 128
        while at < min(length, len(self._buffer) - HEADER_BYTES):
            if record_length(bytes(self._buffer[at : at + 4096])) is not None:
                return at
            at <<= 1
        return None

    def _skip(self, n_bytes: int) -> None:
        self.n_skipped_bytes += n_bytes
        del self._buffer[:n_bytes]


def _judged(data: bytes) -> _Header | None:
    """Read what unpacking depends on; None if there are no samples.

    Raises:
        ValueError: the header contradicts itself or the record.
    """
    order = ">" if 1900 <= int.from_bytes(data[20:22], "big") <= 2100 else "<"
    fields = struct.unpack_from(order + _HEADER, data, 20)
    n_samples, data_offset, blockette_offset = fields[6], fields[-2], fields[-1]
    at_1000 = _blockette_1000(data, order, blockette_offset)
    encoding, big_endian, exponent = data[at_1000 + 4], data[at_1000 + 5] > 0, data[at_1000 + 6]
    if 1 << exponent != len(data):
        raise ValueError(f"a record of {len(data)} bytes that says it has 2**{exponent}")
    if n_samples == 0 or encoding == _TEXT_ENCODING:
        return None
    if encoding not in ENCODINGS:
        raise ValueError(f"samples in the encoding {encoding}, which cannot be read")
    kind = ENCODINGS[encoding]
    room = len(data) - data_offset
    frames = room // 64 * 15 * kind.samples_per_word
    capacity = frames or room // max(kind.bytes_per_sample, 1)
    if data_offset < HEADER_BYTES or not 0 < n_samples <= capacity:
        raise ValueError(f"a header that promises {n_samples} samples in {room} bytes")
    return _Header(order, n_samples, data_offset, encoding, big_endian)


def _blockette_1000(data: bytes, order: str, offset: int) -> int:
    lowest = HEADER_BYTES
    for _ in range(_MOST_BLOCKETTES):
        if not lowest <= offset <= len(data) - 8:
            break
        kind, following = struct.unpack_from(f"{order}HH", data, offset)
        if kind == 1000:
            return offset
        lowest, offset = offset + 4, following
    raise ValueError("a record without the blockette 1000")


class _Libmseed:
    """obspy's libmseed, called without its wrapper, which costs more than the unpacking."""

    def __init__(self) -> None:
        from obspy.io.mseed.headers import clibmseed  # noqa: PLC0415 - slow to import
        from obspy.io.mseed.util import _ctypes_array_2_numpy_array  # noqa: PLC0415

        self._lib = clibmseed.lib
        self._as_array = _ctypes_array_2_numpy_array
        self._messages: list[str] = []
        self._hear = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(self._take_message)

    def _take_message(self, message: bytes) -> None:
        self._messages.append(message.decode("ascii", "replace").strip())

    def unpack(self, data: bytes) -> tuple[int, float, NDArray[np.generic]]:
        """Return start in nanoseconds, sampling rate and samples of a record.

        Raises:
            ValueError: it does not unpack.
        """
        self._messages.clear()
        self._lib.setupLogging(self._hear, self._hear)
        raw = np.frombuffer(data, np.int8)
        handle = self._lib.msr_init(None)
        try:
            code = self._lib.msr_parse(raw, len(raw), ctypes.pointer(handle), len(raw), 1, 0)
            if code != 0 or not handle:
                why = self._messages[0] if self._messages else f"libmseed's error {code}"
                raise ValueError(f"samples that do not unpack ({why})")
            content = handle.contents
            kind = content.sampletype
            kind = kind.decode() if isinstance(kind, bytes) else kind
            if kind not in ("i", "f", "d") or content.numsamples <= 0:
                raise ValueError("samples that do not unpack")
            samples = self._as_array(content.datasamples, content.numsamples, kind)
            return int(content.starttime) * _NS_PER_US, float(content.samprate), samples
        finally:
            self._lib.msr_free(ctypes.pointer(handle))


@lru_cache(maxsize=1)
def _libmseed() -> _Libmseed:
    return _Libmseed()


def _is_sound(data: bytes, header: _Header, samples: NDArray[np.generic], seed_id: SeedId) -> bool:
    """Compare Steim samples with the first and last one, kept in the first frame.

    A last one that was never written is 0; the frames then have to fit the header.
    """
    if header.encoding not in STEIM:
        return True
    order = ">" if header.is_big_endian else "<"
    first, last = struct.unpack_from(f"{order}ii", data, header.data_offset + 4)
    if samples[0] != first:
        return False
    if samples[-1] == last:
        return True
    n_frames = (len(data) - header.data_offset) // FRAME_BYTES
    words = np.frombuffer(data, f"{order}u4", n_frames * 16, header.data_offset)
    frames = words.astype(np.uint32).reshape(1, n_frames, 16)
    if last or not hold_just(frames, header.encoding, np.array([header.n_samples]))[0]:
        return False
    _tell_unsealed(seed_id)
    return True


@lru_cache(maxsize=10_000)
def _tell_unsealed(seed_id: SeedId) -> None:
    """Say it once for a channel: the cache remembers for which it was said."""
    _log.info("%s: Steim records without their last integrity word; used", seed_id)
