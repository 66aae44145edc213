"""Windows per second of each network: the compiled path against plain Keras.

The compiled path begins with filtered samples: columns are computed once and shared by
the windows over them. Keras gets the same windows cut beforehand, which is not counted,
and answers them with `predict`. Both run in turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import WindowSet, window_set
from benchmarks.harness import Sizes, Table, in_turns, shared_folder
from scperformer.networks.contract import Network
from scperformer.networks.manifest import default_manifest, read_manifest
from scperformer.networks.registry import find_model
from scperformer.networks.weights import read_weights, save_weights

LARGEST_DIFFERENCE = 1e-3
"""Of a probability; the design's contract."""

WANTED_WINDOWS_PER_S = 100_000
_AUTHORS_WEIGHTS = {Network.CNN: "w_model_cnn_v2.0.h5"}


class DisagreementError(AssertionError):
    """The compiled path and Keras answer differently."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A network with weights, for both paths.

    Attributes:
        weights: where they are from.
        keras: the Keras model.
        compiled: the classifier of the picker.
    """

    weights: str
    keras: Any
    compiled: Any


def measure(sizes: Sizes, folder: Path) -> dict[str, Any]:
    """Measure each network at each batch size.

    Args:
        sizes: how much.
        folder: for weights that are made up.

    Raises:
        DisagreementError: an answer differs by more than `LARGEST_DIFFERENCE`.
    """
    return {
        name: _measure_network(Network(name), n_windows, sizes, folder)
        for name, n_windows in sizes.windows
    }


def _measure_network(
    network: Network, n_windows: int, sizes: Sizes, folder: Path
) -> dict[str, Any]:
    subject = load_subject(network, folder)
    windows = window_set(n_windows)
    batch_sizes = [size for size in sizes.batch_sizes if size <= n_windows]
    return {
        "weights": subject.weights,
        "windows": n_windows,
        "batches": [_measure_batch(subject, windows, size, sizes.pairs) for size in batch_sizes],
    }


def _measure_batch(
    subject: Subject, windows: WindowSet, batch_size: int, pairs: int
) -> dict[str, Any]:
    cut = windows.cut()

    def ours() -> Any:
        return windows.classify(subject.compiled, batch_size)

    def plain() -> Any:
        return subject.keras.predict(cut, batch_size=batch_size, verbose=0)

    difference = float(np.abs(ours() - plain()).max())
    if not difference <= LARGEST_DIFFERENCE:
        raise DisagreementError(
            f"{subject.keras.name}, {subject.weights}, batches of {batch_size}: the compiled "
            f"path and Keras differ by {difference:.2g}; wanted at most {LARGEST_DIFFERENCE:g}"
        )
    pair = in_turns(ours, plain, pairs)
    return {
        "batch_size": batch_size,
        "windows_per_s": round(windows.n_windows / pair.first_s.median),
        "keras_windows_per_s": round(windows.n_windows / pair.second_s.median),
        "seconds": pair.first_s.as_dict(),
        "keras_seconds": pair.second_s.as_dict(),
        "times_keras": pair.ratio.as_dict(),
        "largest_difference": difference,
    }


def load_subject(network: Network, folder: Path) -> Subject:
    """Make both paths of a network: our model, the authors' weights, or random ones."""
    import keras  # noqa: PLC0415 - slow to import

    from scperformer.networks.architectures import build_network  # noqa: PLC0415 - TensorFlow
    from scperformer.networks.classifier import CompiledClassifier  # noqa: PLC0415 - TensorFlow

    keras.utils.set_random_seed(1)
    model = build_network(network)
    path, origin = _weights_of(network)
    if path is None:
        path = folder / f"{network}.h5"
        save_weights(model, network, path)
    weights = read_weights(path, network)
    for variable in model.weights:
        variable.assign(weights[variable.path])
    return Subject(origin, model, CompiledClassifier(default_manifest(network, path), weights))


def _weights_of(network: Network) -> tuple[Path | None, str]:
    if network is Network.PERFORMER:
        folder = find_model(network)
        return folder / read_manifest(folder).weights_file, "models/performer"
    shared = shared_folder()
    name = _AUTHORS_WEIGHTS.get(network)
    if shared is not None and name is not None and (shared / "weights" / name).is_file():
        return shared / "weights" / name, f"the authors' {name}"
    return None, "random weights"


def table(figures: dict[str, Any]) -> Table:
    rows = []
    for name, network in figures.items():
        for one in network["batches"]:
            ratio = one["times_keras"]
            rows.append(
                (
                    f"{name} ({network['weights']})",
                    str(one["batch_size"]),
                    f"{one['windows_per_s']:,}",
                    f"{one['keras_windows_per_s']:,}",
                    f"{ratio['median']:.2f}",
                    f"{ratio['low']:.2f} to {ratio['high']:.2f}",
                    f"{one['largest_difference']:.1e}",
                )
            )
    return Table(
        "Windows per second end to end at shift 16, spectrogram included",
        ("network", "batch", "ours", "Keras predict", "ratio", "quartiles", "difference"),
        tuple(rows),
        (f"wanted: {WANTED_WINDOWS_PER_S:,} with performer",),
    )
