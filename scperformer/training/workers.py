"""Batches made by processes of their own, in the order of their numbers."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Protocol

_AHEAD = 3
"""Batches that each process is ahead."""


class Maker(Protocol):
    """Makes batches; it is taken to other processes as it is."""

    def make(self, number: int) -> Any:
        """Make the batch of that number, which alone decides what is in it."""


class Workers:
    """Processes that make batches ahead.

    Args:
        maker: makes them.
        count: processes.
    """

    def __init__(self, maker: Maker, count: int) -> None:
        # A fork of a process with TensorFlow's threads may hang.
        self._pool = ProcessPoolExecutor(
            count, mp_context=get_context("spawn"), initializer=_start, initargs=(maker,)
        )
        self._ahead = _AHEAD * count

    def batches(self, first: int) -> Iterator[Any]:
        """Yield the batches from that number on."""
        numbers = itertools.count(first)
        made: deque[Future[Any]] = deque(
            self._pool.submit(_make, next(numbers)) for _ in range(self._ahead)
        )
        try:
            while True:
                yield made.popleft().result()
                made.append(self._pool.submit(_make, next(numbers)))
        finally:
            for waiting in made:
                waiting.cancel()

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)


_makers: list[Maker] = []


def _start(maker: Maker) -> None:
    _makers[:] = [maker]


def _make(number: int) -> Any:
    return _makers[0].make(number)
