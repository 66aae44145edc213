"""Archives: what files, folders, SDS trees and list files hold, sensor by sensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scperformer.types import Record, SeedId, SensorId
from scperformer.waveforms.cutting import RECORD_S, trim
from scperformer.waveforms.indexing import Indexer
from scperformer.waveforms.problems import InputProblem, Report, log_problem
from scperformer.waveforms.reading import EVER, ChannelFile, Span, read_merged
from scperformer.waveforms.selection import EVERYTHING, Selection


@dataclass(frozen=True, slots=True)
class ArchiveGroup:
    """All the files that hold one sensor.

    Attributes:
        sensor_id: the sensor.
        files: its channels' files, sorted by channel and time.
        span: what is asked for; samples outside are cut off.
        origin: where the group was named, "LIST:LINE" or empty.
    """

    sensor_id: SensorId
    files: tuple[ChannelFile, ...]
    span: Span = EVER
    origin: str = ""

    @property
    def seed_ids(self) -> tuple[SeedId, ...]:
        """The channels, sorted."""
        return tuple(sorted({file.seed_id for file in self.files}))

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files' paths, each once."""
        return tuple(dict.fromkeys(file.path for file in self.files))

    @property
    def start_ns(self) -> int:
        """Time of the first sample that is asked for."""
        first = min(file.start_ns for file in self.files)
        return first if self.span.start_ns is None else max(first, self.span.start_ns)

    @property
    def end_ns(self) -> int:
        """Time of the end of the last sample that is asked for."""
        last = max(file.end_ns for file in self.files)
        return last if self.span.end_ns is None else min(last, self.span.end_ns)

    def records(
        self, *, record_s: float = RECORD_S, report: Report = log_problem
    ) -> Iterator[Record]:
        """Yield the records of all components, merged in the order of their start times.

        They are cut on the clock, where the time passes a multiple of `record_s`, so
        that the components come in turns. Samples keep their dtype (int32, float32 or
        float64); duplicates are handed on as they are. A block of 2 MiB, or a whole
        file of another format, is unpacked at a time from each file that overlaps.

        Args:
            record_s: longest record, in seconds.
            report: hears of damage that was not known when the archive was indexed.
        """
        records = read_merged(self.files, span=self.span, record_s=record_s, report=report)
        yield from trim(records, start_ns=self.span.start_ns, end_ns=self.span.end_ns)


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """What there is to scan, and what is wrong with the rest.

    Attributes:
        groups: sensor by sensor.
        problems: inputs that cannot be used, or not all of them.
        left_out: channels that are no seismometers, and what they are.
        not_asked: channels that the selection does not want.
        covered: first and last time of the channels that are asked for, also outside
            the time that is asked for; None if there are none.
    """

    groups: tuple[ArchiveGroup, ...]
    problems: tuple[InputProblem, ...]
    left_out: Mapping[SeedId, str]
    not_asked: frozenset[SeedId]
    covered: tuple[int, int] | None


def index_inputs(
    inputs: Sequence[Path],
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    selection: Selection = EVERYTHING,
) -> ArchiveIndex:
    """Find the sensors in waveform files, folders, SDS roots and list files.

    Files and folders together make a group for each sensor; a list file makes a group
    for each line and sensor. Nothing raises: what cannot be used becomes a problem.

    Args:
        inputs: files and folders.
        start_ns: first time of interest, None for all.
        end_ns: end of the time of interest, not included; None for all.
        selection: what is asked for; of this, seismometers are taken.
    """
    span = Span(start_ns, end_ns)
    indexer = Indexer(span, selection)
    for path in inputs:
        indexer.add_input(Path(path))
    sensors: dict[SensorId, list[ChannelFile]] = defaultdict(list)
    for file in indexer.files:
        sensors[file.seed_id.sensor_id].append(file)
    groups = [_group(sensor, files, span) for sensor, files in sorted(sensors.items())]
    groups += [_group(line.sensor_id, line.files, span, line.origin) for line in indexer.lines]
    if not groups and indexer.covered is None:
        for path in inputs:
            indexer.note_names(Path(path))
    return ArchiveIndex(
        tuple(groups),
        tuple(indexer.problems()),
        indexer.chooser.left_out,
        frozenset(indexer.chooser.not_asked),
        indexer.covered,
    )


def _group(
    sensor_id: SensorId, files: Iterable[ChannelFile], span: Span, origin: str = ""
) -> ArchiveGroup:
    ordered = sorted(files, key=lambda file: (file.seed_id, file.start_ns, file.path))
    return ArchiveGroup(sensor_id, tuple(ordered), span, origin)
