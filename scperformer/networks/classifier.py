"""The compiled classifier: a network, its weights and its card behind one method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.networks.contract import PATCH, PATCHES, Network
from scperformer.networks.convolution_graphs import cnn_graph, gpd_graph
from scperformer.networks.engine import Engine, Source
from scperformer.networks.gather import ColumnSource, PatchSource, SampleSource
from scperformer.networks.manifest import Manifest
from scperformer.networks.performer_graph import performer_graph
from scperformer.networks.weights import read_weights
from scperformer.stft import BINS, COLUMN, FRAMES
from scperformer.types import (
    CLASSES,
    N_COMPONENTS,
    WINDOW_SAMPLES,
    PendingProbabilities,
    WindowBatch,
    WindowInput,
)

Weights = Mapping[str, NDArray[np.float32]]
Embedding = tuple[NDArray[np.float32], NDArray[np.float32]]


class CompiledClassifier:
    """Answers windows with a network compiled by XLA.

    Compiling takes a few seconds and is done when first needed for a batch size, or by
    `warm_up`. Several threads may classify at once.

    Args:
        manifest: the model's card.
        weights: under the paths of `contract.weight_shapes`.
        embedding: kernel and bias of what a context stage reads of `performer`, None for
            probabilities alone.
        threads: tiles that are worked on at once, by default one for each processor.
    """

    def __init__(
        self,
        manifest: Manifest,
        weights: Weights,
        *,
        embedding: Embedding | None = None,
        threads: int | None = None,
    ) -> None:
        self.manifest = manifest
        graph, shape, self._source = _parts(manifest.network, weights, embedding)
        self._columns = len(CLASSES) + (0 if embedding is None else len(embedding[1]))
        self._engine = Engine(graph, shape, columns=self._columns, threads=threads)

    @classmethod
    def from_file(
        cls,
        manifest: Manifest,
        path: Path,
        *,
        embedding: Embedding | None = None,
        threads: int | None = None,
    ) -> CompiledClassifier:
        """Make it from a weights file of either format; the checksum is not looked at.

        Raises:
            WeightsError: the file cannot be used as weights of the card's network.
        """
        weights = read_weights(path, manifest.network)
        return cls(manifest, weights, embedding=embedding, threads=threads)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the weights, hexadecimal."""
        return self.manifest.weights_sha256

    @property
    def window_input(self) -> WindowInput:
        """Whether the network wants STFT columns or samples."""
        if self.manifest.network is Network.GPD:
            return WindowInput.SAMPLES
        return WindowInput.COLUMNS

    def classify(self, batch: WindowBatch) -> NDArray[np.float32]:
        """Return (n_windows, 3) float32 probabilities of P, S and noise, then the embedding.

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


def _parts(
    network: Network, weights: Weights, embedding: Embedding | None
) -> tuple[Callable[[Any, Any], Any], tuple[int, ...], Callable[[WindowBatch], Source]]:
    """Return the computation, the shape of a window and what reads windows of a batch."""
    if network is Network.PERFORMER:
        return performer_graph(weights, embedding), (PATCHES, PATCH), PatchSource
    if network is Network.CNN:
        return cnn_graph(weights), (FRAMES, BINS, N_COMPONENTS), ColumnSource
    return gpd_graph(weights), (WINDOW_SAMPLES, N_COMPONENTS), SampleSource
