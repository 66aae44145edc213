"""Thresholds recommended for a model, from records held out.

The picker itself runs over the records, with all components, without one horizontal and
with the vertical alone; a threshold is recommended where F1 is largest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.config import Settings
from scperformer.core.batching import UNHURRIED
from scperformer.core.pipeline import Pipeline
from scperformer.core.triggers import Thresholds
from scperformer.datasets.marks import MarkedRecord
from scperformer.evaluation.matching import Pairs, candidate_pairs, match
from scperformer.evaluation.phase_matching import DEFAULT_TOLERANCE_S
from scperformer.evaluation.pick_tables import LabelTable, PickTable, join_picks
from scperformer.networks.loading import LoadedModel
from scperformer.networks.manifest import COUNT_WORDS
from scperformer.types import (
    COMPONENTS,
    SAMPLE_NS,
    SAMPLING_RATE_HZ,
    Phase,
    Pick,
    Record,
)

UNTESTED = 0.6
"""Recommended where nothing could be tried."""

UNTRIED = MappingProxyType(dict.fromkeys(COUNT_WORDS, (UNTESTED, UNTESTED)))
"""What a card recommends (P, S) before anything has been tried."""

FLOOR = 0.1
GRID = np.round(np.arange(0.1, 0.96, 0.01), 2)
_NEARLY = 0.01
_LEAST_PICKS = 5
_SETS: Mapping[str, tuple[bool, bool, bool]] = {
    "three": (True, True, True),
    "two": (True, False, True),
    "one": (False, False, True),
}
_PHASES = tuple(Phase)
_RECORD_SAMPLES = 1000


def pick_thresholds(model: LoadedModel, records: Sequence[MarkedRecord]) -> dict[str, Any]:
    """Score the picker on records for each number of components.

    Args:
        model: a network with its context stage, or without.
        records: filtered records that were held out; the vertical must be live.

    Returns:
        For ``three``, ``two`` and ``one``, for P and S: threshold, precision, recall, f1
        and n, the number of picks that were looked for. Phases with too few of them have
        n alone.
    """
    table: dict[str, Any] = {}
    for name, mask in _SETS.items():
        usable = [r for r in records if np.array(r.record.present)[np.array(mask)].all()]
        marks = _labels(usable, sure=True), _labels(usable, sure=False)
        picks = _pick_all(model, usable, mask)
        for number, phase in enumerate(_PHASES):
            sure, doubtful = (labels.take(labels.phase == number) for labels in marks)
            own = picks.take(picks.phase == number)
            table.setdefault(name, {})[phase.value] = _best(sure, doubtful, own)
    return table


def recommended(table: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
    """Return (P, S) for 1, 2 and 3 components; `UNTESTED` where picks were too few."""
    return {
        count: (
            table[name]["P"].get("threshold", UNTESTED),
            table[name]["S"].get("threshold", UNTESTED),
        )
        for count, name in COUNT_WORDS.items()
    }


def _pick_all(
    model: LoadedModel, records: Sequence[MarkedRecord], mask: Sequence[bool]
) -> PickTable:
    rows = [
        (number, _PHASES.index(pick.phase), pick.time_ns, pick.probability)
        for number, item in enumerate(records)
        for pick in _picks(model, item, mask)
    ]
    return PickTable.from_columns(*zip(*rows, strict=True)) if rows else join_picks([])


def _picks(model: LoadedModel, item: MarkedRecord, mask: Sequence[bool]) -> list[Pick]:
    pipeline = Pipeline(
        model.classifier,
        thresholds=Thresholds.constant(FLOOR, FLOOR),
        settings=Settings(
            filter="", detrend=False, max_batch_delay_s=UNHURRIED["max_batch_delay_s"]
        ),
        context=model.context,
    )
    records = list(_records(item, mask))
    pipeline.expect({record.seed_id for record in records})
    picks: list[Pick] = [pick for record in records for pick in pipeline.feed(record)]
    return picks + pipeline.flush()


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


def _best(labels: LabelTable, doubtful: LabelTable, picks: PickTable) -> dict[str, Any]:
    n = len(labels)
    if n < _LEAST_PICKS:
        return {"n": n}
    hits, false = _sweep(_pairs(labels, picks), _pairs(doubtful, picks), picks.probability)
    f1 = 2.0 * hits / np.maximum(hits + false + n, 1)
    # The middle of what is nearly as good: the largest F1 of few picks is chance.
    good = np.flatnonzero(f1 >= f1.max() - _NEARLY)
    index = int(good[len(good) // 2])
    return {
        "threshold": float(GRID[index]),
        "precision": round(float(hits[index] / max(hits[index] + false[index], 1)), 4),
        "recall": round(float(hits[index] / n), 4),
        "f1": round(float(f1[index]), 4),
        "n": n,
    }


def _pairs(labels: LabelTable, picks: PickTable) -> Pairs:
    where = (labels.stream, labels.time_ns, picks.stream, picks.time_ns)
    return candidate_pairs(*where, tolerance_s=DEFAULT_TOLERANCE_S)


def _sweep(
    pairs: Pairs, doubtful: Pairs, probability: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count hits and false picks at each threshold; picks near doubtful marks are no matter."""
    hits, false = np.zeros((2, len(GRID)), np.int64)
    known = np.ones(len(probability), np.bool_)
    known[doubtful.pick] = False
    for number, threshold in enumerate(GRID):
        missed = probability >= threshold
        rows = match(pairs, missed)
        matched = pairs.pick[rows[rows >= 0]]
        missed[matched] = False
        hits[number], false[number] = len(matched), np.count_nonzero(missed & known)
    return hits, false
