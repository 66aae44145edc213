"""The size of a streaming network: what a model card says of it. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scperformer.stft import COLUMN, LEVEL_COLUMNS
from scperformer.types import N_COMPONENTS

FEATURES = COLUMN + 2 * N_COMPONENTS
"""Numbers of a column: 33 bins and the total of each component, and which are live."""

KERNEL = 3
"""Columns that a convolution reads."""

BUNDLE = 16
"""Columns that attention sums up at once, on the absolute grid."""

EXPANSION = 2
"""How much wider the middle of a feed-forward layer is than the channels."""

Calibration = tuple[tuple[float, float], tuple[float, float]]
"""For P and S, factor and summand of the log-odds."""

UNCALIBRATED: Calibration = ((1.0, 0.0), (1.0, 0.0))


@dataclass(frozen=True, slots=True)
class StreamingShape:
    """Size of a streaming network.

    Attributes:
        channels: of each block; a multiple of the number of heads.
        dilations: columns between the three that each block's convolution reads.
        memories: bundles before the current one that each head of attention looks back on,
            never fewer than those of the head before.
        look_ahead: columns that an answer lies behind the latest one.
    """

    channels: int
    dilations: tuple[int, ...]
    memories: tuple[int, ...]
    look_ahead: int

    @property
    def head_width(self) -> int:
        """Numbers of a query, a key and a value of one head."""
        return self.channels // len(self.memories)

    @property
    def past_columns(self) -> int:
        """Most columns before the latest one that the blocks read."""
        return max(self._reach(place) - place for place in range(BUNDLE))

    def _reach(self, place: int) -> int:
        """Return the latest column whose answer depends on one at this place in a bundle."""
        for dilation in self.dilations:
            place += (KERNEL - 1) * dilation
            place = (place // BUNDLE + self.memories[-1] + 1) * BUNDLE - 1
        return place

    @property
    def memory_columns(self) -> int:
        """Columns before the latest one that an answer can depend on, by way of the level too."""
        return self.past_columns + LEVEL_COLUMNS - 1


def attention_faults(channels: int, memories: Sequence[int]) -> Iterator[str]:
    """Yield what contradicts itself in a network's attention."""
    if list(memories) != sorted(memories):
        yield f"got {list(memories)}; wanted no head that looks back less far than that before it"
    if channels % len(memories):
        yield f"got {len(memories)} heads; wanted a number that divides {channels} channels"
