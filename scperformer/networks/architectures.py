"""The three networks as Keras models, for training.

A network is a front end, a core and a softmax. The front end turns windows into what
the core reads: spectrograms for `performer` and `cnn`, normalised samples for `gpd`.
The core answers logits of P, S and noise by the arithmetic that the compiled classifier
uses too; training looks at it by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

# isort: split  (`runtime` sets the backend before keras comes)
import keras
from kapre.time_frequency import STFT, Magnitude, MagnitudeToDecibel
from keras import ops

from scperformer.networks.contract import DIM, Network, parse_window_network, weight_shapes
from scperformer.networks.convolutions import cnn, gpd
from scperformer.networks.performer import Performer, apply, patches_of, unchanged
from scperformer.stft import (
    DECIBEL_SCALE,
    FRAME_SAMPLES,
    HOP_SAMPLES,
    MAGNITUDE_FLOOR,
)
from scperformer.types import N_COMPONENTS, WINDOW_SAMPLES

CORE = "core"
DROPOUT_RATES = MappingProxyType({Network.PERFORMER: 0.1, Network.CNN: 0.5, Network.GPD: 0.0})
BATCH_NORM_MOMENTUM = 0.99


def build_network(name: str, *, dropout: bool = True) -> keras.Model:
    """Build a network with random weights.

    The model takes (batch, 400, 3) float32 windows, filtered, components N, E, Z, in
    any unit: it divides each by its peak. It answers (batch, 3) float32 probabilities
    of P, S and noise. Its layer ``core`` (see `core_of`) answers logits.

    Args:
        name: ``performer``, ``cnn`` or ``gpd``.
        dropout: drop values in training, as the authors do. Neither the weights nor the
            answers in inference differ.

    Raises:
        ConfigurationError: no such network.
    """
    network = parse_window_network(name)
    front_end = build_front_end(network)
    logits = Core(network, dropout=dropout)(front_end.output)
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(front_end.input, probabilities, name=network.value)


def build_front_end(name: str) -> keras.Model:
    """Build the part in front of the core: (batch, 400, 3) windows to its features.

    Raises:
        ConfigurationError: no such network.
    """
    network = parse_window_network(name)
    windows = keras.Input((WINDOW_SAMPLES, N_COMPONENTS), name="windows")
    features = PeakNormalization(name="peak_normalization")(windows)
    if network is not Network.GPD:
        features = STFT(
            n_fft=FRAME_SAMPLES,
            win_length=FRAME_SAMPLES,
            hop_length=HOP_SAMPLES,
            pad_begin=False,
            pad_end=False,
            input_data_format="channels_last",
            output_data_format="channels_last",
            name="stft",
        )(features)
        features = Magnitude(name="magnitude")(features)
        features = MagnitudeToDecibel(amin=MAGNITUDE_FLOOR, name="decibel")(features)
        features = keras.layers.Rescaling(1.0 / DECIBEL_SCALE, name="scale")(features)
    return keras.Model(windows, features, name=f"{network}_front_end")


def core_of(model: keras.Model) -> Core:
    """Return the core of a network made by `build_network`; they share weights."""
    return model.get_layer(CORE)  # type: ignore[no-any-return]


class PeakNormalization(keras.layers.Layer):  # type: ignore[misc]
    """Divide each window by its largest absolute sample over all components.

    Input and output: (batch, samples, components) float32. A window of zeros stays
    zeros.
    """

    def call(self, windows: Any) -> Any:
        """Return windows whose largest absolute sample is 1."""
        peak = ops.max(ops.abs(windows), axis=(1, 2), keepdims=True)
        return windows / ops.where(peak > 0, peak, ops.ones_like(peak))


class Core(keras.layers.Layer):  # type: ignore[misc]
    """A network's arithmetic as a layer, with random weights to begin with.

    It takes (batch, 22, 33, 3) float32 decibels divided by 50, frames x bins x
    components (`performer`, `cnn`), or (batch, 400, 3) float32 windows divided by
    their peak (`gpd`), and answers (batch, 3) float32 logits of P, S and noise.

    Args:
        network: which one.
        dropout: drop values in training.

    Attributes:
        by_path: the weights under the paths of `contract.weight_shapes`.
    """

    def __init__(self, network: Network, *, dropout: bool = True) -> None:
        super().__init__(name=CORE)
        self._network = network
        rate = DROPOUT_RATES[network] if dropout else 0.0
        self._dropout = keras.layers.Dropout(rate) if rate else None
        self.by_path: Mapping[str, Any] = {
            path: _variable(path, shape) for path, shape in weight_shapes(network).items()
        }
        self.built = True

    @property
    def weights(self) -> list[Any]:
        """The weights in the contract's order."""
        return list(self.by_path.values())

    def call(self, features: Any, training: bool = False) -> Any:
        """Return (batch, 3) logits."""
        drop = unchanged
        if training and self._dropout is not None:
            drop = partial(self._dropout, training=True)
        if self._network is Network.PERFORMER:
            network = Performer(self.by_path)
            return apply(network.logits, network.stages(patches_of(features), drop)[-1])
        moments = self._moments if training else None
        compute = cnn if self._network is Network.CNN else gpd
        return compute(self.by_path, features, moments=moments, drop=drop)

    def _moments(self, name: str, values: Any) -> tuple[Any, Any]:
        """Mean and variance of a batch, which move those that inference takes."""
        mean, variance = ops.moments(values, axes=tuple(range(len(values.shape) - 1)))
        for part, value in (("moving_mean", mean), ("moving_variance", variance)):
            moving = self.by_path[f"{name}/{part}"]
            moving.assign(moving + (value - moving) * (1.0 - BATCH_NORM_MOMENTUM))
        return mean, variance


def _variable(path: str, shape: tuple[int, ...]) -> Any:
    """Make a weight as the authors' networks begin with it."""
    *scopes, layer, name = path.split("/")
    initializers = {
        "kernel": keras.initializers.GlorotUniform(),
        "token": keras.initializers.RandomNormal(stddev=0.05),
        "embeddings": keras.initializers.RandomUniform(-0.05, 0.05),
        "gamma": keras.initializers.Ones(),
        "moving_variance": keras.initializers.Ones(),
    }
    initializer = initializers.get(name, keras.initializers.Zeros())
    if "attention" in scopes:
        limit = math.sqrt(3.0 / DIM)
        initializer = keras.initializers.RandomUniform(-limit, limit)
    with keras.name_scope(layer, override_parent="/".join(scopes)):
        return keras.Variable(
            initializer, shape=shape, trainable=not name.startswith("moving"), name=name
        )
