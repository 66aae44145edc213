"""`evaluate` on files of windows."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import scperformer
from scperformer.atomic import AtomicFile, write_bytes
from scperformer.cli.evaluate import has_pictures
from scperformer.cli.evaluate_models import NamedModel, load_models
from scperformer.core.batching import UNHURRIED
from scperformer.datasets.window_file import SPLITS, WindowFile
from scperformer.errors import ConfigurationError, InputError
from scperformer.evaluation import window_plots as plots
from scperformer.evaluation.bootstrap import interval
from scperformer.evaluation.pick_results import plain
from scperformer.evaluation.window_metrics import (
    MOST_MODELS,
    JointTally,
    WindowTally,
    confusion_statistics,
)
from scperformer.evaluation.window_report import markdown, summary, window_values
from scperformer.networks.windows import classify_windows

EXIT_OK = 0
CSV_HEADER = ("Y_true", "Y_pred", "Y_score")
_TEST = "test"
_ALL = "all"
_RECORD_OPTIONS = ("picks", "labels", "stations")

Part = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """A file and the windows of it that count, (n,) bool."""

    file: WindowFile
    chosen: NDArray[np.bool_]
    split: str

    def parts(self, size: int) -> Iterator[Part]:
        for first in range(0, len(self.file), size):
            own = self.chosen[first : first + size]
            if own.any():
                windows = self.file.read(first, first + size)[own]
                yield windows, self.file.labels[first : first + size][own].astype(np.int64)


def evaluate_windows(options: argparse.Namespace) -> int:
    """Score models on files of windows with classes; return the exit status.

    Raises:
        ConfigurationError: options that are not usable.
        InputError: a file cannot be used.
        ModelError: a model cannot be loaded, or fails.
        OutputError: the report cannot be written.
    """
    needless = [f"--{name}" for name in _RECORD_OPTIONS if getattr(options, name)]
    if needless:
        raise ConfigurationError(f"{', '.join(needless)}: no meaning with files of windows")
    sources = [_open(path, options.split) for path in options.inputs]
    models = load_models(options)
    if len(models) > MOST_MODELS:
        raise ConfigurationError(f"{len(models)} models at once; wanted at most {MOST_MODELS}")
    size = getattr(options, "batch_size", UNHURRIED["batch_size"])
    with ExitStack() as stack:
        tables = [stack.enter_context(_Table(options.out, named.name)) for named in models]
        tallies, joint = _count(sources, models, tables, size)
    report = plain(_values(options, sources, models, tallies, joint))
    folder: Path = options.out
    write_bytes(folder / "report.json", json.dumps(report, indent=1, allow_nan=False).encode())
    write_bytes(folder / "report.md", markdown(report).encode())
    if report["pictures"]:
        plots.plot_curves(folder / "precision_recall.png", report)
        plots.plot_reliability(folder / "reliability.png", report)
        plots.plot_confusion(folder / "confusion.png", report)
    print(summary(report))
    print(f"\n{folder / 'report.md'}")
    return EXIT_OK


def _open(path: Path, split: str | None) -> _Source:
    """Open a file; of one with splits the test windows count, unless another is asked for."""
    file = WindowFile.open(path)
    every = np.ones(len(file), dtype=np.bool_)
    if file.split is None:
        if split not in (None, _ALL):
            raise InputError(f"{path}: no dataset split, so no {split} windows; say --split all")
        return _Source(file, every, _ALL)
    wanted = split or (_TEST if (file.split == SPLITS.index(_TEST)).any() else _ALL)
    chosen = every if wanted == _ALL else file.split == SPLITS.index(wanted)
    if not chosen.any():
        raise InputError(f"{path}: no {wanted} windows in it; say --split all")
    return _Source(file, chosen, wanted)


class _Table:
    """The original program's CSV: what was true, what was answered, how sure that was."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"windows_{name}.csv"
        self._stack = ExitStack()

    def __enter__(self) -> _Table:
        output = self._stack.enter_context(AtomicFile(self._path, parents=True))
        text = output.hidden.open("w", newline="", encoding="utf-8")
        file: TextIO = self._stack.enter_context(text)
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(CSV_HEADER)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def add(self, truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> None:
        answers = probabilities.argmax(axis=1)
        scores = probabilities.max(axis=1)
        self._writer.writerows(
            (int(true), int(answer), f"{score:.7g}")
            for true, answer, score in zip(truth, answers, scores, strict=True)
        )


def _count(
    sources: Sequence[_Source], models: Sequence[NamedModel], tables: Sequence[_Table], size: int
) -> tuple[list[WindowTally], JointTally]:
    tallies = [WindowTally() for _ in models]
    joint = JointTally(len(models))
    total = sum(int(source.chosen.sum()) for source in sources)
    with tqdm(total=total, unit=" windows", leave=False, disable=None) as bar:
        for source in sources:
            for windows, truth in source.parts(size):
                answers = np.empty((len(windows), len(models)), np.int64)
                for column, named in enumerate(models):
                    probabilities = classify_windows(named.model.classifier, windows)
                    tallies[column].add(probabilities, truth)
                    tables[column].add(truth, probabilities)
                    answers[:, column] = probabilities.argmax(axis=1)
                joint.add(truth, answers)
                bar.update(len(windows))
    return tallies, joint


def _values(
    options: argparse.Namespace,
    sources: Sequence[_Source],
    models: Sequence[NamedModel],
    tallies: Sequence[WindowTally],
    joint: JointTally,
) -> dict[str, Any]:
    draws = joint.draws(options.draws, seed=options.seed) if options.draws else None
    return {
        "program": f"scperformer {scperformer.__version__}",
        "form": "windows",
        "pictures": has_pictures(options),
        "settings": {"draws": options.draws, "seed": options.seed},
        "data": [
            {
                "file": str(source.file.path),
                "split": source.split,
                "windows": int(source.chosen.sum()),
                "classes": np.bincount(
                    source.file.labels[source.chosen].astype(np.int64), minlength=3
                ).tolist(),
            }
            for source in sources
        ],
        "models": [
            {
                "name": named.name,
                "source": named.source,
                "sha256": named.model.classifier.sha256,
                **window_values(tally, None if draws is None else draws[:, column]),
            }
            for column, (named, tally) in enumerate(zip(models, tallies, strict=True))
        ],
        "differences": _differences(models, draws),
    }


def _differences(
    models: Sequence[NamedModel], draws: NDArray[np.int64] | None
) -> list[dict[str, Any]]:
    if draws is None:
        return []
    drawn = confusion_statistics(draws)
    rows = []
    for one in range(len(models)):
        for other in range(one + 1, len(models)):
            row: dict[str, Any] = {"models": [models[one].name, models[other].name]}
            for name in ("accuracy", "macro_f1"):
                row[name] = interval(drawn[name][:, one] - drawn[name][:, other])
            rows.append(row)
    return rows
