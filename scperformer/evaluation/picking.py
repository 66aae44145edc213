"""The whole pipeline run over the streams of an evaluation: the code path of ``scan``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from scperformer.config import Settings
from scperformer.core.batching import UNHURRIED
from scperformer.core.pipeline import Pipeline
from scperformer.core.triggers import Thresholds
from scperformer.evaluation.pick_tables import PHASES, POLARITIES, PickTable
from scperformer.evaluation.sets import EvaluationSet, Unit
from scperformer.networks.loading import LoadedModel
from scperformer.types import Pick
from scperformer.waveforms.problems import Report, log_problem

DEFAULT_FLOOR = 0.05

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, eq=False)
class PickedStreams:
    """The picks of a model.

    Attributes:
        table: for scoring.
        picks: the same picks, row by row.
        n_idle: streams without any window to look at.
        station_hours: data that went through the network.
        elapsed_s: wall time of reading and picking.
    """

    table: PickTable
    picks: tuple[Pick, ...]
    n_idle: int
    station_hours: float
    elapsed_s: float


def pick_streams(
    data: EvaluationSet,
    model: LoadedModel,
    *,
    settings: Settings | None = None,
    floor: float = DEFAULT_FLOOR,
    report: Report = log_problem,
    progress: Progress | None = None,
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
    pipeline = make_pipeline(model, settings or Settings(**UNHURRIED), floor=floor)
    numbers: list[int] = []
    picks: list[Pick] = []
    n_idle = 0
    begun = time.perf_counter()
    for number, unit in enumerate(data.units):
        windows = pipeline.statistics.windows
        found = unique(_pick_unit(pipeline, unit, report))
        n_idle += pipeline.statistics.windows == windows
        numbers += [number] * len(found)
        picks += found
        if progress is not None:
            progress(number + 1)
    return PickedStreams(
        table=table_of(numbers, picks),
        picks=tuple(picks),
        n_idle=n_idle,
        station_hours=pipeline.statistics.station_hours,
        elapsed_s=time.perf_counter() - begun,
    )


def make_pipeline(model: LoadedModel, settings: Settings, *, floor: float) -> Pipeline:
    """Make the pipeline of `scan` with one threshold for everything."""
    own = replace(settings, threshold_p=None, threshold_s=None)
    thresholds = Thresholds.constant(floor, floor)
    return Pipeline(model.classifier, thresholds=thresholds, settings=own, context=model.context)


def _pick_unit(pipeline: Pipeline, unit: Unit, report: Report) -> Iterator[Pick]:
    pipeline.expect(unit.group.seed_ids)
    for record in unit.group.records(report=report):
        yield from pipeline.feed(record)
    yield from pipeline.flush()


def unique(picks: Iterator[Pick]) -> list[Pick]:
    """Leave out picks that have the public id of one before, as ``scan`` does."""
    seen: dict[str, Pick] = {}
    for pick in picks:
        seen.setdefault(pick.public_id, pick)
    return list(seen.values())


def table_of(streams: Sequence[int], picks: Sequence[Pick]) -> PickTable:
    """Make a table of picks and the numbers of their streams."""
    return PickTable.from_columns(
        streams,
        [PHASES.index(pick.phase) for pick in picks],
        [pick.time_ns for pick in picks],
        [pick.probability for pick in picks],
        uncertainty_s=[pick.uncertainty_s for pick in picks],
        decision_delay_s=[pick.decision_delay_s for pick in picks],
        polarity=[POLARITIES.index(pick.polarity) for pick in picks],
        n_components=[pick.n_components for pick in picks],
    )
