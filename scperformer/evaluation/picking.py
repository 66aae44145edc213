"""The whole pipeline run over the streams of an evaluation: the code path of ``scan``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from scperformer.config import Settings
from scperformer.core.pipeline import Pipeline
from scperformer.core.triggers import Thresholds
from scperformer.evaluation.pick_tables import PHASES, POLARITIES, PickTable
from scperformer.evaluation.sets import EvaluationSet
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
    pipeline = make_pipeline(model, settings, floor=floor)
    numbers: list[int] = []
    picks: list[Pick] = []
    n_idle = 0
    begun = time.perf_counter()
    for number, unit in enumerate(data.units):
        windows = pipeline.statistics.windows
        pipeline.expect(unit.group.seed_ids)
        found: dict[str, Pick] = {}
        for record in unit.group.records(report=report):
            _keep_first(found, pipeline.feed(record))
        _keep_first(found, pipeline.flush())
        n_idle += pipeline.statistics.windows == windows
        numbers += [number] * len(found)
        picks += found.values()
        if progress is not None:
            progress(number + 1)
    elapsed_s = time.perf_counter() - begun
    return PickedStreams(table_of(numbers, picks), tuple(picks), n_idle, elapsed_s)


def make_pipeline(model: LoadedModel, settings: Settings, *, floor: float) -> Pipeline:
    """Make the pipeline of `scan` with one threshold for everything."""
    own = replace(settings, threshold_p=None, threshold_s=None)
    thresholds = Thresholds.constant(floor, floor)
    return replace(model, thresholds=thresholds).pipeline(own)


def _keep_first(found: dict[str, Pick], picks: Iterable[Pick]) -> None:
    """Leave out picks that have the public id of one before, as ``scan`` does."""
    for pick in picks:
        found.setdefault(pick.public_id, pick)


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
