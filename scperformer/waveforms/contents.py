"""What a single waveform file holds: its channels, its samples, and what is wrong with it.

A file packed by gzip, bzip2 or xz is unpacked onto the disk, piece by piece, and read from
there; the copy goes when nobody reads it any more. How much may come out of a file is
bounded: a few kilobytes can hold a petabyte of zeros.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import tempfile
import weakref
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from scperformer.errors import InputError
from scperformer.types import NS_PER_S, Record, SeedId, format_time
from scperformer.waveforms import foreign, mseed
from scperformer.waveforms.cutting import cut_records
from scperformer.waveforms.problems import InputProblem, Report, log_problem, problem_from_os

MOST_UNPACKED_BYTES = 1 << 30
PACKED_SUFFIXES = frozenset({".gz", ".bz2", ".xz"})
_PIECE_BYTES = 1 << 16

_Unpacker = type[gzip.GzipFile] | type[bz2.BZ2File] | type[lzma.LZMAFile]
_UNPACKERS: dict[bytes, _Unpacker] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_NOT_UNPACKED = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x9d": "packed by compress",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
}
_TAR_MAGIC_AT, _TAR_MAGIC = 257, b"ustar"


_WAVEFORMS = "a miniSEED file"
_NAMED = "waveforms, or a list of waveform files"
_UNCUT_S = 1e9
_FAR_NS = 180 * 86_400 * NS_PER_S


@dataclass(eq=False)
class WaveformSource:
    """A file whose waveforms may be read; a packed one has been unpacked.

    Attributes:
        path: the file's name.
        place: where to read it: the file itself, or what was unpacked, which is there
            as long as this object.
        fault: why its end is missing; empty if it is not.
    """

    path: Path
    place: Path
    fault: str = ""


def open_source(path: Path) -> WaveformSource:
    """Find out how a file is packed; unpack it if need be.

    Raises:
        OSError: it cannot be read, or there is no room to unpack it.
        InputError: it is no file, or packed in a way that is not unpacked here.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise InputError("a folder where a file belongs")
    if not stat.S_ISREG(mode):
        raise InputError("no file but a pipe, socket or device")
    with path.open("rb") as file:
        head = file.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    if head[_TAR_MAGIC_AT:] == _TAR_MAGIC:
        raise InputError("a tar archive, which is not unpacked here")
    if not head.startswith((*_NOT_UNPACKED, *_UNPACKERS)) or mseed.is_mseed(path):
        # Records behind a few damaged bytes that look like a packer's are records.
        return WaveformSource(path, path)
    for magic, unpacker in _UNPACKERS.items():
        if head.startswith(magic):
            return _unpacked(path, unpacker)
    kind = next(what for magic, what in _NOT_UNPACKED.items() if head.startswith(magic))
    raise InputError(f"{kind}, which is not unpacked here")


def _unpacked(path: Path, unpacker: _Unpacker) -> WaveformSource:
    handle, name = tempfile.mkstemp(prefix="scperformer-")
    source = WaveformSource(path, Path(name))
    weakref.finalize(source, _remove, name)
    with os.fdopen(handle, "wb") as copy, unpacker(path) as packed:
        source.fault = _copy(packed, copy)
    return source


def _copy(packed: gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile, copy: BinaryIO) -> str:
    """Unpack up to the end or to the first damage; return what is wrong.

    Raises:
        OSError: the disk is full.
        InputError: too much comes out.
    """
    n_bytes = 0
    while True:
        try:
            piece = packed.read1(_PIECE_BYTES)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            return f"packed data are damaged or cut short after {n_bytes} bytes unpacked ({error})"
        if not piece:
            return ""
        n_bytes += len(piece)
        if n_bytes > MOST_UNPACKED_BYTES:
            raise InputError(f"more than {MOST_UNPACKED_BYTES >> 20} MiB when unpacked")
        copy.write(piece)


def _remove(name: str) -> None:
    with suppress(OSError):
        os.unlink(name)


@dataclass(frozen=True, slots=True)
class ChannelFile:
    """One channel in one file, for a time without a hole of a day.

    Attributes:
        path: the file.
        seed_id: the channel.
        sampling_rate_hz: its sampling rate, where the file begins.
        start_ns: time of its first sample.
        end_ns: time of the sample that would follow its last.
        is_mseed: miniSEED, read block by block; otherwise read whole.
        thorough: every record was looked at; damage has been told already.
    """

    path: Path
    seed_id: SeedId
    sampling_rate_hz: float
    start_ns: int
    end_ns: int
    is_mseed: bool = True
    thorough: bool = True


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_ns` up to, not including, `end_ns`; None is open."""

    start_ns: int | None = None
    end_ns: int | None = None

    def touches(self, start_ns: int, end_ns: int) -> bool:
        """Tell whether another span shares a moment with this one."""
        begins_in_time = self.end_ns is None or start_ns < self.end_ns
        return begins_in_time and (self.start_ns is None or end_ns > self.start_ns)

    def holds(self, time_ns: int) -> bool:
        """Tell whether a moment lies in it."""
        return self.touches(time_ns, time_ns + 1)


EVER = Span()


@dataclass(frozen=True, slots=True)
class FileContents:
    """What is known of a file.

    Attributes:
        channels: its channels with station and channel code.
        texts: its channels that hold text.
        problems: what is wrong.
        is_waveforms: it is of a known format, however damaged.
    """

    channels: tuple[ChannelFile, ...]
    texts: tuple[SeedId, ...]
    problems: tuple[InputProblem, ...]
    is_waveforms: bool


def look_into(path: Path, *, named: bool) -> FileContents:
    """Look into a file; nothing raises.

    Args:
        path: the file.
        named: the user named it: then it may be of any format, and must hold something.
            Otherwise it was found in a folder and is expected to be miniSEED.
    """
    try:
        if path.stat().st_size == 0 and path.is_file():
            return _unusable(InputProblem(path, "empty (0 bytes)", _WAVEFORMS))
        source = open_source(path)
        return _of_source(source, named=named)
    except InputError as error:
        return _unusable(InputProblem(path, str(error), _WAVEFORMS))
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        fault = error if isinstance(error, OSError) else OSError(str(error))
        return _unusable(problem_from_os(path, fault))


def _unusable(problem: InputProblem) -> FileContents:
    return FileContents((), (), (problem,), is_waveforms=False)


def read_whole(path: Path, *, report: Report = log_problem) -> list[Record]:
    """Read all samples of a file of any format at once, cut at gaps alone.

    `report` hears of what is wrong with it; what is not wrong is used.

    Raises:
        OSError: it cannot be read.
        InputError: it cannot be used at all.
    """
    source = open_source(path)
    contents = _of_source(source, named=True)
    for problem in contents.problems:
        report(problem)
    for seed_id in contents.texts:
        report(InputProblem(path, f"{seed_id} left out: text, no samples", ""))
    seed_ids = {file.seed_id for file in contents.channels}
    if contents.channels and contents.channels[0].is_mseed:
        whole = mseed.Block(0, source.place.stat().st_size, 0, 0)
        decoded, damages, _ = mseed.read_block(source.place, seed_ids, whole)
        if not contents.channels[0].thorough:
            damages += mseed.find_blocks(source.place, seed_ids)[1]
        if (damage := mseed.damage_problem(path, damages)) is not None:
            report(damage)
    else:
        decoded = foreign.read_channels(source.place, seed_ids) if seed_ids else []
    return [record for one in decoded for record in cut_records(one, record_s=_UNCUT_S)]


def _of_source(source: WaveformSource, *, named: bool) -> FileContents:
    path = source.path
    problems = []
    if source.fault:
        problems.append(InputProblem(path, source.fault, "a whole file"))
    contents = mseed.look_into(source.place)
    spans = contents.spans
    if contents.problem is not None and contents.is_mseed:
        problems.append(replace(contents.problem, path=path))
    if not contents.is_mseed:
        spans = foreign.look_into(source.place) if named else []
    is_waveforms = contents.is_mseed or bool(spans)
    if not is_waveforms and named:
        what = "not miniSEED, of no other format that is read here, and no list of files that exist"
        problems.append(InputProblem(path, what, _NAMED))
    elif not is_waveforms:
        problems.append(InputProblem(path, "not miniSEED", f"{_WAVEFORMS}; name others one by one"))
    elif named and not spans and not problems:
        problems.append(InputProblem(path, "no samples in it", "waveforms"))
    channels = []
    problems += _far_jumps(path, spans)
    for span in spans:
        seed_id, times_ns = span.seed_id, (span.start_ns, span.end_ns)
        if seed_id.station and seed_id.channel:
            how = contents.is_mseed, contents.thorough
            channels.append(ChannelFile(path, seed_id, span.sampling_rate_hz, *times_ns, *how))
        else:
            what = f"samples without station or channel code ({seed_id})"
            problems.append(InputProblem(path, what, "codes in the header"))
    return FileContents(tuple(channels), tuple(contents.texts), tuple(problems), is_waveforms)


def _far_jumps(path: Path, spans: Sequence[mseed.ChannelSpan]) -> Iterator[InputProblem]:
    """Note where a channel's time jumps by half a year or more: its clock may have been wrong."""
    for one, other in pairwise(spans):
        if one.seed_id == other.seed_id and other.start_ns - one.end_ns > _FAR_NS:
            times = f"{format_time(one.end_ns)} to {format_time(other.start_ns)}"
            yield InputProblem(
                path, f"{one.seed_id} jumps from {times}; all is used", "", is_note=True
            )
