"""What the network says, as obspy's traces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scperformer.core.statistics import ScoredWindows
from scperformer.scanning.listening import Scored
from scperformer.types import NS_PER_S, SAMPLE_NS, SensorId
from scperformer.waveforms.contents import EVER, Span
from scperformer.waveforms.pieces import Piece

if TYPE_CHECKING:
    from obspy import Stream

LETTERS = ("P", "S", "N")
"""What the channel codes of probabilities end with: P, S and noise."""

_FIT_NS = SAMPLE_NS // 2
"""How far a column may stand from where the trace's first one puts it."""

_NEVER = 1 << 62


@dataclass(slots=True)
class Answers:
    """Collects what the network says.

    Attributes:
        span: what is said of other times is not kept.
    """

    span: Span = EVER
    _parts: list[tuple[SensorId, NDArray[np.int64], NDArray[np.float32]]] = field(
        default_factory=list
    )

    @property
    def _end_ns(self) -> int:
        return _NEVER if self.span.end_ns is None else self.span.end_ns

    def scored(self, windows: ScoredWindows) -> None:
        """Take what the network says."""
        first_ns = windows.begin_ns
        if self.span.start_ns is not None:
            first_ns = max(first_ns, self.span.start_ns)
        first, end = np.searchsorted(windows.centre_ns, (first_ns, self._end_ns))
        if first < end:
            times_ns = windows.centre_ns[first:end] + windows.offset_ns
            answers = windows.probabilities[first:end].copy()
            self._parts.append((windows.sensor_id, times_ns, answers))

    def of_piece(self, piece: Piece) -> Scored:
        """Return what hears of a piece, and not of its overlaps."""
        self.span = Span(piece.start_ns, piece.end_ns)
        return self.scored

    def take(self, *, model: str, step_ns: int) -> Stream:
        """Return what was collected since, as traces, and begin anew.

        Args:
            model: the model's name, which the channel codes begin with.
            step_ns: time between two columns or windows.
        """
        from obspy import Stream, Trace, UTCDateTime  # noqa: PLC0415 - slow to import

        parts, self._parts = self._parts, []
        stream = Stream()
        for sensor_id, times_ns, answers in _joined(parts, step_ns):
            for letter, values in zip(LETTERS, answers.T, strict=True):
                header = {
                    "network": sensor_id.network,
                    "station": sensor_id.station,
                    "location": sensor_id.location,
                    "channel": f"{model.upper()}_{letter}",
                    "sampling_rate": NS_PER_S / step_ns,
                    "starttime": UTCDateTime(ns=int(times_ns)),
                    "instrument": sensor_id.band_instrument,
                }
                stream.append(Trace(np.ascontiguousarray(values), header))
        return stream


def _joined(
    parts: Iterable[tuple[SensorId, NDArray[np.int64], NDArray[np.float32]]], step_ns: int
) -> Iterable[tuple[SensorId, int, NDArray[np.float32]]]:
    """Yield sensor, first time and answers of what follows on without a break."""
    runs: dict[SensorId, list[tuple[int, list[NDArray[np.float32]]]]] = {}
    next_ns: dict[SensorId, int] = {}
    for sensor_id, times_ns, answers in parts:
        start_ns = int(times_ns[0])
        own = runs.setdefault(sensor_id, [])
        if not own or abs(start_ns - next_ns[sensor_id]) > _FIT_NS:
            own.append((start_ns, []))
            next_ns[sensor_id] = start_ns
        own[-1][1].append(answers)
        next_ns[sensor_id] += len(answers) * step_ns
    for sensor_id, own in sorted(runs.items()):
        for start_ns, pieces in own:
            yield sensor_id, start_ns, np.concatenate(pieces)
