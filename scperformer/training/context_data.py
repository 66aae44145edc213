"""Records and picks for a training on whole records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scperformer.errors import ConfigurationError
from scperformer.training.config import DataFolder
from scperformer.training.context_config import ContextConfig
from scperformer.training.data import Report
from scperformer.training.labels import Label, read_labels
from scperformer.training.records import StationRecord, load_folder
from scperformer.training.sequences import MarkedRecord, Marks
from scperformer.training.splits import HoldApart, split_records
from scperformer.types import CLASSES, SAMPLE_NS, SAMPLING_RATE_HZ

_SAME_PICK_SAMPLES = 50


@dataclass(frozen=True, slots=True, eq=False)
class ContextData:
    """Records to learn from, and records held apart, folder by folder.

    Attributes:
        training: folders of records.
        validation: the same folders' records held apart; empty folders are left out.
        counts: for each folder, what of it is used for what.
    """

    training: tuple[tuple[MarkedRecord, ...], ...]
    validation: tuple[tuple[MarkedRecord, ...], ...]
    counts: tuple[dict[str, Any], ...]


def load_context_data(config: ContextConfig, report: Report) -> ContextData:
    """Load all folders of a configuration.

    The picks of a folder's first file are believed from `pick_probability` on; weaker
    ones, and picks of further files that the first does not have, are doubtful.

    Raises:
        InputError: a folder or a table that cannot be used.
        ConfigurationError: nothing is left for training.
    """
    names = [f"{f.folder.resolve().parent.name}/{f.folder.resolve().name}" for f in config.data]
    records: list[StationRecord] = []
    marked: dict[int, MarkedRecord] = {}
    for name, folder in zip(names, config.data, strict=True):
        found = load_folder(folder.folder, source=name)
        for item in _mark(found, folder, config.context.doubtful_probability):
            marked[id(item.record)] = item
        records += found
        report(f"{name}: {_describe([marked[id(record)] for record in found])}")
    rules = {name: HoldApart(f.hold_apart) for name, f in zip(names, config.data, strict=True)}
    split = split_records(
        records, rules, share=config.context.validation_share, seed=config.context.seed
    )
    if not split.training:
        raise ConfigurationError(f"{config.path}: no record is left for training")

    def folders(part: Sequence[StationRecord]) -> tuple[tuple[MarkedRecord, ...], ...]:
        groups = (tuple(marked[id(r)] for r in part if r.source == name) for name in names)
        return tuple(group for group in groups if group)

    counts = tuple(
        {
            "folder": name,
            **_use("training", split.training, name),
            **_use("validation", split.validation, name),
            **_use("unused", split.unused, name),
        }
        for name in names
    )
    return ContextData(folders(split.training), folders(split.validation), counts)


def describe_marks(folders: Sequence[Sequence[MarkedRecord]]) -> str:
    """Return the numbers of P and S picks in words."""
    phases = [item.marks.phase[item.marks.sure] for folder in folders for item in folder]
    joined = np.concatenate(phases or [np.empty(0, np.int64)])
    return ", ".join(f"{int((joined == n).sum())} {CLASSES[n]}" for n in range(2))


def _mark(
    records: Sequence[StationRecord], folder: DataFolder, doubtful_probability: float
) -> list[MarkedRecord]:
    first, *others = [
        read_labels(folder.folder / table, threshold=doubtful_probability) for table in folder.picks
    ] or [[]]
    believed, further = _by_station(first), _by_station([p for part in others for p in part])
    return [
        MarkedRecord(
            record,
            _marks(
                record,
                believed[record.station],
                further[record.station],
                folder.pick_probability,
            ),
        )
        for record in records
    ]


def _by_station(labels: Sequence[Label]) -> defaultdict[str, list[Label]]:
    table: defaultdict[str, list[Label]] = defaultdict(list)
    for label in labels:
        table[label.station].append(label)
    return table


def _marks(
    record: StationRecord, believed: Sequence[Label], further: Sequence[Label], least: float
) -> Marks:
    rows = [(*place, label.probability >= least) for label, place in _inside(record, believed)]
    known = list(rows)
    for _, (sample, phase) in _inside(record, further):
        same = [abs(sample - s) < _SAME_PICK_SAMPLES for s, p, _ in known if p == phase]
        if not any(same):
            rows.append((sample, phase, False))
    rows.sort()
    samples, phases, sure = zip(*rows, strict=True) if rows else ((), (), ())
    return Marks(
        np.array(samples, dtype=np.float64),
        np.array(phases, dtype=np.int64),
        np.array(sure, dtype=bool),
    )


def _inside(
    record: StationRecord, labels: Sequence[Label]
) -> list[tuple[Label, tuple[float, int]]]:
    return [
        (label, ((label.time_ns - record.start_ns) / SAMPLE_NS, CLASSES.index(label.phase)))
        for label in labels
        if record.start_ns <= label.time_ns < record.end_ns
    ]


def _describe(items: Sequence[MarkedRecord]) -> str:
    hours = sum(len(item.record.samples) for item in items) / SAMPLING_RATE_HZ / 3600.0
    doubtful = sum(int((~item.marks.sure).sum()) for item in items)
    picks = describe_marks([items])
    return f"{len(items)} records, {hours:.1f} h, {picks}, {doubtful} doubtful"


def _use(use: str, records: Sequence[StationRecord], source: str) -> dict[str, Any]:
    mine = [record for record in records if record.source == source]
    hours = sum(len(record.samples) for record in mine) / SAMPLING_RATE_HZ / 3600.0
    return {f"{use}_records": len(mine), f"{use}_hours": round(hours, 2)}
