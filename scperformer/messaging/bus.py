"""Picks to a SeisComP messaging server, without SeisComP's libraries."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from scperformer.atomic import Closing
from scperformer.delivery.outbox import Outbox
from scperformer.errors import OutputError
from scperformer.messaging.bus_link import Address, Link, Timing, tls_context
from scperformer.messaging.publisher import Counts, Labels, Publisher, Step
from scperformer.types import OutputState, Pick, PickSink

CLOSE_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)


class BusSink(Closing, PickSink):
    """Publishes picks and their ``snr`` amplitudes, in order, from a thread of its own.

    `write` puts them into the outbox and returns; the thread delivers them as soon as the
    server is there. A message leaves the outbox when the server has acknowledged it (see
    `scperformer.messaging.publisher` for what happens to those in doubt).

    Args:
        url: ``scmp://[user:password@]host[:port]/[queue]``, or ``scmps://`` for TLS.
        outbox: where messages wait; None keeps them in memory, where a crash loses them.
        labels: client name, groups, agency and author.
        ca_file: PEM file with the certificates to trust of an ``scmps`` server; None for the
            system's.
        timing: heartbeats and pauses.
        close_timeout_s: how long `close` delivers what waits, if it is not told.

    Attributes:
        n_queued: messages taken by this sink, or left over from an earlier one.

    Raises:
        ConfigurationError: the URL, a label or a TLS file is not usable.
    """

    def __init__(
        self,
        url: str,
        *,
        outbox: Outbox | None = None,
        labels: Labels | None = None,
        ca_file: Path | None = None,
        timing: Timing | None = None,
        close_timeout_s: float = CLOSE_TIMEOUT_S,
    ) -> None:
        self.address = Address.parse(url)
        self.name = str(self.address)
        context = tls_context(ca_file) if self.address.secure else None
        labels = labels or Labels()
        self._lasting = outbox is not None
        if outbox is None:
            _log.warning("%s: no outbox on disk; a crash loses what waits", self.address)
            outbox = Outbox(amplitude_phases=labels.style.amplitude_phases)
        self._outbox = outbox
        self._close_timeout_s = close_timeout_s
        self.n_queued = len(self._outbox)
        self._publisher = Publisher(self._outbox, labels)
        self._timing = timing or Timing()
        self._changed = threading.Condition()
        self._link = Link(
            self._publisher,
            self.address,
            tls=context,
            timing=self._timing,
            progress=self._notify,
        )
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._link.run())
        self._thread = threading.Thread(target=self._run, name="scmp", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Counts:
        """What became of the messages so far; a pick and its amplitude are two."""
        return self._publisher.counts

    @property
    def is_connected(self) -> bool:
        """Whether messages can go out now."""
        return self._publisher.step is Step.PUBLISHING

    @property
    def problem(self) -> str:
        """Why they cannot, in words; empty where nothing is known."""
        return self._link.problem

    @property
    def n_kept(self) -> int:
        """Messages in the outbox; a pick and its amplitude are two."""
        return len(self._outbox)

    @property
    def state(self) -> OutputState:
        """How it is doing."""
        return OutputState(
            self.name,
            n_kept=self.n_kept,
            delivered_ns=self._outbox.delivered_ns,
            problem=self.problem,
        )

    def write(self, picks: Sequence[Pick]) -> None:
        """Take picks, in the order in which they were decided.

        A pick that was taken lately, also before a restart, is left out: `missing` may
        name all picks.

        Raises:
            OutputError: the sink has been closed, or the outbox cannot take them.
        """
        if self._closed:
            raise OutputError(f"{self.address}: closed; nothing more can be published")
        self.n_queued += self._outbox.append(picks, created_ns=time.time_ns())
        self._loop.call_soon_threadsafe(self._link.wake)

    def flush(self, timeout_s: float) -> bool:
        """Wait until the server has everything; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: not len(self._outbox), timeout_s)

    def close(self, timeout_s: float | None = None) -> None:
        """Deliver what waits, as far as that goes in this time, and disconnect.

        What could not be delivered stays in the outbox for the next sink, or is lost
        where the outbox is in memory. A second call does nothing.
        """
        if self._closed:
            return
        self._closed = True
        self.flush(self._close_timeout_s if timeout_s is None else timeout_s)
        self._loop.call_soon_threadsafe(self._link.stop)
        self._thread.join(2 * self._timing.goodbye_timeout_s)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()
        self._publisher.close()
        left = len(self._outbox)
        if left and self._lasting:
            _log.warning("%s: %d messages wait in the outbox", self.address, left)
        elif left:
            _log.error("%s: %d messages are lost", self.address, left)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            _log.debug("%s: ended while connecting", self.address)
        finally:
            self._loop.close()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
