"""Waveforms with labels, to be scored: record files, or a continuous archive.

If the label file has a column ``file`` whose files lie beside it, every file is a
stream of its own, as an operator's cut would be. Otherwise labels are put into the
folder's sensors by station and time, and each sensor is one stream.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scperformer.errors import InputError
from scperformer.evaluation.pick_tables import (
    COMPONENT_STRATA,
    PHASES,
    POLARITIES,
    Cells,
    LabelTable,
    PickTable,
    Stream,
    block_of,
)
from scperformer.picks.pick_files import read_pick_file, record_files
from scperformer.types import NS_PER_S, Pick, SeedId
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
        n_lost_labels: labels that lie in no stream.
    """

    cells: Cells
    waveforms: tuple[ArchiveGroup, ...]
    labels: LabelTable
    label_events: tuple[str, ...]
    folders: dict[str, Path]
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
    report: Report,
) -> EvaluationSet:
    """Read the labels of folders and look through their waveforms.

    Args:
        folders: with waveforms and, without `labels`, one of `LABEL_FILES`.
        labels: label files for all folders, instead of their own if there are any.
        report: hears of files that are missing or damaged.

    Raises:
        InputError: no such folder, no labels, or labels that cannot be read.
    """
    named = _names(folders)
    streams: list[Stream] = []
    waveforms: list[ArchiveGroup] = []
    rows: list[tuple[int, Pick]] = []
    n_lost = 0
    for name, folder in named.items():
        files = list(labels) or [_own_labels(folder)]
        stated = [pick for path in files for pick in read_pick_file(path)]
        records = [file for path in files for file in record_files(path)]
        own = _found(folder, name, records, report)
        if not own:
            raise InputError(f"{folder}: no waveforms that can be used; wanted miniSEED files")
        found = [stream for stream, _ in own]
        finder = _Finder(found)
        placed = [(number, pick) for pick in stated for number in finder.find(pick)]
        n_lost += len(stated) - len({id(pick) for _, pick in placed})
        rows += [(number + len(streams), pick) for number, pick in placed]
        streams += _with_events(found, placed)
        waveforms += [group for _, group in own]
    table = LabelTable.from_rows(
        [
            (number, PHASES.index(pick.phase), pick.time_ns, POLARITIES.index(pick.polarity))
            for number, pick in rows
        ]
    )
    events = tuple(pick.event for _, pick in rows)
    return EvaluationSet(Cells.of(streams), tuple(waveforms), table, events, named, n_lost)


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
        seconds: dict[SeedId, float] = defaultdict(float)
        first: dict[SeedId, float] = {}
        live: set[SeedId] = set()
        blocks: set[int] = set()
        for record in group.records(report=report):
            seed_id, samples = record.seed_id, record.samples
            if len(samples):
                seconds[seed_id] += len(samples) / record.sampling_rate_hz
                blocks.update(range(block_of(record.start_ns), block_of(record.end_ns - 1) + 1))
                level = first.setdefault(seed_id, float(samples[0]))
                if seed_id not in live and np.any(samples != level):
                    live.add(seed_id)
        stream = Stream(
            name=inputs[0].name if is_record else str(group.sensor_id),
            folder=name,
            sensor_id=group.sensor_id,
            start_ns=group.start_ns,
            end_ns=max(group.end_ns, group.start_ns + 1),
            duration_s=max(seconds.values(), default=0.0),
            n_components=min(len(live), 3),
            is_record=is_record,
            blocks=() if is_record else tuple(sorted(blocks)),
        )
        yield stream, group


class _Finder:
    """Finds the streams that a pick belongs to."""

    def __init__(self, streams: Iterable[Stream]) -> None:
        self._by_station: dict[str, list[tuple[int, Stream]]] = defaultdict(list)
        self._names: set[str] = set()
        for number, stream in enumerate(streams):
            self._by_station[stream.station].append((number, stream))
            self._names.add(stream.name)

    def find(self, pick: Pick) -> list[int]:
        own = [
            (number, stream)
            for number, stream in self._by_station.get(pick.station, ())
            if pick.belongs_to(stream.sensor_id)
        ]
        if pick.file in self._names:
            own = [(number, stream) for number, stream in own if stream.name == pick.file]
        return [
            number
            for number, stream in own
            if stream.start_ns - NS_PER_S <= pick.time_ns < stream.end_ns + NS_PER_S
        ]


def _with_events(streams: Sequence[Stream], placed: Iterable[tuple[int, Pick]]) -> list[Stream]:
    """Note in each record's stream the first earthquake that is labelled there."""
    events: dict[int, str] = {}
    for number, pick in placed:
        if pick.event:
            events.setdefault(number, pick.event)
    return [
        replace(stream, event=events.get(number, "")) if stream.is_record else stream
        for number, stream in enumerate(streams)
    ]
