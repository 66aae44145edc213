"""The whole pipeline, the code path of ``scan``, run over what has labels.

Over the streams of an evaluation; and over records held out, with all components, without
one horizontal and with the vertical alone, to recommend the thresholds of largest F1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from scperformer.config import UNHURRIED, Settings
from scperformer.core.pipeline import Pipeline
from scperformer.core.streaming_shape import Calibration
from scperformer.core.triggers import Thresholds, log_odds
from scperformer.evaluation.matching import PhaseMatching
from scperformer.evaluation.pick_tables import (
    PHASES,
    Cells,
    LabelTable,
    PickTable,
    Stream,
)
from scperformer.evaluation.sets import EvaluationSet
from scperformer.networks.loading import LoadedModel
from scperformer.networks.manifest import COUNT_WORDS
from scperformer.types import COMPONENTS, SAMPLE_NS, SAMPLING_RATE_HZ, Pick, Record
from scperformer.waveforms.problems import Report

if TYPE_CHECKING:
    from scperformer.datasets.labels import MarkedRecord
    from scperformer.datasets.records import StationRecord

FLOOR = 0.1
UNTESTED = 0.6
"""Recommended where nothing could be tried."""

UNTRIED = MappingProxyType(dict.fromkeys(COUNT_WORDS, (UNTESTED, UNTESTED)))
"""What a card recommends (P, S) before anything has been tried."""

_GRID = np.round(np.arange(0.1, 0.96, 0.01), 2)
_NEARLY = 0.01
_LEAST_PICKS = 5
_LEAST_OF_A_KIND = 30
"""Right picks, and wrong ones, that a calibration needs."""
_SETS: Mapping[str, tuple[bool, bool, bool]] = {
    "three": (True, True, True),
    "two": (True, False, True),
    "one": (False, False, True),
}
_RECORD_SAMPLES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class PickedStreams:
    """The picks of a model.

    Attributes:
        table: for scoring.
        picks: the same picks, row by row.
        n_idle: streams without any window to look at.
        elapsed_s: wall time of reading and picking.
    """

    table: PickTable
    picks: tuple[Pick, ...]
    n_idle: int
    elapsed_s: float


def pick_streams(
    data: EvaluationSet,
    model: LoadedModel,
    settings: Settings,
    *,
    floor: float,
    report: Report,
    progress: Callable[[int], None],
) -> PickedStreams:
    """Pick every stream; each is fed and flushed by itself.

    Args:
        data: the streams.
        model: the model.
        settings: the picker's settings; their thresholds are not used.
        floor: least probability of a pick, so that thresholds can be swept afterwards.
        report: hears of damage.
        progress: is told the number of streams done.
    """
    pipeline = make_pipeline(model, settings, floor=floor)
    numbers: list[int] = []
    picks: list[Pick] = []
    n_idle = 0
    begun = time.perf_counter()
    for number, group in enumerate(data.waveforms):
        windows = pipeline.statistics.windows
        pipeline.expect(group.seed_ids)
        found: dict[str, Pick] = {}
        for record in group.records(report=report):
            _keep_first(found, pipeline.feed(record))
        _keep_first(found, pipeline.flush())
        n_idle += pipeline.statistics.windows == windows
        numbers += [number] * len(found)
        picks += found.values()
        progress(number + 1)
    elapsed_s = time.perf_counter() - begun
    return PickedStreams(PickTable.of(numbers, picks), tuple(picks), n_idle, elapsed_s)


def make_pipeline(model: LoadedModel, settings: Settings, *, floor: float) -> Pipeline:
    """Make the pipeline of `scan` with one threshold for everything."""
    own = replace(settings, threshold_p=None, threshold_s=None)
    thresholds = Thresholds.constant(floor, floor)
    return replace(model, thresholds=thresholds).pipeline(own)


def _keep_first(found: dict[str, Pick], picks: Iterable[Pick]) -> None:
    """Leave out picks that have the public id of one before, as ``scan`` does."""
    for pick in picks:
        found.setdefault(pick.public_id, pick)


def pick_thresholds(model: LoadedModel, records: Sequence[MarkedRecord]) -> dict[str, Any]:
    """Score the picker on records for each number of components.

    Args:
        model: the model.
        records: filtered records that were held out; the vertical must be live.

    Returns:
        For ``three``, ``two`` and ``one``, for P and S: threshold, precision, recall, f1
        and n, the number of picks that were looked for. Phases with too few of them have
        n alone.
    """
    table: dict[str, Any] = {}
    for name, mask in _SETS.items():
        matchings = _matchings(model, records, mask)
        table[name] = {
            phase.value: _best(own) for phase, own in zip(PHASES, matchings, strict=True)
        }
    return table


def calibrate(model: LoadedModel, records: Sequence[MarkedRecord]) -> Calibration:
    """Return what brings a model's log-odds to the share of its picks that are right.

    A logistic regression (Platt 1999) of whether a pick is right on its log-odds, over the
    picks of all numbers of components.

    Args:
        model: the model, not calibrated yet.
        records: as for `pick_thresholds`.
    """
    odds: list[list[NDArray[np.float64]]] = [[], []]
    right: list[list[NDArray[np.bool_]]] = [[], []]
    for mask in _SETS.values():
        for number, own in enumerate(_matchings(model, records, mask)):
            is_hit = own.outcome(np.ones(len(own.picks), np.bool_)).is_hit
            known = own.known | is_hit
            odds[number].append(log_odds(own.picks.probability[known]))
            right[number].append(is_hit[known])
    p, s = (
        fit_odds(np.concatenate(x), np.concatenate(y)) for x, y in zip(odds, right, strict=True)
    )
    return p, s


def fit_odds(odds: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Return factor and summand of the log-odds under which `right` is likeliest.

    Args:
        odds: (n,) float64.
        right: (n,) bool.

    Returns:
        1 and 0 where there are too few of either kind.
    """
    if min(np.count_nonzero(right), np.count_nonzero(~right)) < _LEAST_OF_A_KIND:
        return 1.0, 0.0

    def unlikelihood(pair: NDArray[np.float64]) -> float:
        found = odds * pair[0] + pair[1]
        return float(np.logaddexp(0.0, np.where(right, -found, found)).mean())

    best = optimize.minimize(
        unlikelihood, np.array([1.0, 0.0]), bounds=[(0.05, 20.0), (-20.0, 20.0)]
    )
    factor, summand = best.x.tolist()
    return round(factor, 4), round(summand, 4)


def _matchings(
    model: LoadedModel, records: Sequence[MarkedRecord], mask: Sequence[bool]
) -> list[PhaseMatching]:
    """Let the model pick the records by some components; match its P and S with the labels."""
    usable = [r for r in records if np.array(r.record.present)[np.array(mask)].all()]
    cells = Cells.of([_stream(item.record) for item in usable])
    sure = _labels(usable, sure=True)
    doubtful = _labels(usable, sure=False)
    picks = _pick_all(model, usable, mask)
    return [
        PhaseMatching(cells, sure, picks, number, doubtful=doubtful)
        for number in range(len(PHASES))
    ]


def recommended(table: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    """Return (P, S) for 1, 2 and 3 components; `UNTESTED` where picks were too few."""
    return {
        count: (
            table[name]["P"].get("threshold", UNTESTED),
            table[name]["S"].get("threshold", UNTESTED),
        )
        for count, name in COUNT_WORDS.items()
    }


def _stream(record: StationRecord) -> Stream:
    return Stream(
        name=record.source,
        folder="",
        sensor_id=record.sensor_id,
        start_ns=record.start_ns,
        end_ns=record.start_ns + len(record.samples) * SAMPLE_NS,
        duration_s=len(record.samples) / SAMPLING_RATE_HZ,
        n_components=sum(record.present),
        is_record=True,
    )


def _pick_all(
    model: LoadedModel, records: Sequence[MarkedRecord], mask: Sequence[bool]
) -> PickTable:
    settings = Settings(filter="", detrend=False, **UNHURRIED)
    numbers: list[int] = []
    picks: list[Pick] = []
    for number, item in enumerate(records):
        pipeline = make_pipeline(model, settings, floor=FLOOR)
        parts = list(_records(item, mask))
        pipeline.expect({part.seed_id for part in parts})
        own = [pick for part in parts for pick in pipeline.feed(part)] + pipeline.flush()
        numbers += [number] * len(own)
        picks += own
    return PickTable.of(numbers, picks)


def _records(item: MarkedRecord, mask: Sequence[bool]) -> Iterator[Record]:
    record = item.record
    for first in range(0, len(record.samples), _RECORD_SAMPLES):
        part = record.samples[first : first + _RECORD_SAMPLES]
        for place, letter in enumerate(COMPONENTS):
            if mask[place] and record.present[place]:
                yield Record(
                    record.sensor_id.channel(letter),
                    record.start_ns + first * SAMPLE_NS,
                    float(SAMPLING_RATE_HZ),
                    np.ascontiguousarray(part[:, place]),
                )


def _labels(records: Sequence[MarkedRecord], *, sure: bool) -> LabelTable:
    return LabelTable.from_rows(
        [
            (number, int(phase), item.record.start_ns + round(sample * SAMPLE_NS))
            for number, item in enumerate(records)
            for sample, phase, is_sure in zip(
                item.marks.sample, item.marks.phase, item.marks.sure, strict=True
            )
            if is_sure == sure
        ]
    )


def _best(matching: PhaseMatching) -> dict[str, Any]:
    n = len(matching.labels)
    if n < _LEAST_PICKS:
        return {"n": n}
    counts = matching.sweep(_GRID, np.ones((1, matching.n_cells), np.bool_))
    f1 = counts.f1[0]
    # The middle of what is nearly as good: the largest F1 of few picks is chance.
    good = np.flatnonzero(f1 >= f1.max() - _NEARLY)
    index = int(good[len(good) // 2])
    scores = {name: getattr(counts, name)[0, index] for name in ("precision", "recall", "f1")}
    rounded = {name: round(float(np.nan_to_num(value)), 4) for name, value in scores.items()}
    return {"threshold": float(_GRID[index]), **rounded, "n": n}
