"""Archives: what files, folders, SDS trees and list files hold, sensor by sensor."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from scperformer.types import Record, SeedId, SensorId, format_time
from scperformer.waveforms import mseed
from scperformer.waveforms.contents import EVER, ChannelFile, FileContents, Span, look_into
from scperformer.waveforms.cutting import RECORD_S, trim
from scperformer.waveforms.inputs import (
    DayFile,
    Days,
    ListLine,
    files_below,
    list_lines,
    names_existing_files,
)
from scperformer.waveforms.problems import InputProblem, Report, log_problem
from scperformer.waveforms.reading import read_merged
from scperformer.waveforms.selection import EVERYTHING, Chooser, Selection

MOST_OF_A_KIND = 10
"""So many files of a folder are named that have the same fault; the others are counted."""


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
        self, *, record_s: float = RECORD_S, report: Report = log_problem, told: Span = EVER
    ) -> Iterator[Record]:
        """Yield the records of all components, merged in the order of their start times.

        They are cut on the clock, where the time passes a multiple of `record_s`, so
        that the components come in turns. Samples keep their dtype (int32, float32 or
        float64); duplicates are handed on as they are. A block of 2 MiB, or a whole
        file of another format, is unpacked at a time from each file that overlaps.

        Args:
            record_s: longest record, in seconds.
            report: hears of damage that was not known when the archive was indexed.
            told: of damage to what begins elsewhere nothing is reported, but that a file could
                not be read.
        """
        records = read_merged(
            self.files, span=self.span, record_s=record_s, report=report, told=told
        )
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


NOTHING = ArchiveIndex((), (), MappingProxyType({}), frozenset(), None)


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
    indexer = _Indexer(span, selection)
    for path in inputs:
        indexer.add_input(Path(path))
    sensors: dict[SensorId, list[ChannelFile]] = defaultdict(list)
    for file in indexer.files:
        sensors[file.seed_id.sensor_id].append(file)
    groups = [_group(sensor, files, span) for sensor, files in sorted(sensors.items())]
    groups += indexer.lines
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


class _Indexer:
    """Takes inputs one after the other; nothing raises.

    Attributes:
        files: channels of files and folders, each file once.
        lines: groups of list files.
        chooser: knows what the selection left out.
        covered: first and last time of what the selection wants, None if it is nothing.
    """

    def __init__(self, span: Span, selection: Selection) -> None:
        self.files: list[ChannelFile] = []
        self.lines: list[ArchiveGroup] = []
        self.chooser = Chooser(selection)
        self.covered: tuple[int, int] | None = None
        self._span = span
        self._days = Days.of(span.start_ns, span.end_ns)
        self._problems: dict[InputProblem, None] = {}
        self._of_a_kind: Counter[tuple[Path, str]] = Counter()
        self._known: dict[Path, FileContents] = {}
        self._taken: set[str] = set()

    def problems(self) -> list[InputProblem]:
        more = [
            InputProblem(folder, f"{count - MOST_OF_A_KIND} more files: {what}", "")
            for (folder, what), count in self._of_a_kind.items()
            if count > MOST_OF_A_KIND
        ]
        return [*self._problems, *more]

    def add_input(self, path: Path) -> None:
        """Take a file, a folder, an SDS root or a list file."""
        if os.path.isdir(path):
            self._add_folder(path)
        elif (lines := self._list_of(path)) is not None:
            for line in lines:
                self._add_line(path, line)
        else:
            self._take(path, self._look(path))

    def note_names(self, folder: Path) -> None:
        """Note the days that an SDS root's names cover, of all years: for want of data."""
        if not os.path.isdir(folder):
            return
        always = Days.of(None, None)
        for _, day_file in files_below(folder, days=always, report=self._tell):
            if day_file is not None and self.chooser.takes(day_file.seed_id, None):
                self._cover(*day_file.span_ns)

    def _tell(self, problem: InputProblem) -> None:
        self._problems.setdefault(problem)

    def _tell_of_many(self, folder: Path, problem: InputProblem) -> None:
        """Tell what is wrong with a file that was found, unless many have the same fault."""
        self._of_a_kind[folder, problem.what] += 1
        if self._of_a_kind[folder, problem.what] <= MOST_OF_A_KIND:
            self._tell(problem)

    def _add_folder(self, folder: Path) -> None:
        for path, day_file in files_below(folder, days=self._days, report=self._tell):
            if day_file is not None and not self._may_be_wanted(day_file):
                continue
            contents = look_into(path, named=False)
            if contents.is_waveforms:
                self._take(path, self._of_day(contents, day_file) if day_file else contents)
            else:
                for problem in contents.problems:
                    self._tell_of_many(folder, problem)

    def _may_be_wanted(self, file: DayFile) -> bool:
        """Judge a day file by its name; what it says is noted."""
        if not self.chooser.takes(file.seed_id, None):
            return False
        if self._days.has(file):
            return True
        self._cover(*file.span_ns)
        return False

    def _of_day(self, contents: FileContents, day_file: DayFile) -> FileContents:
        """Leave out, and tell, what lies more than a day away from the day in a file's name."""
        start_ns, end_ns = day_file.span_ns
        near = Span(2 * start_ns - end_ns, 2 * end_ns - start_ns)
        own = tuple(one for one in contents.channels if near.touches(one.start_ns, one.end_ns))
        if len(own) == len(contents.channels):
            return contents
        problems = [one for one in contents.problems if not one.is_note]
        for file in contents.channels:
            if file not in own:
                what = f"{file.seed_id} from {format_time(file.start_ns)} to "
                what += f"{format_time(file.end_ns)} left out"
                problems.append(InputProblem(file.path, what, f"samples of {day_file.day}"))
        return replace(contents, channels=own, problems=tuple(problems))

    def _list_of(self, path: Path) -> list[ListLine] | None:
        """Read a file as a list file; None if it is none, or cannot be read."""
        try:
            if not path.is_file() or path.stat().st_size == 0 or mseed.is_mseed(path):
                return None
            lines = list_lines(path)
        except (OSError, ValueError):
            return None
        return lines if lines is not None and names_existing_files(lines) else None

    def _add_line(self, list_path: Path, line: ListLine) -> None:
        sensors: dict[SensorId, list[ChannelFile]] = defaultdict(list)
        for path in dict.fromkeys(line.paths):
            for file in self._asked_for(self._look(path)):
                sensors[file.seed_id.sensor_id].append(file)
        for sensor, files in sensors.items():
            apart = _times_apart(files)
            if apart:
                what = f"line {line.number}: the components of {sensor} do not overlap: {apart}"
                self._tell(InputProblem(list_path, what, "files of one time span on a line"))
            elif wanted := [file for file in files if self._is_in_time(file)]:
                origin = f"{list_path}:{line.number}"
                self.lines.append(_group(sensor, wanted, self._span, origin))

    def _take(self, path: Path, contents: FileContents) -> None:
        asked_for = self._asked_for(contents)
        if asked_for and (real := os.path.realpath(path)) not in self._taken:
            self._taken.add(real)
            self.files += [file for file in asked_for if self._is_in_time(file)]

    def _look(self, path: Path) -> FileContents:
        """Look into a file that was named."""
        if path not in self._known:
            self._known[path] = look_into(path, named=True)
        return self._known[path]

    def _asked_for(self, contents: FileContents) -> list[ChannelFile]:
        """Choose the channels that are asked for; tell what is wrong with their file."""
        chosen = [
            file
            for file in contents.channels
            if self.chooser.takes(file.seed_id, file.sampling_rate_hz)
        ]
        for file in chosen:
            self._cover(file.start_ns, file.end_ns)
        if chosen or not contents.channels:
            for problem in contents.problems:
                self._tell(problem)
        return chosen

    def _is_in_time(self, file: ChannelFile) -> bool:
        return self._span.touches(file.start_ns, file.end_ns)

    def _cover(self, start_ns: int, end_ns: int) -> None:
        first, last = self.covered or (start_ns, end_ns)
        self.covered = min(first, start_ns), max(last, end_ns)


def _times_apart(files: Sequence[ChannelFile]) -> str:
    """Say which times the components cover if they share none; empty if they do."""
    spans: dict[SeedId, tuple[int, int]] = {}
    for file in files:
        start, end = spans.get(file.seed_id, (file.start_ns, file.end_ns))
        spans[file.seed_id] = min(start, file.start_ns), max(end, file.end_ns)
    if max(start for start, _ in spans.values()) < min(end for _, end in spans.values()):
        return ""
    return ", ".join(
        f"{seed_id.channel} {_minute(start)} to {_minute(end)}"
        for seed_id, (start, end) in sorted(spans.items())
    )


def _minute(time_ns: int) -> str:
    return format_time(time_ns, "%Y-%m-%dT%H:%M:%S")
