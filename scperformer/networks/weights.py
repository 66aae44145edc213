"""Weights files: ours and the original authors', read to plain arrays.

Our own format is an HDF5 file with the attributes ``format``, ``format_version`` and
``network`` and one float32 dataset a weight, under the path of its Keras variable.
Nothing here imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from scperformer import hdf5
from scperformer.errors import WeightsError
from scperformer.networks.contract import Network, parse_network, weight_shapes
from scperformer.networks.legacy import LayerMismatchError, Weights, is_legacy, read_legacy

FORMAT = "scperformer-weights"
FORMAT_VERSION = 1
CONTEXT_GROUP = "context"
"""Where the weights of a context stage lie, beside those of the network."""


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
    wanted = parse_network(network)
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
    wanted = parse_network(network)
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
    if not is_legacy(file):
        raise WeightsError(
            f"{path}: an HDF5 file, but neither ours (attribute format = {FORMAT!r}) nor Keras 2 "
            f"weights (attribute layer_names); wanted weights of {network}"
        )
    try:
        return read_legacy(file, network)
    except LayerMismatchError as error:
        others = [other for other in Network if other is not network and _fits(file, other)]
        hint = f"; it holds weights of {others[0]}: name that network" if others else ""
        raise WeightsError(f"{path}: not weights of {network}: {error}{hint}") from error


def _fits(file: h5py.File, network: Network) -> bool:
    try:
        read_legacy(file, network)
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
        if isinstance(item, h5py.Dataset) and not name.startswith(f"{CONTEXT_GROUP}/"):
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
    if shapes != weight_shapes(parse_network(network)):
        raise WeightsError(f"{path}: the Keras model {model.name!r} is not the network {network}")
