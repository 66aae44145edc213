"""Weights files: ours and the original authors', read to plain arrays without TensorFlow.

Our own format is an HDF5 file with the attributes ``format``, ``format_version`` and
``network`` and one float32 dataset a weight, under the path of its Keras variable.

The original authors' Keras 2 files list their layers in the order of the network. Names
carry counters that differ from file to file (``dense``, ``dense_32``), so layers are
matched by kind and order and the weights of a layer by name and order. Layers without
weights are passed over.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from scperformer import hdf5
from scperformer.errors import WeightsError
from scperformer.networks.contract import (
    WINDOW_NETWORKS,
    Network,
    parse_window_network,
    weight_shapes,
)
from scperformer.networks.streaming import GROUP

FORMAT = "scperformer-weights"
FORMAT_VERSION = 1

_COUNTER = re.compile(r"_\d+$")
_KINDS = {
    "patch_embedding": "dense",
    "class_token": "cls_token",
    "position_embedding": "pos_embeding2",
    "block": "performer_block",
    "norm": "layer_normalization",
    "batch_norm": "batch_normalization",
    "dense": "dense",
    "logits": "dense",
}
"""The authors' kind of each of our layers, convolutions apart."""

_NAMES = (
    (r"^token$", "ClsTokenW"),
    (r"^embeddings$", "embedding/embeddings"),
    (r"^attention/output/", "attention/output_transform/"),
    (r"^dense_\d/", "dense/"),
    (r"^norm/", "layer_normalization/"),
)
"""Our names of weights within a layer, where the authors' are others."""

Weights = dict[str, NDArray[np.float32]]


class LayerMismatchError(WeightsError):
    """A legacy file's layers are not those of the network; says how."""


def try_weights(path: Path) -> None:
    """Check in another process that a file for which no digest vouches does no harm.

    Raises:
        WeightsError: reading it ends the process, or does not come to an end.
    """
    fault = hdf5.trial_fault(path) if path.is_file() else ""
    if fault:
        raise WeightsError(f"{path}: a damaged HDF5 file: {fault}; copy or download it again")


def read_weights(path: Path, network: str) -> Weights:
    """Read a weights file of either format.

    Returns:
        float32 arrays under the paths and with the shapes of `contract.weight_shapes`.

    Raises:
        ConfigurationError: no such network.
        WeightsError: no such file, not HDF5, cut short, of another network, with other
            shapes, or with values that are not finite.
    """
    wanted = parse_window_network(network)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file; wanted weights of {wanted} in HDF5")
    try:
        with h5py.File(path, "r") as file:
            weights = _read(file, wanted, path)
    except hdf5.DAMAGED as error:
        raise WeightsError(
            f"{path}: not a readable HDF5 file, or cut short ({path.stat().st_size} bytes; "
            f"{error}); wanted weights of {wanted}; copy or download the file again"
        ) from error
    _check(weights, wanted, path)
    return weights


def write_weights(path: Path, network: str, weights: Mapping[str, Any]) -> None:
    """Write a weights file in our own format; the same weights give the same bytes.

    Raises:
        ConfigurationError: no such network.
        WeightsError: the weights are not those of the network.
    """
    wanted = parse_window_network(network)
    arrays = {name: np.asarray(value, dtype=np.float32) for name, value in weights.items()}
    _check(arrays, wanted, path)
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["network"] = wanted.value
        for name in weight_shapes(wanted):
            file.create_dataset(name, data=arrays[name], track_times=False)


def load_weights(model: Any, network: str, path: Path) -> None:
    """Read a weights file of either format into a Keras model of `build_network`.

    Raises:
        ConfigurationError: no such network.
        WeightsError: as `read_weights`, or the model is another network's.
    """
    try_weights(path)
    weights = read_weights(path, network)
    _check_model(model, network, path)
    for variable in model.weights:
        variable.assign(weights[variable.path])


def save_weights(model: Any, network: str, path: Path) -> None:
    """Write the weights of a Keras model of `build_network` in our own format.

    Raises:
        ConfigurationError: no such network.
        WeightsError: the model is another network's, or its weights are not finite.
    """
    _check_model(model, network, path)
    write_weights(path, network, {item.path: item.numpy() for item in model.weights})


def _read(file: h5py.File, network: Network, path: Path) -> Weights:
    kind = file.attrs.get("format")
    if kind == FORMAT:
        _check_header(file, network, path)
        return _datasets(file)
    if GROUP in file:
        raise WeightsError(
            f"{path}: weights of a streaming network, which mean nothing without the model.json "
            f"beside them; name their folder as a model (--model-name {path.parent})"
        )
    if "layer_names" not in _root(file).attrs:
        raise WeightsError(
            f"{path}: an HDF5 file, but neither ours (attribute format = {FORMAT!r}) nor Keras 2 "
            f"weights (attribute layer_names); wanted weights of {network}"
        )
    try:
        return _read_legacy(file, network)
    except LayerMismatchError as error:
        others = [other for other in WINDOW_NETWORKS if other is not network and _fits(file, other)]
        hint = f"; it holds weights of {others[0]}: name that network" if others else ""
        raise WeightsError(f"{path}: not weights of {network}: {error}{hint}") from error


def _fits(file: h5py.File, network: Network) -> bool:
    try:
        _read_legacy(file, network)
    except LayerMismatchError:
        return False
    return True


def _check_header(file: h5py.File, network: Network, path: Path) -> None:
    version = file.attrs["format_version"]
    if version != FORMAT_VERSION:
        raise WeightsError(
            f"{path}: weights format {version}; wanted {FORMAT_VERSION}; "
            "update scperformer or convert the file"
        )
    found = file.attrs["network"]
    if found != network:
        raise WeightsError(f"{path}: weights of {found}; wanted {network}; name that network")


def _datasets(file: h5py.File) -> Weights:
    weights: Weights = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            weights[name] = hdf5.read_whole(item).astype(np.float32, copy=False)

    file.visititems(collect)
    return weights


def _check(weights: Weights, network: Network, path: Path) -> None:
    wanted = weight_shapes(network)
    faults = [f"{name} is missing" for name in wanted if name not in weights]
    faults += [f"{name} is unknown" for name in weights if name not in wanted]
    for name, shape in wanted.items():
        if name not in weights:
            continue
        if weights[name].shape != shape:
            faults.append(f"{name} has shape {weights[name].shape}, wanted {shape}")
        elif not np.isfinite(weights[name]).all():
            faults.append(f"{name} has values that are not finite")
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise WeightsError(
            f"{path}: not usable as weights of {network}: {'; '.join(faults[:3])}{more}; "
            "give the file of that network, or name the file's own network"
        )


def _check_model(model: Any, network: str, path: Path) -> None:
    shapes = {item.path: tuple(item.shape) for item in model.weights}
    if shapes != weight_shapes(parse_window_network(network)):
        raise WeightsError(f"{path}: the Keras model {model.name!r} is not the network {network}")


def _read_legacy(file: h5py.File, network: Network) -> Weights:
    """Return the weights of an open Keras 2 file under our paths; shapes are not checked.

    Raises:
        LayerMismatchError: the layers are not those of the network.
    """
    found = list(_layers(_root(file)))
    wanted = _expected(network)
    kinds, wanted_kinds = [kind for kind, _ in found], [kind for kind, _ in wanted]
    if kinds != wanted_kinds:
        raise LayerMismatchError(f"its layers are {_listed(kinds)}; wanted {_listed(wanted_kinds)}")
    weights: Weights = {}
    for (kind, queues), (_, pairs) in zip(found, wanted, strict=True):
        for name, path in pairs:
            if not queues.get(name):
                raise LayerMismatchError(f"a layer {kind} has no weight {name}")
            weights[path] = np.asarray(queues[name].popleft(), dtype=np.float32)
        left = [name for name, queue in queues.items() if queue]
        if left:
            raise LayerMismatchError(f"a layer {kind} has weights too many: {_listed(left)}")
    return weights


def _root(file: h5py.File) -> Any:
    return file.get("model_weights", file)


def _layers(root: Any) -> Iterator[tuple[str, dict[str, deque[Any]]]]:
    """Yield kind and weights of the layers that have any; weights queue by bare name."""

    def texts(names: Any) -> list[str]:
        return [name.decode() if isinstance(name, bytes) else str(name) for name in names]

    for layer in texts(root.attrs["layer_names"]):
        group = root[layer]
        queues: dict[str, deque[Any]] = {}
        for name in texts(group.attrs["weight_names"]):
            queues.setdefault(_bare(name), deque()).append(hdf5.read_whole(group[name]))
        if queues:
            yield _COUNTER.sub("", layer), queues


def _bare(name: str) -> str:
    """Drop the layer's own name, the counters and TensorFlow's ``:0``."""
    parts = [_COUNTER.sub("", part) for part in name.partition(":")[0].split("/")]
    return "/".join(parts[1:] or parts)


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "none"


def _expected(network: Network) -> list[tuple[str, list[tuple[str, str]]]]:
    """Kinds of the layers that have weights, and their names for what lies under our paths."""
    layers: dict[str, list[tuple[str, str]]] = {}
    for path in weight_shapes(network):
        layer, _, name = path.partition("/")
        for ours, theirs in _NAMES:
            name = re.sub(ours, theirs, name)
        layers.setdefault(layer, []).append((name, path))
    convolution = "conv1d" if network is Network.GPD else "conv2d"
    kinds = {"conv": convolution, **_KINDS}
    return [(kinds[_COUNTER.sub("", layer)], pairs) for layer, pairs in layers.items()]
