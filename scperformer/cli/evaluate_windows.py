"""`evaluate` on files of windows."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import scperformer
from scperformer.atomic import AtomicFile
from scperformer.cli import EXIT_OK
from scperformer.cli.evaluate import has_pictures
from scperformer.cli.loading import NamedModel, load_models
from scperformer.core.batching import UNHURRIED
from scperformer.datasets.splits import SPLITS
from scperformer.datasets.window_file import WindowFile
from scperformer.errors import ConfigurationError, InputError
from scperformer.evaluation.plots import draw_window_report
from scperformer.evaluation.report import plain, to_text
from scperformer.evaluation.window_report import (
    MOST_MODELS,
    JointTally,
    WindowTally,
    compare,
    window_report,
    window_values,
)
from scperformer.networks.windows import classify_windows

CSV_HEADER = ("Y_true", "Y_pred", "Y_score")
_TEST = "test"
_ALL = "all"
_RECORD_OPTIONS = ("picks", "labels", "stations")


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """A file and the windows of it that count, (n,) bool."""

    file: WindowFile
    chosen: NDArray[np.bool_]
    split: str

    @property
    def truth(self) -> NDArray[np.int64]:
        return self.file.labels[self.chosen].astype(np.int64)

    def parts(self, size: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
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
    tallies, joint = _count(sources, models, options)
    draws = joint.draws(options.draws, seed=options.seed) if options.draws else None
    values = {
        "program": f"scperformer {scperformer.__version__}",
        "form": "windows",
        "pictures": has_pictures(options),
        "settings": {"draws": options.draws, "seed": options.seed},
        "data": [
            {
                "file": str(source.file.path),
                "split": source.split,
                "windows": len(source.truth),
                "classes": np.bincount(source.truth, minlength=3),
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
        "differences": compare([named.name for named in models], draws),
    }
    report = window_report(plain(values))
    report.write(options.out, draw_window_report)
    print(to_text(report))
    print(f"\n{options.out / 'report.md'}")
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


@contextmanager
def _table(path: Path) -> Iterator[Any]:
    """Give a writer of the original program's CSV: what was true, what was answered, how sure."""
    with (
        AtomicFile(path, parents=True) as output,
        output.hidden.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_HEADER)
        yield writer


def _count(
    sources: Sequence[_Source], models: Sequence[NamedModel], options: argparse.Namespace
) -> tuple[list[WindowTally], JointTally]:
    size = getattr(options, "batch_size", UNHURRIED["batch_size"])
    tallies = [WindowTally() for _ in models]
    joint = JointTally(len(models))
    total = sum(int(source.chosen.sum()) for source in sources)
    with ExitStack() as stack:
        paths = [options.out / f"windows_{named.name}.csv" for named in models]
        tables = [stack.enter_context(_table(path)) for path in paths]
        bar = stack.enter_context(tqdm(total=total, unit=" windows", leave=False, disable=None))
        for windows, truth in (part for source in sources for part in source.parts(size)):
            answers = np.empty((len(windows), len(models)), np.int64)
            for column, named in enumerate(models):
                probabilities = classify_windows(named.model.classifier, windows)
                tallies[column].add(probabilities, truth)
                answers[:, column] = probabilities.argmax(axis=1)
                scores = [f"{score:.7g}" for score in probabilities.max(axis=1)]
                rows = zip(truth.tolist(), answers[:, column].tolist(), scores, strict=True)
                tables[column].writerows(rows)
            joint.add(truth, answers)
            bar.update(len(windows))
    return tallies, joint
