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

from scperformer.config import UNHURRIED, Settings
from scperformer.core.pipeline import Pipeline
from scperformer.core.triggers import Thresholds
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
        model: the network.
        records: filtered records that were held out; the vertical must be live.

    Returns:
        For ``three``, ``two`` and ``one``, for P and S: threshold, precision, recall, f1
        and n, the number of picks that were looked for. Phases with too few of them have
        n alone.
    """
    table: dict[str, Any] = {}
    for name, mask in _SETS.items():
        usable = [r for r in records if np.array(r.record.present)[np.array(mask)].all()]
        cells = Cells.of([_stream(item.record) for item in usable])
        sure, doubtful = _labels(usable, sure=True), _labels(usable, sure=False)
        picks = _pick_all(model, usable, mask)
        table[name] = {}
        for number, phase in enumerate(PHASES):
            matching = PhaseMatching(cells, sure, picks, number, doubtful=doubtful)
            table[name][phase.value] = _best(matching, len(cells))
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


def _best(matching: PhaseMatching, n_cells: int) -> dict[str, Any]:
    n = len(matching.labels)
    if n < _LEAST_PICKS:
        return {"n": n}
    counts = matching.sweep(_GRID, np.ones((1, n_cells), np.bool_))
    f1 = counts.f1[0]
    # The middle of what is nearly as good: the largest F1 of few picks is chance.
    good = np.flatnonzero(f1 >= f1.max() - _NEARLY)
    index = int(good[len(good) // 2])
    scores = {name: getattr(counts, name)[0, index] for name in ("precision", "recall", "f1")}
    rounded = {name: round(float(np.nan_to_num(value)), 4) for name, value in scores.items()}
    return {"threshold": float(_GRID[index]), **rounded, "n": n}
