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
from scperformer.core.pipeline import Pipeline
from scperformer.core.triggers import Thresholds
from scperformer.datasets.marks import MarkedRecord, Marks
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
_TOLERANCE_SAMPLES = 50.0
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
        found = [(item.marks, list(_picks(model, item, mask))) for item in usable]
        table[name] = {phase.value: _best(found, number) for number, phase in enumerate(_PHASES)}
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


def _picks(
    model: LoadedModel, item: MarkedRecord, mask: Sequence[bool]
) -> Iterator[tuple[int, float, float]]:
    """Pick a record; yield phase, sample and probability."""
    pipeline = Pipeline(
        model.classifier,
        thresholds=Thresholds.constant(FLOOR, FLOOR),
        settings=Settings(filter="", detrend=False, max_batch_delay_s=60.0),
        context=model.context,
    )
    records = list(_records(item, mask))
    pipeline.expect({record.seed_id for record in records})
    picks: list[Pick] = [pick for record in records for pick in pipeline.feed(record)]
    picks += pipeline.flush()
    for pick in picks:
        sample = (pick.time_ns - item.record.start_ns) / SAMPLE_NS
        yield _PHASES.index(pick.phase), sample, pick.probability


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


def _best(found: Sequence[tuple[Marks, list[tuple[int, float, float]]]], phase: int) -> Any:
    hits, scores, n = _match(found, phase)
    if n < _LEAST_PICKS:
        return {"n": n}
    above = scores[None, :] >= GRID[:, None]
    true = (above & hits).sum(axis=1)
    f1 = 2.0 * true / np.maximum(above.sum(axis=1) + n, 1)
    # The middle of what is nearly as good: the largest F1 of few picks is chance.
    good = np.flatnonzero(f1 >= f1.max() - _NEARLY)
    index = int(good[len(good) // 2])
    return {
        "threshold": float(GRID[index]),
        "precision": round(float(true[index] / max(int(above[index].sum()), 1)), 4),
        "recall": round(float(true[index] / n), 4),
        "f1": round(float(f1[index]), 4),
        "n": n,
    }


def _match(
    found: Sequence[tuple[Marks, list[tuple[int, float, float]]]], phase: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64], int]:
    """Match one to one, the more probable pick first; picks near doubtful marks are no matter."""
    hits: list[bool] = []
    scores: list[float] = []
    n = 0
    for marks, picks in found:
        mine = marks.phase == phase
        left = marks.sample[mine & marks.sure].tolist()
        doubtful = marks.sample[mine & ~marks.sure]
        n += len(left)
        own = sorted((p for p in picks if p[0] == phase), key=lambda p: -p[2])
        for _, sample, probability in own:
            distances = [abs(x - sample) for x in left]
            nearest = left[int(np.argmin(distances))] if left else None
            hit = nearest is not None and abs(nearest - sample) <= _TOLERANCE_SAMPLES
            if hit and nearest is not None:
                left.remove(nearest)
            elif len(doubtful) and np.abs(doubtful - sample).min() <= _TOLERANCE_SAMPLES:
                continue
            hits.append(hit)
            scores.append(probability)
    return np.array(hits, dtype=bool), np.array(scores), n
