"""Filtered blocks cut into windows on the absolute grid."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scperformer.core.buffers import Block, component_flags
from scperformer.core.filters import Filter, FilterState
from scperformer.core.raw import RawRun
from scperformer.types import (
    N_COMPONENTS,
    SAMPLE_NS,
    WINDOW_SAMPLES,
)

NOT_RUNNING = np.iinfo(np.int64).max
_NONE = component_flags((False,) * N_COMPONENTS)


class Segment:
    """The filtered waveform of all components for as long as nothing breaks.

    It grows at its end and forgets its beginning; whoever still needs an old
    part holds a reference and reads it before it is trimmed.

    Attributes:
        start: grid index of the segment's first sample.
        kept_from: grid index of the first sample that is still held.
    """

    __slots__ = ("_waveform", "kept_from", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.kept_from = start
        self._waveform = np.empty((N_COMPONENTS, 0), dtype=np.float32)

    @property
    def end(self) -> int:
        """Grid index that follows the last sample."""
        return self.kept_from + self._waveform.shape[1]

    def append(self, samples: NDArray[np.float32]) -> None:
        """Add (3, n) samples."""
        self._waveform = np.concatenate([self._waveform, samples], axis=1)

    def trim(self, before: int) -> None:
        """Forget what lies before a grid index."""
        cut = min(max(before - self.kept_from, 0), self._waveform.shape[1])
        if cut:
            self._waveform = self._waveform[:, cut:].copy()
            self.kept_from += cut

    def view(self, first: int, end: int) -> NDArray[np.float32]:
        """Return the samples from `first` to before `end`, (3, n), without a copy."""
        return self._waveform[:, max(first - self.kept_from, 0) : max(end - self.kept_from, 0)]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a network needs for an answer.

    Attributes:
        window: samples that it takes at a time, a window or a column.
        lag: samples by which the answer that comes with them lies behind them.
    """

    window: int = WINDOW_SAMPLES
    lag: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class WindowRun:
    """Consecutive windows of one sensor, on their way to the network.

    For a network that takes column after column a window is a column.

    Attributes:
        segment: the waveform that they lie in.
        starts: (n,) int64, grid index of each window's first sample.
        samples: (3, m) float32, from the first window's first sample to the last
            window's last.
        present: (n, 3) bool, components that cover the whole window.
        run_start: (3,) int64, where the present components' runs began.
        offset_ns: (3,) int64, true time minus grid time of each component.
        letters: component letters in the order N, E, Z.
        raw: what each component recorded, None where one is absent.
        block_peak: largest absolute sample of the block that the windows are divided
            by; None if each is divided by its own.
        ends: the segment ends behind these windows.
    """

    segment: Segment
    starts: NDArray[np.int64]
    samples: NDArray[np.float32]
    present: NDArray[np.bool_]
    run_start: NDArray[np.int64]
    offset_ns: NDArray[np.int64]
    letters: tuple[str, ...]
    raw: tuple[RawRun | None, ...]
    block_peak: np.float32 | None = None
    ends: bool = False

    def __len__(self) -> int:
        return len(self.starts)

    def time_ns(self, index: int, place: int) -> int:
        """True time of a sample of one component."""
        return index * SAMPLE_NS + int(self.offset_ns[place])


class WindowCutter:
    """Filters a sensor's blocks and cuts them into windows.

    Windows begin at multiples of the shift counted from the epoch. A component
    takes part in a window if it covers all of it.

    Args:
        filter_: the filter of the stream.
        shift: samples between windows.
        window: samples of a window.
    """

    def __init__(self, filter_: Filter, shift: int, window: int = WINDOW_SAMPLES) -> None:
        self._shift = shift
        self._window = window
        self._filter: FilterState = filter_.start()
        self._present = _NONE
        self._run_start = np.full(N_COMPONENTS, NOT_RUNNING, dtype=np.int64)
        self._offset_ns = np.zeros(N_COMPONENTS, dtype=np.int64)
        self._block_offset_ns = self._offset_ns
        self._letters = ("",) * N_COMPONENTS
        self._raw: tuple[RawRun | None, ...] = (None,) * N_COMPONENTS
        self._all_from = 0
        self._segment: Segment | None = None
        self._next_start = 0

    def process(self, block: Block) -> Iterator[WindowRun]:
        """Take a block; yield the windows that it completes."""
        if self._segment is None or block.index != self._segment.end or _begins_anew(block):
            yield from self.finish()
            self._begin(block)
        assert self._segment is not None
        self._note_presence(block)
        self._segment.append(self._filter.process(block.samples).astype(np.float32))
        last = (self._segment.end - self._window) // self._shift * self._shift
        if last >= self._next_start:
            yield self._cut(self._segment, last)

    def finish(self) -> Iterator[WindowRun]:
        """End the segment."""
        if self._segment is not None:
            yield WindowRun(
                segment=self._segment,
                starts=np.empty(0, dtype=np.int64),
                samples=np.empty((N_COMPONENTS, 0), dtype=np.float32),
                present=np.empty((0, N_COMPONENTS), dtype=bool),
                run_start=self._run_start.copy(),
                offset_ns=self._offset_ns,
                letters=self._letters,
                raw=self._raw,
                ends=True,
            )
        self._segment = None

    def _begin(self, block: Block) -> None:
        self._segment = Segment(block.index)
        self._letters = block.letters
        self._present = _NONE
        self._next_start = -(-block.index // self._shift) * self._shift

    def _note_presence(self, block: Block) -> None:
        if block.offset_ns is not self._block_offset_ns:
            self._block_offset_ns = block.offset_ns
            # A new array: windows that were cut earlier keep the one of their time.
            self._offset_ns = np.where(block.present, block.offset_ns, self._offset_ns)
        if block.fresh is _NONE and block.present is self._present:
            return
        changed = block.fresh | np.not_equal(block.present, self._present)
        if changed.any():
            self._filter.prime(changed, block.samples[:, 0])
            self._run_start[changed] = np.where(block.present, block.index, NOT_RUNNING)[changed]
            self._letters = block.letters
            self._raw = block.raw
        self._present = block.present
        self._all_from = int(self._run_start[block.present].max(initial=0))

    def _cut(self, segment: Segment, last: int) -> WindowRun:
        starts = np.arange(self._next_start, last + 1, self._shift, dtype=np.int64)
        self._next_start = last + self._shift
        if starts[0] >= self._all_from:
            present = np.empty((len(starts), N_COMPONENTS), dtype=bool)
            present[:] = self._present
        else:
            present = self._present & (self._run_start <= starts[:, None])
        return WindowRun(
            segment=segment,
            starts=starts,
            samples=segment.view(int(starts[0]), last + self._window),
            present=present,
            run_start=self._run_start.copy(),
            offset_ns=self._offset_ns,
            letters=self._letters,
            raw=self._raw,
        )


def _begins_anew(block: Block) -> bool:
    """Whether nothing in a block goes on from the one before."""
    return block.fresh is not _NONE and not (block.present & ~block.fresh).any()


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
        for first, end in pairwise([0, *edges.tolist(), len(run)]):
            if int(blocks[first]) != self._block:
                yield from self._release()
                self._block = int(blocks[first])
            part = slice_run(run, first, end)
            live = part.samples[np.flatnonzero(part.present.sum(axis=0))]
            self._peak = np.maximum(self._peak, np.abs(live).max(initial=np.float32(0.0)))
            self._waiting.append(part)

    def _release(self) -> Iterator[WindowRun]:
        while self._waiting:
            yield replace(self._waiting.popleft(), block_peak=self._peak)
        self._peak = np.float32(0.0)


def slice_run(run: WindowRun, first: int, end: int) -> WindowRun:
    """Return the windows from `first` to before `end` of a run."""
    origin = int(run.starts[0])
    low, high = int(run.starts[first]) - origin, int(run.starts[end - 1]) - origin + WINDOW_SAMPLES
    return replace(
        run,
        starts=run.starts[first:end],
        samples=run.samples[:, low:high],
        present=run.present[first:end],
    )
