"""What a scan tells its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scperformer.types import Pick, SensorId

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """How a scan was made.

    Attributes:
        version: of scperformer.
        command: the command line.
        model: the model's name.
        model_sha256: SHA-256 of its weights, hexadecimal.
        settings: what differs from the defaults or is worth telling, value by name.
    """

    version: str
    command: str
    model: str
    model_sha256: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PieceFacts:
    """How a piece of an archive was scanned.

    Attributes:
        sensor_id: the sensor.
        start_ns: first time that its picks may have.
        end_ns: end of their times, not included.
        spans_ns: (start, end) of the data of any component; what lies outside the piece
            is not counted, what overlaps is counted once.
        n_components: components that had data.
        gaps: gaps in its channels.
        left_out: samples that were left out, by reason.
        unreadable: input files, or parts of them, that could not be read.
        windows: windows or columns that the network has looked at.
    """

    sensor_id: SensorId
    start_ns: int
    end_ns: int
    spans_ns: tuple[tuple[int, int], ...] = ()
    n_components: int = 0
    gaps: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    unreadable: int = 0
    windows: int = 0

    def present(self) -> Times:
        """Return (n, 2) times from when to when there are data, in order, apart."""
        merged: list[list[int]] = []
        for span in sorted(self.spans_ns):
            start_ns, end_ns = max(span[0], self.start_ns), min(span[1], self.end_ns)
            if merged and start_ns <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end_ns)
            elif start_ns < end_ns:
                merged.append([start_ns, end_ns])
        return np.array(merged, np.int64).reshape(-1, 2)


class WantedExample(NamedTuple):
    """Data that are to be read again and shown.

    Attributes:
        sensor_id: whose.
        start_ns: from when.
        end_ns: to when.
        why: what it is an example of.
    """

    sensor_id: SensorId
    start_ns: int
    end_ns: int
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """Data that were read again.

    Attributes:
        wanted: what they are an example of.
        waveform: (3, n) float32 at 100 Hz, components in the networks' order (N, E, Z).
        start_ns: time of the first sample.
        times_ns: (m,) int64, times of the probabilities.
        probabilities: (m, 3) float32, P, S and noise.
        picks: those among them.
    """

    wanted: WantedExample
    waveform: NDArray[np.float32]
    start_ns: int
    times_ns: Times
    probabilities: NDArray[np.float32]
    picks: tuple[Pick, ...]
