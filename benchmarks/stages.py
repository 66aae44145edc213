"""Exclusive times of the pipeline's stages, measured by wrapping their functions."""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from scperformer.core import batching, pipeline
from scperformer.core.buffers import Assembler
from scperformer.core.channels import Channel
from scperformer.core.filters import FilterState
from scperformer.core.triggers import Trigger
from scperformer.core.windows import WindowCutter

STAGES: dict[str, list[tuple[Any, str]]] = {
    "order": [(Channel, "push"), (Channel, "note_front")],
    "align": [(Assembler, "push"), (Assembler, "_next_block"), (Assembler, "_horizon")],
    "filter": [(FilterState, "process")],
    "windows": [(WindowCutter, "_cut")],
    "spectrogram": [(batching, "spectrogram_columns")],
    "gather": [(pipeline, "gather")],
    "network": [(pipeline, "classify")],
    "trigger": [(Trigger, "process")],
    "onset": [(pipeline, "estimate_onset")],
}


class StageTimes:
    """Seconds spent in each stage, without the stages that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[float] = []

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            self._open.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                elapsed = time.perf_counter() - begun
                self.seconds[stage] += elapsed - self._open.pop()
                if self._open:
                    self._open[-1] += elapsed

        return timed

    def shares(self, total_s: float) -> dict[str, float]:
        """Return each stage's share of a total, the rest as "other"."""
        shares = {stage: self.seconds[stage] / total_s for stage in STAGES}
        shares["other"] = 1.0 - sum(shares.values())
        return shares


@contextmanager
def timed_stages() -> Iterator[StageTimes]:
    """Time the stages of every pipeline that runs inside."""
    times = StageTimes()
    saved = []
    for stage, places in STAGES.items():
        for holder, name in places:
            original = getattr(holder, name)
            saved.append((holder, name, original))
            setattr(holder, name, times.wrap(stage, original))
    try:
        yield times
    finally:
        for holder, name, original in saved:
            setattr(holder, name, original)
