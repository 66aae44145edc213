"""When a detected phase begins, how sure that is, and what the onset looks like.

The network says where within about a tenth of a second; an AIC picker on the
waveform (Maeda 1985, Zisin 38, 365-379, eq. 2) says when, where the onset is
sharp enough to be seen. Everything here looks only at samples before the
decision, so that a pick is the same in real time and from an archive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.core.triggers import Detection
from scperformer.core.windows import NOT_RUNNING
from scperformer.types import (
    COMPONENTS,
    N_COMPONENTS,
    NS_PER_S,
    SAMPLE_NS,
    Onset,
    Phase,
    Polarity,
)

LOOKBACK_SAMPLES = 600
"""How far before a detection's centre the waveform is looked at."""

_AIC_HALF_SAMPLES = 100
SEARCH_SAMPLES = 40
"""How far from a detection's centre its onset may lie."""

_NOISE_SAMPLES = 400
_NOISE_GUARD_SAMPLES = 10
_SIGNAL_SAMPLES = 150
_LOCAL_SAMPLES = 40
_SHARP_RATIO = 2.0
_IMPULSIVE_RATIO = 4.0
_LEAVE_SAMPLES = 20
_LEAVE_RATIO = 3.0
_SWING_SAMPLES = 60
_POLARITY_RATIO = 10.0
"""`benchmarks/polarity.py`: from here on the first swing that is seen nearly always is the
first; at half of it, one in five follows on one that the noise hides."""

_NETWORK_UNCERTAINTY_S = 0.12
_UNCERTAINTY_TIMES_RATIO_S = {Phase.P: 0.16, Phase.S: 0.2}
_UNCERTAINTY_RANGE_S = {Phase.P: (0.015, 0.06), Phase.S: (0.04, 0.1)}
"""Two thirds of the differences from 154 analysts' picks (Northern California) and 450
automatic ones (an Icelandic swarm), by the ratio of amplitudes across the onset."""

_LARGEST_SNR = 1e6

Waveform = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OnsetEstimate:
    """The onset of a detection.

    Attributes:
        time_ns: onset time.
        place: component that it is reported on, in the order N, E, Z.
        uncertainty_s: one standard deviation.
        snr: largest sample after the onset over the noise's root mean square.
        polarity: first motion on the vertical of a P, None where not looked at.
        quality: impulsive, emergent or questionable.
    """

    time_ns: int
    place: int
    uncertainty_s: float
    snr: float
    polarity: Polarity | None
    quality: Onset


def estimate_onset(detection: Detection, *, refine: bool) -> OnsetEstimate:
    """Find the onset of a detection in its sensor's waveform.

    Args:
        detection: where the network saw the phase.
        refine: look for the onset with the AIC picker; else the network's time stands.
    """
    segment = detection.run.segment
    live = _live_places(detection)
    traces = _phase_places(detection.phase, live)
    first = max(detection.centre - LOOKBACK_SAMPLES, segment.kept_from, _common_start(detection))
    waveform = segment.view(first, detection.decided_at)
    centre = detection.centre - first
    onset, ratio = centre, 0.0
    if refine:
        onset, ratio = _aic_onset(waveform[traces], centre)
    place = _reported_place(detection.phase, waveform, onset, live)
    snr = _signal_to_noise(waveform[place], onset)
    return OnsetEstimate(
        time_ns=detection.run.time_ns(first + onset, place),
        place=place,
        uncertainty_s=_uncertainty(detection.phase, ratio),
        snr=snr,
        polarity=_polarity(detection.phase, live, waveform, onset, ratio),
        quality=_quality(ratio),
    )


def aic(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Akaike's criterion of a change of variance at each sample (Maeda 1985).

    Args:
        samples: (n,) waveform.

    Returns:
        (n,): ``k ln var(x[:k]) + (n - k - 1) ln var(x[k:])``, infinite at the ends.
    """
    n = len(samples)
    k = np.arange(n, dtype=np.int64)
    total = np.concatenate([[0.0], np.cumsum(samples)])
    squares = np.concatenate([[0.0], np.cumsum(samples**2)])
    tiny = max(float(squares[-1]) / max(n, 1), np.finfo(float).tiny) * 1e-12

    def variance(
        count: NDArray[np.int64], linear: NDArray[np.float64], square: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        n_samples = np.maximum(count, 1).astype(np.float64)
        return np.maximum(square / n_samples - (linear / n_samples) ** 2, tiny)

    before = variance(k, total[:-1], squares[:-1])
    behind = variance(n - k, total[-1] - total[:-1], squares[-1] - squares[:-1])
    criterion = np.asarray(k * np.log(before) + (n - k - 1) * np.log(behind))
    criterion[:2] = np.inf
    criterion[-2:] = np.inf
    return criterion


def _live_places(detection: Detection) -> list[int]:
    present = detection.run.present[detection.window]
    return [place for place in range(N_COMPONENTS) if present[place]]


def _phase_places(phase: Phase, live: list[int]) -> list[int]:
    """Components on which a phase is timed: the vertical for P, the horizontals for S."""
    vertical = COMPONENTS.index("Z")
    wanted = [p for p in live if (p == vertical) == (phase is Phase.P)]
    return wanted or live


def _common_start(detection: Detection) -> int:
    starts = detection.run.run_start
    return int(max((s for s in starts[_live_places(detection)] if s != NOT_RUNNING), default=0))


def _aic_onset(traces: Waveform, centre: int) -> tuple[int, float]:
    """Onset sample and the ratio of amplitudes across it; ratio 0 if none was found."""
    first = max(centre - _AIC_HALF_SAMPLES, 0)
    part = traces[:, first : centre + _AIC_HALF_SAMPLES].astype(np.float64)
    if part.shape[1] < 2 * SEARCH_SAMPLES:
        return centre, 0.0
    criterion = sum(aic(trace) for trace in part)
    low = max(centre - first - SEARCH_SAMPLES, 0)
    high = centre - first + SEARCH_SAMPLES + 1
    onset = low + int(np.argmin(np.asarray(criterion)[low:high]))
    if onset in (low, min(high, part.shape[1]) - 1):
        return centre, 0.0
    before = part[:, max(onset - _LOCAL_SAMPLES, 0) : onset]
    behind = part[:, onset : onset + _LOCAL_SAMPLES]
    noise = float(np.sqrt(np.mean(before**2)))
    ratio = float(np.sqrt(np.mean(behind**2))) / noise if noise > 0.0 else np.inf
    return (first + onset, ratio) if ratio >= _SHARP_RATIO else (centre, 0.0)


def _reported_place(phase: Phase, waveform: Waveform, onset: int, live: list[int]) -> int:
    places = _phase_places(phase, live)
    signal = np.abs(waveform[places, onset : onset + _SIGNAL_SAMPLES])
    return places[int(np.argmax(signal.max(axis=1)))] if signal.shape[1] else places[0]


def _signal_to_noise(trace: Waveform, onset: int) -> float:
    noise = trace[max(onset - _NOISE_SAMPLES, 0) : max(onset - _NOISE_GUARD_SAMPLES, 1)]
    signal = trace[onset : onset + _SIGNAL_SAMPLES]
    if not signal.size:
        return 0.0
    level = float(np.sqrt(np.mean(noise.astype(np.float64) ** 2)))
    peak = float(np.abs(signal).max())
    return min(peak / level, _LARGEST_SNR) if level > 0.0 else _LARGEST_SNR


def _uncertainty(phase: Phase, ratio: float) -> float:
    """One standard deviation of the onset time; the sharper the onset, the less."""
    if ratio < _SHARP_RATIO:
        return _NETWORK_UNCERTAINTY_S
    least, most = _UNCERTAINTY_RANGE_S[phase]
    return min(max(_UNCERTAINTY_TIMES_RATIO_S[phase] / ratio, least), most)


def _quality(ratio: float) -> Onset:
    if ratio >= _IMPULSIVE_RATIO:
        return Onset.IMPULSIVE
    return Onset.EMERGENT if ratio >= _SHARP_RATIO else Onset.QUESTIONABLE


def _polarity(
    phase: Phase, live: list[int], waveform: Waveform, onset: int, ratio: float
) -> Polarity | None:
    """Direction of the first swing on the vertical of a P, if it is clear."""
    vertical = COMPONENTS.index("Z")
    if phase is not Phase.P or vertical not in live or ratio < _IMPULSIVE_RATIO:
        return None
    swing = first_swing(waveform[vertical], onset)
    if abs(swing) < _POLARITY_RATIO:
        return Polarity.UNDECIDABLE
    return Polarity.POSITIVE if swing > 0.0 else Polarity.NEGATIVE


def first_swing(trace: NDArray[np.floating], onset: int) -> float:
    """Return the peak of the first swing over the noise's root mean square, with its sign.

    The swing is the half-cycle in which the trace first leaves the noise. Swings grow, so
    the first that is seen may follow on one that the noise hides; the larger it is, the
    less likely that is.

    Args:
        trace: (n,) waveform.
        onset: sample at which the phase begins.

    Returns:
        The ratio; 0 if nothing leaves the noise soon, infinity without noise.
    """
    samples = trace.astype(np.float64)
    noise = samples[max(onset - _LOCAL_SAMPLES, 0) : onset]
    behind = samples[onset : onset + _SWING_SAMPLES]
    level = float(np.sqrt(np.mean(noise**2))) if len(noise) else 0.0
    leaves = np.flatnonzero(np.abs(behind[:_LEAVE_SAMPLES]) > _LEAVE_RATIO * level)
    if not len(leaves):
        return 0.0
    sign = math.copysign(1.0, behind[leaves[0]])
    upright = sign * behind[leaves[0] :]
    back = np.flatnonzero(upright <= 0.0)
    peak = float(upright[: back[0] if len(back) else None].max())
    return sign * (peak / level if level > 0.0 else math.inf)


def delay_s(detection: Detection, time_ns: int) -> float:
    """Time of the last sample that the decision needed minus the onset time."""
    return (detection.decided_at * SAMPLE_NS - time_ns) / NS_PER_S
