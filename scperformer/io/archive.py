"""Archives: what files, folders, SDS trees and list files hold, sensor by sensor."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scperformer.io import foreign, mseed
from scperformer.io.listfile import ListLine, list_lines, names_existing_files
from scperformer.io.pieces import PIECE_S, trim
from scperformer.io.problems import InputProblem, Report, log_problem, problem_from_os
from scperformer.io.reading import EVER, ChannelFile, Span, read_merged
from scperformer.io.sds import is_sds_root, sds_files
from scperformer.types import Record, SeedId, SensorId, format_time

_NO_WAVEFORMS = re.compile(
    r"\.(cfg|csv|gif|h5|hdf5|html?|ini|ipynb|jpe?g|jsonl?|log|md|np[yz]|pdf|png|ps|py|qml|quakeml"
    r"|rst|sc3ml|scml|sh|svg|toml|tsv|txt|xml|ya?ml)",
    re.IGNORECASE,
)
_WAVEFORMS = "a miniSEED file"


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
        self, *, piece_s: float = PIECE_S, report: Report = log_problem
    ) -> Iterator[Record]:
        """Yield the records of all components, merged in the order of their start times.

        They are cut on the clock, where the time passes a multiple of `piece_s`, so
        that the components come in turns. Samples keep their dtype (int32, float32 or
        float64); duplicates are handed on as they are. A block of 2 MiB, or a whole
        file of another format, is unpacked at a time from each file that overlaps.

        Args:
            piece_s: longest record, in seconds.
            report: hears of damage that was not known when the archive was indexed.
        """
        records = read_merged(self.files, span=self.span, piece_s=piece_s, report=report)
        yield from trim(records, start_ns=self.span.start_ns, end_ns=self.span.end_ns)


@dataclass(frozen=True, slots=True)
class ArchiveIndex:
    """What there is to scan, and what is wrong with the rest."""

    groups: tuple[ArchiveGroup, ...]
    problems: tuple[InputProblem, ...]


def index_inputs(
    inputs: Sequence[Path], *, start_ns: int | None = None, end_ns: int | None = None
) -> ArchiveIndex:
    """Find the sensors in waveform files, folders, SDS roots and list files.

    Files and folders together make a group for each sensor; a list file makes a group
    for each line and sensor. Nothing raises: what cannot be used becomes a problem.

    Args:
        inputs: files and folders.
        start_ns: first time of interest, None for all.
        end_ns: end of the time of interest, not included; None for all.
    """
    indexer = _Indexer(Span(start_ns, end_ns))
    for path in inputs:
        indexer.add_input(Path(path))
    return indexer.result()


class _Indexer:
    def __init__(self, span: Span) -> None:
        self._span = span
        self._files: dict[SensorId, list[ChannelFile]] = defaultdict(list)
        self._line_groups: list[ArchiveGroup] = []
        self._problems: dict[InputProblem, None] = {}
        self._known: dict[Path, list[ChannelFile]] = {}
        self._taken: set[Path] = set()

    def result(self) -> ArchiveIndex:
        groups = [self._group(sensor, files) for sensor, files in sorted(self._files.items())]
        return ArchiveIndex(tuple(groups + self._line_groups), tuple(self._problems))

    def add_input(self, path: Path) -> None:
        try:
            if path.is_dir():
                for file in self._folder_files(path):
                    self._take(file, self._look(file, named=False))
            elif (lines := self._list_of(path)) is not None:
                for line in lines:
                    self._add_line(path, line)
            else:
                self._take(path, self._look(path, named=True))
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL
            fault = error if isinstance(error, OSError) else OSError(str(error))
            self._tell(problem_from_os(path, fault))

    def _tell(self, problem: InputProblem) -> None:
        self._problems.setdefault(problem)

    def _folder_files(self, folder: Path) -> Iterator[Path]:
        if is_sds_root(folder):
            return sds_files(folder, start_ns=self._span.start_ns, end_ns=self._span.end_ns)
        return self._walk(folder)

    def _walk(self, folder: Path) -> Iterator[Path]:
        seen: set[str] = set()

        def unreadable(error: OSError) -> None:
            self._tell(problem_from_os(Path(error.filename or folder), error))

        for root, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
            if (real := os.path.realpath(root)) in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith(".") and not _NO_WAVEFORMS.fullmatch(Path(name).suffix):
                    yield Path(root, name)

    def _list_of(self, path: Path) -> list[ListLine] | None:
        """Read a file as a list file; None if it is none."""
        if path.stat().st_size == 0 or mseed.is_mseed(path):
            return None
        lines = list_lines(path)
        return lines if lines is not None and names_existing_files(lines) else None

    def _add_line(self, list_path: Path, line: ListLine) -> None:
        sensors: dict[SensorId, list[ChannelFile]] = defaultdict(list)
        for path in dict.fromkeys(line.paths):
            try:
                for file in self._look(path, named=True):
                    sensors[file.seed_id.sensor_id].append(file)
            except OSError as error:
                self._tell(problem_from_os(path, error))
        for sensor, files in sensors.items():
            apart = _times_apart(files)
            if apart:
                what = f"line {line.number}: the components of {sensor} do not overlap: {apart}"
                self._tell(InputProblem(list_path, what, "files of one time span on a line"))
            elif wanted := [file for file in files if self._is_wanted(file)]:
                origin = f"{list_path}:{line.number}"
                self._line_groups.append(self._group(sensor, wanted, origin))

    def _take(self, path: Path, files: list[ChannelFile]) -> None:
        real = Path(os.path.realpath(path))
        if real in self._taken:
            return
        self._taken.add(real)
        for file in files:
            if self._is_wanted(file):
                self._files[file.seed_id.sensor_id].append(file)

    def _is_wanted(self, file: ChannelFile) -> bool:
        return self._span.touches(file.start_ns, file.end_ns)

    def _group(
        self, sensor: SensorId, files: Iterable[ChannelFile], origin: str = ""
    ) -> ArchiveGroup:
        ordered = sorted(files, key=lambda file: (file.seed_id, file.start_ns, file.path))
        return ArchiveGroup(sensor, tuple(ordered), self._span, origin)

    def _look(self, path: Path, *, named: bool) -> list[ChannelFile]:
        if path not in self._known:
            self._known[path] = [
                file for file in self._channels(path, named=named) if self._has_code(file)
            ]
        return self._known[path]

    def _has_code(self, file: ChannelFile) -> bool:
        if not (file.seed_id.station and file.seed_id.channel):
            what = f"samples without station or channel code ({file.seed_id})"
            self._tell(InputProblem(file.path, what, "codes in the header"))
            return False
        return True

    def _channels(self, path: Path, *, named: bool) -> list[ChannelFile]:
        """Look into a file; one that was named by the user may be of any format."""
        if path.is_dir():
            self._tell(InputProblem(path, "a folder where a file belongs", _WAVEFORMS))
            return []
        if path.stat().st_size == 0:
            self._tell(InputProblem(path, "empty (0 bytes)", _WAVEFORMS))
            return []
        contents = mseed.look_into(path)
        if contents.is_mseed:
            if contents.problem is not None:
                self._tell(contents.problem)
            elif named and not contents.spans:
                self._tell(InputProblem(path, "no samples in it", "waveforms"))
            return _channel_files(path, contents.spans, True, contents.thorough)
        spans = foreign.look_into(path) if named else []
        if named and not spans:
            what = "not miniSEED, not known to obspy, and no list of files that exist"
            self._tell(InputProblem(path, what, "waveforms, or a list of waveform files"))
        elif not named:
            self._tell(InputProblem(path, "not miniSEED", f"{_WAVEFORMS}; name others one by one"))
        return _channel_files(path, spans, False, True)


def _channel_files(
    path: Path, spans: Iterable[mseed.ChannelSpan], is_mseed: bool, thorough: bool
) -> list[ChannelFile]:
    return [
        ChannelFile(
            path,
            span.seed_id,
            span.sampling_rate_hz,
            span.start_ns,
            span.end_ns,
            is_mseed,
            thorough,
        )
        for span in spans
    ]


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
