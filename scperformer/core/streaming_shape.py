"""The size of a streaming network: what a model card says of it. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from scperformer.stft import COLUMN, LEVEL_COLUMNS
from scperformer.types import N_COMPONENTS

FEATURES = COLUMN + 2 * N_COMPONENTS
"""Numbers of a column: 33 bins and the total of each component, and which are live."""

KERNEL = 3
"""Columns that a layer reads."""

Calibration = tuple[tuple[float, float], tuple[float, float]]
"""For P and S, factor and summand of the log-odds."""

UNCALIBRATED: Calibration = ((1.0, 0.0), (1.0, 0.0))


@dataclass(frozen=True, slots=True)
class StreamingShape:
    """Size of a streaming network.

    Attributes:
        channels: of each layer.
        dilations: columns between the three that each layer reads.
        look_ahead: columns that an answer lies behind the latest one.
    """

    channels: int
    dilations: tuple[int, ...]
    look_ahead: int

    @property
    def past_columns(self) -> int:
        """Columns before the latest one that the layers read."""
        return (KERNEL - 1) * sum(self.dilations)

    @property
    def memory_columns(self) -> int:
        """Columns before the latest one that an answer can depend on, by way of the level too."""
        return self.past_columns + LEVEL_COLUMNS - 1
