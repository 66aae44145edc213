"""Samples of miniSEED records, unpacked by libmseed through pymseed.

libmseed takes most damaged Steim frames for whole ones. Here they are compared with the
first and the last sample, which the first frame holds as well (see `steim`).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scperformer.waveforms.steim import FRAME_BYTES, STEIM_1, STEIM_2, hold_just

if TYPE_CHECKING:
    from scperformer.waveforms.mseed_headers import Header

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


class Unpacked(NamedTuple):
    """The samples of some records.

    Attributes:
        samples: of all, one after the other, those of unsound records included.
        sound: which records' samples are what was recorded.
        n_unsealed: sound ones whose last integrity word was never written.
    """

    samples: NDArray[np.generic]
    sound: list[bool]
    n_unsealed: int


def unpack(data: bytes, headers: Sequence[Header]) -> Unpacked:
    """Unpack records of one encoding whose headers are true.

    Args:
        data: the bytes that the headers' offsets count in.
        headers: none promises more samples than its record can hold.

    Returns:
        Samples as int32, float32 or float64.
    """
    ffi, lib = _libmseed()
    encoding = headers[0].encoding
    dtype = np.dtype(_FLOATS.get(encoding, np.int32))
    samples = np.empty(sum(header.n_samples for header in headers), dtype)
    source = ffi.from_buffer(data)
    target = ffi.from_buffer("int32_t[]", samples)
    kind = ffi.new("char *")
    is_steim = encoding in (STEIM_1, STEIM_2)
    sound = [True] * len(headers)
    unsealed: list[int] = []
    first = 0
    for number, header in enumerate(headers):
        at, n_samples = header.offset + header.data_offset, header.n_samples
        n_decoded = lib.ms_decode_data(
            source + at,
            header.length - header.data_offset,
            encoding,
            n_samples,
            target + first * (dtype.itemsize // 4),
            n_samples * dtype.itemsize,
            kind,
            header.big_endian != _HOST_IS_BIG_ENDIAN,
            ffi.NULL,
            0,
        )
        sound[number] = n_decoded == n_samples
        if is_steim and n_decoded == n_samples:
            begin, end = _CONSTANTS[header.big_endian].unpack_from(data, at + 4)
            sound[number] = target[first] == begin and target[first + n_samples - 1] == end
            if not sound[number] and target[first] == begin and end == 0:
                unsealed.append(number)
        first += n_samples
    n_unsealed = 0
    if unsealed:
        just = _hold_just(data, [headers[number] for number in unsealed])
        for number in np.array(unsealed)[just].tolist():
            sound[number] = True
            n_unsealed += 1
    return Unpacked(samples, sound, n_unsealed)


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


def _hold_just(data: bytes, headers: Sequence[Header]) -> NDArray[np.bool_]:
    """Tell which Steim records hold as many differences as their headers say."""
    just = np.zeros(len(headers), np.bool_)
    layouts = [(h.encoding, h.big_endian, h.length, h.data_offset) for h in headers]
    for layout in set(layouts):
        encoding, big_endian, length, data_offset = layout
        alike = np.array([number for number, one in enumerate(layouts) if one == layout])
        n_frames = (length - data_offset) // FRAME_BYTES
        at = np.array([headers[number].offset for number in alike]) + data_offset
        raw = np.frombuffer(data, np.uint8)[at[:, None] + np.arange(n_frames * FRAME_BYTES)]
        words = raw.view(">u4" if big_endian else "<u4").astype(np.uint32)
        n_samples = np.array([headers[number].n_samples for number in alike])
        frames = words.reshape(len(alike), n_frames, -1)
        just[alike] = hold_just(frames, encoding, n_samples)
    return just
