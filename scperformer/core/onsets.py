"""When a detected phase begins, how sure that is, and what the onset looks like.

The network says where within about a quarter of a second. The samples as they were recorded
say when: their variance changes at the onset, and the likelihood of a change at each of them
(the Akaike criterion of Maeda 1985, Zisin 38, 365-379, eq. 2) is multiplied by what the
network says. The median of that distribution is the onset, its spread gives the uncertainty.

Only a causal filter comes before, so that no sample is mixed with later ones; and everything
here looks only at samples before the decision, so that a pick is the same in real time and
from an archive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from scperformer.core.raw import RawRun, number_at
from scperformer.core.triggers import Detection
from scperformer.core.windows import NOT_RUNNING, WindowRun
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
"""How far before a detection's centre the filtered waveform is looked at."""

_SEARCH_S = 0.45
SEARCH_SAMPLES = math.ceil(_SEARCH_S * NS_PER_S / SAMPLE_NS)
"""How far from a detection's centre its onset may lie."""

_BEFORE_S, _BEHIND_S = 1.0, 0.4
_LEAST_BEFORE, _LEAST_BEHIND = 20, 10
_WARM_UP_S = 3.0
_SWING_S = 0.6
_RAW_BEFORE_NS = round((_SEARCH_S + _BEFORE_S + _WARM_UP_S) * NS_PER_S)
_RAW_BEHIND_NS = round((_SEARCH_S + _SWING_S) * NS_PER_S)
RAW_LOOKBACK_NS = _RAW_BEFORE_NS + NS_PER_S // 10
"""How far before a detection's centre recorded samples are kept."""

_TIMING_ORDER, _TIMING_CORNER_HZ = 2, 0.8
_NETWORK_SPREAD_S = 0.25
_SHARE_OF_SAMPLES = 0.4
"""Neighbouring samples say the same thing: so many of them count, ..."""
_MOST_RATE_HZ = 100.0
"""... and no more in a second than at this rate, for ground motion has little beyond 50 Hz."""
_SAMPLING_SPREAD = 0.3
"""Spread of an onset that lies anywhere between two samples, in sampling intervals."""
_EDGE_SAMPLES = 3

_IMPULSIVE_SPREAD_S, _EMERGENT_SPREAD_S = 0.02, 0.06
_CALIBRATION_S = {
    Phase.P: ((0.002, 0.005, 0.01, 0.02, 0.04, 0.1), (0.004, 0.008, 0.015, 0.036, 0.11, 0.2)),
    Phase.S: ((0.002, 0.006, 0.01, 0.02, 0.04, 0.1), (0.014, 0.03, 0.045, 0.085, 0.14, 0.21)),
}
"""Spread of an onset's distribution, and what seven in ten of the differences from 2,480
analysts' picks (Southern and Northern California, Korea) do not exceed there:
`benchmarks/onsets.py`. Neighbouring samples and later arrivals make the one the smaller."""

_NOISE_SAMPLES = 400
_NOISE_GUARD_SAMPLES = 10
_SIGNAL_SAMPLES = 150
_LOCAL_S = 0.4
_IMPULSIVE_RATIO = 4.0
_LEAVE_S = 0.2
_LEAVE_RATIO = 3.0
_POLARITY_RATIO = 10.0
"""`benchmarks/polarity.py`: from here on the first swing that is seen nearly always is the
first; at half of it, one in five follows on one that the noise hides."""

_LARGEST_SNR = 1e6

Waveform = NDArray[np.float32]
Samples = NDArray[np.float64]


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


@dataclass(frozen=True, slots=True, eq=False)
class _Trace:
    """One component's recorded samples around a detection, behind the causal filter."""

    samples: Samples
    start_ns: int
    rate_hz: float

    def number(self, time_ns: int) -> int:
        """Number of the first sample at or behind a time."""
        return number_at(time_ns, self.start_ns, self.rate_hz)


def estimate_onset(detection: Detection, *, refine: bool) -> OnsetEstimate:
    """Find the onset of a detection in what its sensor recorded.

    Args:
        detection: where the network saw the phase.
        refine: look for the onset in the recorded samples; else the network's time stands.
    """
    phase, run = detection.phase, detection.run
    live = _live_places(detection)
    places = _phase_places(phase, live)
    # Recorded samples are numbered by where their run began; the clock has moved since.
    moved_ns = _moved_ns(run, places[0])
    guess_ns = run.time_ns(detection.centre, places[0]) - moved_ns
    time_ns, spread_s = guess_ns, _NETWORK_SPREAD_S
    traces = _recorded(run.raw, places, guess_ns) if refine else []
    if traces:
        time_ns, spread_s = locate_change(traces, guess_ns)
    first = max(
        detection.centre - LOOKBACK_SAMPLES, run.segment.kept_from, _common_start(detection)
    )
    waveform = run.segment.view(first, detection.decided_at)
    onset = max(detection.centre + round((time_ns - guess_ns) / SAMPLE_NS) - first, 0)
    place = _reported_place(phase, waveform, onset, live)
    return OnsetEstimate(
        time_ns=time_ns + moved_ns,
        place=place,
        uncertainty_s=_uncertainty(phase, spread_s),
        snr=_signal_to_noise(waveform[place], onset),
        polarity=_polarity(phase, live, traces, time_ns),
        quality=_quality(spread_s),
    )


def aic(samples: Samples) -> Samples:
    """Akaike's criterion of a change of variance before each sample (Maeda 1985).

    The mean is taken for zero: a high-pass comes before, and the offset that a short piece
    of a long wave has is part of the signal.

    Args:
        samples: (n,) waveform.

    Returns:
        (n,): ``k ln var(x[:k]) + (n - k) ln var(x[k:])``, infinite at the ends.
    """
    n = len(samples)
    k = np.arange(n)
    energy = np.concatenate([[0.0], np.cumsum(samples**2)])
    tiny = max(float(energy[-1]) / max(n, 1), np.finfo(float).tiny) * 1e-12
    before = np.maximum(energy[:-1] / np.maximum(k, 1), tiny)
    behind = np.maximum((energy[-1] - energy[:-1]) / (n - k), tiny)
    criterion = np.asarray(k * np.log(before) + (n - k) * np.log(behind))
    criterion[:_EDGE_SAMPLES] = np.inf
    criterion[n - _EDGE_SAMPLES :] = np.inf
    return criterion


def locate_change(traces: Sequence[_Trace], guess_ns: int) -> tuple[int, float]:
    """Say when the variance changes, and how sure that is.

    A first look takes in all places where the onset may be; others, centred on what the one
    before found, see as much before as behind the onset wherever it lies.

    Args:
        traces: at least one; they need not share their sampling.
        guess_ns: the network's time.

    Returns:
        The median of the onset's distribution in nanoseconds, and its spread in seconds.
    """
    time_ns, spread_s = guess_ns, _NETWORK_SPREAD_S
    behind_s = max(_BEHIND_S, _LEAST_BEHIND / traces[0].rate_hz)
    for further_s in (_SEARCH_S, 0.0, 0.0):
        parts = [_part(trace, time_ns, behind_s + further_s) for trace in traces]
        time_ns, spread_s = _distribution(parts, guess_ns)
    return time_ns, spread_s


def _part(trace: _Trace, centre_ns: int, behind_s: float) -> _Trace:
    """The samples from a second before a time to some time behind it."""
    before_s = max(_BEFORE_S, _LEAST_BEFORE / trace.rate_hz)
    first = max(trace.number(centre_ns - round(before_s * NS_PER_S)), 0)
    end = max(trace.number(centre_ns + round(behind_s * NS_PER_S)), first)
    start_ns = trace.start_ns + round(first * NS_PER_S / trace.rate_hz)
    return _Trace(trace.samples[first:end], start_ns, trace.rate_hz)


def _distribution(parts: Sequence[_Trace], guess_ns: int) -> tuple[int, float]:
    """Median, in nanoseconds, and spread, in seconds, of the onset's distribution."""
    lead = parts[0]
    numbers = np.arange(len(lead.samples))
    criterion = np.zeros(len(numbers))
    for part in parts:
        criterion += _at_numbers(aic(part.samples), _same_time(lead, part, numbers))
    # The onset lies between a sample and the one before it.
    offsets_s = (lead.start_ns - guess_ns) / NS_PER_S + (numbers - 0.5) / lead.rate_hz
    near = (np.abs(offsets_s) <= _SEARCH_S) & np.isfinite(criterion)
    if not near.any():
        return guess_ns, _NETWORK_SPREAD_S
    offsets_s = offsets_s[near]
    share = _SHARE_OF_SAMPLES * min(_MOST_RATE_HZ / lead.rate_hz, 1.0)
    likelihood = -0.5 * share * criterion[near] - 0.5 * (offsets_s / _NETWORK_SPREAD_S) ** 2
    weights = np.exp(likelihood - likelihood.max())
    weights /= weights.sum()
    median_s = float(offsets_s[np.searchsorted(np.cumsum(weights), 0.5)])
    variance = float(weights @ (offsets_s - median_s) ** 2)
    spread_s = math.hypot(math.sqrt(variance), _SAMPLING_SPREAD / lead.rate_hz)
    return guess_ns + round(median_s * NS_PER_S), spread_s


def _same_time(lead: _Trace, part: _Trace, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of a trace's samples nearest in time to those of another."""
    shift = (lead.start_ns - part.start_ns) / NS_PER_S * part.rate_hz
    return np.asarray(np.rint(shift + numbers * (part.rate_hz / lead.rate_hz)), np.int64)


def _at_numbers(values: Samples, numbers: NDArray[np.int64]) -> Samples:
    """Values at some numbers, infinite where there are none."""
    inside = (numbers >= 0) & (numbers < len(values))
    found = np.full(len(numbers), np.inf)
    found[inside] = values[numbers[inside]]
    return found


def _moved_ns(run: WindowRun, place: int) -> int:
    """How far a component's clock has moved since its run began."""
    raw = run.raw[place]
    return 0 if raw is None else int(run.offset_ns[place]) - raw.offset_ns


def _recorded(raw: Sequence[RawRun | None], places: Sequence[int], guess_ns: int) -> list[_Trace]:
    """The recorded samples of some components around a time; silent ones are left out."""
    traces = []
    for place in places:
        run = raw[place]
        if run is None:
            continue
        samples, start_ns = run.span(guess_ns - _RAW_BEFORE_NS, guess_ns + _RAW_BEHIND_NS)
        if len(samples) > 2 * _EDGE_SAMPLES and np.ptp(samples) > 0.0:
            traces.append(_Trace(_high_passed(samples, run.rate_hz), start_ns, run.rate_hz))
    return traces


@lru_cache(maxsize=32)
def _timing_filter(rate_hz: float) -> tuple[Samples, Samples]:
    b, a = signal.butter(_TIMING_ORDER, _TIMING_CORNER_HZ, "highpass", fs=rate_hz)
    return b, a


def _high_passed(samples: Samples, rate_hz: float) -> Samples:
    b, a = _timing_filter(rate_hz)
    return np.asarray(signal.lfilter(b, a, samples - samples[0]))


def _live_places(detection: Detection) -> list[int]:
    present = detection.run.present[detection.window]
    return [place for place in range(N_COMPONENTS) if present[place]]


def _phase_places(phase: Phase, live: list[int]) -> list[int]:
    """Components on which a phase is timed: the vertical for P, the horizontals for S."""
    vertical = COMPONENTS.index("Z")
    wanted = [p for p in live if (p == vertical) == (phase is Phase.P)]
    return wanted or live


def _common_start(detection: Detection) -> int:
    starts = detection.run.run_start[_live_places(detection)]
    return int(max((start for start in starts if start != NOT_RUNNING), default=0))


def _reported_place(phase: Phase, waveform: Waveform, onset: int, live: list[int]) -> int:
    places = _phase_places(phase, live)
    signal = np.abs(waveform[places, onset : onset + _SIGNAL_SAMPLES])
    return places[int(np.argmax(signal.max(axis=1)))] if signal.shape[1] else places[0]


def _signal_to_noise(trace: Waveform, onset: int) -> float:
    noise = trace[max(onset - _NOISE_SAMPLES, 0) : max(onset - _NOISE_GUARD_SAMPLES, 1)]
    signal = trace[onset : onset + _SIGNAL_SAMPLES]
    if not signal.size:
        return 0.0
    level = _root_mean_square(noise)
    peak = float(np.abs(signal).max())
    return min(peak / level, _LARGEST_SNR) if level > 0.0 else _LARGEST_SNR


def _uncertainty(phase: Phase, spread_s: float) -> float:
    """One standard deviation of the onset time, by the spread of its distribution."""
    spreads_s, deviations_s = _CALIBRATION_S[phase]
    return float(np.exp(np.interp(np.log(spread_s), np.log(spreads_s), np.log(deviations_s))))


def _quality(spread_s: float) -> Onset:
    if spread_s <= _IMPULSIVE_SPREAD_S:
        return Onset.IMPULSIVE
    return Onset.EMERGENT if spread_s <= _EMERGENT_SPREAD_S else Onset.QUESTIONABLE


def _polarity(
    phase: Phase, live: Sequence[int], traces: Sequence[_Trace], time_ns: int
) -> Polarity | None:
    """Direction of the first swing on the vertical of a P, if it is clear."""
    if phase is not Phase.P or COMPONENTS.index("Z") not in live or not traces:
        return None
    trace = traces[0]
    onset = trace.number(time_ns)
    if _contrast(trace, onset) < _IMPULSIVE_RATIO:
        return None
    swing = first_swing(trace.samples, onset, trace.rate_hz)
    if abs(swing) < _POLARITY_RATIO:
        return Polarity.UNDECIDABLE
    return Polarity.POSITIVE if swing > 0.0 else Polarity.NEGATIVE


def _contrast(trace: _Trace, onset: int) -> float:
    """Ratio of amplitudes across the onset."""
    length = round(_LOCAL_S * trace.rate_hz)
    noise = _root_mean_square(trace.samples[max(onset - length, 0) : onset])
    behind = _root_mean_square(trace.samples[onset : onset + length])
    return behind / noise if noise > 0.0 else math.inf


def _root_mean_square(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0


def first_swing(trace: NDArray[np.floating], onset: int, rate_hz: float) -> float:
    """Return the peak of the first swing over the noise's root mean square, with its sign.

    The swing is the half-cycle in which the trace first leaves the noise. Swings grow, so
    the first that is seen may follow on one that the noise hides; the larger it is, the
    less likely that is.

    Args:
        trace: (n,) waveform.
        onset: sample at which the phase begins.
        rate_hz: sampling rate.

    Returns:
        The ratio; 0 if nothing leaves the noise soon, infinity without noise.
    """
    samples = trace.astype(np.float64)
    level = _root_mean_square(samples[max(onset - round(_LOCAL_S * rate_hz), 0) : onset])
    behind = samples[onset : onset + round(_SWING_S * rate_hz)]
    soon = behind[: round(_LEAVE_S * rate_hz)]
    leaves = np.flatnonzero(np.abs(soon) > _LEAVE_RATIO * level)
    if not len(leaves):
        return 0.0
    sign = math.copysign(1.0, behind[leaves[0]])
    upright = sign * behind[leaves[0] :]
    back = np.flatnonzero(upright <= 0.0)
    peak = float(upright[: back[0] if len(back) else None].max())
    return sign * (peak / level if level > 0.0 else math.inf)
