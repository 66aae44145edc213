"""No window waits for long, on the wall clock, while records come slowly."""

from __future__ import annotations

from scperformer.core.pipeline import Pipeline
from scperformer.types import Pick

CLASSIFY_S = 0.2
"""How long a complete window waits for its batch to fill, at most."""


class Deadline:
    """Has a pipeline classify what has waited long enough. It changes no pick.

    Args:
        pipeline: the picker.
        now_s: time of a clock that never goes back.
    """

    def __init__(self, pipeline: Pipeline, now_s: float) -> None:
        self._pipeline = pipeline
        self._n_batches = pipeline.n_batches
        self._since_s = now_s

    def keep(self, now_s: float) -> list[Pick]:
        """Return picks that have come meanwhile; classify what has waited since too long ago."""
        picks = self._pipeline.collect()
        # A batch that goes takes all windows with it: what waits now is younger.
        if not self._pipeline.n_pending_windows or self._pipeline.n_batches != self._n_batches:
            self._since_s = now_s
        elif now_s - self._since_s >= CLASSIFY_S:
            picks += self._pipeline.classify_pending()
            self._since_s = now_s
        self._n_batches = self._pipeline.n_batches
        return picks
