"""Windows to what the networks' cores read, inside TensorFlow's graph and fast.

The networks carry their own front end (kapre's STFT); in training it would be the
slowest part. Here the short-time Fourier transform is one matrix product over
overlapping frames. It is computed once a window, for teachers and student
alike: losing components and dividing by the peak of what is left need no second
transform, only a mask and a subtraction of decibels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scperformer.networks.contract import Network
from scperformer.stft import (
    BINS,
    DECIBEL_FLOOR,
    DECIBEL_SCALE,
    DECIBELS_PER_NEPER_OF_POWER,
    FRAME_SAMPLES,
    HANN,
    HOP_SAMPLES,
)
from scperformer.types import N_COMPONENTS, WINDOW_SAMPLES

# isort: split
import tensorflow as tf

_SILENCE_POWER = 1e-30


def _transform() -> Any:
    """The Hann-windowed real DFT as a (64, 66) matrix: 33 cosines, then 33 sines."""
    time = np.arange(FRAME_SAMPLES)
    phase = 2.0 * np.pi * np.outer(time, np.arange(BINS)) / FRAME_SAMPLES
    matrix = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * HANN[:, None]
    return matrix.astype(np.float32)


_TRANSFORM = _transform()


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What windows of one batch share between networks and component losses.

    Attributes:
        windows: (n, 400, 3) float32 tensor.
        peaks: (n, 3) float32, largest absolute sample of each component.
        decibels: (n, 22, 33, 3) float32, ``10 log10 |STFT|`` of the windows as they are.
    """

    windows: Any
    peaks: Any
    decibels: Any

    def features(self, network: Network, keep: Any) -> Any:
        """Return the core's input with only the components in `keep`, (n, 3) bool.

        Returns:
            (n, 22, 33, 3) float32 decibels of the normalised windows over 50, or
            (n, 400, 3) float32 normalised windows for `gpd`.
        """
        peak = tf.reduce_max(tf.where(keep, self.peaks, 0.0), axis=1)
        peak = tf.where(peak > 0.0, peak, 1.0)
        if network is Network.GPD:
            normalised = self.windows / peak[:, None, None]
            return tf.where(keep[:, None, :], normalised, 0.0)
        reference = 2.0 * DECIBELS_PER_NEPER_OF_POWER * tf.math.log(peak)
        levels = tf.maximum(self.decibels - reference[:, None, None, None], DECIBEL_FLOOR)
        masked = tf.where(keep[:, None, None, :], levels, DECIBEL_FLOOR)
        return masked / DECIBEL_SCALE


def prepare(windows: Any) -> Prepared:
    """Compute what `Prepared` holds from (n, 400, 3) float32 windows."""
    peaks = tf.reduce_max(tf.abs(windows), axis=1)
    hops = tf.reshape(
        tf.transpose(windows, (0, 2, 1)),
        (-1, N_COMPONENTS, WINDOW_SAMPLES // HOP_SAMPLES, HOP_SAMPLES),
    )
    return Prepared(windows, peaks, decibel_columns(hops))


def decibel_columns(hops: Any) -> Any:
    """Compute STFT columns of samples that lie apart by hops.

    Args:
        hops: (n, 3, n_hops, 16) float32.

    Returns:
        (n, n_hops - 3, 33, 3) float32, ``10 log10 |STFT|``.
    """
    overlap = FRAME_SAMPLES // HOP_SAMPLES
    n_columns = hops.shape[2] - overlap + 1
    frames = tf.concat([hops[:, :, k : k + n_columns] for k in range(overlap)], axis=-1)
    spectrum = tf.matmul(tf.reshape(frames, (-1, FRAME_SAMPLES)), _TRANSFORM)
    power = tf.square(spectrum[:, :BINS]) + tf.square(spectrum[:, BINS:])
    decibels = DECIBELS_PER_NEPER_OF_POWER * tf.math.log(power + _SILENCE_POWER)
    decibels = tf.reshape(decibels, (-1, N_COMPONENTS, n_columns, BINS))
    return tf.transpose(decibels, (0, 2, 3, 1))
