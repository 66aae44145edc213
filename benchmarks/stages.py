"""Exclusive times of the pipeline's stages, measured by wrapping their functions."""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from scperformer.core import columns, inference, pipeline
from scperformer.core.buffers import Assembler
from scperformer.core.channels import Channel
from scperformer.core.columns import PowerColumns
from scperformer.core.filters import FilterState
from scperformer.core.streaming import StreamingNetwork
from scperformer.core.triggers import Trigger
from scperformer.core.windows import WindowCutter
from scperformer.picks.pick_files import FileSink
from scperformer.waveforms.archive import ArchiveGroup

STAGES: dict[str, list[tuple[Any, str]]] = {
    "order": [(Channel, "push"), (Channel, "note_front")],
    "align": [(Assembler, "push"), (Assembler, "_next_block"), (Assembler, "_horizon")],
    "filter": [(FilterState, "process")],
    "windows": [(WindowCutter, "_cut")],
    "spectrogram": [(inference, "spectrogram_columns"), (columns, "log_power_columns")],
    "gather": [(inference, "gather"), (inference.ColumnInference, "start")],
    "level": [(PowerColumns, "roots"), (PowerColumns, "features"), (StreamingNetwork, "_level")],
    "hand over": [(inference.WindowInference, "_classify")],
    "network": [(inference._Submitted, "result"), (StreamingNetwork, "predict")],
    "trigger": [(Trigger, "process")],
    "onset": [(pipeline, "estimate_onset")],
}
FILE_STAGES: dict[str, list[tuple[Any, str]]] = {
    "read": [(ArchiveGroup, "records")],
    "write": [(FileSink, "write"), (FileSink, "close")],
}
"""What a scan does beside the pipeline."""


class StageTimes:
    """Seconds spent in each stage, without the stages that it calls in the same thread."""

    def __init__(self, stages: Iterable[str]) -> None:
        self._stages = tuple(stages)
        self.seconds: dict[str, float] = defaultdict(float)
        self._thread = _Thread()

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a stopwatch; of a generator each item is timed."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            waiting = self._thread.waiting
            begun = time.perf_counter()
            waiting.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                elapsed = time.perf_counter() - begun
                self.seconds[stage] += elapsed - waiting.pop()
                if waiting:
                    waiting[-1] += elapsed

        if not inspect.isgeneratorfunction(function):
            return timed
        following = self.wrap(stage, next)

        @functools.wraps(function)
        def items(*args: Any, **kwargs: Any) -> Iterator[Any]:
            generator, end = function(*args, **kwargs), object()
            while (item := following(generator, end)) is not end:
                yield item

        return items

    def shares(self, total_s: float) -> dict[str, float]:
        """Return each stage's share of a total, the rest as "other"."""
        shares = {stage: self.seconds[stage] / total_s for stage in self._stages}
        shares["other"] = 1.0 - sum(shares.values())
        return shares


class _Thread(threading.local):
    """What the open stages of a thread spent in stages that they called."""

    def __init__(self) -> None:
        self.waiting: list[float] = []


@contextmanager
def timed_stages(*, files: bool = False) -> Iterator[StageTimes]:
    """Time the stages of every pipeline that runs inside.

    Args:
        files: time reading and writing of files too.
    """
    stages = STAGES | FILE_STAGES if files else STAGES
    times = StageTimes(stages)
    saved = []
    for stage, places in stages.items():
        for holder, name in places:
            original = getattr(holder, name)
            saved.append((holder, name, original))
            setattr(holder, name, times.wrap(stage, original))
    try:
        yield times
    finally:
        for holder, name, original in saved:
            setattr(holder, name, original)
