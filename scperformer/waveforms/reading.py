"""The records of many files, merged in time order, with bounded memory.

A heap holds what is not read yet (files, then their blocks) and what is (cut
records), each under the time at which its samples begin. What comes first is taken:
a file is replaced by its blocks, a block by its records, a record is handed out. So
no more is unpacked than a block for each of the files that overlap at a time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from scperformer.errors import InputError
from scperformer.types import Record, SeedId
from scperformer.waveforms import foreign, mseed
from scperformer.waveforms.cutting import DecodedRecords, cut_records
from scperformer.waveforms.mseed_scan import Damage
from scperformer.waveforms.packed import WaveformSource, open_source
from scperformer.waveforms.problems import InputProblem, Report, problem_from_os


@dataclass(frozen=True, slots=True)
class ChannelFile:
    """One channel in one file.

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


EVER = Span()


def read_merged(
    files: Iterable[ChannelFile], *, span: Span, record_s: float, report: Report
) -> Iterator[Record]:
    """Yield the records of files in the order of their start times.

    Args:
        files: channels of one sensor, in any order.
        span: blocks outside are not read; records may reach beyond it.
        record_s: records are cut where the time passes a multiple of this.
        report: hears of damage.
    """
    reading = _Reading(span, record_s, report)
    heap: list[tuple[int, int, _Step]] = []
    serial = count()

    def push(steps: Iterable[_Step]) -> None:
        for step in steps:
            heappush(heap, (step.start_ns, next(serial), step))

    by_path: dict[Path, list[ChannelFile]] = defaultdict(list)
    for file in files:
        by_path[file.path].append(file)
    push(_UnreadFile(channels, reading) for channels in by_path.values())
    while heap:
        step = heappop(heap)[2]
        if isinstance(step, _Ready):
            yield step.records.popleft()
            push([step] if step.records else [])
        else:
            push(step.expand())


@dataclass(frozen=True, slots=True)
class _Reading:
    span: Span
    record_s: float
    report: Report

    def ready(self, decoded: Iterable[DecodedRecords]) -> list[_Ready]:
        records = [
            record for group in decoded for record in cut_records(group, record_s=self.record_s)
        ]
        records.sort(key=_start)
        return [_Ready(deque(records))] if records else []


@dataclass(slots=True)
class _BlockFile:
    """A miniSEED file whose blocks are being read.

    Attributes:
        source: the file.
        seed_ids: channels wanted.
        n_unread: blocks that are still to come.
        damages: what did not unpack.
        n_unsealed: records without their last integrity word.
    """

    source: WaveformSource
    seed_ids: frozenset[SeedId]
    n_unread: int
    damages: list[Damage] = field(default_factory=list)
    n_unsealed: int = 0

    def read(self, block: mseed.Block) -> list[DecodedRecords]:
        self.n_unread -= 1
        decoded, damages, n_unsealed = mseed.read_block(self.source.place, self.seed_ids, block)
        self.damages += damages
        self.n_unsealed += n_unsealed
        return decoded

    def problems(self) -> Iterator[InputProblem]:
        """Yield what there is to say of the file, once all of it has been read."""
        if self.n_unread:
            return
        problem = mseed.damage_problem(self.source.path, self.damages)
        if problem is not None:
            yield problem
        if self.n_unsealed:
            what = f"{self.n_unsealed} records without their last Steim integrity word; all used"
            yield InputProblem(self.source.path, what, "", is_note=True)


@dataclass(slots=True)
class _Ready:
    records: deque[Record]

    @property
    def start_ns(self) -> int:
        return self.records[0].start_ns


@dataclass(slots=True)
class _UnreadBlock:
    file: _BlockFile
    block: mseed.Block
    reading: _Reading

    @property
    def start_ns(self) -> int:
        return self.block.start_ns

    def expand(self) -> list[_Ready]:
        path = self.file.source.path
        try:
            decoded = self.file.read(self.block)
        except OSError as error:
            self.reading.report(problem_from_os(path, error))
            decoded = []
        for problem in self.file.problems():
            self.reading.report(problem)
        return self.reading.ready(decoded)


@dataclass(slots=True)
class _UnreadFile:
    channels: list[ChannelFile]
    reading: _Reading

    @property
    def path(self) -> Path:
        return self.channels[0].path

    @property
    def start_ns(self) -> int:
        return min(file.start_ns for file in self.channels)

    def expand(self) -> list[_Step]:
        seed_ids = frozenset(file.seed_id for file in self.channels)
        try:
            source = open_source(self.path)
            if not self.channels[0].is_mseed:
                return list(self.reading.ready(foreign.read_channels(source.place, seed_ids)))
            blocks = [
                block
                for block in self._blocks(source, seed_ids)
                if self.reading.span.touches(block.start_ns, block.end_ns)
            ]
        except OSError as error:
            self.reading.report(problem_from_os(self.path, error))
            return []
        except InputError as error:
            self.reading.report(InputProblem(self.path, str(error), "the file that was indexed"))
            return []
        file = _BlockFile(source, seed_ids, len(blocks))
        return [_UnreadBlock(file, block, self.reading) for block in blocks]

    def _blocks(self, source: WaveformSource, seed_ids: frozenset[SeedId]) -> list[mseed.Block]:
        thorough = self.channels[0].thorough
        size = source.place.stat().st_size
        if thorough and size <= mseed.BLOCK_BYTES:
            end_ns = max(file.end_ns for file in self.channels)
            return [mseed.Block(0, size, self.start_ns, end_ns)]
        blocks, damages = mseed.find_blocks(source.place, seed_ids)
        problem = mseed.damage_problem(self.path, damages)
        if not thorough and problem is not None:
            self.reading.report(problem)
        return blocks


_Step = _Ready | _UnreadBlock | _UnreadFile


def _start(record: Record) -> int:
    return record.start_ns
