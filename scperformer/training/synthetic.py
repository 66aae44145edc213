"""Synthetic local earthquakes with a short S - P time, which real labels rarely have.

Two kinds. *Made* ones are band-limited noise with exponential envelopes on recorded
noise: P along a steep ray and so mostly vertical, S across it and so mostly horizontal,
both followed by a coda without polarisation. *Spliced* ones are the recorded P of one
earthquake followed by the recorded S of another.

Windows are (n, 400, 3) float32, components N, E, Z, at 100 Hz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from scperformer.datasets.columns import Columns
from scperformer.datasets.labels import targets_at
from scperformer.training.augmentation import Windows
from scperformer.types import N_COMPONENTS, SAMPLING_RATE_HZ, WINDOW_SAMPLES

CENTRE = WINDOW_SAMPLES // 2

_PHASE_SHARE = 0.4
"""Share of the windows that are centred on P, and of those on S; the rest on neither."""

_FFT_SAMPLES = 512
_FREQUENCIES_HZ = np.fft.rfftfreq(_FFT_SAMPLES, 1.0 / SAMPLING_RATE_HZ)
_LOWEST_HZ = 2.0
_P_CORNER_HZ = (4.0, 25.0)
_S_OVER_P_CORNER = (0.4, 0.9)
_STEEPEST, _FLATTEST = 0.0, math.radians(25.0)
_RISE_S = (0.01, 0.15)
_DECAY_S = (0.1, 0.8)
_CODA_S = (0.8, 3.0)
_CODA_SHARE = (0.05, 0.4)
_SCATTERED_SHARE = (0.1, 0.4)
_SCATTERING_S = 0.15
_S_OVER_P = (1.0, 8.0)
_S_RAMP_SAMPLES = 8
_P_PEAK_SAMPLES = 100


@dataclass(frozen=True, slots=True, eq=False)
class Onsets(Columns):
    """Where P and S begin, (n,) int64 samples of the window; outside is possible."""

    p: NDArray[np.int64]
    s: NDArray[np.int64]


def draw_onsets(
    n: int,
    rng: np.random.Generator,
    *,
    s_minus_p_s: tuple[float, float],
    shift_s: float,
    phases_only: bool = False,
) -> Onsets:
    """Draw onsets: two windows in five around P, two around S, one around neither.

    Args:
        n: how many.
        rng: source of chance.
        s_minus_p_s: least and largest S - P time; its logarithm is evenly distributed.
        shift_s: largest distance of a centre from its phase.
        phases_only: no window around neither.
    """
    distance = _log_uniform(s_minus_p_s, n, rng) * SAMPLING_RATE_HZ
    shift = rng.uniform(-shift_s, shift_s, n) * SAMPLING_RATE_HZ
    drawn = rng.random(n) * (2.0 * _PHASE_SHARE if phases_only else 1.0)
    around = CENTRE - shift - np.where(drawn < _PHASE_SHARE, 0.0, distance)
    anywhere = rng.uniform(-CENTRE, WINDOW_SAMPLES, n)
    p = np.rint(np.where(drawn < 2.0 * _PHASE_SHARE, around, anywhere)).astype(np.int64)
    s: NDArray[np.int64] = p + np.maximum(np.rint(distance).astype(np.int64), 1)
    return Onsets(p, s)


def onset_targets(onsets: Onsets, *, width_s: float) -> NDArray[np.float32]:
    """Return the targets of windows, (n, 3) float32."""
    return targets_at(np.stack([onsets.p, onsets.s], axis=-1) - CENTRE, width_s=width_s)


def make_events(
    noise: Windows, onsets: Onsets, rng: np.random.Generator, *, snr_db: tuple[float, float]
) -> Windows:
    """Put made earthquakes on noise.

    Args:
        noise: (n, 400, 3); components that are silent stay so.
        onsets: of P and S, (n,).
        rng: source of chance.
        snr_db: least and largest ratio of P's peak to the noise's root mean square in
            decibels, evenly distributed between. S is up to 18 dB stronger than P.
    """
    n = len(noise)
    ray = _Ray.draw(n, rng)
    corner_hz = _log_uniform(_P_CORNER_HZ, n, rng)
    p = _phase(ray.along, corner_hz, onsets.p, rng)
    s = _phase(ray.across(rng), corner_hz * rng.uniform(*_S_OVER_P_CORNER, n), onsets.s, rng)
    s *= _log_uniform(_S_OVER_P, n, rng)[:, None, None]
    live = noise.any(axis=1)
    rms = np.sqrt((noise.astype(np.float64) ** 2).sum(axis=(1, 2)) / np.maximum(live.sum(1), 1))
    rms /= math.sqrt(WINDOW_SAMPLES)
    level = rms * 10.0 ** (rng.uniform(*snr_db, n) / 20.0)
    signal = ((p + s) * (level[:, None] * live)[:, None, :]).astype(np.float32)
    together: Windows = noise + signal
    return together


def splice_events(
    p_windows: Windows, s_windows: Windows, onsets: Onsets, rng: np.random.Generator
) -> Windows:
    """Let the S of one earthquake follow the P of another.

    Args:
        p_windows: (n, 400, 3) with a P at ``onsets.p``.
        s_windows: (n, 400, 3) with an S at ``onsets.s``; what comes before it fades out.
        onsets: of P and S, (n,).
        rng: draws how much stronger S is than P.
    """
    n = len(p_windows)
    time = np.arange(WINDOW_SAMPLES)
    ramp = np.clip((time - onsets.s[:, None]) / _S_RAMP_SAMPLES + 1.0, 0.0, 1.0)[:, :, None]
    s_part = s_windows * ramp
    since = time - onsets.p[:, None]
    is_p = np.logical_and(since >= 0, since < _P_PEAK_SAMPLES)
    p_peak = np.abs(p_windows * is_p[:, :, None]).max(axis=(1, 2))
    p_peak = np.where(p_peak > 0, p_peak, np.abs(p_windows).max(axis=(1, 2)))
    s_peak = np.abs(s_part).max(axis=(1, 2))
    ratio = _log_uniform(_S_OVER_P, n, rng) * p_peak
    factor = np.where(s_peak > 0, ratio / np.where(s_peak > 0, s_peak, 1.0), 0.0)
    factors = factor[:, None] * p_windows.any(axis=1)
    spliced: Windows = p_windows + (s_part * factors[:, None, :]).astype(np.float32)
    return spliced


@dataclass(frozen=True, slots=True, eq=False)
class _Ray:
    """Where the rays come up: incidence against the vertical and azimuth, (n,) radians."""

    incidence: NDArray[np.float64]
    azimuth: NDArray[np.float64]

    @classmethod
    def draw(cls, n: int, rng: np.random.Generator) -> _Ray:
        return cls(rng.uniform(_STEEPEST, _FLATTEST, n), rng.uniform(0.0, 2.0 * np.pi, n))

    @property
    def along(self) -> NDArray[np.float64]:
        """Unit vectors along the ray, (n, 3): N, E, Z; the motion of P."""
        level = np.sin(self.incidence)
        return np.stack(
            [level * np.cos(self.azimuth), level * np.sin(self.azimuth), np.cos(self.incidence)], 1
        )

    def across(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Unit vectors across the ray, (n, 3), SV and SH in a random ratio."""
        level = np.cos(self.incidence)
        north, east = np.cos(self.azimuth), np.sin(self.azimuth)
        sv = np.stack([level * north, level * east, -np.sin(self.incidence)], 1)
        sh = np.stack([-east, north, np.zeros_like(north)], 1)
        mix = rng.uniform(0.0, 2.0 * np.pi, len(north))[:, None]
        crossing: NDArray[np.float64] = np.cos(mix) * sv + np.sin(mix) * sh
        return crossing


def _phase(
    direction: NDArray[np.float64],
    corner_hz: NDArray[np.float64],
    onset: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """One phase with its coda: (n, 400, 3), peak near 1, silent before its onset."""
    n = len(onset)
    since_s = (np.arange(WINDOW_SAMPLES) - onset[:, None]) / SAMPLING_RATE_HZ
    after = np.maximum(since_s, 0.0)
    rise = 1.0 - np.exp(-after / _log_uniform(_RISE_S, n, rng)[:, None])
    coda = rng.uniform(*_CODA_SHARE, n)[:, None]
    fall = (1.0 - coda) * np.exp(-after / _log_uniform(_DECAY_S, n, rng)[:, None])
    fall += coda * np.exp(-after / _log_uniform(_CODA_S, n, rng)[:, None])
    envelope = rise * fall * (since_s >= 0.0)
    direct = _band_limited(n, 1, corner_hz, rng) * direction[:, None, :]
    scattered = _band_limited(n, N_COMPONENTS, corner_hz, rng)
    scattered *= rng.uniform(*_SCATTERED_SHARE, n)[:, None, None]
    scattered *= (1.0 - np.exp(-after / _SCATTERING_S))[:, :, None]
    motion = (direct + scattered) * envelope[:, :, None]
    peak = np.abs(motion).max(axis=(1, 2), keepdims=True)
    # Without a sample of it in the window there is nothing to scale.
    level = envelope.max(axis=1)[:, None, None] / np.where(peak > 0.0, peak, 1.0)
    phase: NDArray[np.float64] = motion * level
    return phase


def _band_limited(
    n: int, components: int, corner_hz: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Noise with a Brune-like spectrum above 2 Hz, (n, 400, components), rms 1."""
    white = rng.standard_normal((n, _FFT_SAMPLES, components))
    frequency = np.maximum(_FREQUENCIES_HZ, 1e-3)
    shape = 1.0 / (1.0 + (frequency / corner_hz[:, None]) ** 2)
    shape = shape / (1.0 + (_LOWEST_HZ / frequency) ** 4)
    spectrum = fft.rfft(white, axis=1) * shape[:, :, None]
    noise = fft.irfft(spectrum, _FFT_SAMPLES, axis=1)[:, :WINDOW_SAMPLES]
    scaled: NDArray[np.float64] = noise / noise.std(axis=(1, 2), keepdims=True)
    return scaled


def _log_uniform(
    bounds: tuple[float, float], n: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw (n,) numbers whose logarithm is evenly distributed."""
    low, high = bounds
    return np.exp(rng.uniform(math.log(low), math.log(high), n))
