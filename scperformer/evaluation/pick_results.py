"""The results of an evaluation of picks, as JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from scperformer.evaluation.network_support import Support
from scperformer.evaluation.phase_matching import Counts, PhaseMatching
from scperformer.evaluation.pick_scores import (
    PhaseScore,
    PickScores,
    Point,
    differences,
)
from scperformer.evaluation.pick_statistics import Reliability
from scperformer.evaluation.pick_tables import PHASES, Mask, PickTable
from scperformer.evaluation.sets import EvaluationSet
from scperformer.types import format_time

DIGITS = 6
_COUNTED = (
    *("labels", "hits", "false", "unknown"),
    *("precision", "recall", "f1", "precision_strict", "f1_strict"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One picker and its scores.

    Attributes:
        name: what the report calls it.
        source: model folder, weights file or pick files.
        sha256: of a model's weights, empty for pick files.
        thresholds: recommended (P, S) by number of components, None for pick files.
        picks: its picks, down to the floor.
        scores: of them.
        elapsed_s: time of reading and picking, None for pick files.
        n_idle: streams without any window to look at.
        support: at the recommended and at the best thresholds, where stations are known.
        found: catalogue arrivals and what became of them.
        empty_folders: data sets in which it has no pick: perhaps it never saw them.
    """

    name: str
    source: str
    sha256: str
    thresholds: Mapping[int, tuple[float, float]] | None
    picks: PickTable
    scores: PickScores
    elapsed_s: float | None = None
    n_idle: int = 0
    support: Mapping[str, Support] = field(default_factory=dict)
    found: Sequence[Mapping[str, Any]] = ()
    empty_folders: Sequence[str] = ()


def found_arrivals(
    data: EvaluationSet, picks: PickTable, keep: Mask, *, tolerance_s: float
) -> list[dict[str, Any]]:
    """Tell for each label of a continuous stream with a known event whether it was found.

    Args:
        data: streams and labels.
        picks: all picks.
        keep: (n_picks,) bool, those that count.
        tolerance_s: largest difference of a match.

    Returns:
        ``event, station, phase, time, residual_s, probability`` of each, the last two
        None where no pick was near enough.
    """
    rows: list[dict[str, Any]] = []
    events = np.array(data.label_events, dtype=object)
    for number, phase in enumerate(PHASES):
        own = data.labels.phase == number
        matching = PhaseMatching(data.cells, data.labels, picks, number, tolerance_s=tolerance_s)
        matched = matching.matches(keep[picks.phase == number])
        for label, (row, event) in enumerate(zip(matched.tolist(), events[own], strict=True)):
            stream = data.cells.streams[int(matching.labels.stream[label])]
            if stream.is_record or not event:
                continue
            time_ns = int(matching.labels.time_ns[label])
            hit = row >= 0
            rows.append(
                {
                    "event": event,
                    "station": stream.station,
                    "phase": str(phase),
                    "time": format_time(time_ns),
                    "residual_s": (int(matching.picks.time_ns[row]) - time_ns) / 1e9
                    if hit
                    else None,
                    "probability": float(matching.picks.probability[row]) if hit else None,
                }
            )
    return sorted(rows, key=lambda item: (item["event"], item["time"]))


def data_table(data: EvaluationSet) -> list[dict[str, Any]]:
    """Describe each folder: streams, components, hours and labels."""
    table = []
    for name, path in data.folders.items():
        inside = np.array([stream.folder == name for stream in data.cells.streams])
        streams = [stream for stream in data.cells.streams if stream.folder == name]
        phases = data.labels.phase[inside[data.labels.stream]]
        table.append(
            {
                "folder": name,
                "path": str(path),
                "form": "records" if streams[0].is_record else "continuous",
                "streams": len(streams),
                "components": {
                    str(n): sum(stream.n_components == n for stream in streams) for n in range(4)
                },
                "station_hours": sum(stream.duration_s for stream in streams) / 3600.0,
                "labels": {str(p): int(np.sum(phases == k)) for k, p in enumerate(PHASES)},
            }
        )
    return table


def entry_values(entry: Entry) -> dict[str, Any]:
    """Return all about a picker."""
    limits = entry.thresholds
    return {
        "name": entry.name,
        "source": entry.source,
        "sha256": entry.sha256 or None,
        "recommended_thresholds": None
        if limits is None
        else {str(n): {"P": pair[0], "S": pair[1]} for n, pair in sorted(limits.items())},
        "picks": len(entry.picks),
        "folders_without_picks": list(entry.empty_folders),
        "elapsed_s": entry.elapsed_s,
        "streams_without_windows": entry.n_idle,
        "scores": {
            stratum: {phase: _phase_values(score) for phase, score in phases.items()}
            for stratum, phases in entry.scores.strata.items()
        },
        "support": {
            kind: {
                "judged": support.judged,
                "unsupported": support.unsupported,
                "station_hours": support.hours,
                "unsupported_per_station_hour": support.unsupported_per_hour,
                "stations_left_out": list(support.left_out),
            }
            for kind, support in entry.support.items()
        },
        "catalogue": list(entry.found),
    }


def _phase_values(score: PhaseScore) -> dict[str, Any]:
    return {
        "streams": score.stratum.n_streams,
        "station_hours": score.stratum.hours,
        "best": None if score.best is None else _point_values(score.best),
        "recommended": _point_values(score.recommended),
        "reliability": _reliability_values(score.reliability),
        "curve": {
            "threshold": score.thresholds.tolist(),
            **{name: np.asarray(values).tolist() for name, values in _counted(score.curve)},
        },
    }


def _counted(counts: Counts) -> list[tuple[str, Any]]:
    return [(name, getattr(counts, name)) for name in _COUNTED]


def _point_values(point: Point) -> dict[str, Any]:
    residuals = point.residuals
    return {
        "threshold": point.threshold,
        **{name: np.asarray(value).item() for name, value in _counted(point.counts)},
        "false_per_station_hour": point.false_per_hour,
        "unmatched_per_station_hour": point.unmatched_per_hour,
        "residuals": {
            "n": residuals.n,
            "mean_s": residuals.mean_s,
            "median_s": residuals.median_s,
            "median_absolute_s": residuals.median_absolute_s,
            "mean_absolute_s": residuals.mean_absolute_s,
            "root_mean_square_s": residuals.root_mean_square_s,
            "within_uncertainty": residuals.within_1,
            "within_twice_uncertainty": residuals.within_2,
            "histogram": list(residuals.histogram),
            "bin_edges_s": list(residuals.bin_edges_s),
        },
        "decision_delay_s": dict(zip(("median", "p95", "largest"), point.delay_s, strict=True)),
        "polarities": dict(point.polarities),
        "first_motions": asdict(point.first_motions),
        "intervals_95": {name: list(pair) for name, pair in point.intervals().items()},
    }


def _reliability_values(reliability: Reliability) -> dict[str, Any]:
    return {
        "picks": reliability.n.tolist(),
        "mean_probability": reliability.probability.tolist(),
        "share_right": reliability.share.tolist(),
        "calibration_error": reliability.calibration_error,
    }


def compare_entries(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Compare every two pickers: 95 % intervals of the differences on the same draws."""
    table = []
    for number, one in enumerate(entries):
        for other in entries[number + 1 :]:
            for stratum, phases in one.scores.strata.items():
                for phase, score in phases.items():
                    rival = other.scores[stratum][phase]
                    for kind in ("best", "recommended"):
                        points = getattr(score, kind), getattr(rival, kind)
                        if None in points or not points[0].draws:
                            continue
                        table.append(
                            {
                                "pickers": [one.name, other.name],
                                "stratum": stratum,
                                "phase": phase,
                                "at": kind,
                                "f1": float(points[0].counts.f1 - points[1].counts.f1),
                                "intervals_95": differences(*points),
                            }
                        )
    return table


def plain(value: Any) -> Any:
    """Make JSON of values: rounded, and None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), DIGITS) if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
