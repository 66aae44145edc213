"""Who works on pieces: this process, several processes, or the workers of a Dask cluster.

Results come in the order in which pieces were handed over, whoever was the first to be ready,
and no more pieces are under way than the crew can soon begin: so what waits is bounded.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Protocol

from scperformer.scanning.work import PieceResult, Work, Worker
from scperformer.waveforms.pieces import Piece
from scperformer.waveforms.problems import InputProblem

MOST_TRIES = 3
_AHEAD = 2
"""Pieces that wait for each worker, beside the one that it has in hand."""

Progress = Callable[[int], None]


class Task(Protocol):
    """A piece that was handed over."""

    def result(self) -> PieceResult | None:
        """Wait for the result; None if the piece was not begun and will not be."""

    def cancel(self) -> None:
        """Do not begin it, if it is not begun yet."""


class Crew(Protocol):
    """Takes pieces over."""

    @property
    def most(self) -> int:
        """Pieces that may be under way."""

    def begin(self, piece: Piece) -> Task:
        """Take a piece over."""

    def close(self) -> None:
        """Let the workers go."""


class Alone:
    """This process: a piece is scanned when its result is asked for.

    Args:
        work: what is to be done.
        stop: ends a piece where it is.
        progress: hears how far a piece is, in nanoseconds.
    """

    most = 1

    def __init__(
        self, work: Work, stop: threading.Event, progress: Callable[[Piece], Progress]
    ) -> None:
        self._worker = Worker(work, stop)
        self._stop = stop
        self._progress = progress

    def begin(self, piece: Piece) -> Task:
        """Take a piece over."""
        return _Own(lambda: self._worker.scan(piece, self._progress(piece)), self._stop)

    def close(self) -> None:
        """Nobody is to be let go."""


class _Own:
    def __init__(self, scan: Callable[[], PieceResult], stop: threading.Event) -> None:
        self._scan = scan
        self._stop = stop

    def result(self) -> PieceResult | None:
        return None if self._stop.is_set() else self._scan()

    def cancel(self) -> None:
        """It is not begun before its result is asked for."""


class Processes:
    """Processes of this machine.

    Each loads the model once. One that dies costs its piece a try; the others begin anew.

    Args:
        work: what is to be done.
        n: how many.
    """

    def __init__(self, work: Work, n: int) -> None:
        self._work = work
        self._n = n
        self.most = n * (1 + _AHEAD)
        self._pool = self._start()

    def begin(self, piece: Piece) -> Task:
        """Take a piece over."""
        return _Remote(piece, self._submit)

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, piece: Piece) -> Future[PieceResult]:
        try:
            return self._pool.submit(_scan_here, piece)
        except BrokenProcessPool:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._start()
            return self._pool.submit(_scan_here, piece)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._n,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin_work,
            initargs=(self._work,),
        )


class _Remote:
    """A piece in other hands; it goes to others when these are lost."""

    def __init__(self, piece: Piece, submit: Callable[[Piece], Future[PieceResult]]) -> None:
        self._piece = piece
        self._submit = submit
        self._future = submit(piece)

    def result(self) -> PieceResult | None:
        for _ in range(MOST_TRIES - 1):
            if self._future.cancelled():
                return None
            try:
                return self._future.result()
            except BrokenProcessPool:
                self._future = self._submit(self._piece)
        try:
            return self._future.result()
        except BrokenProcessPool:
            return failed(self._piece, f"its process died {MOST_TRIES} times")

    def cancel(self) -> None:
        self._future.cancel()


def failed(piece: Piece, why: str) -> PieceResult:
    """Return the result of a piece that nobody could scan."""
    problem = InputProblem(Path(piece.name), f"not scanned: {why}", "")
    return PieceResult(problems=(problem,), idle=why, is_whole=False)


_workers: list[Worker] = []


def _begin_work(work: Work) -> None:
    """Prepare a process: signals are the main process's affair."""
    from scperformer.allocation import keep_freed_memory  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keep_freed_memory()
    _workers.append(Worker(work))


def _end_with_parent() -> None:
    """Leave no process behind where the main one was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _scan_here(piece: Piece) -> PieceResult:
    return _workers[-1].scan(piece)


def in_order(
    pieces: Iterable[Piece],
    crew: Crew,
    known: Callable[[Piece], PieceResult | None],
    stop: threading.Event,
) -> Iterator[tuple[Piece, PieceResult, bool]]:
    """Yield the results of pieces in their order, and whether each was known before.

    After `stop` no piece is begun; those that are under way come to their end.

    Args:
        pieces: what to scan.
        crew: who scans.
        known: gives the result of a piece that need not be scanned, or None.
        stop: ends it early.
    """
    waiting: deque[tuple[Piece, Task | PieceResult]] = deque()
    for piece in pieces:
        if stop.is_set():
            break
        before = known(piece)
        waiting.append((piece, crew.begin(piece) if before is None else before))
        while waiting and (len(waiting) >= crew.most or isinstance(waiting[0][1], PieceResult)):
            yield from _first(waiting)
    if stop.is_set():
        for _, task in waiting:
            if not isinstance(task, PieceResult):
                task.cancel()
    while waiting:
        yield from _first(waiting)


def _first(
    waiting: deque[tuple[Piece, Task | PieceResult]],
) -> Iterator[tuple[Piece, PieceResult, bool]]:
    piece, task = waiting.popleft()
    if isinstance(task, PieceResult):
        yield piece, task, True
        return
    result = task.result()
    if result is not None:
        yield piece, result, False
