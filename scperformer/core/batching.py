"""When a batch of windows goes to the network: one rule, and its numbers.

No window is answered otherwise for it, so no pick depends on what stands here; how long
picks take and what they cost does.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from scperformer.config import Settings
from scperformer.types import SAMPLING_RATE_HZ

LONGEST_WAIT_S = 0.2
"""How long, on the wall clock, a window of a stream waits for its batch to fill."""

MANY_RECORDS = 256
"""With more of them waiting to be fed a stream catches up."""

UNHURRIED: Mapping[str, Any] = MappingProxyType({"batch_size": 4096, "max_batch_delay_s": 60.0})
"""Settings where nobody waits for the next pick."""


class BatchPolicy:
    """Says when a batch goes.

    It goes as soon as it is full, with `Settings.batch_size` windows. Otherwise, unless
    the stream catches up, it goes once a sensor has come `Settings.max_batch_delay_s`
    further, in the time of its data, than when its first window began to wait; and once
    windows have waited `LONGEST_WAIT_S` on the wall clock, if that is told.

    Args:
        settings: the picker's.

    Attributes:
        catches_up: records wait to be fed, so that windows wait for full batches, which
            cost less.
        n_batches: batches that went. Each took all windows that waited.
    """

    def __init__(self, settings: Settings) -> None:
        self.catches_up = False
        self.n_batches = 0
        self._full = settings.batch_size
        self._most_samples = round(settings.max_batch_delay_s * SAMPLING_RATE_HZ)
        self._since_s: float | None = None

    def is_full(self, n_windows: int) -> bool:
        """Whether so many windows are a batch."""
        return n_windows >= self._full

    def is_due(self, n_windows: int, n_samples: int | None) -> bool:
        """Whether a batch goes behind a record.

        Args:
            n_windows: how many wait.
            n_samples: how far the record's sensor has come since its first window began
                to wait; None if none of its windows waits.
        """
        if self.is_full(n_windows):
            return True
        return not self.catches_up and n_samples is not None and n_samples >= self._most_samples

    def is_late(self, n_windows: int, now_s: float) -> bool:
        """Whether windows, so many, wait for too long; to be asked again and again.

        Args:
            n_windows: how many wait or are being answered.
            now_s: time of a clock that never goes back.
        """
        # A batch that went took all windows with it: what waits now is younger.
        if not n_windows or self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s >= LONGEST_WAIT_S

    def goes(self) -> None:
        """Hear that a batch goes."""
        self.n_batches += 1
        self._since_s = None
