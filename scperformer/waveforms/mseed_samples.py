"""Samples of miniSEED records, unpacked by libmseed through pymseed.

libmseed takes most damaged Steim frames for whole ones. Here they are held against what the
first frame of a record holds as well (SEED Reference Manual 2.4, appendix B): the first
sample (X0) and the last one (XN, the reverse integration constant).

Some digitisers and converters leave XN at 0. Their records are whole: they are taken where
X0 is right and the control words of their frames, which say how many differences each word
holds, have those of just as many samples as the header promises. Where XN has a value, it
must be the last sample.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scperformer.waveforms.mseed_headers import STEIM_1, STEIM_2

FRAME_BYTES = 64
_INVALID = 1 << 20

# Differences in a word, by its two bits in the control word and, for Steim 2, its own first two.
_COUNTS = {
    STEIM_1: np.array([[0] * 4, [4] * 4, [2] * 4, [1] * 4], np.int64),
    STEIM_2: np.array([[0] * 4, [4] * 4, [_INVALID, 1, 2, 3], [5, 6, 7, _INVALID]], np.int64),
}
_SHIFTS = np.arange(30, -1, -2, dtype=np.uint32)


_FLOATS: dict[int, type[np.generic]] = {
    4: np.float32,
    5: np.float64,
    12: np.float32,
    13: np.float32,
    14: np.float32,
}
_CONSTANTS = {True: struct.Struct(">ii"), False: struct.Struct("<ii")}
_HOST_IS_BIG_ENDIAN = not np.little_endian

_threads = threading.local()

Place = tuple[int, int, int, bool]
"""Where a record's samples begin, in how many bytes they are, how many, and if big-endian."""


class Unpacked(NamedTuple):
    """The samples of some records.

    Attributes:
        samples: of all, one after the other, those of unsound records included.
        unsound: numbers of the records whose samples are not what was recorded.
        n_unsealed: sound ones whose last integrity word was never written.
    """

    samples: NDArray[np.generic]
    unsound: list[int]
    n_unsealed: int


def unpack(data: bytes, encoding: int, records: Sequence[Place]) -> Unpacked:
    """Unpack records whose headers are true.

    Args:
        data: the bytes that places count in.
        encoding: of all of them.
        records: where their samples are; none promises more than there is room for.

    Returns:
        Samples as int32, float32 or float64.
    """
    ffi, lib = _libmseed()
    dtype = np.dtype(_FLOATS.get(encoding, np.int32))
    samples = np.empty(sum(n_samples for _, _, n_samples, _ in records), dtype)
    source, target = ffi.from_buffer(data), ffi.from_buffer("int32_t[]", samples)
    n_words, n_bytes = dtype.itemsize // 4, dtype.itemsize
    is_steim = encoding in (STEIM_1, STEIM_2)
    decode, sample_type, no_name = lib.ms_decode_data, ffi.new("char *"), ffi.NULL
    unsound: list[int] = []
    unsealed: list[int] = []
    first = 0
    for number, (at, room, n, big_endian) in enumerate(records):
        place = target + first * n_words
        swap = big_endian != _HOST_IS_BIG_ENDIAN
        n_decoded = decode(
            source + at, room, encoding, n, place, n * n_bytes, sample_type, swap, no_name, 0
        )
        if n_decoded != n:
            unsound.append(number)
        elif is_steim:
            begin, end = _CONSTANTS[big_endian].unpack_from(data, at + 4)
            if place[0] != begin or place[n - 1] != end:
                (unsealed if place[0] == begin and end == 0 else unsound).append(number)
        first += n
    if unsealed:
        just = _hold_just(data, encoding, [records[number] for number in unsealed])
        unsound += np.array(unsealed)[~just].tolist()
        return Unpacked(samples, unsound, int(just.sum()))
    return Unpacked(samples, unsound, 0)


def checksum_fits(data: bytes, at: int, length: int) -> bool:
    """Tell whether a miniSEED 3 record is as it was written, by its CRC-32C."""
    ffi, lib = _libmseed()
    record = ffi.new("MS3Record **")
    flags = lib.MSF_VALIDATECRC
    code = lib.msr3_parse(ffi.from_buffer(data) + at, length, record, flags, 0)
    lib.msr3_free(record)
    return bool(code == lib.MS_NOERROR)


def _libmseed() -> tuple[Any, Any]:
    ffi, lib, configure_logging = _pymseed()
    if not hasattr(_threads, "is_ready"):
        configure_logging()  # of a thread of its own: else libmseed writes to standard error
        _threads.is_ready = True
    return ffi, lib


@lru_cache(maxsize=1)
def _pymseed() -> tuple[Any, Any, Any]:
    from pymseed import configure_logging  # noqa: PLC0415 - slow to import
    from pymseed.clib import clibmseed, ffi  # noqa: PLC0415

    return ffi, clibmseed, configure_logging


def _hold_just(data: bytes, encoding: int, records: Sequence[Place]) -> NDArray[np.bool_]:
    """Tell in which Steim records the last word with differences has the last sample's."""
    just = np.zeros(len(records), np.bool_)
    table = np.array(records)
    for room, big_endian in {(room, big_endian) for _, room, _, big_endian in records}:
        alike = np.flatnonzero((table[:, 1] == room) & (table[:, 3] == big_endian))
        n_frames = room // FRAME_BYTES
        at = table[alike, :1] + np.arange(n_frames * FRAME_BYTES)
        words = np.frombuffer(data, np.uint8)[at].view(">u4" if big_endian else "<u4")
        frames = words.astype(np.uint32).reshape(len(alike), n_frames, -1)
        controls = (frames[:, :, :1] >> _SHIFTS) & np.uint32(3)
        counts = _COUNTS[encoding][controls, frames >> np.uint32(30)].reshape(len(alike), -1)
        totals, n_samples = counts.sum(axis=1), table[alike, 2]
        last_used = counts.shape[1] - 1 - np.argmax(counts[:, ::-1] > 0, axis=1)
        before = totals - counts[np.arange(len(counts)), last_used]
        just[alike] = (totals >= n_samples) & (before < n_samples) & (totals < _INVALID)
    return just
