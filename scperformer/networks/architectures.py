"""The three networks as Keras models.

A network is a front end, a core and a softmax. The front end turns windows into what
the core reads: spectrograms for `performer` and `cnn`, normalised samples for `gpd`.
The core answers logits of P, S and noise; training and the compiled classifier use it
by itself.

Sources: Stepnov, Chernykh and Konovalov (2021), doi 10.3390/s21186290, for `performer`
and `cnn`; Ross, Meier, Hauksson and Heaton (2018), doi 10.1785/0120180080, for `gpd`.
"""

from __future__ import annotations

from typing import Any

from scperformer.networks.contract import (
    BLOCKS,
    CNN_FILTERS,
    CNN_KERNEL,
    CNN_UNITS,
    DIM,
    GPD_FILTERS,
    GPD_KERNELS,
    GPD_UNITS,
    HEADS,
    HIDDEN,
    PATCH_BINS,
    Network,
    parse_network,
)
from scperformer.networks.layers import (
    DROPOUT_RATE,
    LAYER_NORM_EPSILON,
    ClassToken,
    EncoderBlock,
    FirstToken,
    PeakNormalization,
    PositionEmbedding,
    exact_gelu,
)
from scperformer.stft import (
    BINS,
    DECIBEL_SCALE,
    FRAME_SAMPLES,
    FRAMES,
    HOP_SAMPLES,
    MAGNITUDE_FLOOR,
)
from scperformer.types import CLASSES, N_COMPONENTS, WINDOW_SAMPLES

# isort: split
import keras
from einops.layers.keras import Rearrange
from kapre.time_frequency import STFT, Magnitude, MagnitudeToDecibel

CORE = "core"
CNN_DROPOUT_RATE = 0.5


def build_network(name: str, *, dropout: bool = True) -> keras.Model:
    """Build a network with random weights.

    The model takes (batch, 400, 3) float32 windows, filtered, components N, E, Z, in
    any unit: it divides each by its peak. It answers (batch, 3) float32 probabilities
    of P, S and noise. Its layer ``core`` (see `core_of`) answers logits.

    Args:
        name: ``performer``, ``cnn`` or ``gpd``.
        dropout: with dropout layers that work in training; without, none are built.
            Neither the weights nor the answers in inference differ.

    Raises:
        ConfigurationError: no such network.
    """
    network = parse_network(name)
    windows = keras.Input((WINDOW_SAMPLES, N_COMPONENTS), name="windows")
    features = _front_end(windows, spectrogram=network is not Network.GPD)
    logits = build_core(network, dropout=dropout)(features)
    probabilities = keras.layers.Softmax(name="probabilities")(logits)
    return keras.Model(windows, probabilities, name=network.value)


def build_core(name: str, *, dropout: bool = True) -> keras.Model:
    """Build the part behind the front end, with random weights.

    It takes (batch, 22, 33, 3) float32 decibels divided by 50, frames x bins x
    components (`performer`, `cnn`), or (batch, 400, 3) float32 windows divided by
    their peak (`gpd`), and answers (batch, 3) float32 logits of P, S and noise.

    Raises:
        ConfigurationError: no such network.
    """
    network = parse_network(name)
    body = {Network.PERFORMER: _performer, Network.CNN: _cnn, Network.GPD: _gpd}[network]
    shape = (FRAMES, BINS, N_COMPONENTS)
    if network is Network.GPD:
        shape = (WINDOW_SAMPLES, N_COMPONENTS)  # type: ignore[assignment]
    features = keras.Input(shape, name="features")
    logits = keras.layers.Dense(len(CLASSES), name="logits")(body(features, dropout=dropout))
    return keras.Model(features, logits, name=CORE)


def build_front_end(name: str) -> keras.Model:
    """Build the part in front of the core: (batch, 400, 3) windows to its features.

    Raises:
        ConfigurationError: no such network.
    """
    network = parse_network(name)
    windows = keras.Input((WINDOW_SAMPLES, N_COMPONENTS), name="windows")
    features = _front_end(windows, spectrogram=network is not Network.GPD)
    return keras.Model(windows, features, name=f"{network}_front_end")


def core_of(model: keras.Model) -> keras.Model:
    """Return the core of a network made by `build_network`; they share weights."""
    return model.get_layer(CORE)


def _front_end(windows: Any, *, spectrogram: bool) -> Any:
    features = PeakNormalization(name="peak_normalization")(windows)
    if not spectrogram:
        return features
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
    return keras.layers.Rescaling(1.0 / DECIBEL_SCALE, name="scale")(features)


def _performer(features: Any, *, dropout: bool) -> Any:
    rate = DROPOUT_RATE if dropout else 0.0
    patches = Rearrange("b (h p1) (w p2) c -> b (h w) (p1 p2 c)", p1=FRAMES, p2=PATCH_BINS)(
        features
    )
    tokens = keras.layers.Dense(DIM, name="patch_embedding")(patches)
    tokens = ClassToken(name="class_token")(tokens)
    tokens = PositionEmbedding(name="position_embedding")(tokens)
    for number in range(1, BLOCKS + 1):
        tokens = EncoderBlock(DIM, HEADS, HIDDEN, rate, name=f"block_{number}")(tokens)
    token = FirstToken(name="first_token")(tokens)
    token = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, name="norm")(token)
    token = _dropout(token, rate, "dropout_1")
    token = keras.layers.Dense(HIDDEN, activation=exact_gelu, name="dense_1")(token)
    token = _dropout(token, rate, "dropout_2")
    token = keras.layers.Dense(DIM, activation=exact_gelu, name="dense_2")(token)
    return _dropout(token, rate, "dropout_3")


def _cnn(features: Any, *, dropout: bool) -> Any:
    rate = CNN_DROPOUT_RATE if dropout else 0.0
    layout = "channels_last"
    for number, filters in enumerate(CNN_FILTERS, 1):
        features = keras.layers.Conv2D(
            filters, CNN_KERNEL, padding="same", data_format=layout, name=f"conv_{number}"
        )(features)
        features = keras.layers.BatchNormalization(name=f"batch_norm_{number}")(features)
        features = keras.layers.ReLU(name=f"relu_{number}")(features)
        features = keras.layers.MaxPooling2D(2, data_format=layout, name=f"pool_{number}")(features)
    features = keras.layers.Flatten(data_format=layout, name="flatten")(features)
    features = _dropout(features, rate, "dropout_1")
    features = keras.layers.Dense(CNN_UNITS, activation="relu", name="dense_1")(features)
    return _dropout(features, rate, "dropout_2")


def _gpd(features: Any, *, dropout: bool) -> Any:
    del dropout  # the authors' gpd has none
    layout = "channels_last"
    stages = zip(GPD_FILTERS, GPD_KERNELS, strict=True)
    for number, (filters, kernel) in enumerate(stages, 1):
        features = keras.layers.Conv1D(
            filters, kernel, padding="same", data_format=layout, name=f"conv_{number}"
        )(features)
        features = keras.layers.MaxPooling1D(2, data_format=layout, name=f"pool_{number}")(features)
        features = keras.layers.ReLU(name=f"relu_{number}")(features)
        features = keras.layers.BatchNormalization(name=f"batch_norm_{number}")(features)
    features = keras.layers.Flatten(data_format=layout, name="flatten")(features)
    for number, units in enumerate(GPD_UNITS, 1):
        features = keras.layers.Dense(units, activation="relu", name=f"dense_{number}")(features)
        stage = len(GPD_FILTERS) + number
        features = keras.layers.BatchNormalization(name=f"batch_norm_{stage}")(features)
    return features


def _dropout(features: Any, rate: float, name: str) -> Any:
    return keras.layers.Dropout(rate, name=name)(features) if rate else features
