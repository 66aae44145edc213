"""STFT columns in decibels, shared by all the windows that contain them.

The networks look at 22 columns of a window (`scperformer.stft`) that is divided by its
largest sample first; in decibels that is a subtraction, so that a column is computed
once, from unnormalised samples, and serves every window over it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from scperformer.stft import (
    BINS,
    COLUMN,
    DECIBELS_PER_NEPER_OF_POWER,
    FRAME_SAMPLES,
    HANN,
    HOP_SAMPLES,
)
from scperformer.types import N_COMPONENTS

SILENCE_DECIBELS = -600.0
"""Of a frame of zeros: lower than anything that float32 can hold."""

_LEAST_POWER = np.float32(1e-30)
"""Below it float32 loses digits, and a bin is computed anew from a scaled frame."""

_MOST_POWER = np.float32(1e37)
"""Above it float32 has no more numbers, and a bin is computed anew as well."""

_DECIBELS_PER_NEPER = np.float32(DECIBELS_PER_NEPER_OF_POWER)
_DECIBELS_PER_OCTAVE = np.float32(10.0 * np.log10(2.0))
_BLOCK_COLUMNS = 512

_HANN = HANN.astype(np.float32)


def spectrogram_columns(
    samples: NDArray[np.float32], step: int = HOP_SAMPLES
) -> NDArray[np.float32]:
    """Compute the STFT columns that begin at every `step`-th sample.

    Args:
        samples: (3, n) float32.
        step: samples between the beginnings of two columns.

    Returns:
        (n_columns, 99) float32, ``10 log10 |STFT|``, 33 bins x 3 components with
        the component running fastest, of samples of any size; silence is -600.
    """
    n_columns = _n_columns(samples, step)
    columns = np.empty((n_columns, BINS, N_COMPONENTS), dtype=np.float32)
    for block, frames in _blocks(samples, step):
        columns[block] = _decibels(frames)
    return columns.reshape(n_columns, COLUMN)


def log_power_columns(
    samples: NDArray[np.float32], step: int = HOP_SAMPLES
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute logarithms of power of the columns that begin at every `step`-th sample.

    Args:
        samples: (3, n) float32, of any size.
        step: samples between the beginnings of two columns.

    Returns:
        (n_columns, 3, 33) float32, natural logarithms of ``|STFT|^2``, about -276 for silence;
        and (n_columns, 3) float32, of its sum over the bins.
    """
    n_columns = _n_columns(samples, step)
    powers = np.empty((n_columns, N_COMPONENTS, BINS), dtype=np.float32)
    totals = np.empty((n_columns, N_COMPONENTS), dtype=np.float32)
    for block, frames in _blocks(samples, step):
        with np.errstate(over="ignore"):
            power = _power(frames)
            total = power.sum(axis=-1)
        odd = (power.min(axis=-1) < _LEAST_POWER) | ~(total < _MOST_POWER)
        np.clip(power, _LEAST_POWER, _MOST_POWER, out=power)
        logarithms = np.log(power, out=power)
        total = np.log(np.clip(total, _LEAST_POWER, _MOST_POWER))
        if odd.any():
            logarithms[odd] = _faint_decibels(frames[odd]) / _DECIBELS_PER_NEPER
            most = logarithms[odd].max(axis=-1)
            shares = np.exp(logarithms[odd] - most[:, np.newaxis]).sum(axis=-1)
            total[odd] = np.log(shares) + most
        powers[block] = logarithms.transpose(1, 0, 2)
        totals[block] = total.T
    return powers, totals


def _n_columns(samples: NDArray[np.float32], step: int) -> int:
    n_columns: int = (samples.shape[1] - FRAME_SAMPLES) // step + 1
    return max(n_columns, 0)


def _blocks(samples: NDArray[np.float32], step: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield which columns come next, as many as a cache holds, and their (3, n, 64) frames."""
    n_columns = _n_columns(samples, step)
    if not n_columns:
        return
    frames = sliding_window_view(samples, FRAME_SAMPLES, axis=1)[:, ::step]
    for start in range(0, n_columns, _BLOCK_COLUMNS):
        block = slice(start, min(start + _BLOCK_COLUMNS, n_columns))
        yield block, frames[:, block]


def _decibels(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decibels of (3, n, 64) frames as (n, 33, 3)."""
    power = _power(frames)
    if power.min() >= _LEAST_POWER:
        return _logarithm(power).transpose(1, 2, 0)
    faint = power.min(axis=-1) < _LEAST_POWER
    decibels = _logarithm(power)
    decibels[faint] = _faint_decibels(frames[faint])
    return decibels.transpose(1, 2, 0)


def _power(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    spectrum = fft.rfft(frames * _HANN, axis=-1)
    power: NDArray[np.float32] = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    return power


def _logarithm(power: NDArray[np.float32]) -> NDArray[np.float32]:
    np.maximum(power, _LEAST_POWER, out=power)
    # The natural logarithm is the one that NumPy computes with vector instructions.
    np.log(power, out=power)
    power *= _DECIBELS_PER_NEPER
    return power


def _faint_decibels(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decibels of (n, 64) frames as (n, 33), brought to a size that float32 can square."""
    largest = np.abs(frames).max(axis=-1)
    decibels = np.full((len(frames), BINS), SILENCE_DECIBELS, dtype=np.float32)
    sounding = largest > 0.0
    exponents = np.frexp(largest[sounding])[1]
    scaled = np.ldexp(frames[sounding], -exponents[:, np.newaxis])
    decibels[sounding] = (
        _logarithm(_power(scaled)) + exponents[:, np.newaxis] * _DECIBELS_PER_OCTAVE
    )
    return decibels
