"""The records, picks and files of windows that a configuration names, ready for training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.labels import Arrivals, place_labels
from scperformer.datasets.marks import MarkedRecord, mark_records
from scperformer.datasets.records import StationRecord
from scperformer.datasets.splits import HoldOut, Split, split_records
from scperformer.datasets.window_dataset import WindowDataset
from scperformer.datasets.window_file import TRAIN, VALIDATION, Use, WindowFile
from scperformer.datasets.windows import WindowBank
from scperformer.errors import ConfigurationError, InputError
from scperformer.training.config import DataFolder, TrainingConfig, WindowFileSection
from scperformer.training.folders import load_data_folder
from scperformer.types import CLASSES, SAMPLING_RATE_HZ, Pick

LOGGER = logging.getLogger(__name__)

Report = Callable[[str], None]


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
    split, labels, held_out, folder_counts = _load_folders(config, report)
    datasets, file_counts = _open_files(config, report)
    for use, records in ((TRAIN, split.training), (VALIDATION, split.validation)):
        if not records and datasets[use] is None:
            raise ConfigurationError(
                f"{config.path}: nothing is left for {'training' if use == TRAIN else 'validation'}"
                "; change hold_out, use or validation.share, or add data"
            )
    training = WindowBank(split.training, datasets[TRAIN])
    validation = WindowBank(split.validation, datasets[VALIDATION])
    return TrainingData(
        training,
        place_labels(training, labels),
        validation,
        place_labels(validation, labels),
        tuple(held_out),
        (*folder_counts, *file_counts),
    )


def _load_folders(
    config: TrainingConfig, report: Report
) -> tuple[Split, list[Pick], list[MarkedRecord], list[dict[str, Any]]]:
    records: list[StationRecord] = []
    labels: list[Pick] = []
    tables_of: dict[str, list[list[Pick]]] = {}
    names = _names(config.data)
    for name, folder in zip(names, config.data, strict=True):
        found, tables = load_data_folder(folder, source=name, threshold=folder.pick_probability)
        picks = [label for table in tables for label in table]
        report(f"{name}: {len(found)} records, {_hours(found):.1f} h, {len(picks)} picks")
        tables_of[name] = tables
        records += found
        labels += picks
    rules = {name: HoldOut(f.hold_out) for name, f in zip(names, config.data, strict=True)}
    split = split_records(records, rules, share=config.validation.share, seed=config.training.seed)
    counts = [
        {
            "folder": name,
            **_use("training", split.training, name),
            **_use("validation", split.validation, name),
            **_use("unused", split.unused, name),
        }
        for name in names
    ]
    held_out = [
        item
        for name, folder in zip(names, config.data, strict=True)
        for item in mark_records(
            [record for record in split.validation if record.source == name],
            tables_of[name],
            folder.pick_probability,
        )
    ]
    return split, labels, held_out, counts


def _open_files(
    config: TrainingConfig, report: Report
) -> tuple[dict[int, WindowDataset | None], list[dict[str, Any]]]:
    """Open the files of windows; return those of each use, and what of each file is used."""
    share, seed = config.validation.share, config.training.seed
    files, items = _usable_files(config.windows_file)
    uses = [
        file.uses(Use(item.use), share=share, seed=seed)
        for file, item in zip(files, items, strict=True)
    ]
    counts = []
    for file, item, column in zip(files, items, uses, strict=True):
        counts.append(_file_counts(file, Use(item.use), column))
        report(
            f"{file.path.name}: {counts[-1]['training_windows']} windows for training, "
            f"{counts[-1]['validation_windows']} for validation; split: {counts[-1]['split']}"
        )
    datasets: dict[int, WindowDataset | None] = {}
    for use in (TRAIN, VALIDATION):
        chosen = [i for i, column in enumerate(uses) if np.any(column == use)]
        datasets[use] = (
            WindowDataset([files[i] for i in chosen], [uses[i] for i in chosen], use)
            if chosen
            else None
        )
    return datasets, counts


def _usable_files(
    named: Sequence[WindowFileSection],
) -> tuple[list[WindowFile], list[WindowFileSection]]:
    """Open files of windows; one that cannot be used is named in the log and left out."""
    files, items = [], []
    for item in named:
        try:
            files.append(WindowFile.open(item.path))
            items.append(item)
        except InputError as error:
            LOGGER.warning("the file is left out: %s", error)
    return files, items


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


def describe_picks(picks: Arrivals) -> str:
    """Return the numbers of P and S picks in words."""
    return ", ".join(f"{int((picks.classes == n).sum())} {CLASSES[n]}" for n in range(2))


def _names(folders: Sequence[DataFolder]) -> list[str]:
    """Return short names of the folders: their own, with the parent's in front."""
    names = [f"{f.folder.resolve().parent.name}/{f.folder.resolve().name}" for f in folders]
    if len(set(names)) < len(names):
        raise ConfigurationError("two [[data]] folders have the same name; give each once")
    return names


def _use(use: str, records: Sequence[StationRecord], source: str) -> dict[str, Any]:
    mine = [record for record in records if record.source == source]
    return {f"{use}_records": len(mine), f"{use}_hours": round(_hours(mine), 2)}


def _hours(records: Sequence[StationRecord]) -> float:
    return sum(len(record.samples) for record in records) / SAMPLING_RATE_HZ / 3600.0
