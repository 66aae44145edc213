"""Going through the inputs: which files hold what is asked for."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scperformer.types import SeedId, SensorId, format_time
from scperformer.waveforms import mseed
from scperformer.waveforms.contents import FileContents, look_into
from scperformer.waveforms.folders import files_below
from scperformer.waveforms.listfile import ListLine, list_lines, names_existing_files
from scperformer.waveforms.problems import InputProblem
from scperformer.waveforms.reading import ChannelFile, Span
from scperformer.waveforms.sds import DayFile, Days
from scperformer.waveforms.selection import Chooser, Selection

MOST_OF_A_KIND = 10
"""So many files of a folder are named that have the same fault; the others are counted."""


@dataclass(frozen=True, slots=True)
class LineFiles:
    """The files of one sensor that stand on one line of a list file.

    Attributes:
        sensor_id: the sensor.
        files: its channels.
        origin: "LIST:LINE".
    """

    sensor_id: SensorId
    files: tuple[ChannelFile, ...]
    origin: str


class Indexer:
    """Takes inputs one after the other; nothing raises.

    Args:
        span: time that is asked for.
        selection: channels that are asked for.

    Attributes:
        files: channels of files and folders, each file once.
        lines: of list files.
        chooser: knows what the selection left out.
        covered: first and last time of what the selection wants, None if it is nothing.
    """

    def __init__(self, span: Span, selection: Selection) -> None:
        self.files: list[ChannelFile] = []
        self.lines: list[LineFiles] = []
        self.chooser = Chooser(selection)
        self.covered: tuple[int, int] | None = None
        self._span = span
        self._days = Days.of(span.start_ns, span.end_ns)
        self._problems: dict[InputProblem, None] = {}
        self._of_a_kind: Counter[tuple[Path, str]] = Counter()
        self._known: dict[Path, FileContents] = {}
        self._taken: set[str] = set()

    def problems(self) -> list[InputProblem]:
        """Return what is wrong with the inputs."""
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
                self._take(path, contents)
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
                self.lines.append(LineFiles(sensor, tuple(wanted), f"{list_path}:{line.number}"))

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
