"""Records from several sources at once, through one bounded queue."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from scperformer.errors import ScperformerError
from scperformer.types import Record

_log = logging.getLogger(__name__)

QUEUE_RECORDS = 8192
IDLE_S = 0.2
"""How long the feed waits for a record before it says that the stream pauses."""

_DRAIN_S = 1.0
_JOIN_S = 0.5


class Source(Protocol):
    """Where records come from."""

    @property
    def name(self) -> str:
        """What the log calls it."""

    @property
    def is_paced(self) -> bool:
        """Whether records come at their own pace, so that a full queue means falling behind."""

    def records(self, stop: threading.Event) -> Iterator[Record]:
        """Yield records as they come, until there are no more or `stop` is set."""


class Feed:
    """Runs each source in a thread of its own; iterating gives the records as they come.

    Nothing is dropped: a source whose records find the queue full waits.

    Args:
        sources: the sources.
        stop: set to end; what is in the queue by then is still given out.
        size: records that the queue holds.

    Attributes:
        failed: names of sources that ended in an error.
    """

    def __init__(
        self, sources: Sequence[Source], stop: threading.Event, *, size: int = QUEUE_RECORDS
    ) -> None:
        self.sources = tuple(sources)
        self.failed: list[str] = []
        self._stop = stop
        self._queue: queue.Queue[tuple[float, Record | None]] = queue.Queue(size)
        self._threads = [
            threading.Thread(target=self._run, args=(source,), name=source.name, daemon=True)
            for source in sources
        ]
        self._oldest_s = 0.0

    def __iter__(self) -> Iterator[Record | None]:
        """Start the sources; yield records, and None whenever the stream pauses."""
        for thread in self._threads:
            thread.start()
        n_running = len(self._threads)
        while n_running and not self._stop.is_set():
            try:
                self._oldest_s, record = self._queue.get(timeout=IDLE_S)
            except queue.Empty:
                self._oldest_s = time.monotonic()
                yield None
                continue
            if record is None:
                n_running -= 1
            else:
                yield record
        yield from self._drain()

    @property
    def fill(self) -> float:
        """How full the queue is, 0 to 1."""
        return self._queue.qsize() / self._queue.maxsize

    @property
    def n_waiting(self) -> int:
        """Records in the queue."""
        return self._queue.qsize()

    @property
    def waiting_s(self) -> float:
        """How long the latest record stood in the queue, if any wait behind it."""
        return time.monotonic() - self._oldest_s if self.n_waiting else 0.0

    @property
    def is_paced(self) -> bool:
        """Whether any source comes at its own pace."""
        return any(source.is_paced for source in self.sources)

    def _drain(self) -> Iterator[Record]:
        """Give out what is left, within the time that a stop may take."""
        deadline_s = time.monotonic() + _DRAIN_S
        while time.monotonic() < deadline_s:
            try:
                _, record = self._queue.get_nowait()
            except queue.Empty:
                break
            if record is not None:
                yield record
        for thread in self._threads:
            thread.join(max(deadline_s + _JOIN_S - time.monotonic(), 0.0))

    def _run(self, source: Source) -> None:
        try:
            for record in source.records(self._stop):
                if not self._put(record):
                    return
        except ScperformerError as error:
            self.failed.append(source.name)
            _log.error("%s: %s", source.name, error)
        except Exception:
            self.failed.append(source.name)
            _log.exception("%s: ended by an unexpected error", source.name)
        finally:
            self._put(None)

    def _put(self, record: Record | None) -> bool:
        """Wait for room in the queue; give up when the stream is being stopped."""
        while True:
            try:
                self._queue.put((time.monotonic(), record), timeout=IDLE_S)
            except queue.Full:
                if self._stop.is_set():
                    return False
                continue
            return True
