"""How a picker is doing, as its own parts tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from scperformer.core.statistics import Statistics
from scperformer.types import OutputState


class RecordQueue(Protocol):
    """Records that wait to be processed."""

    @property
    def n_waiting(self) -> int:
        """How many wait."""

    @property
    def fill(self) -> float:
        """How full it is, 0 to 1."""

    @property
    def waiting_s(self) -> float:
        """How long the latest record stood in it, if any wait behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """How a picker is doing at a moment.

    Attributes:
        statistics: what it has counted since its start.
        n_batches: batches that went to the network.
        n_pending_windows: windows that wait for their batch or are being answered.
        outputs: how its outputs are doing.
        n_problems: faults of inputs that were told or would have been.
        failed_sources: sources that ended in an error.
    """

    statistics: Statistics
    n_batches: int
    n_pending_windows: int
    outputs: Sequence[OutputState] = ()
    n_problems: int = 0
    failed_sources: Sequence[str] = field(default=())
