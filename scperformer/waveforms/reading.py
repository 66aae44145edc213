"""The records of many files, merged in time order, with bounded memory.

A heap holds what is not read yet (files, then their blocks) and what is (cut
records), each under the time at which its samples begin. What comes first is taken:
a file is replaced by its blocks, a block by its records, a record is handed out. So
no more is unpacked than a block for each of the files that overlap at a time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from operator import attrgetter
from pathlib import Path

from scperformer.errors import InputError
from scperformer.types import NS_PER_S, Record, SeedId, format_time
from scperformer.waveforms import foreign, mseed
from scperformer.waveforms.contents import EVER, ChannelFile, Span, WaveformSource, open_source
from scperformer.waveforms.cutting import DecodedRecords, cut_records
from scperformer.waveforms.mseed_scan import Damage
from scperformer.waveforms.problems import InputProblem, Report, problem_from_os

_NEAR_NS = 60 * NS_PER_S


def read_merged(
    files: Iterable[ChannelFile],
    *,
    span: Span,
    record_s: float,
    report: Report,
    told: Span = EVER,
) -> Iterator[Record]:
    """Yield the records of files in the order of their start times.

    Args:
        files: channels of one sensor, in any order.
        span: blocks outside are not read; records may reach beyond it.
        record_s: records are cut where the time passes a multiple of this.
        report: hears of damage.
        told: of damage elsewhere nothing is reported, but that a file could not be read.
    """
    by_path: dict[Path, list[ChannelFile]] = defaultdict(list)
    for file in files:
        by_path[file.path].append(file)
    return _Merging(span, record_s, report, told).records(by_path.values())


@dataclass(slots=True)
class _BlockFile:
    """A miniSEED file whose blocks are being read.

    Attributes:
        source: the file.
        seed_ids: channels wanted.
        n_unread: blocks that are still to come.
        told: of blocks that begin elsewhere nothing is said.
        damages: what did not unpack.
        n_unsealed: records without their last integrity word.
    """

    source: WaveformSource
    seed_ids: frozenset[SeedId]
    n_unread: int
    told: Span
    damages: list[Damage] = field(default_factory=list)
    n_unsealed: int = 0

    def read(self, block: mseed.Block) -> list[DecodedRecords]:
        self.n_unread -= 1
        decoded, damages, n_unsealed = mseed.read_block(self.source.place, self.seed_ids, block)
        if self.told.holds(block.start_ns):
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


class _Merging:
    """The heap: records that are cut, and how to go on with what is not read yet."""

    def __init__(self, span: Span, record_s: float, report: Report, told: Span) -> None:
        self._span = span
        self._record_s = record_s
        self._report = report
        self._told = told
        self._heap: list[tuple[int, int, deque[Record] | Callable[[], None]]] = []
        self._serial = count()

    def records(self, files: Iterable[Sequence[ChannelFile]]) -> Iterator[Record]:
        for channels in files:
            self._push(_start_ns(channels), partial(self._open, channels))
        while self._heap:
            first = heappop(self._heap)[2]
            if not isinstance(first, deque):
                first()
                continue
            yield first.popleft()
            if first:
                self._push(first[0].start_ns, first)

    def _push(self, start_ns: int, what: deque[Record] | Callable[[], None]) -> None:
        heappush(self._heap, (start_ns, next(self._serial), what))

    def _open(self, channels: Sequence[ChannelFile]) -> None:
        """Cut a file into blocks, or one that is not miniSEED into records."""
        path, seed_ids = channels[0].path, frozenset(file.seed_id for file in channels)
        try:
            source = open_source(path)
            if not channels[0].is_mseed:
                self._cut(foreign.read_channels(source.place, seed_ids))
                return
            blocks = [
                block
                for block in self._blocks(source, channels, seed_ids)
                if self._span.touches(block.start_ns, block.end_ns)
            ]
        except OSError as error:
            self._tell(_start_ns(channels), problem_from_os(path, error))
            return
        except InputError as error:
            problem = InputProblem(path, str(error), "the file that was indexed")
            self._tell(_start_ns(channels), problem)
            return
        file = _BlockFile(source, seed_ids, len(blocks), self._told)
        for block in blocks:
            self._push(block.start_ns, partial(self._read, file, block))

    def _blocks(
        self, source: WaveformSource, channels: Sequence[ChannelFile], seed_ids: frozenset[SeedId]
    ) -> list[mseed.Block]:
        thorough = channels[0].thorough
        size = source.place.stat().st_size
        if thorough and size <= mseed.BLOCK_BYTES:
            end_ns = max(file.end_ns for file in channels)
            return [mseed.Block(0, size, _start_ns(channels), end_ns)]
        blocks, damages = mseed.find_blocks(source.place, seed_ids)
        if not thorough:
            problem = mseed.damage_problem(source.path, damages)
            for one in (problem, _unforeseen(source.path, channels, blocks)):
                if one is not None:
                    self._tell(_start_ns(channels), one)
        return blocks

    def _tell(self, start_ns: int, problem: InputProblem) -> None:
        if problem.is_passing or self._told.holds(start_ns):
            self._report(problem)

    def _read(self, file: _BlockFile, block: mseed.Block) -> None:
        try:
            decoded = file.read(block)
        except OSError as error:
            self._tell(block.start_ns, problem_from_os(file.source.path, error))
            decoded = []
        for problem in file.problems():
            self._report(problem)
        self._cut(decoded)

    def _cut(self, decoded: Iterable[DecodedRecords]) -> None:
        records = [
            record for one in decoded for record in cut_records(one, record_s=self._record_s)
        ]
        if records:
            records.sort(key=attrgetter("start_ns"))
            self._push(records[0].start_ns, deque(records))


def _unforeseen(
    path: Path, channels: Sequence[ChannelFile], blocks: Sequence[mseed.Block]
) -> InputProblem | None:
    """Tell of records that lie away from where a quick look has seen the file begin and end."""
    first_ns, last_ns = _start_ns(channels) - _NEAR_NS, max(f.end_ns for f in channels) + _NEAR_NS
    for block in blocks:
        for time_ns in (block.start_ns, block.end_ns):
            if not first_ns <= time_ns <= last_ns:
                what = f"records left out, of {format_time(time_ns)} for one"
                return InputProblem(path, what, "records in the order of time")
    return None


def _start_ns(channels: Sequence[ChannelFile]) -> int:
    return min(file.start_ns for file in channels)
