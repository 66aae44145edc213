"""Read the original authors' Keras 2 weight files (HDF5) by their layers.

A file lists its layers in the order of the network. Names carry counters that differ
from file to file (``dense``, ``dense_32``), so layers are matched by kind and order and
the weights of a layer by name and order. Layers without weights are passed over.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from scperformer.errors import WeightsError
from scperformer.hdf5 import read_whole
from scperformer.networks.contract import BLOCKS, CNN_FILTERS, GPD_FILTERS, GPD_UNITS, Network

_COUNTER = re.compile(r"_\d+$")

Weights = dict[str, NDArray[np.float32]]
Layer = tuple[str, list[tuple[str, str]]]


class LayerMismatchError(WeightsError):
    """A legacy file's layers are not those of the network; says how."""


def is_legacy(file: h5py.File) -> bool:
    """Tell whether an open HDF5 file is a Keras 2 weight or model file."""
    return "layer_names" in _root(file).attrs


def read_legacy(file: h5py.File, network: Network) -> Weights:
    """Return the weights of an open Keras 2 file under our paths.

    Shapes are not checked here.

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
    for layer in _texts(root.attrs["layer_names"]):
        group = root[layer]
        queues: dict[str, deque[Any]] = {}
        for name in _texts(group.attrs["weight_names"]):
            queues.setdefault(_bare(name), deque()).append(read_whole(group[name]))
        if queues:
            yield _COUNTER.sub("", layer), queues


def _texts(names: Any) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _bare(name: str) -> str:
    """Drop the layer's own name, the counters and TensorFlow's ``:0``."""
    parts = [_COUNTER.sub("", part) for part in name.partition(":")[0].split("/")]
    return "/".join(parts[1:] or parts)


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "none"


def _expected(network: Network) -> list[Layer]:
    return {Network.PERFORMER: _performer, Network.CNN: _cnn, Network.GPD: _gpd}[network]()


def _performer() -> list[Layer]:
    layers: list[Layer] = [
        _dense("patch_embedding"),
        ("cls_token", [("ClsTokenW", "class_token/token")]),
        ("pos_embeding2", [("embedding/embeddings", "position_embedding/embeddings")]),
    ]
    layers += [_block(f"block_{number}") for number in range(1, BLOCKS + 1)]
    layers.append(("layer_normalization", [("gamma", "norm/gamma"), ("beta", "norm/beta")]))
    return [*layers, _dense("dense_1"), _dense("dense_2"), _dense("logits")]


def _block(block: str) -> Layer:
    attention = {"query": "query", "key": "key", "value": "value", "output_transform": "output"}
    pairs = [
        (f"attention/{theirs}/kernel", f"{block}/attention/{ours}/kernel")
        for theirs, ours in attention.items()
    ]
    for number in (1, 2):
        pairs += [(f"dense/{part}", f"{block}/dense_{number}/{part}") for part in _DENSE_PARTS]
    pairs += [(f"layer_normalization/{part}", f"{block}/norm/{part}") for part in _NORM_PARTS]
    return "performer_block", pairs


def _cnn() -> list[Layer]:
    layers: list[Layer] = []
    for number in range(1, len(CNN_FILTERS) + 1):
        layers += [_dense(f"conv_{number}", "conv2d"), _batch_norm(number)]
    return [*layers, _dense("dense_1"), _dense("logits")]


def _gpd() -> list[Layer]:
    layers: list[Layer] = []
    stages = len(GPD_FILTERS)
    for number in range(1, stages + 1):
        layers += [_dense(f"conv_{number}", "conv1d"), _batch_norm(number)]
    for number in range(1, len(GPD_UNITS) + 1):
        layers += [_dense(f"dense_{number}"), _batch_norm(stages + number)]
    return [*layers, _dense("logits")]


_DENSE_PARTS = ("kernel", "bias")
_NORM_PARTS = ("gamma", "beta")
_BATCH_NORM_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


def _dense(name: str, kind: str = "dense") -> Layer:
    return kind, [(part, f"{name}/{part}") for part in _DENSE_PARTS]


def _batch_norm(number: int) -> Layer:
    name = f"batch_norm_{number}"
    return "batch_normalization", [(part, f"{name}/{part}") for part in _BATCH_NORM_PARTS]
