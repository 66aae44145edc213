"""What there is to draw of sensors: waveforms as the network sees them, what it says, picks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.config import Settings
from scperformer.core.triggers import PHASES, log_odds, mean_odds
from scperformer.door.asked import Asked
from scperformer.door.scan import Scan
from scperformer.errors import ConfigurationError, InputError
from scperformer.naming import component_places
from scperformer.scanning.examples import Moment, MomentKeeper
from scperformer.scanning.listening import Scored
from scperformer.types import NS_PER_S, SAMPLE_NS, SensorId
from scperformer.waveforms.archive import ArchiveGroup
from scperformer.waveforms.local import LocalInputs
from scperformer.waveforms.pieces import LocalFiles, Piece

MOST_HOURS = 6
_ORDER = (2, 0, 1)
"""The vertical stands above the horizontals."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A stretch of one sensor.

    Attributes:
        sensor_id: the sensor.
        channels: channel codes by place, in the order N, E, Z.
        moment: waveforms, nan where there are none, answers and picks.
    """

    sensor_id: SensorId
    channels: Mapping[int, str]
    moment: Moment

    @property
    def end_ns(self) -> int:
        """Time of the end of the waveforms."""
        return self.moment.start_ns + int(self.moment.waveform.shape[1]) * SAMPLE_NS

    def traces(self) -> dict[str, NDArray[np.float32]]:
        """Return (n,) samples by channel code, the vertical first."""
        places = [place for place in _ORDER if place in self.channels]
        return {self.channels[place]: self.moment.waveform[place] for place in places}

    def deciding_probabilities(
        self, settings: Settings
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return what picks are decided by: means of log-odds, as probabilities.

        Returns:
            (n,) times in nanoseconds and (n, 2) probabilities of P and S, nan at gaps.
        """
        times_ns = self.moment.times_ns
        odds = log_odds(self.moment.probabilities[:, : len(PHASES)])
        step_ns = settings.shift_samples * SAMPLE_NS
        breaks = np.flatnonzero(np.diff(times_ns) > 3 * step_ns // 2) + 1
        half = settings.half_smoothing_windows
        means = [mean_odds(run, half, 0, len(run)) for run in np.split(odds, breaks) if len(run)]
        probabilities = 1.0 / (1.0 + np.exp(-np.concatenate([odds[:0], *means])))
        at = np.insert(times_ns, breaks, times_ns[breaks - 1] + 1)
        return at, np.insert(probabilities, breaks, np.nan, axis=0)


def look_at(inputs: LocalInputs, scan: Scan, drawn: Asked) -> list[View]:
    """Scan each sensor in one go, and keep what there is to draw.

    Args:
        inputs: what there is, which may be more than is drawn.
        scan: how it is scanned.
        drawn: the times that are drawn.

    Raises:
        ConfigurationError: it is too much for a picture.
        InputError: there is nothing to look at, or nothing to draw.
    """
    groups = {_whole(group): group for group in inputs.index.groups}
    times_ns = [time_ns for piece in groups for time_ns in _clipped(piece, drawn)]
    most_ns = MOST_HOURS * 3600 * NS_PER_S
    if inputs.years is not None or max(times_ns) - min(times_ns) > most_ns:
        raise ConfigurationError(
            f"a picture has room for {MOST_HOURS} hours; ask for less, with start and end"
        )
    keepers: list[MomentKeeper] = []

    def listen(piece: Piece) -> Scored:
        keepers.append(MomentKeeper(*_clipped(piece, drawn), nothing=np.nan))
        return keepers[-1].scored

    views = []
    for piece, picks in scan.run(inputs, pieces=iter(groups), listen=listen):
        start_ns, end_ns = _clipped(piece, drawn)
        moment = keepers[-1].moment(p for p in picks if start_ns <= p.time_ns < end_ns)
        if len(moment.times_ns):
            views.append(View(piece.sensor_id, _channels(groups[piece], scan.settings), moment))
    if not views:
        raise InputError(inputs.why_empty(start_ns=drawn.start_ns, end_ns=drawn.end_ns))
    return views


def _whole(group: ArchiveGroup) -> Piece:
    """Return all of a group as one piece."""
    return Piece(group.sensor_id, group.start_ns, group.end_ns, LocalFiles(group), group.origin)


def _clipped(piece: Piece, drawn: Asked) -> tuple[int, int]:
    """Return from when to when a piece is drawn."""
    start_ns, end_ns = piece.start_ns, piece.end_ns
    if drawn.start_ns is not None:
        start_ns = max(start_ns, drawn.start_ns)
    if drawn.end_ns is not None:
        end_ns = min(end_ns, drawn.end_ns)
    return start_ns, max(start_ns, end_ns)


def _channels(group: ArchiveGroup, settings: Settings) -> dict[int, str]:
    own = {seed_id.component: seed_id.channel for seed_id in group.seed_ids}
    places = component_places(frozenset(own), settings.codes)
    return {place: own[component] for component, place in places.items()}
