"""`evaluate` on records: the whole pipeline, and pick files beside it."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

import scperformer
from scperformer.cli import EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.evaluate import has_pictures
from scperformer.cli.loading import NamedModel, load_models, split_name, unique_name
from scperformer.cli.options import parse_threshold, settings_from_options
from scperformer.config import Settings
from scperformer.core.batching import UNHURRIED
from scperformer.core.sensors import effective_filter
from scperformer.evaluation import network_support
from scperformer.evaluation.pick_report import (
    Picker,
    compare,
    data_values,
    pick_report,
    picker_values,
)
from scperformer.evaluation.pick_scores import score_picks
from scperformer.evaluation.pick_tables import PickTable, join_picks
from scperformer.evaluation.picking import pick_streams
from scperformer.evaluation.plots import draw_pick_report
from scperformer.evaluation.report import plain, to_text
from scperformer.evaluation.sets import STATION_FILE, EvaluationSet, read_sets
from scperformer.evaluation.statistics import Bootstrap
from scperformer.picks.pick_files import read_pick_file, write_picks
from scperformer.waveforms.problems import InputProblem


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
        data = read_sets(options.inputs, labels=options.labels, report=self._report)
        positions = self._positions(data)
        stated = self._read_pick_files(data)
        models = load_models(options)
        pickers = [self._pick(data, named) for named in models]
        taken = {picker.name for picker in pickers}
        pickers += [Picker(unique_name(name, taken), *own) for name, own in stated.items()]
        report = pick_report(plain(self._values(data, pickers, positions)))
        report.write(options.out, draw_pick_report)
        print(to_text(report))
        print(f"\n{options.out / 'report.md'}")
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
            "pictures": has_pictures(options),
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
            "differences": compare(scores),
        }

    def _report(self, problem: InputProblem) -> None:
        if problem not in self._problems:
            self._problems[problem] = None
            tqdm.write(f"scperformer evaluate: {problem}", file=sys.stderr)
