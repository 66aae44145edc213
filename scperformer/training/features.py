"""Windows to what the networks' cores read, and on to their answers, in TensorFlow's graph.

The networks carry their own front end (kapre's STFT); in training it would be the
slowest part. Here the short-time Fourier transform is one matrix product over
overlapping frames. It is computed once a window, for teachers and student
alike: losing components and dividing by the peak of what is left need no second
transform, only a mask and a subtraction of decibels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scperformer.networks.contract import Network
from scperformer.networks.performer import Performer, apply, patches_of
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


Forward = Callable[[Any], Any]
StagedForward = Callable[[Any], tuple[Any, list[Any]]]


def training_forward(core: Any, network: Network, *, dropout: bool) -> Forward:
    """Return a function from features to (n, 3) logits that shares the core's weights.

    Args:
        core: core of a network, see `networks.architectures.core_of`.
        network: which one it is.
        dropout: the core has dropout layers that shall work.
    """
    is_training = dropout or network is not Network.PERFORMER
    return lambda features: core(features, training=is_training)


def inference_forward(core: Any) -> Forward:
    """Return a function from features to (n, 3) logits that never trains."""
    return lambda features: core(features, training=False)


def staged_forward(core: Any) -> StagedForward:
    """Return a function from features to logits and to what `performer` computes on the way.

    Args:
        core: of `performer`, without dropout.

    Returns:
        A function that answers (n, 3) logits and the stages: the tokens in front of and
        behind the first block, both (n, 12, 48), the class token behind the last block
        and the input of the logits, both (n, 48).
    """

    def forward(features: Any) -> tuple[Any, list[Any]]:
        network = Performer(core.by_path)
        stages = network.stages(patches_of(features))
        return apply(network.logits, stages[-1]), stages

    return forward
