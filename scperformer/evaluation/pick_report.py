"""The report on an evaluation of picks: the values of report.json, and how they are shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from scperformer.evaluation import network_support as support
from scperformer.evaluation.matching import Counts, PhaseMatching
from scperformer.evaluation.pick_scores import (
    PhaseScore,
    PickScores,
    Point,
    Recommended,
    differences,
    recommended_limits,
)
from scperformer.evaluation.pick_tables import COMPONENT_STRATA, PHASES, Mask, PickTable
from scperformer.evaluation.report import Column, Picture, Report, Section, Table, Values
from scperformer.evaluation.sets import EvaluationSet
from scperformer.evaluation.statistics import FEWEST_JUDGED, FEWEST_SHOWN
from scperformer.types import format_time

KINDS = ("best", "recommended")
_COUNTED = (
    *("labels", "hits", "false", "unknown"),
    *("precision", "recall", "f1", "precision_strict", "f1_strict"),
)

_NOTES = """\
- A pick and a label of the same phase match within {tolerance_s:g} s, one to one, the nearest \
pair first.
- A missing label is unknown, not absent. *Precision* and *F1* count picks where the phase is \
labelled: in records with a label of that phase, and in continuous data within {label_span_s:g} s \
of one. *Strict* counts every unmatched pick as false.
- *best* is the threshold with the largest F1 on these very records, which flatters; \
*recommended* is what the model's card says (a pick file: all its picks).
- Intervals hold 95 % of {draws} bootstrap draws of {groups} groups: a record, the records of one \
earthquake, or five minutes of continuous data of all stations.
- Residuals are pick minus label."""

_RELIABILITY_NOTE = """\
Of the picks with a probability in a tenth of the range, as large a share should be right as their \
mean probability says. All picks down to {floor:g} count that precision counts: those where the \
phase is labelled. An arrival that nobody labelled there makes its pick a false one, so the true \
share may be larger. *Off by* is the largest distance of both in the tenths with {judged} picks or \
more; *mean distance* is over all picks. Intervals are those of a binomial share, 95 %."""

_SUPPORT_NOTE = """\
A pick is supported if another station within {within_km:g} km has a pick of any phase within the \
time that a wave of {speed_km_s:g} km/s needs between them, plus {slack_s:g} s."""

_DATA = (
    Column("data", "folder"),
    Column("form", "form"),
    Column("split", "split"),
    Column("streams", "streams", "d"),
    Column("three components", "components.3", "d"),
    Column("fewer", "fewer", "d"),
    Column("station-hours", "station_hours", ".2f"),
    *(Column(f"{phase} labels", f"labels.{phase}", "d") for phase in PHASES),
)
_PHASE = (Column("picker", "picker"), Column("phase", "phase"))
_SCORE = (Column("picker", "picker"), Column("components", "stratum"), Column("phase", "phase"))
_SUMMARY = (
    *_SCORE,
    Column("labels", "best.labels", "d"),
    Column("threshold", "best.threshold", "g"),
    Column("precision", "best.precision", ".3f"),
    Column("recall", "best.recall", ".3f"),
    Column("F1", "best.f1", ".3f"),
    Column("median |res|", "best.residuals.median_absolute_s", ".3f", "s"),
    Column("F1 recommended", "recommended.f1", ".3f"),
    Column("probability off by", "reliability.largest_distance_points", ".1f", "points"),
)
_RESIDUALS = (
    *_SCORE,
    Column("matched", "best.residuals.n", "d"),
    Column("mean", "best.residuals.mean_s", ".3f", "s"),
    Column("median", "best.residuals.median_s", ".3f", "s"),
    Column("median absolute", "best.residuals.median_absolute_s", ".3f", "s"),
    Column("MAE", "best.residuals.mean_absolute_s", ".3f", "s"),
    Column("RMSE", "best.residuals.root_mean_square_s", ".3f", "s"),
    Column("within uncertainty", "best.residuals.within_uncertainty", ".2f"),
    Column("within twice", "best.residuals.within_twice_uncertainty", ".2f"),
)
_RATES = (
    *_PHASE,
    *(
        Column(f"{title}, {kind}", f"{kind}.{key}_per_station_hour", ".1f")
        for kind in KINDS
        for title, key in (("false", "false"), ("all unmatched", "unmatched"))
    ),
)
_DIFFERENCES = (
    Column("pickers", "names"),
    Column("components", "stratum"),
    Column("phase", "phase"),
    Column("at", "at"),
    Column("difference of F1", "f1", "+.3f"),
    Column("95 %", "intervals_95.f1", "+.3f"),
)
_RELIABILITY = (
    *_SCORE,
    Column("off by", "reliability.largest_distance_points", ".1f", "points"),
    Column("mean distance", "mean_distance_points", ".1f", "points"),
)
_TENTHS = (
    *_PHASE,
    Column("probability", "tenth"),
    Column("picks", "picks", "d"),
    Column("mean probability", "mean_probability", ".3f"),
    Column("share right", "share_right", ".3f", has_interval=True),
    Column("distance", "distance_points", "+.1f", "points"),
    Column("note", "note"),
)
_MANNER = (
    *_PHASE,
    Column("delay median", "recommended.decision_delay_s.median", ".2f", "s"),
    Column("95 %", "recommended.decision_delay_s.p95", ".2f", "s"),
    Column("largest", "recommended.decision_delay_s.largest", ".2f", "s"),
    Column("up", "recommended.polarities.positive", "d"),
    Column("down", "recommended.polarities.negative", "d"),
    Column("undecidable", "recommended.polarities.undecidable", "d"),
    Column("no polarity", "recommended.polarities.none", "d"),
    Column("polarity labelled", "recommended.first_motions.known", "d"),
    Column("decided", "recommended.first_motions.decided", "d"),
    Column("right", "recommended.first_motions.right", "d"),
)
_SUPPORT = (
    Column("picker", "picker"),
    Column("thresholds", "at"),
    Column("picks", "judged", "d"),
    Column("unsupported", "unsupported", "d"),
    Column("station-hours", "station_hours", ".2f"),
    Column("per station-hour", "unsupported_per_station_hour", ".2f"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Picker:
    """What has picked, and its picks.

    Attributes:
        name: what the report calls it.
        source: model folder, weights file or pick files.
        picks: its picks, down to the floor.
        recommended: least probabilities, None for pick files.
        sha256: of a model's weights, empty for pick files.
        elapsed_s: time of reading and picking, None for pick files.
        n_idle: streams without any window to look at.
    """

    name: str
    source: str
    picks: PickTable
    recommended: Recommended | None = None
    sha256: str = ""
    elapsed_s: float | None = None
    n_idle: int = 0

    def kept(self, scores: PickScores) -> dict[str, Mask]:
        """Return which picks reach the best thresholds of all streams, and the recommended."""
        picks = self.picks
        kept = {kind: np.zeros(len(picks), dtype=np.bool_) for kind in reversed(KINDS)}
        for number, phase in enumerate(PHASES):
            own = picks.phase == number
            limits = recommended_limits(picks, self.recommended, number)
            kept["recommended"] |= own & (picks.probability >= limits)
            best = scores["all"][str(phase)].best
            if best is not None and best.threshold is not None:
                kept["best"] |= own & (picks.probability >= best.threshold)
        return kept


def data_values(data: EvaluationSet) -> list[dict[str, Any]]:
    """Describe each folder: streams, components, hours and labels."""
    table = []
    for name, path in data.folders.items():
        streams = [stream for stream in data.cells.streams if stream.folder == name]
        inside = np.array([stream.folder == name for stream in data.cells.streams])
        phases = data.labels.phase[inside[data.labels.stream]]
        counts = {str(n): sum(stream.n_components == n for stream in streams) for n in range(4)}
        table.append(
            {
                "folder": name,
                "path": str(path),
                "form": "records" if streams[0].is_record else "continuous",
                "split": data.splits[name],
                "streams": len(streams),
                "components": counts,
                "station_hours": sum(stream.duration_s for stream in streams) / 3600.0,
                "labels": {str(p): int(np.sum(phases == k)) for k, p in enumerate(PHASES)},
            }
        )
    return table


def picker_values(
    data: EvaluationSet,
    picker: Picker,
    scores: PickScores,
    positions: support.Positions,
    *,
    tolerance_s: float,
) -> dict[str, Any]:
    """Return all about a picker.

    Args:
        data: streams and labels.
        picker: the picker.
        scores: of its picks.
        positions: of the stations, as far as they are known.
        tolerance_s: largest difference of a match.
    """
    kept, limits = picker.kept(scores), picker.recommended
    continuous = not data.cells.is_record.all()
    folders = {data.cells.streams[number].folder for number in picker.picks.stream}
    return {
        "name": picker.name,
        "source": picker.source,
        "sha256": picker.sha256 or None,
        "recommended_thresholds": None
        if limits is None
        else {n: {"P": pair[0], "S": pair[1]} for n, pair in sorted(limits.items())},
        "picks": len(picker.picks),
        "folders_without_picks": [name for name in data.folders if name not in folders],
        "elapsed_s": picker.elapsed_s,
        "streams_without_windows": picker.n_idle,
        "scores": {
            stratum: {phase: _phase_values(score) for phase, score in phases.items()}
            for stratum, phases in scores.items()
        },
        "support": {
            kind: support.network_support(data.cells, picker.picks.take(keep), positions)
            for kind, keep in kept.items()
            if positions and continuous
        },
        "catalogue": _found_arrivals(data, picker.picks, kept["recommended"], tolerance_s),
    }


def _phase_values(score: PhaseScore) -> dict[str, Any]:
    return {
        "streams": score.stratum.n_streams,
        "station_hours": score.stratum.hours,
        "best": None if score.best is None else _point_values(score.best),
        "recommended": _point_values(score.recommended),
        "reliability": score.reliability.values("picks"),
        "curve": {"threshold": score.thresholds, **_counted(score.curve)},
    }


def _counted(counts: Counts) -> dict[str, Any]:
    return {name: getattr(counts, name) for name in _COUNTED}


def _point_values(point: Point) -> dict[str, Any]:
    return {
        "threshold": point.threshold,
        **_counted(point.counts),
        "false_per_station_hour": point.false_per_hour,
        "unmatched_per_station_hour": point.unmatched_per_hour,
        "residuals": point.residuals,
        "decision_delay_s": point.delay_s,
        "polarities": point.polarities,
        "first_motions": point.first_motions,
        "intervals_95": point.intervals(),
    }


def _found_arrivals(
    data: EvaluationSet, picks: PickTable, keep: Mask, tolerance_s: float
) -> list[dict[str, Any]]:
    """Tell for each label of a continuous stream with a known event whether a kept pick hit it."""
    rows: list[dict[str, Any]] = []
    events = np.array(data.label_events, dtype=object)
    for number, phase in enumerate(PHASES):
        matching = PhaseMatching(data.cells, data.labels, picks, number, tolerance_s=tolerance_s)
        outcome = matching.outcome(keep[picks.phase == number])
        probabilities = matching.picks.probability[outcome.pick].tolist()
        found = zip(outcome.residual_s.tolist(), probabilities, strict=True)
        hits = dict(zip(outcome.label.tolist(), found, strict=True))
        for label, event in enumerate(events[data.labels.phase == number]):
            stream = data.cells.streams[int(matching.labels.stream[label])]
            if event and not stream.is_record:
                residual_s, probability = hits.get(label, (None, None))
                rows.append(
                    {
                        "event": event,
                        "station": stream.station,
                        "phase": str(phase),
                        "time": format_time(int(matching.labels.time_ns[label])),
                        "residual_s": residual_s,
                        "probability": probability,
                    }
                )
    return sorted(rows, key=lambda item: (item["event"], item["time"]))


def compare(scores: Mapping[str, PickScores]) -> list[dict[str, Any]]:
    """Compare every two pickers, by name: 95 % intervals of the differences on the same draws."""
    table: list[dict[str, Any]] = []
    for one, other in combinations(scores, 2):
        for stratum, phases in scores[one].items():
            for phase, score in phases.items():
                rival = scores[other][stratum][phase]
                for kind in KINDS:
                    points = getattr(score, kind), getattr(rival, kind)
                    if None not in points and points[0].draws:
                        table.append(
                            {
                                "pickers": [one, other],
                                "stratum": stratum,
                                "phase": phase,
                                "at": kind,
                                "f1": points[0].counts.f1 - points[1].counts.f1,
                                "intervals_95": differences(*points),
                            }
                        )
    return table


def pick_report(values: Values) -> Report:
    """Declare the report; `values` are those of report.json, see `report.plain`."""
    pickers = values["pickers"]
    scores = list(_rows(pickers))
    scored = [row for row in scores if row["best"] is not None]
    phases = list(_rows(pickers, ["all"]))
    notes = _NOTES.format(**values["settings"], groups=values["bootstrap_groups"])
    sections = [
        Section(
            "",
            [
                Table(_DATA, [_with_fewer(folder) for folder in values["data"]]),
                *_what_is_missing(values),
                notes,
                Picture("precision_recall"),
            ],
        ),
        Section(
            "At the best threshold",
            [Table(_score_columns("best"), [row for row in scored if row["best"]["labels"]])],
        ),
        Section("At the recommended thresholds", [Table(_score_columns("recommended"), scores)]),
        Section(
            "Residuals at the best threshold", [Picture("residuals"), Table(_RESIDUALS, scored)]
        ),
        Section("False picks per station-hour", [Table(_RATES, phases)]),
        Section("Differences, on the same draws", [Table(_DIFFERENCES, _differences(values))]),
        Section("Spread between data sets", [_spread(values)]),
        Section(
            "Are the probabilities true?",
            [
                _RELIABILITY_NOTE.format(**values["settings"], judged=FEWEST_JUDGED),
                Picture("reliability"),
                Table(_RELIABILITY, [_with_distance(row) for row in scores]),
                Table(_TENTHS, [tenth for row in phases for tenth in _tenths(row)]),
            ],
        ),
        Section("Delay and polarity (recommended thresholds)", [Table(_MANNER, phases)]),
        Section(
            "Picks that no other station supports",
            [_SUPPORT_NOTE.format(**values["settings"]), Table(_SUPPORT, _supported(pickers))],
        ),
        Section("Catalogue arrivals found (recommended thresholds)", [_catalogue(pickers)]),
    ]
    return Report("Evaluation of picks", values, sections, [Table(_SUMMARY, scored)])


def _score_columns(kind: str) -> list[Column]:
    return [
        *_SCORE,
        Column("threshold", f"{kind}.threshold", "g"),
        *(Column(name, f"{kind}.{name}", "d") for name in ("labels", "hits", "false", "unknown")),
        *(
            Column(title, f"{kind}.{key}", ".3f", has_interval=True)
            for title, key in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"))
        ),
        Column("strict precision", f"{kind}.precision_strict", ".3f"),
        Column("strict F1", f"{kind}.f1_strict", ".3f"),
    ]


def _rows(pickers: Sequence[Values], strata: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Yield the scores of pickers in strata, in those worth a line by default."""
    for picker in pickers:
        for stratum in strata or _shown_strata(picker["scores"]):
            for phase, score in picker["scores"][stratum].items():
                yield {"picker": picker["name"], "stratum": stratum, "phase": phase, **score}


def _shown_strata(scores: Values) -> list[str]:
    """Return the numbers of components worth a line: those that divide the streams."""
    names = [name for name in COMPONENT_STRATA if name in scores]
    if "three" not in names or "fewer" not in names:
        return ["all"]
    both = "two" in names and "one" in names
    return names if both else [name for name in names if name not in ("two", "one")]


def _with_fewer(folder: Values) -> dict[str, Any]:
    return {**folder, "fewer": folder["streams"] - folder["components"]["3"]}


def _what_is_missing(values: Values) -> Iterator[str]:
    if lost := values["labels_outside"]:
        yield f"{lost} labels lie in none of these waveforms."
    for picker in values["pickers"]:
        if folders := picker["folders_without_picks"]:
            yield f"{picker['name']} has no pick at all in {', '.join(folders)}."


def _differences(values: Values) -> list[dict[str, Any]]:
    shown = _shown_strata(values["pickers"][0]["scores"])
    return [
        {**item, "names": " minus ".join(item["pickers"])}
        for item in values["differences"]
        if item["stratum"] in shown
    ]


def _spread(values: Values) -> Table:
    folders = [folder["folder"] for folder in values["data"]]
    rows = []
    for picker in values["pickers"] if len(folders) > 1 else ():
        known = [name for name in folders if name not in picker["folders_without_picks"]]
        for phase in PHASES:
            for kind in KINDS:
                points = {name: picker["scores"][name][phase][kind] or {} for name in known}
                f1 = {f"F1 of {name}": point.get("f1") for name, point in points.items()}
                row = {"picker": picker["name"], "phase": phase, **f1}
                row["at"] = "own best" if kind == "best" else kind
                if own := [value for value in f1.values() if value is not None]:
                    row |= {"worst": min(own), "spread": max(own) - min(own)}
                rows.append(row)
    columns = [Column(name, f"F1 of {name}", ".3f") for name in folders]
    ends = Column("worst", "worst", ".3f"), Column("spread", "spread", ".3f")
    return Table([*_PHASE, Column("F1 at", "at"), *columns, *ends], rows)


def _with_distance(row: Values) -> dict[str, Any]:
    error = row["reliability"]["calibration_error"]
    return {**row, "mean_distance_points": None if error is None else 100.0 * error}


def _tenths(row: Values) -> Iterator[dict[str, Any]]:
    """Yield the bins of a row's reliability."""
    own = row["reliability"]
    ends = own["share_right_95"]
    for number, picks in enumerate(own["picks"]):
        share, mean = own["share_right"][number], own["mean_probability"][number]
        yield {
            "picker": row["picker"],
            "phase": row["phase"],
            "tenth": f"{number / 10:.1f} to {(number + 1) / 10:.1f}",
            "picks": picks,
            "mean_probability": mean,
            "share_right": share,
            "intervals_95": {"share_right": [ends["low"][number], ends["high"][number]]},
            "distance_points": 100.0 * (share - mean) if picks else None,
            "note": f"fewer than {FEWEST_SHOWN}" if picks < FEWEST_SHOWN else "",
        }


def _supported(pickers: Sequence[Values]) -> list[dict[str, Any]]:
    return [
        {"picker": picker["name"], "at": kind, **own}
        for picker in pickers
        for kind, own in picker["support"].items()
    ]


def _catalogue(pickers: Sequence[Values]) -> Table:
    found: dict[tuple[str, str], dict[str, list[bool]]] = defaultdict(dict)
    for picker in pickers:
        for row in picker["catalogue"]:
            own = found[row["event"], row["phase"]].setdefault(picker["name"], [])
            own.append(row["residual_s"] is not None)
    rows = [
        {"event": event, "phase": phase}
        | {f"by {name}": f"{sum(hits)} of {len(hits)}" for name, hits in own.items()}
        for (event, phase), own in sorted(found.items())
    ]
    names = [Column(picker["name"], f"by {picker['name']}") for picker in pickers]
    return Table([Column("event", "event"), Column("phase", "phase"), *names], rows)
