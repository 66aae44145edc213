"""`evaluate` on records: the whole pipeline, and pick files beside it."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import scperformer
from scperformer.atomic import write_bytes
from scperformer.cli.evaluate import has_pictures
from scperformer.cli.evaluate_models import NamedModel, load_models, split_name, unique_name
from scperformer.cli.options import parse_threshold, settings_from_options
from scperformer.config import Settings
from scperformer.core.batching import UNHURRIED
from scperformer.core.sensors import effective_filter
from scperformer.evaluation import network_support
from scperformer.evaluation.bootstrap import Bootstrap
from scperformer.evaluation.pick_plots import (
    plot_precision_recall,
    plot_reliability,
    plot_residuals,
)
from scperformer.evaluation.pick_report import markdown, summary
from scperformer.evaluation.pick_results import (
    Entry,
    compare_entries,
    data_table,
    entry_values,
    found_arrivals,
    plain,
)
from scperformer.evaluation.pick_scores import PickScores, recommended_limits, score_picks
from scperformer.evaluation.pick_tables import PHASES, Mask, PickTable, join_picks
from scperformer.evaluation.picking import PickedStreams, pick_streams
from scperformer.evaluation.sets import STATION_FILE, EvaluationSet, read_sets
from scperformer.picks.pick_files import read_pick_file, write_picks
from scperformer.waveforms.problems import InputProblem

EXIT_OK, EXIT_SOME_FAILED, EXIT_NOTHING_DONE = 0, 1, 2

Recommended = Mapping[int, tuple[float, float]]


def evaluate_picks(options: argparse.Namespace) -> int:
    """Score models and pick files on folders of records; return the exit status.

    Raises:
        ConfigurationError: options that are not usable.
        InputError: folders, labels or picks that cannot be used.
        ModelError: a model cannot be loaded.
        OutputError: the report cannot be written.
    """
    return _Evaluation(options).run()


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A picker that has picked."""

    name: str
    source: str
    picks: PickTable
    recommended: Recommended | None
    sha256: str = ""
    run: PickedStreams | None = None


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
        candidates = [self._pick(data, named) for named in models]
        taken = {candidate.name for candidate in candidates}
        for name, (sources, picks) in stated.items():
            candidates.append(_Candidate(unique_name(name, taken), sources, picks, None))
        bootstrap = (
            Bootstrap(data.cells.n_groups, draws=options.draws, seed=options.seed)
            if options.draws
            else None
        )
        entries = [self._score(data, one, positions, bootstrap) for one in candidates]
        report = plain(self._values(data, entries))
        self._write(data, candidates, report)
        print(summary(report))
        print(f"\n{options.out / 'report.md'}")
        return self._status(entries)

    def _pick(self, data: EvaluationSet, named: NamedModel) -> _Candidate:
        units = len(data.units)
        with tqdm(total=units, desc=named.name, leave=False, disable=None) as bar:
            picked = pick_streams(
                data,
                named.model,
                settings=self._settings,
                floor=self._options.floor,
                report=self._report,
                progress=lambda done: bar.update(done - bar.n),
            )
        return _Candidate(
            named.name,
            named.source,
            picked.table,
            self._recommended(named),
            named.model.classifier.sha256,
            picked,
        )

    def _recommended(self, named: NamedModel) -> Recommended:
        """The card's thresholds, or those of --threshold."""
        thresholds = named.model.thresholds
        if self._options.threshold is not None:
            given = parse_threshold(self._options.threshold)
            thresholds = thresholds.replace(given.get("threshold_p"), given.get("threshold_s"))
        return thresholds.by_components

    def _read_pick_files(self, data: EvaluationSet) -> dict[str, tuple[str, PickTable]]:
        tables: dict[str, list[PickTable]] = defaultdict(list)
        sources: dict[str, list[str]] = defaultdict(list)
        for text in self._options.picks:
            name, file = split_name(text)
            path = Path(file)
            name = name or path.stem
            tables[name].append(data.place(read_pick_file(path), origin=path))
            sources[name].append(file)
        return {name: (", ".join(sources[name]), join_picks(tables[name])) for name in tables}

    def _positions(self, data: EvaluationSet) -> network_support.Positions:
        beside = [folder / STATION_FILE for folder in data.folders.values()]
        files = self._options.stations or [path for path in beside if path.is_file()]
        positions: dict[str, tuple[float, float]] = {}
        for path in files:
            positions |= network_support.read_positions(path)
        return positions

    def _score(
        self,
        data: EvaluationSet,
        one: _Candidate,
        positions: network_support.Positions,
        bootstrap: Bootstrap | None,
    ) -> Entry:
        options = self._options
        scores = score_picks(
            data.cells,
            data.labels,
            one.picks,
            recommended=one.recommended,
            tolerance_s=options.tolerance,
            label_span_s=options.label_span,
            bootstrap=bootstrap,
        )
        kept = {"recommended": _advised(one), "best": _at_best(one.picks, scores)}
        continuous = any(not stream.is_record for stream in data.cells.streams)
        support = {
            kind: network_support.network_support(data.cells, one.picks.take(keep), positions)
            for kind, keep in kept.items()
            if positions and continuous
        }
        found = found_arrivals(data, one.picks, kept["recommended"], tolerance_s=options.tolerance)
        return Entry(
            name=one.name,
            source=one.source,
            sha256=one.sha256,
            thresholds=one.recommended,
            picks=one.picks,
            scores=scores,
            elapsed_s=None if one.run is None else one.run.elapsed_s,
            n_idle=0 if one.run is None else one.run.n_idle,
            support=support,
            found=found,
            empty_folders=[
                name
                for name in data.folders
                if not any(data.cells.streams[i].folder == name for i in one.picks.stream)
            ],
        )

    def _values(self, data: EvaluationSet, entries: Sequence[Entry]) -> dict[str, Any]:
        options = self._options
        return {
            "program": f"scperformer {scperformer.__version__}",
            "form": "records",
            "pictures": has_pictures(options),
            "settings": {
                "tolerance_s": options.tolerance,
                "label_span_s": options.label_span,
                "floor": options.floor,
                "draws": options.draws,
                "seed": options.seed,
                "within_km": network_support.NEIGHBOUR_KM,
                "speed_km_s": network_support.SPEED_KM_S,
                "slack_s": network_support.SLACK_S,
                "picker": {
                    name: getattr(self._settings, name)
                    for name in type(self._settings).__dataclass_fields__
                },
            },
            "data": data_table(data),
            "bootstrap_groups": data.cells.n_groups,
            "labels_outside": data.n_lost_labels,
            "problems": [str(problem) for problem in self._problems],
            "pickers": [entry_values(entry) for entry in entries],
            "differences": compare_entries(entries),
        }

    def _write(
        self, data: EvaluationSet, candidates: Sequence[_Candidate], report: dict[str, Any]
    ) -> None:
        folder: Path = self._options.out
        for one in candidates:
            if one.run is not None:
                streams = [data.cells.streams[number] for number in one.picks.stream]
                names = [stream.name if stream.is_record else "" for stream in streams]
                write_picks(folder / f"picks_{one.name}.csv", names, one.run.picks)
        text = json.dumps(report, indent=1, allow_nan=False)
        write_bytes(folder / "report.json", text.encode())
        write_bytes(folder / "report.md", markdown(report).encode())
        if report["pictures"]:
            plot_precision_recall(folder / "precision_recall.png", report)
            plot_residuals(folder / "residuals.png", report)
            plot_reliability(folder / "reliability.png", report)

    def _report(self, problem: InputProblem) -> None:
        if problem not in self._problems:
            self._problems[problem] = None
            tqdm.write(f"scperformer evaluate: {problem}", file=sys.stderr)

    def _status(self, entries: Sequence[Entry]) -> int:
        idle = any(entry.n_idle for entry in entries)
        return EXIT_SOME_FAILED if self._problems or idle else EXIT_OK


def _advised(one: _Candidate) -> Mask:
    """Which picks reach the recommended thresholds."""
    keep = np.ones(len(one.picks), dtype=np.bool_)
    for number in range(len(PHASES)):
        own = one.picks.phase == number
        picks = one.picks.take(own)
        keep[own] = picks.probability >= recommended_limits(picks, one.recommended, number)
    return keep


def _at_best(picks: PickTable, scores: PickScores) -> Mask:
    """Which picks reach the best thresholds of all streams; none without labels."""
    keep = np.zeros(len(picks), dtype=np.bool_)
    for number, phase in enumerate(PHASES):
        best = scores["all"][str(phase)].best
        if best is not None and best.threshold is not None:
            keep |= (picks.phase == number) & (picks.probability >= best.threshold)
    return keep
