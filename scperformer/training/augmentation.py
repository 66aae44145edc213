"""Changes of training windows that leave their phase as it is.

What the ground does (other directions, noise, other earthquakes) and what instruments and
recording do (other filters, other rates, clipping, lost components).

Every function takes (n, 400, 3) float32 windows, components N, E, Z, and a
generator, works on all windows at once and returns new ones. A component that
is zero stays zero. None of them draws more from the generator than the number of
windows tells, so that equal seeds give equal windows. Filters are applied in the frequency
domain, each window its own, after the window was continued on both sides by its
reflection, so that they do not begin on an edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from scperformer.types import N_COMPONENTS, SAMPLING_RATE_HZ, WINDOW_SAMPLES

Windows = NDArray[np.float32]
VERTICAL = 2
TAPER_SAMPLES = 20

_PAD_SAMPLES = 200
_FFT_SAMPLES = 1024
_FREQUENCIES_HZ = np.fft.rfftfreq(_FFT_SAMPLES, 1.0 / SAMPLING_RATE_HZ)
_CORNERS = 4
_BANDPASS_SHARE = 0.5
_PASS, _STOP = 0.4, 0.5
_LEAKAGE_DB = (-80.0, -55.0)


def rotate_horizontals(
    windows: Windows, rng: np.random.Generator, *, probability: float
) -> Windows:
    """Turn the horizontals by a random angle about the vertical.

    Keeps the vertical and, at every sample, the length of the horizontal vector.
    Windows without one of the horizontals stay as they are.
    """
    n = len(windows)
    angle = rng.uniform(0.0, 2.0 * np.pi, n)
    turned = (rng.random(n) < probability) & (_energy(windows)[:, :VERTICAL] > 0).all(axis=1)
    angle = np.where(turned, angle, 0.0)
    matrices = np.zeros((n, N_COMPONENTS, N_COMPONENTS), np.float32)
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
    matrices[:, 0, 1] = np.sin(angle)
    matrices[:, 1, 0] = -matrices[:, 0, 1]
    matrices[:, VERTICAL, VERTICAL] = 1.0
    rotated: Windows = np.matmul(windows, matrices)
    return rotated


def flip_polarity(windows: Windows, rng: np.random.Generator, *, probability: float) -> Windows:
    """Turn the ground's motion upside down: the sign of all components together."""
    flipped = rng.random(len(windows)) < probability
    return windows * np.where(flipped, -1.0, 1.0).astype(np.float32)[:, None, None]


def change_gain(windows: Windows, rng: np.random.Generator, *, range_db: float) -> Windows:
    """Scale each component by its own factor, up to `range_db` decibels up or down.

    The factor common to all components has no effect, because windows are divided by
    their peak; what differs between the components does.
    """
    decibels = rng.uniform(-range_db, range_db, (len(windows), N_COMPONENTS))
    factors = (10.0 ** (decibels / 20.0)).astype(np.float32)
    return _scale(windows, factors)


def mix_noise(
    windows: Windows,
    noise: Windows,
    rng: np.random.Generator,
    *,
    probability: float,
    snr_db: tuple[float, float],
) -> Windows:
    """Add recorded noise at a random signal-to-noise ratio.

    The ratio is that of the root mean squares over all components of both windows.
    Windows and noise without any signal are left alone, and so are components that
    the window lacks.

    Args:
        windows: (n, 400, 3) float32.
        noise: (n, 400, 3) float32, one for each window.
        rng: source of chance.
        probability: share of the windows that get noise.
        snr_db: least and largest ratio in decibels, evenly distributed between.
    """
    n = len(windows)
    wanted = 10.0 ** (rng.uniform(*snr_db, n) / 20.0)
    chosen = rng.random(n) < probability
    signal, added = _energy(windows), _energy(noise)
    live = signal > 0
    added_rms = np.sqrt((added * live).sum(axis=1))
    usable = chosen & (added_rms > 0)
    ratio = np.sqrt(signal.sum(axis=1)) / (wanted * np.where(usable, added_rms, 1.0))
    factors = (np.where(usable, ratio, 0.0)[:, None] * live).astype(np.float32)
    return windows + _scale(noise, factors)


def superpose(
    windows: Windows,
    others: Windows,
    rng: np.random.Generator,
    *,
    probability: float,
    ratio_db: tuple[float, float],
) -> Windows:
    """Add another earthquake.

    Where its arrival lies is up to the caller; the window's phase remains true as long
    as that is not its centre. Components that the window lacks stay silent.

    Args:
        windows: (n, 400, 3) float32.
        others: (n, 400, 3) float32, one for each window; silent ones change nothing.
        rng: source of chance.
        probability: share of the windows that get another earthquake.
        ratio_db: least and largest peak of the other over that of the window, in
            decibels, evenly distributed between.
    """
    n = len(windows)
    wanted = 10.0 ** (rng.uniform(*ratio_db, n) / 20.0)
    chosen = rng.random(n) < probability
    live = _energy(windows) > 0
    peak = np.abs(windows).max(axis=(1, 2))
    added_peak = (np.abs(others).max(axis=1) * live).max(axis=1)
    usable = chosen & (added_peak > 0)
    ratio = wanted * peak / np.where(usable, added_peak, 1.0)
    factors = (np.where(usable, ratio, 0.0)[:, None] * live).astype(np.float32)
    return windows + _scale(others, factors)


def shift_in_time(windows: Windows, shift_samples: NDArray[np.int64]) -> Windows:
    """Move what windows show to later (positive) or earlier samples.

    What comes in from outside is silent; a half-cosine over `TAPER_SAMPLES` leads to it.

    Args:
        windows: (n, 400, 3) float32.
        shift_samples: (n,) int64, between -400 and 400.
    """
    n_samples = windows.shape[1]
    source = np.arange(n_samples) - shift_samples[:, None]
    inside = (source >= 0) & (source < n_samples)
    moved = np.take_along_axis(windows, np.clip(source, 0, n_samples - 1)[:, :, None], axis=1)
    # The edge that moved into the window, not the one that left it.
    from_edge = np.where(shift_samples[:, None] > 0, source, n_samples - 1 - source)
    taper = 0.5 - 0.5 * np.cos(np.pi * np.clip((from_edge + 0.5) / TAPER_SAMPLES, 0.0, 1.0))
    taper[shift_samples == 0] = 1.0
    shifted: Windows = moved * (taper * inside)[:, :, None].astype(np.float32)
    return shifted


def component_loss(
    present: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    lose_one: float,
    lose_two: float,
    vertical_share: float,
) -> NDArray[np.bool_]:
    """Draw which components are left of each window.

    Args:
        present: (n, 3) bool, the live components.
        rng: source of chance.
        lose_one: share of windows that lose one component, any of the three.
        lose_two: share of windows that lose two.
        vertical_share: how many of the latter keep the vertical.

    Returns:
        (n, 3) bool; at least one live component is always left.
    """
    n = len(present)
    drawn = rng.random(n)
    single = rng.integers(0, N_COMPONENTS, n)
    kept_alone = np.where(rng.random(n) < vertical_share, VERTICAL, rng.integers(0, VERTICAL, n))
    numbers = np.arange(N_COMPONENTS)
    keep = np.ones((n, N_COMPONENTS), dtype=bool)
    one, two = drawn < lose_one, (drawn >= lose_one) & (drawn < lose_one + lose_two)
    keep[one] = numbers != single[one, None]
    keep[two] = numbers == kept_alone[two, None]
    left = present & keep
    return np.where(left.any(axis=1, keepdims=True), left, present)


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


def _energy(windows: Windows) -> NDArray[np.float64]:
    """Sum of squares of each component, (n, 3)."""
    energy: NDArray[np.float64] = np.einsum("nsc,nsc->nc", windows, windows).astype(np.float64)
    return energy


def _scale(windows: Windows, factors: NDArray[np.float32]) -> Windows:
    """Multiply each component by its factor, (n, 3); as a matrix product it is fastest."""
    matrices = factors[:, :, None] * np.eye(N_COMPONENTS, dtype=np.float32)
    scaled: Windows = np.matmul(windows, matrices)
    return scaled


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
