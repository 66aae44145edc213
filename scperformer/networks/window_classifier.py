"""A network on windows, its weights and its card behind one method, whatever computes it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from scperformer.networks.contract import Network
from scperformer.networks.engine import TILE_SIZES, Compile, Engine
from scperformer.networks.gather import ColumnSource, PatchSource, SampleSource
from scperformer.networks.manifest import Manifest
from scperformer.stft import COLUMN, FRAMES
from scperformer.types import (
    CLASSES,
    N_COMPONENTS,
    WINDOW_SAMPLES,
    PendingProbabilities,
    WindowBatch,
    WindowInput,
)

SOURCES: Mapping[Network, type[PatchSource | SampleSource]] = MappingProxyType(
    {Network.PERFORMER: PatchSource, Network.CNN: ColumnSource, Network.GPD: SampleSource}
)
"""What reads the windows of a batch for each network."""


class WindowClassifier:
    """Answers windows with a network. Several threads may classify at once.

    Args:
        manifest: the model's card.
        compile: makes the network's computation, from what its source reads to
            probabilities, for each batch size when it is first needed, or in `warm_up`.
        sizes: of batches, from small to large.
        threads: tiles that are worked on at once, by default one for each processor.

    Attributes:
        name: the model's name.
        sha256: of its weights, hexadecimal.
        window_input: whether the network wants STFT columns or samples.
    """

    def __init__(
        self,
        manifest: Manifest,
        compile: Compile,
        *,
        sizes: tuple[int, ...] = TILE_SIZES,
        threads: int | None = None,
    ) -> None:
        self.manifest = manifest
        self.name = manifest.name
        self.sha256 = manifest.weights_sha256
        is_gpd = manifest.network is Network.GPD
        self.window_input = WindowInput.SAMPLES if is_gpd else WindowInput.COLUMNS
        self._source = SOURCES[manifest.network]
        self._engine = Engine(
            compile, self._source.shape, columns=len(CLASSES), sizes=sizes, threads=threads
        )

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
        """Make the computation for all batch sizes now."""
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
