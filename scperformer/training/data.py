"""The records, picks and files of windows that a configuration names, ready for training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scperformer.config import DEFAULT_FILTER
from scperformer.datasets.labels import (
    Arrivals,
    MarkedRecord,
    mark_records,
    place_labels,
    read_labels,
)
from scperformer.datasets.records import StationRecord, load_folder
from scperformer.datasets.seisbench_files import is_data_set
from scperformer.datasets.seisbench_records import load_data_set
from scperformer.datasets.splits import TRAIN, VALIDATION, HoldOut, hold_out
from scperformer.datasets.window_dataset import WindowDataset
from scperformer.datasets.window_file import Use, WindowFile
from scperformer.datasets.windows import WindowBank
from scperformer.errors import ConfigurationError, InputError
from scperformer.training.config import DataFolder, TrainingConfig
from scperformer.types import CLASSES, SAMPLING_RATE_HZ, Pick

if TYPE_CHECKING:
    from scperformer.training.loop import Report

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRecords:
    """Records to learn from, and records held out, with their picks.

    Attributes:
        training: records to learn from.
        validation: records held out.
        labels: all picks.
        counts: for each folder, what of it is used for what.
    """

    training: tuple[MarkedRecord, ...]
    validation: tuple[MarkedRecord, ...]
    labels: tuple[Pick, ...]
    counts: tuple[dict[str, Any], ...]


def load_records(
    folders: Sequence[DataFolder],
    *,
    share: float,
    seed: int,
    report: Report,
    doubtful: float | None = None,
    filter_id: str = DEFAULT_FILTER,
) -> TrainingRecords:
    """Load folders of records and data sets with their picks, and hold some records out.

    What a data set's own table says of arrivals is believed, as the first table of a folder.

    A folder that cannot be used is named in the log and left out as a whole: records
    whose picks are unknown would teach that nothing arrived.

    Args:
        folders: as configured.
        share: of each folder's hours, held out.
        seed: decides which records are held out.
        report: takes a line a folder.
        doubtful: probability from which picks count as doubtful; None to leave out what is
            less probable than a folder's picks are to be.
        filter_id: filter that the records go through.

    Raises:
        ConfigurationError: two folders of the same name.
    """
    named = {folder.name: folder for folder in folders}
    if len(named) < len(folders):
        raise ConfigurationError("two [[data]] folders have the same name; give each once")
    marked: list[MarkedRecord] = []
    labels: list[Pick] = []
    for name, folder in named.items():
        least = folder.pick_probability if doubtful is None else doubtful
        try:
            tables = [read_labels(folder.folder / picks, threshold=least) for picks in folder.picks]
            records = _records(folder.folder, tables, source=name, filter_id=filter_id)
        except InputError as error:
            LOGGER.warning("%s: the folder is left out: %s", name, error)
            continue
        found = mark_records(records, tables, folder.pick_probability)
        report(f"{name}: {_describe(found)}")
        marked += found
        labels += [label for table in tables for label in table]
    rules = {name: HoldOut(folder.hold_out) for name, folder in named.items()}
    split = hold_out([item.record for item in marked], rules, share=share, seed=seed)
    used = {id(item.record): item for item in marked}
    counts = tuple(
        {
            "folder": name,
            **_use("training", split.training, name),
            **_use("validation", split.validation, name),
            **_use("unused", split.unused, name),
        }
        for name in named
    )
    return TrainingRecords(
        tuple(used[id(record)] for record in split.training),
        tuple(used[id(record)] for record in split.validation),
        tuple(labels),
        counts,
    )


def _records(
    folder: Path, tables: list[list[Pick]], *, source: str, filter_id: str
) -> list[StationRecord]:
    """Load a folder; the arrivals of a data set become the first of the tables."""
    if not is_data_set(folder):
        return load_folder(folder, source=source, filter_id=filter_id)
    found = load_data_set(folder, source=source, filter_id=filter_id)
    tables.insert(0, found.picks)
    return found.records


def by_folder(records: Sequence[MarkedRecord]) -> list[list[MarkedRecord]]:
    """Return records folder by folder."""
    folders: dict[str, list[MarkedRecord]] = {}
    for item in records:
        folders.setdefault(item.record.source, []).append(item)
    return list(folders.values())


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """What to learn from, and what is held out.

    Attributes:
        training: records and windows of files to learn from.
        training_picks: picks in these records.
        validation: records and windows of files held out.
        validation_picks: picks in these records.
        held_out: the records held out with their picks.
        counts: for each folder and each file, what of it is used for what.
    """

    training: WindowBank
    training_picks: Arrivals
    validation: WindowBank
    validation_picks: Arrivals
    held_out: tuple[MarkedRecord, ...]
    counts: tuple[dict[str, Any], ...]


def load_data(config: TrainingConfig, report: Report) -> TrainingData:
    """Load all folders and open all files of a configuration.

    Raises:
        ConfigurationError: nothing is left for training or for validation.
    """
    share, seed = config.validation.share, config.training.seed
    records = load_records(config.data, share=share, seed=seed, report=report)
    datasets, file_counts = _open_files(config, report)
    banks = []
    for use, name, part in (
        (TRAIN, "training", records.training),
        (VALIDATION, "validation", records.validation),
    ):
        if not part and datasets[use] is None:
            raise ConfigurationError(
                f"{config.path}: nothing is left for {name}; "
                "change hold_out, use or validation.share, or add data"
            )
        banks.append(WindowBank([item.record for item in part], datasets[use]))
    training, validation = banks
    return TrainingData(
        training,
        place_labels(training, records.labels),
        validation,
        place_labels(validation, records.labels),
        records.validation,
        (*records.counts, *file_counts),
    )


def _open_files(
    config: TrainingConfig, report: Report
) -> tuple[dict[int, WindowDataset | None], list[dict[str, Any]]]:
    """Open the files of windows; return those of each use, and what of each file is used.

    One that cannot be used is named in the log and left out.
    """
    files, uses, counts = [], [], []
    for item in config.windows_file:
        try:
            file = WindowFile.open(item.path)
        except InputError as error:
            LOGGER.warning("the file is left out: %s", error)
            continue
        use = Use(item.use)
        column = file.uses(use, share=config.validation.share, seed=config.training.seed)
        files.append(file)
        uses.append(column)
        counts.append(_file_counts(file, use, column))
        report(
            f"{file.path.name}: {counts[-1]['training_windows']} windows for training, "
            f"{counts[-1]['validation_windows']} for validation; split: {counts[-1]['split']}"
        )
    datasets: dict[int, WindowDataset | None] = {}
    for number in (TRAIN, VALIDATION):
        chosen = [i for i, column in enumerate(uses) if np.any(column == number)]
        mine = [files[i] for i in chosen], [uses[i] for i in chosen]
        datasets[number] = WindowDataset(*mine, number) if chosen else None
    return datasets, counts


def _file_counts(file: WindowFile, use: Use, column: NDArray[np.int8]) -> dict[str, Any]:
    if use is not Use.SPLIT:
        split = f"all for {use}"
    elif file.split is not None:
        split = "the file's own"
    else:
        split = "none in the file; contiguous stretches of it are held out"
    labels = {
        f"{name}_{phase}": int(np.sum((column == number) & (file.labels == label)))
        for name, number in (("training", TRAIN), ("validation", VALIDATION))
        for label, phase in enumerate(CLASSES)
    }
    return {
        "file": file.path.name,
        "split": split,
        "training_windows": int(np.sum(column == TRAIN)),
        "validation_windows": int(np.sum(column == VALIDATION)),
        "unused_windows": int(np.sum((column != TRAIN) & (column != VALIDATION))),
        **labels,
    }


def describe_phases(classes: NDArray[np.int64]) -> str:
    """Return the numbers of P and S among classes in words."""
    return ", ".join(f"{int((classes == n).sum())} {CLASSES[n]}" for n in range(2))


def describe_marks(records: Sequence[MarkedRecord]) -> str:
    """Return the numbers of P and S picks that are believed in words."""
    phases = [item.marks.phase[item.marks.sure] for item in records]
    return describe_phases(np.concatenate(phases or [np.empty(0, np.int64)]))


def _describe(items: Sequence[MarkedRecord]) -> str:
    hours = _hours([item.record for item in items])
    doubtful = sum(int((~item.marks.sure).sum()) for item in items)
    return f"{len(items)} records, {hours:.1f} h, {describe_marks(items)}, {doubtful} doubtful"


def _use(use: str, records: Sequence[StationRecord], source: str) -> dict[str, Any]:
    mine = [record for record in records if record.source == source]
    return {f"{use}_records": len(mine), f"{use}_hours": round(_hours(mine), 2)}


def _hours(records: Sequence[StationRecord]) -> float:
    return sum(len(record.samples) for record in records) / SAMPLING_RATE_HZ / 3600.0
