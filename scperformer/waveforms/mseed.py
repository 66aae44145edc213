"""miniSEED files: a quick look at what they hold, and their samples block by block.

Headers and samples are read megabytes at a time. Damaged records are left out and told;
what stands before and behind them is used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from scperformer.types import NS_PER_S, SeedId
from scperformer.waveforms.cutting import DecodedRecords
from scperformer.waveforms.mseed_headers import record_length, seed_id_of
from scperformer.waveforms.mseed_samples import Place, unpack
from scperformer.waveforms.mseed_scan import (
    Damage,
    HeaderScan,
    RecordTable,
    end_ns,
    merge_damages,
    read_probes,
    scan_headers,
    split_by,
)
from scperformer.waveforms.problems import InputProblem

BLOCK_BYTES = 1 << 21

_HEAD_BYTES = 4096
_HOLE_NS = 86_400 * NS_PER_S
_N_PROBES = 16
_MOST_UNEVEN = 10.0
"""Between two of these places no more time passes, as a multiple of what is usual in the file."""

_PROBE_BYTES = 256
_WANTED = "whole miniSEED records"


@dataclass(frozen=True, slots=True)
class ChannelSpan:
    """A time in which a channel has samples in a file, without a hole of a day."""

    seed_id: SeedId
    sampling_rate_hz: float
    start_ns: int
    end_ns: int


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
        spans: of each channel, sorted; empty if there are no samples.
        texts: channels that hold text.
        problem: damage found on the way.
        is_mseed: there was at least one record, with samples or without.
        thorough: every record was looked at.
    """

    spans: list[ChannelSpan]
    texts: list[SeedId]
    problem: InputProblem | None
    is_mseed: bool
    thorough: bool


class Block(NamedTuple):
    """A stretch of a file that begins at a record.

    Attributes:
        offset, length: where it stands, in bytes.
        start_ns, end_ns: span of the channels that it was looked up for.
    """

    offset: int
    length: int
    start_ns: int
    end_ns: int


def look_into(path: Path) -> Contents:
    """Find the channels of a file and their spans, reading as little as is safe.

    A large file of equal records that shows one and the same channel, in time order,
    at 16 places is believed to hold only that; any other is read from end to end.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size > BLOCK_BYTES:
            span = _quick_look(file, size)
            if span is not None:
                return Contents([span], [], None, is_mseed=True, thorough=False)
        return _thorough_look(path, file)


def is_mseed(path: Path) -> bool:
    """Tell whether there is a miniSEED record in the first megabytes of a file.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(_HEAD_BYTES)
        if record_length(data) is not None:
            return True
        data += file.read(BLOCK_BYTES - len(data))
    return scan_headers(data, at_end=len(data) < BLOCK_BYTES).n_headers > 0


def find_blocks(path: Path, seed_ids: Collection[SeedId]) -> tuple[list[Block], list[Damage]]:
    """Find the blocks of a file that hold samples of some channels, and the file's damage.

    Raises:
        OSError: the file cannot be read.
    """
    blocks: list[Block] = []
    damages: list[Damage] = []
    with path.open("rb") as file:
        for offset, scan in _scan_file(file):
            damages += _shifted(scan.damages, offset)
            channels = list(_by_channel(scan.records, seed_ids))
            if channels:
                start = min(int(records["start_ns"].min()) for records in channels)
                end = max(int(end_ns(records).max()) for records in channels)
                blocks.append(Block(offset, scan.consumed, start, end))
    return blocks, damages


def read_block(
    path: Path, seed_ids: Collection[SeedId], block: Block
) -> tuple[list[DecodedRecords], list[Damage], int]:
    """Unpack the samples of some channels from a block, each channel sorted by time.

    Returns:
        The samples, the damage, and how many records had no last integrity word.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(block.offset)
        data = file.read(block.length)
    decoded: list[DecodedRecords] = []
    damages: list[Damage] = []
    n_unsealed = 0
    for records in _by_channel(scan_headers(data, at_end=True).records, seed_ids):
        ordered = records[np.argsort(records["start_ns"], kind="stable")]
        for alike in split_by(ordered, "rate_hz", "quality", "encoding"):
            samples, unsound, n = unpack(data, int(alike["encoding"][0]), _places(alike))
            n_unsealed += n
            kept = alike
            if unsound:
                bad = alike[unsound]
                places = zip(bad["offset"].tolist(), bad["length"].tolist(), strict=True)
                damages += [Damage(*place, "samples that do not unpack") for place in places]
                is_kept = np.ones(len(alike), np.bool_)
                is_kept[unsound] = False
                kept, samples = alike[is_kept], samples[np.repeat(is_kept, alike["n_samples"])]
            if len(kept):
                seed_id = seed_id_of(bytes(kept["code"][0]))
                rate_hz, starts_ns = float(kept["rate_hz"][0]), kept["start_ns"]
                one = DecodedRecords(seed_id, rate_hz, starts_ns, kept["n_samples"], samples)
                decoded.append(one)
    return decoded, _shifted(damages, block.offset), n_unsealed


def _places(records: RecordTable) -> list[Place]:
    columns = (
        records["offset"] + records["data_offset"],
        records["length"] - records["data_offset"],
        records["n_samples"],
        records["big_endian"],
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


def damage_problem(path: Path, damages: list[Damage]) -> InputProblem | None:
    """Tell all damages of a file, or of a block of it, in one problem."""
    damages = merge_damages(damages)
    if not damages:
        return None
    first, lost = damages[0], sum(damage.length for damage in damages)
    places = f"in {len(damages)} places, the first " if len(damages) > 1 else ""
    what = f"{lost} bytes lost {places}at byte {first.offset}: {first.reason}"
    return InputProblem(path, what, _WANTED, byte_offset=first.offset, lost_bytes=lost)


def _quick_look(file: BinaryIO, size: int) -> ChannelSpan | None:
    file.seek(0)
    length = record_length(file.read(_HEAD_BYTES))
    if length is None or size % length:
        return None
    places = np.linspace(0, size // length - 1, _N_PROBES).astype(np.int64) * length
    probes = []
    for place in places.tolist():
        file.seek(place)
        probes.append(file.read(min(length, _PROBE_BYTES)))
    records = read_probes(probes)
    if records is None or records["state"].any() or len(set(records["code"].tolist())) > 1:
        return None
    steps_ns = np.diff(records["start_ns"])
    if len(set(records["rate_hz"].tolist())) > 1 or (steps_ns < 0).any():
        return None
    if steps_ns.max() > max(_HOLE_NS, _MOST_UNEVEN * np.median(steps_ns)):
        return None
    return _span(records)


def _thorough_look(path: Path, file: BinaryIO) -> Contents:
    spans: list[ChannelSpan] = []
    texts: set[bytes] = set()
    damages: list[Damage] = []
    n_headers = 0
    for offset, scan in _scan_file(file):
        n_headers += scan.n_headers
        if offset == 0 and scan.n_headers == 0:
            return Contents([], [], None, is_mseed=False, thorough=True)
        texts |= scan.texts
        damages += _shifted(scan.damages, offset)
        for of_channel in split_by(scan.records, "code"):
            spans += map(_span, _without_holes(of_channel))
        spans = joined(spans)
    problem = damage_problem(path, damages)
    named = sorted(map(seed_id_of, texts))
    return Contents(spans, named, problem, n_headers > 0, thorough=True)


def _without_holes(records: RecordTable) -> list[RecordTable]:
    """Part a channel's records where there are none for a day, as where its clock has jumped."""
    ordered = records[np.argsort(records["start_ns"], kind="stable")]
    reached_ns = np.maximum.accumulate(end_ns(ordered))
    holes = np.flatnonzero(ordered["start_ns"][1:] - reached_ns[:-1] > _HOLE_NS) + 1
    return np.split(ordered, holes)


def _span(records: RecordTable) -> ChannelSpan:
    return ChannelSpan(
        seed_id=seed_id_of(bytes(records["code"][0])),
        sampling_rate_hz=float(records["rate_hz"][0]),
        start_ns=int(records["start_ns"].min()),
        end_ns=int(end_ns(records).max()),
    )


def joined(spans: Iterable[ChannelSpan]) -> list[ChannelSpan]:
    """Sort spans by channel and time; make one of those of a channel without a day between."""
    found: list[ChannelSpan] = []
    for span in sorted(spans, key=lambda one: (one.seed_id, one.start_ns)):
        last = found[-1] if found else None
        if last is None or last.seed_id != span.seed_id or span.start_ns - last.end_ns > _HOLE_NS:
            found.append(span)
        elif span.end_ns > last.end_ns:
            found[-1] = replace(last, end_ns=span.end_ns)
    return found


def _scan_file(file: BinaryIO) -> Iterator[tuple[int, HeaderScan]]:
    """Read a file from end to end; yield blocks' offsets and records."""
    offset = 0
    size = file.seek(0, 2)
    while offset < size:
        file.seek(offset)
        data = file.read(BLOCK_BYTES)
        if not data:
            return
        scan = scan_headers(data, at_end=offset + len(data) >= size)
        yield offset, scan
        offset += max(scan.consumed, 1)


def _shifted(damages: list[Damage], offset: int) -> list[Damage]:
    return [Damage(int(at) + offset, int(length), reason) for at, length, reason in damages]


def _by_channel(records: RecordTable, seed_ids: Collection[SeedId]) -> Iterator[RecordTable]:
    for of_channel in split_by(records, "code"):
        if seed_id_of(bytes(of_channel["code"][0])) in seed_ids:
            yield of_channel
