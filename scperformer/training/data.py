"""The records and picks that a configuration names, ready for training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scperformer.errors import ConfigurationError
from scperformer.training.config import DataFolder, TrainingConfig
from scperformer.training.labels import Arrivals, Label, place_labels, read_labels
from scperformer.training.records import StationRecord, load_folder
from scperformer.training.splits import HoldApart, split_records
from scperformer.training.windows import WindowBank
from scperformer.types import CLASSES, SAMPLING_RATE_HZ

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """Records to learn from, and records held apart.

    Attributes:
        training: records to learn from.
        training_picks: picks in them.
        validation: records held apart.
        validation_picks: picks in them.
        counts: for each folder, what of it is used for what.
    """

    training: WindowBank
    training_picks: Arrivals
    validation: WindowBank
    validation_picks: Arrivals
    counts: tuple[dict[str, Any], ...]


def load_data(config: TrainingConfig, report: Report) -> TrainingData:
    """Load all folders of a configuration.

    Raises:
        InputError: a folder or a table that cannot be used.
        ConfigurationError: nothing is left for training or for validation.
    """
    records: list[StationRecord] = []
    labels: list[Label] = []
    names = _names(config.data)
    for name, folder in zip(names, config.data, strict=True):
        found = load_folder(folder.folder, source=name)
        picks = [
            label
            for table in folder.picks
            for label in read_labels(folder.folder / table, threshold=folder.pick_probability)
        ]
        report(f"{name}: {len(found)} records, {_hours(found):.1f} h, {len(picks)} picks")
        records += found
        labels += picks
    rules = {name: HoldApart(f.hold_apart) for name, f in zip(names, config.data, strict=True)}
    split = split_records(records, rules, share=config.validation.share, seed=config.training.seed)
    if not split.training or not split.validation:
        missing = "training" if not split.training else "validation"
        raise ConfigurationError(
            f"{config.path}: no record is left for {missing}; change hold_apart or "
            "validation.share, or add folders"
        )
    counts = tuple(
        {
            "folder": name,
            **_use("training", split.training, name),
            **_use("validation", split.validation, name),
            **_use("unused", split.unused, name),
        }
        for name in names
    )
    training, validation = WindowBank(split.training), WindowBank(split.validation)
    return TrainingData(
        training,
        place_labels(training, labels),
        validation,
        place_labels(validation, labels),
        counts,
    )


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
