"""Runs a computation on any number of windows with few batch sizes.

XLA compiles for one shape. Windows are therefore cut into tiles of a fixed size, the
last one is filled up, and tiles are worked on by several threads, beside whatever the
caller does next. A window's answer does not depend on its neighbours, so neither tiles
nor threads change it. Nothing here imports a framework.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

TILE_SIZES = (64, 520)
"""Batch sizes. Four large ones hold a batch of 2,048 windows and the few that it runs over,
because a sensor's windows come several at a time."""
MOST_THREADS = 8
SPARE_BUFFERS = 2
"""Buffers that are filled while the threads work on others."""
SPARE_WINDOWS = 16
"""Windows computed behind a tile and dropped: matrix products treat their last rows
differently, in the last bit of the answer."""

_ALIGNMENT_BYTES = 64
_MOST_SMALL_TILES = 3

Floats = NDArray[np.float32]
Compute = Callable[[Floats, Floats], Floats]
"""Answers features (n, *shape) and scales (n,) with (n, columns)."""
Compile = Callable[[tuple[int, ...]], Compute]
"""Makes a computation for features of one shape, (n, *shape)."""


class Source(Protocol):
    """Windows that can be written into a buffer."""

    def read(self, windows: slice, out: Floats) -> None:
        """Write windows, (n, *shape)."""

    def scale(self, windows: slice, out: Floats) -> None:
        """Write one number a window, (n,)."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Windows `start` up to `stop` in a computation for `size` windows."""

    start: int
    stop: int
    size: int


class Engine:
    """A computation made for tiles, for each size when it is first needed.

    Args:
        compile: makes it. The arrays that it is given begin at whole multiples of 64 bytes.
        shape: shape of one window's features.
        columns: numbers that it answers to a window.
        sizes: of tiles, from small to large.
        threads: how many tiles are worked on at once; by default as many as there are
            processors for this process, at most 8.
    """

    def __init__(
        self,
        compile: Compile,
        shape: tuple[int, ...],
        *,
        columns: int,
        sizes: tuple[int, ...] = TILE_SIZES,
        threads: int | None = None,
    ) -> None:
        self._columns = columns
        self._sizes = sizes
        wanted = len(os.sched_getaffinity(0)) if threads is None else threads
        self._threads = max(1, min(wanted, MOST_THREADS))
        self._pools = {
            size: _BufferPool(compile, shape, size, self._threads + SPARE_BUFFERS)
            for size in self._sizes
        }
        self._pool: ThreadPoolExecutor | None = None

    def start(self, source: Source, n_windows: int) -> Running:
        """Begin to answer windows; the source is read before this returns.

        Windows are read here and not in the threads, whose many short calls would wait
        for Python's lock one by one. Where all buffers are taken, it waits for one. A few
        windows are answered at once: a stream may pause behind them for longer than that.
        """
        tiles = plan_tiles(n_windows, self._sizes)
        running = Running([self._start(source, tile) for tile in tiles], self._columns)
        if len(tiles) <= _MOST_SMALL_TILES and all(t.size == self._sizes[0] for t in tiles):
            running.result()
        return running

    def _start(self, source: Source, tile: Tile) -> Future[Floats]:
        pool = self._pools[tile.size]
        buffer = pool.take()
        try:
            n = buffer.read(source, tile)
            return self._executor().submit(pool.work, buffer, n)
        except BaseException:
            pool.give_back(buffer)
            raise

    def warm_up(self) -> None:
        """Make the computation for all tile sizes now."""
        for pool in self._pools.values():
            pool.computation()

    def _executor(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="classifier")
        return self._pool


def plan_tiles(n_windows: int, sizes: Sequence[int]) -> list[Tile]:
    """Cut windows into tiles: large ones, then small ones unless they would be many."""
    small, large = sizes[0], sizes[-1]
    tiles = []
    start = 0
    while start < n_windows:
        left = n_windows - start
        size = small if left <= _MOST_SMALL_TILES * small else large
        stop = min(start + size, n_windows)
        tiles.append(Tile(start, stop, size))
        start = stop
    return tiles


class Running:
    """Tiles that are being worked on.

    Args:
        tiles: their answers, in order.
        columns: numbers that answer a window.
    """

    def __init__(self, tiles: Sequence[Future[Floats]], columns: int) -> None:
        self._tiles = tiles
        self._columns = columns

    def done(self) -> bool:
        """Whether all answers are there."""
        return all(tile.done() for tile in reversed(self._tiles))

    def result(self) -> Floats:
        """Wait for the answers, (n, columns) float32."""
        nothing = np.empty((0, self._columns), dtype=np.float32)
        return np.concatenate([nothing, *(tile.result() for tile in self._tiles)])


class _BufferPool:
    """Buffers for one tile size, no more than a few."""

    def __init__(self, compile: Compile, shape: tuple[int, ...], size: int, most: int) -> None:
        self._compile = compile
        self._shape = (size + SPARE_WINDOWS, *shape)
        self._free: SimpleQueue[_Buffer] = SimpleQueue()
        self._left = most
        self._compute: Compute | None = None
        self._lock = threading.Lock()

    def take(self) -> _Buffer:
        """Return a buffer for one's own use; wait for one if all are taken."""
        try:
            return self._free.get_nowait()
        except Empty:
            pass
        with self._lock:
            is_left = self._left > 0
            self._left -= is_left
        if not is_left:
            return self._free.get()
        try:
            return _Buffer(self.computation(), self._shape)
        except BaseException:
            with self._lock:
                self._left += 1
            raise

    def give_back(self, buffer: _Buffer) -> None:
        """Let others have it."""
        self._free.put(buffer)

    def work(self, buffer: _Buffer, n_windows: int) -> Floats:
        """Answer the windows in a buffer, and give it back."""
        try:
            return buffer.work(n_windows)
        finally:
            self.give_back(buffer)

    def computation(self) -> Compute:
        with self._lock:
            if self._compute is None:
                self._compute = self._compile(self._shape)
            return self._compute


class _Buffer:
    """Memory for the windows of a tile, and the computation that reads it."""

    def __init__(self, compute: Compute, shape: tuple[int, ...]) -> None:
        self._compute = compute
        self._features = _aligned(shape)
        self._scales = _aligned(shape[:1])

    def read(self, source: Source, tile: Tile) -> int:
        """Fill the buffer with a tile; return the number of its windows."""
        windows = slice(tile.start, tile.stop)
        n = tile.stop - tile.start
        source.read(windows, self._features[:n])
        source.scale(windows, self._scales[:n])
        return n

    def work(self, n_windows: int) -> Floats:
        """Answer the buffer's windows; what is left behind them is answered and dropped."""
        return self._compute(self._features, self._scales)[:n_windows]


def _aligned(shape: tuple[int, ...]) -> Floats:
    """Return zeros that a framework can read in place."""
    n_bytes = int(np.prod(shape)) * np.dtype(np.float32).itemsize
    memory = np.zeros(n_bytes + _ALIGNMENT_BYTES, dtype=np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT_BYTES
    return memory[begin : begin + n_bytes].view(np.float32).reshape(shape)
