"""A messaging server as one of a stream's outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from scperformer.messaging.bus import BusSink
from scperformer.messaging.bus_settings import Address, Timing, Tls
from scperformer.messaging.publisher import Labels
from scperformer.types import Pick, PickSink

_CLOSE_S = 1.0
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9.-]+")


class BusOutlet(PickSink):
    """Hands picks to a `BusSink`, whose outbox keeps them and leaves out what it had before.

    Args:
        url: ``scmp://[user:password@]host[:port]/[queue]``, or ``scmps://`` for TLS.
        state: folder in which its outbox gets a folder; None for memory.
        labels: client name, groups, agency and author.
        tls: how an ``scmps`` server is checked.

    Raises:
        ConfigurationError: the URL, a label or a TLS file is not usable.
        OutputError: the outbox is not usable.
    """

    def __init__(self, url: str, *, state: Path | None, labels: Labels, tls: Tls) -> None:
        self.name = str(Address.parse(url))
        outbox = None
        if state is not None:
            outbox = state / f"outbox-{_NOT_IN_NAME.sub('-', self.name)}"
        timing = Timing(goodbye_timeout_s=_CLOSE_S)
        self._sink = BusSink(url, outbox=outbox, labels=labels, tls=tls, timing=timing)

    @property
    def n_kept(self) -> int:
        """Messages in the outbox; a pick and its amplitude are two."""
        return self._sink.statistics.waiting

    def write(self, picks: Sequence[Pick]) -> None:
        """Put picks into the outbox.

        Raises:
            OutputError: it cannot take them.
        """
        self._sink.write(picks)

    def close(self) -> None:
        """Deliver what can be delivered within a second; the rest stays in the outbox."""
        self._sink.close(_CLOSE_S)
