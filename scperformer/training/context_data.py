"""Records and picks for a training on whole records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scperformer.datasets.marks import MarkedRecord, mark_records
from scperformer.datasets.records import StationRecord
from scperformer.datasets.splits import HoldOut, split_records
from scperformer.errors import ConfigurationError
from scperformer.training.context_config import ContextConfig
from scperformer.training.data import Report
from scperformer.training.folders import load_data_folder
from scperformer.types import CLASSES, SAMPLING_RATE_HZ


@dataclass(frozen=True, slots=True, eq=False)
class ContextData:
    """Records to learn from, and records held out, folder by folder.

    Attributes:
        training: folders of records.
        validation: the same folders' records held out; empty folders are left out.
        counts: for each folder, what of it is used for what.
    """

    training: tuple[tuple[MarkedRecord, ...], ...]
    validation: tuple[tuple[MarkedRecord, ...], ...]
    counts: tuple[dict[str, Any], ...]


def load_context_data(config: ContextConfig, report: Report) -> ContextData:
    """Load all folders of a configuration.

    What of the picks is believed says `mark_records`.

    Raises:
        ConfigurationError: nothing is left for training.
    """
    names = [f"{f.folder.resolve().parent.name}/{f.folder.resolve().name}" for f in config.data]
    records: list[StationRecord] = []
    marked: dict[int, MarkedRecord] = {}
    for name, folder in zip(names, config.data, strict=True):
        least = config.context.doubtful_probability
        found, tables = load_data_folder(folder, source=name, threshold=least)
        for item in mark_records(found, tables, folder.pick_probability):
            marked[id(item.record)] = item
        records += found
        report(f"{name}: {_describe([marked[id(record)] for record in found])}")
    rules = {name: HoldOut(f.hold_out) for name, f in zip(names, config.data, strict=True)}
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


def _describe(items: Sequence[MarkedRecord]) -> str:
    hours = sum(len(item.record.samples) for item in items) / SAMPLING_RATE_HZ / 3600.0
    doubtful = sum(int((~item.marks.sure).sum()) for item in items)
    picks = describe_marks([items])
    return f"{len(items)} records, {hours:.1f} h, {picks}, {doubtful} doubtful"


def _use(use: str, records: Sequence[StationRecord], source: str) -> dict[str, Any]:
    mine = [record for record in records if record.source == source]
    hours = sum(len(record.samples) for record in mine) / SAMPLING_RATE_HZ / 3600.0
    return {f"{use}_records": len(mine), f"{use}_hours": round(hours, 2)}
