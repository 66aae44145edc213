"""What the network made of a few moments, for pictures: read again when a scan is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.config import Settings
from scperformer.core.statistics import Observer, ScoredWindows
from scperformer.networks.loading import LoadedModel
from scperformer.types import N_COMPONENTS, NS_PER_S, SAMPLE_NS, Pick
from scperformer.waveforms.contents import Span
from scperformer.waveforms.pieces import BEFORE_NS, Material
from scperformer.waveforms.problems import say_nothing

_BEHIND_NS = 15 * NS_PER_S


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """A stretch of one sensor.

    Attributes:
        waveform: (3, n) float32, filtered, at 100 Hz; zeros where nothing was.
        start_ns: time of its first sample.
        times_ns: (m,) int64, times that the probabilities speak of.
        probabilities: (m, 3) float32, P, S and noise.
        picks: made there.
    """

    waveform: NDArray[np.float32]
    start_ns: int
    times_ns: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    picks: tuple[Pick, ...]


def look_again(
    material: Material, start_ns: int, end_ns: int, model: LoadedModel, settings: Settings
) -> Moment:
    """Scan a stretch again, with all that the network says of it.

    Raises:
        InputError: the waveforms cannot be had.
    """
    listener = MomentKeeper(start_ns, end_ns)
    pipeline = model.pipeline(settings, observer=listener)
    pipeline.batches.catches_up = True
    picks: list[Pick] = []
    span = Span(start_ns - BEFORE_NS, end_ns + _BEHIND_NS)
    with material.open(span, report=say_nothing) as group:
        pipeline.expect(group.seed_ids)
        for record in group.records(report=say_nothing):
            picks += pipeline.feed(record)
        picks += pipeline.flush()
    return listener.moment(pick for pick in picks if start_ns <= pick.time_ns < end_ns)


class MomentKeeper(Observer):
    """Keeps what the network says of a stretch of one sensor, and what it looked at.

    Args:
        start_ns: first time of interest.
        end_ns: end of the time of interest, not included.
        nothing: stands in the waveform where there was none.
    """

    wants_scores = True

    def __init__(self, start_ns: int, end_ns: int, nothing: float = 0.0) -> None:
        self._start_ns, self._end_ns = start_ns, end_ns
        shape = N_COMPONENTS, (end_ns - start_ns) // SAMPLE_NS
        self._waveform = np.full(shape, nothing, np.float32)
        self._times_ns: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
        self._answers: list[NDArray[np.float32]] = [np.zeros((0, 3), np.float32)]

    def scored(self, windows: ScoredWindows) -> None:
        """Take what the network says."""
        near = (windows.centre_ns >= self._start_ns) & (windows.centre_ns < self._end_ns)
        self._times_ns.append(windows.centre_ns[near] + windows.offset_ns)
        self._answers.append(windows.probabilities[near])
        start_ns = windows.waveform_start_ns + windows.offset_ns
        first = round((start_ns - self._start_ns) / SAMPLE_NS)
        samples = windows.waveform[:, max(-first, 0) :]
        first = max(first, 0)
        samples = samples[:, : max(self._waveform.shape[1] - first, 0)]
        self._waveform[:, first : first + samples.shape[1]] = samples

    def moment(self, picks: Iterable[Pick]) -> Moment:
        """Return what was kept, with picks made there."""
        return Moment(
            self._waveform,
            self._start_ns,
            np.concatenate(self._times_ns),
            np.concatenate(self._answers),
            tuple(picks),
        )
