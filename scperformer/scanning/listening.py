"""What is heard while a piece is scanned, and the scores and drawings that are made of it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scperformer.core.columns import PowerColumns
from scperformer.core.statistics import DropReason, Observer, ScoredWindows, split_text
from scperformer.core.streaming import Step, StreamingNetwork
from scperformer.naming import component_places
from scperformer.types import (
    COMPONENTS,
    SAMPLE_NS,
    SAMPLING_RATE_HZ,
    WINDOW_SAMPLES,
    Classifier,
    Gap,
    Pick,
    SeedId,
    WindowBatch,
    format_time,
)
from scperformer.waveforms.archive import ArchiveGroup
from scperformer.waveforms.contents import Span

_log = logging.getLogger(__name__)

Scored = Callable[[ScoredWindows], None]
"""Hears what the network says, of a piece's overlaps as well."""


class TimedClassifier:
    """A classifier that knows how long it has been at work: alone, nothing runs beside it."""

    def __init__(self, inner: Classifier) -> None:
        self._inner = inner
        self.name, self.sha256 = inner.name, inner.sha256
        self.window_input = inner.window_input
        self.elapsed_s = 0.0

    def classify(self, batch: WindowBatch) -> NDArray[np.float32]:
        """Pass on, with a stopwatch."""
        begun = time.perf_counter()
        answer = self._inner.classify(batch)
        self.elapsed_s += time.perf_counter() - begun
        return answer


class TimedNetwork(StreamingNetwork):
    """A streaming network that knows how long it has been at work.

    Args:
        inner: the network, which is not to be used any more.
    """

    def __init__(self, inner: StreamingNetwork) -> None:
        self.__dict__.update(inner.__dict__)
        self.elapsed_s = 0.0

    def predict(self, columns: PowerColumns, steps: Sequence[Step]) -> NDArray[np.float32]:
        """Pass on, with a stopwatch."""
        begun = time.perf_counter()
        answer = super().predict(columns, steps)
        self.elapsed_s += time.perf_counter() - begun
        return answer


def timed(network: Classifier | StreamingNetwork) -> TimedClassifier | TimedNetwork:
    """Give a network a stopwatch."""
    if isinstance(network, StreamingNetwork):
        return TimedNetwork(network)
    return TimedClassifier(network)


@dataclass(frozen=True, slots=True)
class ExtraOutputs:
    """Scores and drawings that are wanted beside the picks.

    Attributes:
        scores: folder for scores and waveforms, None for none.
        positives: folder for drawings of the picks' windows, None for none.
        draws_filtered, draws_original: which windows to draw.
    """

    scores: Path | None = None
    positives: Path | None = None
    draws_filtered: bool = False
    draws_original: bool = False


class PieceListener(Observer):
    """Collects what there is to say about each channel, and feeds the extra outputs.

    Args:
        span: what happens elsewhere is not heard: times of picks and windows.
        extras: the extra outputs.
        scored: hears what the network says.

    Attributes:
        is_on: what happens now counts; not so in a piece's overlaps.
        has_failed: scores or drawings could not be written; the picks go on without them.
        left_out: samples by channel and reason.
        warnings: lines to be said.
    """

    def __init__(self, span: Span, extras: ExtraOutputs, scored: Scored | None = None) -> None:
        self.is_on = False
        self.has_failed = False
        self.wants_scores = extras.scores is not None or scored is not None
        self.left_out: dict[SeedId, Counter[DropReason]] = {}
        self.warnings: list[str] = []
        self._span = span
        self._extras = extras
        self._scored = scored
        self._undrawn: list[Pick] = []

    def gap(self, gap: Gap) -> None:
        if self.is_on:
            start = format_time(gap.start_ns)
            _log.debug("%s: gap of %.2f s at %s", gap.seed_id, gap.duration_s, start)

    def split(self, channels: Sequence[SeedId]) -> None:
        self.warnings.append(split_text(channels))

    def dropped(self, seed_id: SeedId, reason: DropReason, n_samples: int) -> None:
        if self.is_on:
            self.left_out.setdefault(seed_id, Counter())[reason] += n_samples

    def scored(self, windows: ScoredWindows) -> None:
        if self._scored is not None:
            self._scored(windows)
        folder = self._extras.scores
        if folder is None or self.has_failed or not self.is_on:
            return
        start = format_time(windows.waveform_start_ns, "%Y%m%dT%H%M%S.%f")
        stem = f"{windows.sensor_id}.{start}"
        with self._failing_alone(folder):
            np.save(folder / f"{stem}.scores.npy", windows.probabilities)
            np.save(folder / f"{stem}.times.npy", windows.centre_ns)
            np.save(folder / f"{stem}.waveform.npy", windows.waveform)

    def picked(self, pick: Pick, window: NDArray[np.float32]) -> None:
        if self._extras.positives is None or not self._span.holds(pick.time_ns):
            return
        if self._extras.draws_filtered:
            self._draw(pick, "filtered", window.T)
        if self._extras.draws_original:
            self._undrawn.append(pick)

    def draw_originals(self, group: ArchiveGroup) -> None:
        """Draw the unfiltered windows of the picks, read once more from the archive."""
        for pick in self._undrawn:
            window = _unfiltered_window(pick, group)
            if window is not None:
                self._draw(pick, "original", window)
        self._undrawn.clear()

    def _draw(self, pick: Pick, kind: str, window: NDArray[np.float32]) -> None:
        from scperformer.picks.plots import plot_window  # noqa: PLC0415

        folder = self._extras.positives
        assert folder is not None
        if self.has_failed:
            return
        title = f"{pick.phase} {pick.seed_id} {format_time(pick.time_ns)} p={pick.probability:.4f}"
        path = folder / f"{pick.public_id}.{kind}.png"
        with self._failing_alone(folder):
            plot_window(path, window, title=f"{title} ({kind})")

    @contextmanager
    def _failing_alone(self, folder: Path) -> Iterator[None]:
        """Let a full disk cost no picks."""
        try:
            yield
        except OSError as error:
            self.has_failed = True
            why = error.strerror or error
            self.warnings.append(
                f"{folder}: cannot be written ({why}); only the picks are, from now on"
            )


def _unfiltered_window(pick: Pick, group: ArchiveGroup) -> NDArray[np.float32] | None:
    first_ns = pick.time_ns - WINDOW_SAMPLES // 2 * SAMPLE_NS
    span = Span(first_ns, first_ns + WINDOW_SAMPLES * SAMPLE_NS)
    if not span.touches(group.start_ns, group.end_ns):
        return None
    window = np.zeros((WINDOW_SAMPLES, len(COMPONENTS)), dtype=np.float32)
    found = False
    records = list(replace(group, span=span).records())
    places = component_places(frozenset(record.seed_id.component for record in records))
    for record in records:
        place = places.get(record.seed_id.component)
        step = SAMPLING_RATE_HZ / record.sampling_rate_hz
        first = (record.start_ns - first_ns) / SAMPLE_NS
        rows = np.round(first + np.arange(len(record.samples)) * step).astype(int)
        inside = (rows >= 0) & (rows < WINDOW_SAMPLES)
        if place is not None:
            window[rows[inside], place] = record.samples[inside]
            found = True
    return window if found else None
