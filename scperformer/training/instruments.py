"""What instruments and recording do to a waveform: other filters, other rates, clipping.

Every function takes (n, 400, 3) float32 windows and a generator and returns new ones;
a component that is zero stays zero. Filters are applied in the frequency domain, each
window its own, after the window was continued on both sides by its reflection, so that
they do not begin on an edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from scperformer.types import SAMPLING_RATE_HZ, WINDOW_SAMPLES

Windows = NDArray[np.float32]

_PAD_SAMPLES = 200
_FFT_SAMPLES = 1024
_FREQUENCIES_HZ = np.fft.rfftfreq(_FFT_SAMPLES, 1.0 / SAMPLING_RATE_HZ)
_CORNERS = 4
_BANDPASS_SHARE = 0.5
_PASS, _STOP = 0.4, 0.5
_LEAKAGE_DB = (-80.0, -55.0)


def vary_filter(
    windows: Windows,
    rng: np.random.Generator,
    *,
    probability: float,
    highpass_hz: tuple[float, float],
    lowpass_hz: tuple[float, float],
) -> Windows:
    """Filter as another operator would: a higher high-pass, or a band-pass.

    Causal Butterworth filters with 4 corners. Windows come with the high-pass of the
    pipeline, so that a lower corner has no effect; half of the chosen windows get the
    low-pass as well.

    Args:
        windows: (n, 400, 3) float32.
        rng: source of chance.
        probability: share of the windows that are filtered.
        highpass_hz: least and largest corner of the high-pass.
        lowpass_hz: the same of the low-pass.
    """
    n = len(windows)
    chosen = rng.random(n) < probability
    high_hz, low_hz = rng.uniform(*highpass_hz, n), rng.uniform(*lowpass_hz, n)
    band = rng.random(n) < _BANDPASS_SHARE
    response = butterworth(high_hz[chosen], highpass=True)
    low = butterworth(low_hz[chosen], highpass=False)
    response *= np.where(band[chosen, None], low, 1.0)
    return _filtered(windows, chosen, response)


def band_limit(
    windows: Windows,
    rng: np.random.Generator,
    *,
    probability: float,
    rate_hz: tuple[float, float],
) -> Windows:
    """Make windows look like data that were recorded at a lower rate and resampled.

    What lies above 0.4 of that rate fades out, linear in phase as digitisers' filters
    are, and is gone at half of it, but for what leaks through a resampler.

    Args:
        windows: (n, 400, 3) float32.
        rng: source of chance.
        probability: share of the windows.
        rate_hz: least and largest rate, evenly distributed between.
    """
    n = len(windows)
    chosen = rng.random(n) < probability
    rates = rng.uniform(*rate_hz, n)[chosen, None]
    leakage = 10.0 ** (rng.uniform(*_LEAKAGE_DB, n)[chosen, None] / 20.0)
    part = np.clip((_FREQUENCIES_HZ - _PASS * rates) / ((_STOP - _PASS) * rates), 0.0, 1.0)
    response = np.maximum(0.5 + 0.5 * np.cos(np.pi * part), leakage)
    return _filtered(windows, chosen, response)


def clip_peaks(
    windows: Windows,
    rng: np.random.Generator,
    *,
    probability: float,
    level: tuple[float, float],
) -> Windows:
    """Cut off what exceeds the range of the instrument, the same on all components.

    Args:
        windows: (n, 400, 3) float32.
        rng: source of chance.
        probability: share of the windows.
        level: least and largest range as a share of the window's largest sample.
    """
    n = len(windows)
    chosen = rng.random(n) < probability
    share = np.where(chosen, rng.uniform(*level, n), 1.0)
    limit = (share * np.abs(windows).max(axis=(1, 2)))[:, None, None].astype(np.float32)
    return np.clip(windows, -limit, limit)


def butterworth(corner_hz: NDArray[np.float64], *, highpass: bool) -> NDArray[np.complex128]:
    """Return the response of digital Butterworth filters with 4 corners.

    By the bilinear transform with the corner in its place, as `scipy.signal.butter` has it.

    Args:
        corner_hz: (n,) float64, below half of the sampling rate.
        highpass: a high-pass instead of a low-pass.

    Returns:
        (n, 513) complex128 at the frequencies of a real FFT of 1024 samples.
    """
    poles = np.exp(0.5j * np.pi * (1.0 + (2.0 * np.arange(_CORNERS) + 1.0) / _CORNERS))
    warped = np.tan(np.pi * np.clip(_FREQUENCIES_HZ / SAMPLING_RATE_HZ, 1e-9, 0.5 - 1e-9))
    ratio = warped / np.tan(np.pi * corner_hz[:, None] / SAMPLING_RATE_HZ)
    s = 1.0 / (1j * ratio) if highpass else 1j * ratio
    response: NDArray[np.complex128] = 1.0 / np.prod(s[..., None] - poles, axis=-1)
    return response


def _filtered(
    windows: Windows, chosen: NDArray[np.bool_], response: NDArray[np.inexact]
) -> Windows:
    """Return windows of which the chosen ones went through their filter, (n_chosen, 513)."""
    result = windows.copy()
    if chosen.any():
        longer = np.pad(
            windows[chosen],
            ((0, 0), (_PAD_SAMPLES, _PAD_SAMPLES), (0, 0)),
            mode="reflect",
            reflect_type="odd",
        )
        spectrum = fft.rfft(longer, _FFT_SAMPLES, axis=1)
        spectrum *= response[:, :, None]
        filtered = fft.irfft(spectrum, _FFT_SAMPLES, axis=1)
        result[chosen] = filtered[:, _PAD_SAMPLES : _PAD_SAMPLES + WINDOW_SAMPLES]
    return result
