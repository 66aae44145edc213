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
from scperformer.networks.contract import Network, weight_shapes

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
"""Their kind of each of our layers, convolutions apart."""

_NAMES = (
    (r"^token$", "ClsTokenW"),
    (r"^embeddings$", "embedding/embeddings"),
    (r"^attention/output/", "attention/output_transform/"),
    (r"^dense_\d/", "dense/"),
    (r"^norm/", "layer_normalization/"),
)
"""Our names of weights within a layer, where theirs are others."""
