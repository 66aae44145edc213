"""Filtered blocks cut into windows on the absolute grid."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scperformer.core.buffers import Block
from scperformer.core.filters import Filter, FilterState
from scperformer.core.spectrogram import (
    HOP_SAMPLES,
    N_COLUMNS,
    ROW_LENGTH,
    spectrogram_columns,
)
from scperformer.types import (
    N_COMPONENTS,
    SAMPLE_NS,
    WINDOW_SAMPLES,
    WindowBatch,
    WindowInput,
)

NOT_RUNNING = np.iinfo(np.int64).max


class Segment:
    """The filtered waveform of a stretch without a break on all components.

    It grows at its end and forgets its beginning; whoever still needs an old
    part holds a reference and reads it before it is trimmed.

    Attributes:
        start: grid index of the segment's first sample.
        offset_ns: (3,) int64, true time minus grid time of each component.
        letters: component letters in the order N, E, Z.
    """

    __slots__ = ("_from", "_waveform", "letters", "offset_ns", "start")

    def __init__(self, start: int, letters: tuple[str, ...]) -> None:
        self.start = start
        self.letters = letters
        self.offset_ns = np.zeros(N_COMPONENTS, dtype=np.int64)
        self._from = start
        self._waveform = np.empty((N_COMPONENTS, 0), dtype=np.float32)

    @property
    def end(self) -> int:
        """Grid index that follows the last sample."""
        return self._from + self._waveform.shape[1]

    @property
    def kept_from(self) -> int:
        """Grid index of the first sample that is still held."""
        return self._from

    def append(self, samples: NDArray[np.float32]) -> None:
        """Add (3, n) samples."""
        self._waveform = np.concatenate([self._waveform, samples], axis=1)

    def trim(self, before: int) -> None:
        """Forget what lies before a grid index."""
        cut = min(max(before - self._from, 0), self._waveform.shape[1])
        if cut:
            self._waveform = self._waveform[:, cut:].copy()
            self._from += cut

    def view(self, first: int, end: int) -> NDArray[np.float32]:
        """Return the samples from `first` to before `end`, (3, n), without a copy."""
        return self._waveform[:, max(first - self._from, 0) : max(end - self._from, 0)]

    def time_ns(self, index: int, place: int) -> int:
        """True time of a sample of one component."""
        return index * SAMPLE_NS + int(self.offset_ns[place])


@dataclass(frozen=True, slots=True, eq=False)
class WindowRun:
    """Consecutive windows of one sensor, ready for the network.

    Attributes:
        segment: the waveform that they lie in.
        starts: (n,) int64, grid index of each window's first sample.
        batch: what the network needs; rows are shared by the windows.
        run_start: (3,) int64, where the present components' runs began.
        n_live: (n,) int64, components that cover the window and are not silent.
        scorable: (n,) bool; the other windows count as noise.
        ends: the segment ends behind these windows.
    """

    segment: Segment
    starts: NDArray[np.int64]
    batch: WindowBatch
    run_start: NDArray[np.int64]
    n_live: NDArray[np.int64]
    scorable: NDArray[np.bool_]
    ends: bool = False

    def __len__(self) -> int:
        return len(self.starts)


class WindowCutter:
    """Filters a sensor's blocks and cuts them into windows.

    Windows begin at multiples of the shift counted from the epoch. A component
    takes part in a window if it covers all of it.

    Args:
        filter_: the filter of the stream.
        shift: samples between windows.
        window_input: what the network looks at.
        require_all: leave out windows without all three components.
    """

    def __init__(
        self, filter_: Filter, shift: int, window_input: WindowInput, *, require_all: bool
    ) -> None:
        self._shift = shift
        self._input = window_input
        self._require_all = require_all
        self._filter: FilterState = filter_.start()
        self._step = math.gcd(shift, HOP_SAMPLES)
        self._grain = math.gcd(shift, WINDOW_SAMPLES)
        self._present = np.zeros(N_COMPONENTS, dtype=bool)
        self._run_start = np.full(N_COMPONENTS, NOT_RUNNING, dtype=np.int64)
        self._segment: Segment | None = None
        self._next_start = 0
        self._rows = np.empty((0, ROW_LENGTH), dtype=np.float32)
        self._rows_from = 0
        self._maxima = np.empty((N_COMPONENTS, 0), dtype=np.float32)
        self._maxima_from = 0

    def process(self, block: Block) -> Iterator[WindowRun]:
        """Take a block; yield the windows that it completes."""
        if self._segment is None or block.index != self._segment.end:
            yield from self.finish()
            self._begin(block)
        assert self._segment is not None
        self._note_presence(block)
        filtered = self._filter.process(block.samples).astype(np.float32)
        self._segment.append(filtered)
        self._extend_maxima()
        if self._input is WindowInput.COLUMNS:
            self._extend_rows()
        run = self._cut_windows()
        if run is not None:
            yield run

    def finish(self) -> Iterator[WindowRun]:
        """End the segment."""
        if self._segment is not None:
            yield self._empty_run(self._segment)
        self._segment = None

    def _begin(self, block: Block) -> None:
        self._segment = Segment(block.index, block.letters)
        self._present[:] = False
        self._next_start = -(-block.index // self._shift) * self._shift
        self._rows = self._rows[:0]
        self._rows_from = -(-block.index // self._step)
        self._maxima = self._maxima[:, :0]
        self._maxima_from = -(-block.index // self._grain)

    def _note_presence(self, block: Block) -> None:
        assert self._segment is not None
        changed = block.fresh | (block.present != self._present)
        if changed.any():
            self._filter.prime(changed, block.samples[:, 0])
            self._run_start[changed] = np.where(block.present, block.index, NOT_RUNNING)[changed]
            self._segment.letters = block.letters
        self._present = block.present
        np.copyto(self._segment.offset_ns, block.offset_ns, where=block.present)

    def _extend_maxima(self) -> None:
        assert self._segment is not None
        done = self._maxima_from + self._maxima.shape[1]
        ready = self._segment.end // self._grain
        if ready <= done:
            return
        fresh = np.abs(self._segment.view(done * self._grain, ready * self._grain))
        grains = fresh.reshape(N_COMPONENTS, ready - done, self._grain).max(axis=2)
        self._maxima = np.concatenate([self._maxima, grains], axis=1)

    def _extend_rows(self) -> None:
        assert self._segment is not None
        first = (self._rows_from + len(self._rows)) * self._step
        rows = spectrogram_columns(self._segment.view(first, self._segment.end), self._step)
        self._rows = np.concatenate([self._rows, rows])

    def _cut_windows(self) -> WindowRun | None:
        assert self._segment is not None
        last = (self._segment.end - WINDOW_SAMPLES) // self._shift * self._shift
        starts = np.arange(self._next_start, last + 1, self._shift, dtype=np.int64)
        if not len(starts):
            return None
        self._next_start = int(starts[-1]) + self._shift
        present = self._present & (self._run_start <= starts[:, None])
        maxima = np.where(present, self._window_maxima(starts), np.float32(0.0))
        n_live = np.count_nonzero(maxima > 0.0, axis=1)
        scorable = n_live > 0
        if self._require_all:
            scorable &= present.all(axis=1)
        rows, row_starts, stride = self._window_rows(starts)
        run = WindowRun(
            segment=self._segment,
            starts=starts,
            batch=WindowBatch(
                rows=rows,
                starts=row_starts,
                stride=stride,
                peak=maxima.max(axis=1),
                present=present,
            ),
            run_start=self._run_start.copy(),
            n_live=n_live,
            scorable=scorable,
        )
        self._forget()
        return run

    def _window_maxima(self, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Largest absolute sample of each component in each window, (n, 3)."""
        per_window = WINDOW_SAMPLES // self._grain
        over = sliding_window_view(self._maxima, per_window, axis=1)
        places = starts // self._grain - self._maxima_from
        taken = over[:, int(places[0]) : int(places[-1]) + 1 : self._shift // self._grain]
        maxima: NDArray[np.float32] = taken.max(axis=2).T
        return maxima

    def _window_rows(
        self, starts: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
        assert self._segment is not None
        if self._input is WindowInput.SAMPLES:
            first = int(starts[0])
            samples = self._segment.view(first, int(starts[-1]) + WINDOW_SAMPLES)
            return np.ascontiguousarray(samples.T), starts - first, 1
        stride = HOP_SAMPLES // self._step
        first_row = int(starts[0]) // self._step
        end_row = int(starts[-1]) // self._step + (N_COLUMNS - 1) * stride + 1
        rows = self._rows[first_row - self._rows_from : end_row - self._rows_from]
        return rows, starts // self._step - first_row, stride

    def _forget(self) -> None:
        """Let go of rows and maxima that no later window needs."""
        if self._input is WindowInput.COLUMNS:
            cut = self._next_start // self._step - self._rows_from
            self._rows = self._rows[cut:]
            self._rows_from += cut
        cut = self._next_start // self._grain - self._maxima_from
        self._maxima = self._maxima[:, cut:]
        self._maxima_from += cut

    def _empty_run(self, segment: Segment) -> WindowRun:
        batch = WindowBatch(
            rows=np.empty((0, ROW_LENGTH), dtype=np.float32),
            starts=np.empty(0, dtype=np.int64),
            stride=1,
            peak=np.empty(0, dtype=np.float32),
            present=np.empty((0, N_COMPONENTS), dtype=bool),
        )
        return WindowRun(
            segment=segment,
            starts=np.empty(0, dtype=np.int64),
            batch=batch,
            run_start=self._run_start.copy(),
            n_live=np.empty(0, dtype=np.int64),
            scorable=np.empty(0, dtype=bool),
            ends=True,
        )


class TraceNormaliser:
    """Divides windows by the largest sample of their block instead of their own.

    Blocks of `block_samples` are counted from the epoch; a window belongs to the
    block in which it begins. Windows wait until their block is complete.
    """

    def __init__(self, block_samples: int) -> None:
        self._block_samples = block_samples
        self._waiting: deque[WindowRun] = deque()
        self._block = -1
        self._peak = np.float32(0.0)

    def process(self, run: WindowRun) -> Iterator[WindowRun]:
        """Take a run; yield the runs whose blocks are complete."""
        if run.ends:
            yield from self._release()
            yield run
            return
        blocks = run.starts // self._block_samples
        edges = np.flatnonzero(np.diff(blocks)) + 1
        bounds = [0, *edges.tolist(), len(run)]
        for first, end in pairwise(bounds):
            if int(blocks[first]) != self._block:
                yield from self._release()
                self._block = int(blocks[first])
            part = slice_run(run, first, end)
            self._peak = np.maximum(self._peak, part.batch.peak.max())
            self._waiting.append(part)

    def _release(self) -> Iterator[WindowRun]:
        while self._waiting:
            run = self._waiting.popleft()
            peak = np.full(len(run), self._peak, dtype=np.float32)
            yield replace(run, batch=replace(run.batch, peak=peak))
        self._peak = np.float32(0.0)


def slice_run(run: WindowRun, first: int, end: int) -> WindowRun:
    """Return the windows from `first` to before `end` of a run."""
    part = slice(first, end)
    batch = replace(
        run.batch,
        starts=run.batch.starts[part],
        peak=run.batch.peak[part],
        present=run.batch.present[part],
    )
    return replace(
        run,
        starts=run.starts[part],
        batch=batch,
        n_live=run.n_live[part],
        scorable=run.scorable[part],
    )
