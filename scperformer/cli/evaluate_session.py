"""What `scperformer evaluate` does: records through the pipeline, or files of windows."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

import scperformer
from scperformer.atomic import AtomicFile
from scperformer.cli import EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.loading import NamedModel, load_models, split_name, unique_name
from scperformer.cli.options import settings_from_options
from scperformer.config import UNHURRIED, Settings, parse_threshold
from scperformer.core.inference import classify_windows
from scperformer.core.sensors import effective_filter
from scperformer.datasets.splits import ALL_SPLITS, SPLITS, split_to_score
from scperformer.datasets.window_file import WindowFile
from scperformer.errors import ConfigurationError, InputError
from scperformer.evaluation import network_support
from scperformer.evaluation.pick_report import (
    Picker,
    data_values,
    pick_report,
    picker_values,
)
from scperformer.evaluation.pick_report import (
    compare as compare_pickers,
)
from scperformer.evaluation.pick_scores import score_picks
from scperformer.evaluation.pick_tables import PickTable, join_picks
from scperformer.evaluation.picking import pick_streams
from scperformer.evaluation.plots import draw_pick_report, draw_window_report
from scperformer.evaluation.report import Report, Values, plain, to_text
from scperformer.evaluation.sets import STATION_FILE, EvaluationSet, read_sets
from scperformer.evaluation.statistics import Bootstrap
from scperformer.evaluation.window_report import (
    MOST_MODELS,
    JointTally,
    WindowTally,
    window_report,
    window_values,
)
from scperformer.evaluation.window_report import compare as compare_models
from scperformer.networks.registry import WINDOW_MODEL
from scperformer.picks.pick_files import read_pick_file, write_picks
from scperformer.waveforms.problems import InputProblem

CSV_HEADER = ("Y_true", "Y_pred", "Y_score")
_RECORD_OPTIONS = ("picks", "labels", "stations")


def evaluate_picks(options: argparse.Namespace) -> int:
    """Score models and pick files on folders of records; return the exit status.

    Raises:
        ConfigurationError: options that are not usable.
        InputError: folders, labels or picks that cannot be used.
        ModelError: a model cannot be loaded.
        OutputError: the report cannot be written.
    """
    return _Evaluation(options).run()


class _Evaluation:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._settings: Settings = settings_from_options(options, defaults=UNHURRIED)
        effective_filter(self._settings)
        self._problems: dict[InputProblem, None] = {}

    def run(self) -> int:
        options = self._options
        with ExitStack() as stack:
            data = read_sets(
                options.inputs,
                labels=options.labels,
                split=options.split,
                stack=stack,
                report=self._report,
            )
            for name, split in data.splits.items():
                if split != ALL_SPLITS and options.split is None:
                    text = f"{name}: its {split} traces count; --split all for all of them"
                    print(f"scperformer evaluate: {text}", file=sys.stderr)
            return self._score(data)

    def _score(self, data: EvaluationSet) -> int:
        options = self._options
        positions = self._positions(data)
        stated = self._read_pick_files(data)
        models = load_models(options)
        pickers = [self._pick(data, named) for named in models]
        taken = {picker.name for picker in pickers}
        pickers += [Picker(unique_name(name, taken), *own) for name, own in stated.items()]
        report = pick_report(plain(self._values(data, pickers, positions)))
        _publish(report, options.out, draw_pick_report)
        idle = any(picker.n_idle for picker in pickers)
        return EXIT_SOME_FAILED if self._problems or idle else EXIT_OK

    def _pick(self, data: EvaluationSet, named: NamedModel) -> Picker:
        """Let a model pick, and write its picks down."""
        with tqdm(total=len(data.waveforms), desc=named.name, leave=False, disable=None) as bar:
            picked = pick_streams(
                data,
                named.model,
                self._settings,
                floor=self._options.floor,
                report=self._report,
                progress=lambda done: bar.update(done - bar.n),
            )
        streams = [data.cells.streams[number] for number in picked.table.stream]
        names = [stream.name if stream.is_record else "" for stream in streams]
        write_picks(self._options.out / f"picks_{named.name}.csv", names, picked.picks)
        thresholds = named.model.thresholds
        if self._options.threshold is not None:
            given = parse_threshold(self._options.threshold)
            thresholds = thresholds.replace(given.get("threshold_p"), given.get("threshold_s"))
        return Picker(
            named.name,
            named.source,
            picked.table,
            thresholds.by_components,
            named.model.classifier.sha256,
            picked.elapsed_s,
            picked.n_idle,
        )

    def _read_pick_files(self, data: EvaluationSet) -> dict[str, tuple[str, PickTable]]:
        """Return sources and picks of other pickers, by name."""
        files: dict[str, list[str]] = defaultdict(list)
        tables: dict[str, list[PickTable]] = defaultdict(list)
        for name, file in map(split_name, self._options.picks):
            path = Path(file)
            tables[name or path.stem].append(data.place(read_pick_file(path), origin=path))
            files[name or path.stem].append(file)
        return {name: (", ".join(files[name]), join_picks(own)) for name, own in tables.items()}

    def _positions(self, data: EvaluationSet) -> network_support.Positions:
        beside = [folder / STATION_FILE for folder in data.folders.values()]
        files = self._options.stations or [path for path in beside if path.is_file()]
        positions: dict[str, tuple[float, float]] = {}
        for path in files:
            positions |= network_support.read_positions(path)
        return positions

    def _values(
        self, data: EvaluationSet, pickers: list[Picker], positions: network_support.Positions
    ) -> dict[str, Any]:
        options = self._options
        n_groups = data.cells.n_groups
        draws = {"draws": options.draws, "seed": options.seed}
        bootstrap = Bootstrap(n_groups, **draws) if options.draws else None
        limits = {"tolerance_s": options.tolerance, "label_span_s": options.label_span}
        scores = {
            picker.name: score_picks(
                data.cells,
                data.labels,
                picker.picks,
                recommended=picker.recommended,
                bootstrap=bootstrap,
                **limits,
            )
            for picker in pickers
        }
        return {
            "program": f"scperformer {scperformer.__version__}",
            "form": "records",
            "pictures": _has_pictures(options),
            "settings": {
                **limits,
                "floor": options.floor,
                **draws,
                "within_km": network_support.NEIGHBOUR_KM,
                "speed_km_s": network_support.SPEED_KM_S,
                "slack_s": network_support.SLACK_S,
                "picker": asdict(self._settings),
            },
            "data": data_values(data),
            "bootstrap_groups": n_groups,
            "labels_outside": data.n_lost_labels,
            "problems": [str(problem) for problem in self._problems],
            "pickers": [
                picker_values(
                    data, picker, scores[picker.name], positions, tolerance_s=options.tolerance
                )
                for picker in pickers
            ],
            "differences": compare_pickers(scores),
        }

    def _report(self, problem: InputProblem) -> None:
        if problem not in self._problems:
            self._problems[problem] = None
            tqdm.write(f"scperformer evaluate: {problem}", file=sys.stderr)


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
    models = load_models(options, WINDOW_MODEL)
    if len(models) > MOST_MODELS:
        raise ConfigurationError(f"{len(models)} models at once; wanted at most {MOST_MODELS}")
    tallies, joint = _count(sources, models, options)
    draws = joint.draws(options.draws, seed=options.seed) if options.draws else None
    values = {
        "program": f"scperformer {scperformer.__version__}",
        "form": "windows",
        "pictures": _has_pictures(options),
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
        "differences": compare_models([named.name for named in models], draws),
    }
    report = window_report(plain(values))
    _publish(report, options.out, draw_window_report)
    return EXIT_OK


def _open(path: Path, split: str | None) -> _Source:
    """Open a file; of one with splits the test windows count, unless another is asked for."""
    file = WindowFile.open(path)
    found = () if file.split is None else {SPLITS[n] for n in np.unique(file.split) if n >= 0}
    wanted = split_to_score(found, split, path=path, what="windows")
    chosen = np.ones(len(file), dtype=np.bool_)
    if file.split is not None and wanted != ALL_SPLITS:
        chosen = file.split == SPLITS.index(wanted)
    if not chosen.any():
        raise InputError(f"{path}: no windows in it")
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
                probabilities = classify_windows(named.model.window_classifier, windows)
                tallies[column].add(probabilities, truth)
                answers[:, column] = probabilities.argmax(axis=1)
                scores = [f"{score:.7g}" for score in probabilities.max(axis=1)]
                rows = zip(truth.tolist(), answers[:, column].tolist(), scores, strict=True)
                tables[column].writerows(rows)
            joint.add(truth, answers)
            bar.update(len(windows))
    return tallies, joint


def _publish(report: Report, folder: Path, draw: Callable[[Path, Values], None]) -> None:
    report.write(folder, draw)
    print(to_text(report))
    print(f"\n{folder / 'report.md'}")


def _has_pictures(options: argparse.Namespace) -> bool:
    """Tell whether pictures are wanted and can be drawn; say so if they cannot."""
    if options.no_plots:
        return False
    found = importlib.util.find_spec("matplotlib") is not None
    if not found:
        print(
            "scperformer evaluate: no pictures: matplotlib is not installed; "
            "pip install scperformer[plot]",
            file=sys.stderr,
        )
    return found
