"""Waveforms with labels, to be scored: record files, or a continuous archive.

If the label file has a column ``file`` whose files lie beside it, every file is a
stream of its own, as an operator's cut would be. Otherwise labels are put into the
folder's sensors by station and time, and each sensor is one stream. Of a data set in
SeisBench's layout each trace is a stream, and its table has the labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from scperformer.datasets.seisbench_files import SeisBenchData, is_data_set
from scperformer.datasets.splits import split_to_score
from scperformer.errors import InputError
from scperformer.evaluation.pick_tables import (
    COMPONENT_STRATA,
    PHASES,
    POLARITIES,
    Cells,
    LabelTable,
    PickTable,
    Stream,
)
from scperformer.evaluation.streams import Waveforms, look_through
from scperformer.evaluation.traces import read_traces
from scperformer.picks.pick_files import read_pick_file, record_files
from scperformer.types import NS_PER_S, Pick
from scperformer.waveforms.archive import ArchiveGroup, index_inputs
from scperformer.waveforms.problems import InputProblem, Report

LABEL_FILES = ("picks.csv", "picks_automatic.csv", "labels.csv")
STATION_FILE = "stations.xml"


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationSet:
    """Streams of one or more folders, and the labels in them.

    Attributes:
        cells: the streams.
        waveforms: of each stream.
        labels: the arrivals.
        label_events: event of each label, empty where it is not known.
        folders: path of each folder by its name.
        splits: the part of each that counts, by its name: ``all``, or one of `SPLITS`.
        n_lost_labels: labels that lie in no stream.
    """

    cells: Cells
    waveforms: tuple[Waveforms, ...]
    labels: LabelTable
    label_events: tuple[str, ...]
    folders: dict[str, Path]
    splits: dict[str, str]
    n_lost_labels: int

    def place(self, picks: Sequence[Pick], *, origin: Path | None = None) -> PickTable:
        """Put the picks of a file into the streams.

        A pick counts in every stream of its station that covers its time, or only in
        those of its record file, if it names one. Picks elsewhere are left out.

        Args:
            picks: of one file.
            origin: where they were read; if that is in one of the folders, they count
                there only.
        """
        inside = origin.resolve().parent if origin is not None else None
        home = {name for name, path in self.folders.items() if path.resolve() == inside}
        finder = _Finder(self.cells.streams)
        rows = [
            (number, pick)
            for pick in picks
            for number in finder.find(pick)
            if not home or self.cells.streams[number].folder in home
        ]
        return PickTable.of([number for number, _ in rows], [pick for _, pick in rows])


def read_sets(
    folders: Sequence[Path],
    *,
    labels: Sequence[Path],
    split: str | None,
    stack: ExitStack,
    report: Report,
) -> EvaluationSet:
    """Read the labels of folders and look through their waveforms.

    Args:
        folders: with waveforms and, without `labels`, one of `LABEL_FILES`; or data sets.
        labels: label files for all folders, instead of their own if there are any.
        split: the part of data sets that counts, see `split_to_score`.
        stack: keeps data sets open, until it is closed.
        report: hears of files that are missing or damaged.

    Raises:
        InputError: no such folder, no labels or no such part, or labels that cannot be read.
    """
    named = _names(folders)
    streams: list[Stream] = []
    waveforms: list[Waveforms] = []
    rows: list[tuple[int, Pick]] = []
    splits: dict[str, str] = {}
    n_lost = 0
    for name, folder in named.items():
        if is_data_set(folder):
            data = stack.enter_context(SeisBenchData(folder))
            part = _from_traces(data, name, labels, split, report)
        else:
            part = _from_folder(folder, name, labels, split, report)
        found = [stream for stream, _ in part.streams]
        finder = _Finder(found)
        placed = [(number, pick) for pick in part.stated for number in finder.find(pick)]
        n_lost += part.n_lost + len(part.stated) - len({id(pick) for _, pick in placed})
        rows += [(number + len(streams), pick) for number, pick in placed]
        streams += _with_events(found, placed)
        waveforms += [own for _, own in part.streams]
        splits[name] = part.split
    table = LabelTable.from_rows(
        [
            (number, PHASES.index(pick.phase), pick.time_ns, POLARITIES.index(pick.polarity))
            for number, pick in rows
        ]
    )
    events = tuple(pick.event for _, pick in rows)
    cells = Cells.of(streams)
    return EvaluationSet(cells, tuple(waveforms), table, events, named, splits, n_lost)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What one folder has: its streams, what is stated of arrivals, what of that is lost."""

    streams: Sequence[tuple[Stream, Waveforms]]
    stated: list[Pick]
    n_lost: int
    split: str


def _from_traces(
    data: SeisBenchData, name: str, labels: Sequence[Path], split: str | None, report: Report
) -> _Part:
    traces = read_traces(data, name=name, split=split, report=report)
    if not traces.streams:
        raise InputError(f"{data.folder}: none of its traces can be used")
    if labels:
        return _Part(traces.streams, _stated(labels), 0, traces.split)
    return _Part(traces.streams, traces.picks, traces.n_lost, traces.split)


def _from_folder(
    folder: Path, name: str, labels: Sequence[Path], split: str | None, report: Report
) -> _Part:
    chosen = split_to_score((), split, path=folder, what="records")
    files = list(labels) or [_own_labels(folder)]
    records = [file for path in files for file in record_files(path)]
    streams = _found(folder, name, records, report)
    if not streams:
        raise InputError(f"{folder}: no waveforms that can be used; wanted miniSEED files")
    return _Part(streams, _stated(files), 0, chosen)


def _stated(files: Iterable[Path]) -> list[Pick]:
    return [pick for path in files for pick in read_pick_file(path)]


def _names(folders: Sequence[Path]) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; wanted one with waveforms and labels")
        name = folder.resolve().name
        name = f"{name}/" if name in COMPONENT_STRATA else name
        named[str(folder) if name in named else name] = folder
    return named


def _own_labels(folder: Path) -> Path:
    for name in LABEL_FILES:
        if (folder / name).is_file():
            return folder / name
    wanted = ", ".join(LABEL_FILES)
    raise InputError(f"{folder}: no labels there; wanted {wanted}, or name a file with --labels")


def _found(
    folder: Path, name: str, records: Sequence[str], report: Report
) -> list[tuple[Stream, ArchiveGroup]]:
    """Find the streams: of each record file if there are any, else of each sensor."""
    present = [file for file in records if (folder / file).is_file()]
    if not present:
        return list(_looked_through([folder], folder, name, report))
    for file in records:
        if file not in set(present):
            report(InputProblem(folder / file, "no such file", "the record that labels name"))
    return [
        own for file in present for own in _looked_through([folder / file], folder, name, report)
    ]


def _looked_through(
    inputs: Sequence[Path], folder: Path, name: str, report: Report
) -> Iterator[tuple[Stream, ArchiveGroup]]:
    is_record = list(inputs) != [folder]
    index = index_inputs(inputs)
    for problem in index.problems:
        report(problem)
    for group in index.groups:
        stream = look_through(
            group.records(report=report),
            name=inputs[0].name if is_record else str(group.sensor_id),
            folder=name,
            sensor_id=group.sensor_id,
            span_ns=(group.start_ns, group.end_ns),
            is_record=is_record,
        )
        yield stream, group


class _Finder:
    """Finds the streams that a pick belongs to."""

    def __init__(self, streams: Iterable[Stream]) -> None:
        self._by_station: dict[str, list[tuple[int, Stream]]] = defaultdict(list)
        self._by_name: dict[str, list[tuple[int, Stream]]] = defaultdict(list)
        for number, stream in enumerate(streams):
            self._by_station[stream.station].append((number, stream))
            self._by_name[stream.name].append((number, stream))

    def find(self, pick: Pick) -> list[int]:
        by_name = self._by_name.get(pick.file)
        return [
            number
            for number, stream in by_name or self._by_station.get(pick.station, [])
            if pick.belongs_to(stream.sensor_id)
            and stream.start_ns - NS_PER_S <= pick.time_ns < stream.end_ns + NS_PER_S
        ]


def _with_events(streams: Sequence[Stream], placed: Iterable[tuple[int, Pick]]) -> list[Stream]:
    """Note in each record's stream the first earthquake that is labelled there."""
    events: dict[int, str] = {}
    for number, pick in placed:
        if pick.event:
            events.setdefault(number, pick.event)
    return [
        replace(stream, event=events.get(number, stream.event)) if stream.is_record else stream
        for number, stream in enumerate(streams)
    ]
