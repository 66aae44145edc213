"""The loop of a stream: records in, picks out, again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from scperformer.cli.stream_report import Watch
from scperformer.core.batching import MANY_RECORDS
from scperformer.core.pipeline import Pipeline
from scperformer.delivery.delivery import Delivery
from scperformer.delivery.state import StreamState
from scperformer.types import Pick, Record
from scperformer.waveforms.feed import Feed
from scperformer.waveforms.selection import Chooser

SAVE_S = 5.0
_CHORES_S = 0.5


class StreamLoop:
    """Feeds the pipeline and delivers its picks until the sources end or `stop` is set.

    Args:
        pipeline: the picker.
        feed: the sources.
        delivery: the outputs.
        watch: writes the status line.
        chooser: tells which channels are picked.
        stop: set to end.
        state: what a restart goes on from; None if there will be none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        feed: Feed,
        delivery: Delivery,
        watch: Watch,
        chooser: Chooser,
        *,
        stop: threading.Event,
        state: StreamState | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._feed = feed
        self._delivery = delivery
        self._watch = watch
        self._chooser = chooser
        self._stop = stop
        self._state = state
        self._chores_s = self._saved_s = time.monotonic()

    def run(self) -> None:
        """Run to the end; everything decided has been written down when it returns.

        Raises:
            OutputError: picks could not be written down before the stop.
        """
        for record in self._feed:
            if record is not None:
                self._take(record)
            self._give_out(self._pipeline.keep_time(time.monotonic()))
            self._do_chores()
        if self._stop.is_set() and self._state is not None:
            # What is not decided yet will be, after the restart, with what follows.
            self._give_out(self._pipeline.classify_pending())
            self._save()
        else:
            self._give_out(self._pipeline.classify_pending())
            self._save()
            self._give_out(self._pipeline.flush())

    def _take(self, record: Record) -> None:
        if not self._chooser.takes(record.seed_id, record.sampling_rate_hz):
            return
        self._watch.note(record)
        self._pipeline.batches.catches_up = self._feed.n_waiting > MANY_RECORDS
        if self._state is None or self._state.wants(record):
            self._give_out(self._pipeline.feed(record))

    def _do_chores(self) -> None:
        now_s = time.monotonic()
        if now_s - self._chores_s < _CHORES_S:
            return
        self._chores_s = now_s
        self._delivery.push()
        self._watch.check(self._pipeline, self._delivery)
        if now_s - self._saved_s >= SAVE_S:
            self._save()

    def _give_out(self, picks: Sequence[Pick]) -> None:
        if picks:
            self._delivery.emit(picks)

    def _save(self) -> None:
        self._saved_s = time.monotonic()
        if self._state is not None:
            self._state.save(self._pipeline.decided_until_ns(), self._delivery)
