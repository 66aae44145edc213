"""The compiled classifier: a network, its weights and its card behind one method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.networks.contract import Network
from scperformer.networks.convolutions import cnn, gpd
from scperformer.networks.engine import Engine
from scperformer.networks.gather import ColumnSource, PatchSource, SampleSource
from scperformer.networks.manifest import Manifest
from scperformer.networks.performer import Performer, apply
from scperformer.networks.runtime import tf
from scperformer.networks.weights import read_weights
from scperformer.stft import COLUMN, DECIBEL_FLOOR, DECIBEL_SCALE, FRAMES
from scperformer.types import (
    CLASSES,
    N_COMPONENTS,
    WINDOW_SAMPLES,
    PendingProbabilities,
    WindowBatch,
    WindowInput,
)

Weights = Mapping[str, NDArray[np.float32]]

SOURCES: Mapping[Network, type[PatchSource | SampleSource]] = MappingProxyType(
    {Network.PERFORMER: PatchSource, Network.CNN: ColumnSource, Network.GPD: SampleSource}
)
"""What reads the windows of a batch for each network."""


class CompiledClassifier:
    """Answers windows with a network compiled by XLA.

    Compiling takes a few seconds and is done when first needed for a batch size, or by
    `warm_up`. Several threads may classify at once.

    Args:
        manifest: the model's card.
        weights: under the paths of `contract.weight_shapes`.
        threads: tiles that are worked on at once, by default one for each processor.

    Attributes:
        name: the model's name.
        sha256: of its weights, hexadecimal.
        window_input: whether the network wants STFT columns or samples.
    """

    def __init__(
        self,
        manifest: Manifest,
        weights: Weights,
        *,
        threads: int | None = None,
    ) -> None:
        self.manifest = manifest
        self.name = manifest.name
        self.sha256 = manifest.weights_sha256
        is_gpd = manifest.network is Network.GPD
        self.window_input = WindowInput.SAMPLES if is_gpd else WindowInput.COLUMNS
        graph = _graph(manifest.network, weights)
        self._source = SOURCES[manifest.network]
        self._engine = Engine(graph, self._source.shape, columns=len(CLASSES), threads=threads)

    @classmethod
    def from_file(
        cls,
        manifest: Manifest,
        path: Path,
        *,
        threads: int | None = None,
    ) -> CompiledClassifier:
        """Make it from a weights file of either format; the checksum is not looked at.

        Raises:
            WeightsError: the file cannot be used as weights of the card's network.
        """
        weights = read_weights(path, manifest.network)
        return cls(manifest, weights, threads=threads)

    def classify(self, batch: WindowBatch) -> NDArray[np.float32]:
        """Return (n_windows, 3) float32 probabilities of P, S and noise.

        The answer to a window is that of the Keras model to the window divided by its
        peak, its absent components zero, whatever else is in the batch.

        Raises:
            ValueError: the batch contradicts itself: shapes, or windows beyond the rows.
        """
        return self.start(batch).result()

    def start(self, batch: WindowBatch) -> PendingProbabilities:
        """Begin to answer a batch as `classify` does, in threads beside the caller's.

        Raises:
            ValueError: as `classify` does.
        """
        check_batch(batch, self.window_input)
        return self._engine.start(self._source(batch), len(batch))

    def warm_up(self) -> None:
        """Compile for all batch sizes now."""
        self._engine.warm_up()


def check_batch(batch: WindowBatch, window_input: WindowInput) -> None:
    """Check that a batch is whole.

    Raises:
        ValueError: shapes that do not belong together, or windows beyond the rows.
    """
    width, length = (
        (COLUMN, FRAMES) if window_input is WindowInput.COLUMNS else (N_COMPONENTS, WINDOW_SAMPLES)
    )
    n = len(batch)
    if batch.rows.ndim != 2 or batch.rows.shape[1] != width or batch.rows.dtype != np.float32:
        raise ValueError(
            f"rows: got {batch.rows.dtype} {batch.rows.shape}; wanted float32 (n, {width})"
        )
    if batch.peak.shape != (n,) or batch.present.shape != (n, N_COMPONENTS):
        raise ValueError(
            f"got {n} windows, peaks {batch.peak.shape}, presence {batch.present.shape}"
        )
    last = (length - 1) * batch.stride
    if n and not (batch.starts.min() >= 0 and batch.starts.max() + last < len(batch.rows)):
        raise ValueError(
            f"windows from row {batch.starts.min()} to {batch.starts.max() + last}; "
            f"there are {len(batch.rows)}"
        )


def _graph(network: Network, weights: Weights) -> Callable[[Any, Any], Any]:
    """Return the function of features and scales, as the network's source reads them."""
    if network is not Network.PERFORMER:
        constants = {path: tf.constant(value) for path, value in weights.items()}
        if network is Network.GPD:
            return lambda windows, peaks: tf.nn.softmax(
                gpd(constants, windows / peaks[:, None, None])
            )
        return lambda columns, peaks: tf.nn.softmax(
            cnn(constants, _levels(columns - peaks[:, None, None, None]))
        )
    performer = Performer({path: tf.constant(value, tf.float64) for path, value in weights.items()})

    def answer(patches: Any, peaks: Any) -> Any:
        seen = performer.stages(_levels(patches - peaks[:, None, None]))[-1]
        return tf.nn.softmax(apply(performer.logits, seen))

    return answer


def _levels(decibels: Any) -> Any:
    return tf.maximum(decibels, DECIBEL_FLOOR) / DECIBEL_SCALE
