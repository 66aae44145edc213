"""The scores of a picker: F1 over thresholds, residuals, calibration, false picks an hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from scperformer.evaluation.matching import (
    DEFAULT_TOLERANCE_S,
    LABEL_SPAN_S,
    Counts,
    Outcome,
    PhaseMatching,
)
from scperformer.evaluation.pick_tables import (
    COMPONENT_STRATA,
    PHASES,
    POLARITIES,
    Cells,
    LabelTable,
    Mask,
    PickTable,
)
from scperformer.evaluation.statistics import (
    Bootstrap,
    Numbers,
    Reliability,
    Residuals,
    interval,
    residual_statistics,
    spread,
)
from scperformer.types import Polarity

Recommended = Mapping[int, tuple[float, float]]
"""Least probabilities (P, S) by number of live components."""

THRESHOLDS: Numbers = np.unique(
    np.concatenate(
        [
            np.round(np.arange(0.05, 0.951, 0.01), 2),
            [0.955, 0.96, 0.965, 0.97, 0.975, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.998],
            [0.999, 0.9993, 0.9995, 0.9997, 0.9999],
        ]
    )
)
_DRAWN = ("precision", "recall", "f1", "precision_strict", "f1_strict")
_DECIDED = [POLARITIES.index(p) for p in (Polarity.POSITIVE, Polarity.NEGATIVE)]


@dataclass(frozen=True, slots=True, eq=False)
class Stratum:
    """A set of streams that is scored by itself.

    Attributes:
        name: ``all``, ``three``, ``fewer`` (than three live components), ``two``, ``one``
            or a folder's name.
        cells: (n_cells,) bool.
        n_streams: number of streams.
        hours: station-hours of data.
    """

    name: str
    cells: Mask
    n_streams: int
    hours: float


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Scores at one operating point.

    Attributes:
        threshold: least probability, None where it depends on the components or where
            all picks of a file count.
        counts: of labels and picks.
        residuals: of the matched picks.
        false_per_hour: unmatched picks where the phase is labelled, and
        unmatched_per_hour: all unmatched picks, each per station-hour of all data.
        delay_s: decision delay, see `spread`; nan if not given.
        polarities: kept picks by polarity.
        first_motions: of the matched picks, those ``known`` whose label says up or down, of
            them those ``decided`` that say so themselves, of them those ``right``.
        draws: bootstrap draws of statistics by name, (draws,) each; empty without.
    """

    threshold: float | None
    counts: Counts
    residuals: Residuals
    false_per_hour: float
    unmatched_per_hour: float
    delay_s: Mapping[str, float]
    polarities: Mapping[str, int]
    first_motions: Mapping[str, int]
    draws: Mapping[str, Numbers] = field(default_factory=dict)

    def intervals(self) -> dict[str, tuple[float, float]]:
        return {name: interval(values) for name, values in self.draws.items()}


@dataclass(frozen=True, slots=True, eq=False)
class PhaseScore:
    """All about one phase in one stratum.

    Attributes:
        stratum: where.
        thresholds: (n,) of the curve.
        curve: `Counts` of shape (n,).
        best: at the threshold with the best F1 on these very records; None without labels.
        recommended: at the model's own thresholds, or all picks of a file.
        reliability: of the probabilities of all picks that precision would count.
    """

    stratum: Stratum
    thresholds: Numbers
    curve: Counts
    best: Point | None
    recommended: Point
    reliability: Reliability


PickScores = Mapping[str, Mapping[str, PhaseScore]]
"""The scores of a picker: by stratum, then by phase (``P``, ``S``)."""


def make_strata(cells: Cells) -> list[Stratum]:
    """Divide streams by live components, and by folder where there is more than one."""
    folders = dict.fromkeys(stream.folder for stream in cells.streams)
    strata = [
        _stratum(cells, name, np.isin(cells.n_components, numbers))
        for name, numbers in COMPONENT_STRATA.items()
    ]
    if len(folders) > 1:
        for folder in folders:
            chosen = np.array([stream.folder == folder for stream in cells.streams])
            strata.append(_stratum(cells, folder, chosen))
    return [stratum for stratum in strata if stratum.n_streams]


def _stratum(cells: Cells, name: str, streams: Mask) -> Stratum:
    durations_s = np.array([stream.duration_s for stream in cells.streams])
    hours = float(durations_s[streams].sum()) / 3600.0
    return Stratum(name, streams[cells.stream], int(streams.sum()), hours)


def score_picks(
    cells: Cells,
    labels: LabelTable,
    picks: PickTable,
    *,
    recommended: Recommended | None = None,
    tolerance_s: float = DEFAULT_TOLERANCE_S,
    label_span_s: float = LABEL_SPAN_S,
    thresholds: Numbers = THRESHOLDS,
    bootstrap: Bootstrap | None = None,
) -> PickScores:
    """Score the picks of one picker.

    Args:
        cells: the streams, see `Cells.of`.
        labels: the arrivals.
        picks: down to the lowest probability of interest.
        recommended: least probabilities; None keeps all picks.
        tolerance_s: largest difference of a match.
        label_span_s: how far around a label a continuous stream counts as labelled.
        thresholds: (n,) of the curves.
        bootstrap: draws for intervals, over `cells.n_groups`; None for none.
    """
    strata = make_strata(cells)
    scores: dict[str, dict[str, PhaseScore]] = {stratum.name: {} for stratum in strata}
    for number, phase in enumerate(PHASES):
        matching = PhaseMatching(
            cells, labels, picks, number, tolerance_s=tolerance_s, label_span_s=label_span_s
        )
        scorer = _PhaseScorer(cells, matching, tolerance_s, bootstrap)
        limits = recommended_limits(matching.picks, recommended, number)
        scored = scorer.score(strata, thresholds, matching.picks.probability >= limits)
        for score in scored:
            scores[score.stratum.name][str(phase)] = score
    return scores


def recommended_limits(picks: PickTable, recommended: Recommended | None, phase: int) -> Numbers:
    """Return the least probability that is recommended for each pick, (n_picks,)."""
    if recommended is None:
        return np.zeros(len(picks))
    table = np.array([recommended[3][phase], *(recommended[n][phase] for n in (1, 2, 3))])
    limits: Numbers = table[np.clip(picks.n_components, 0, 3)]
    return limits


def best_index(curve: Counts) -> int | None:
    """Return the place of the best F1; the middle one among equals, None without labels."""
    f1 = np.nan_to_num(np.asarray(curve.f1, np.float64), nan=-1.0)
    if not len(f1) or f1.max() < 0.0:
        return None
    equals = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return int(equals[len(equals) // 2])


class _PhaseScorer:
    """Scores one phase in any stratum; outcomes of a threshold are worked out once."""

    def __init__(
        self, cells: Cells, matching: PhaseMatching, tolerance_s: float, bootstrap: Bootstrap | None
    ) -> None:
        self._cells = cells
        self._matching = matching
        self._tolerance_s = tolerance_s
        self._bootstrap = bootstrap

    def score(
        self, strata: Sequence[Stratum], thresholds: Numbers, advised: Mask
    ) -> list[PhaseScore]:
        curves = self._matching.sweep(thresholds, np.array([s.cells for s in strata]))
        as_advised = self._matching.outcome(advised)
        everything = self._matching.outcome(np.ones(len(self._matching.picks), dtype=np.bool_))
        scores = []
        for row, stratum in enumerate(strata):
            own = curves.labels, curves.hits, curves.false, curves.unknown
            curve = Counts(*(counts[row] for counts in own))
            place = best_index(curve)
            best = None
            if place is not None:
                threshold = float(thresholds[place])
                kept = self._matching.picks.probability >= threshold
                best = self._point(stratum, threshold, self._matching.outcome(kept))
            advice = self._point(stratum, None, as_advised)
            reliability = self._reliability(stratum, everything)
            scores.append(PhaseScore(stratum, thresholds, curve, best, advice, reliability))
        return scores

    def _point(self, stratum: Stratum, threshold: float | None, outcome: Outcome) -> Point:
        picks = self._matching.picks
        kept = outcome.kept & stratum.cells[self._matching.pick_cell]
        counts = outcome.counts(stratum.cells)
        delays = picks.decision_delay_s[kept]
        codes = np.bincount(picks.polarity[kept], minlength=len(POLARITIES))
        hours = stratum.hours or float("nan")
        return Point(
            threshold=threshold,
            counts=counts,
            residuals=self._residuals(stratum, outcome),
            false_per_hour=counts.false / hours,
            unmatched_per_hour=(counts.false + counts.unknown) / hours,
            delay_s=spread(delays[np.isfinite(delays)]),
            polarities={
                str(name or "none"): int(n) for name, n in zip(POLARITIES, codes, strict=True)
            },
            first_motions=self._first_motions(stratum, outcome),
            draws=self._draws(stratum, outcome),
        )

    def _residuals(self, stratum: Stratum, outcome: Outcome) -> Residuals:
        inside = stratum.cells[outcome.cell]
        uncertainty_s = self._matching.picks.uncertainty_s[outcome.pick[inside]]
        return residual_statistics(
            outcome.residual_s[inside], uncertainty_s, tolerance_s=self._tolerance_s
        )

    def _first_motions(self, stratum: Stratum, outcome: Outcome) -> dict[str, int]:
        inside = stratum.cells[outcome.cell]
        said = self._matching.labels.polarity[outcome.label[inside]]
        own = self._matching.picks.polarity[outcome.pick[inside]]
        known = np.isin(said, _DECIDED)
        decided = known & np.isin(own, _DECIDED)
        table = {"known": known, "decided": decided, "right": decided & (said == own)}
        return {name: int(those.sum()) for name, those in table.items()}

    def _draws(self, stratum: Stratum, outcome: Outcome) -> dict[str, Numbers]:
        if self._bootstrap is None:
            return {}
        by_group = np.zeros((self._cells.n_groups, len(outcome.cell_counts)))
        own = outcome.cell_counts[:, stratum.cells].T
        np.add.at(by_group, self._cells.group[stratum.cells], own)
        counts = Counts(*self._bootstrap.sums(by_group).T)
        inside = stratum.cells[outcome.cell]
        groups = self._cells.group[outcome.cell[inside]]
        residual_s = outcome.residual_s[inside]
        draws = {name: np.asarray(getattr(counts, name)) for name in _DRAWN}
        draws["median_residual_s"] = self._bootstrap.medians(residual_s, groups)
        draws["median_absolute_residual_s"] = self._bootstrap.medians(np.abs(residual_s), groups)
        return draws

    def _reliability(self, stratum: Stratum, outcome: Outcome) -> Reliability:
        counted = self._matching.known | outcome.is_hit
        chosen = counted & stratum.cells[self._matching.pick_cell]
        reliability = Reliability()
        reliability.add(self._matching.picks.probability[chosen], outcome.is_hit[chosen])
        return reliability


def differences(one: Point, other: Point) -> dict[str, dict[str, float]]:
    """Compare two pickers on the same draws: the 95 % intervals of one minus other.

    Returns:
        For each statistic ``low`` and ``high`` of the difference.
    """
    pairs = {
        name: interval(one.draws[name] - other.draws[name])
        for name in sorted(one.draws.keys() & other.draws.keys())
    }
    return {name: {"low": low, "high": high} for name, (low, high) in pairs.items()}
