"""Weights and model folders with random numbers, made without TensorFlow."""

from types import MappingProxyType

import numpy as np

from scperformer.networks.contract import Network, weight_shapes
from scperformer.networks.manifest import WEIGHTS_FILE, Manifest, file_sha256, write_manifest
from scperformer.networks.weights import write_weights


def random_weights(network, seed=0):
    rng = np.random.default_rng(seed)
    return {name: _weight(rng, name, shape) for name, shape in weight_shapes(network).items()}


def _weight(rng, name, shape):
    part = name.rsplit("/", 1)[1]
    if part in ("moving_variance", "gamma"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if part == "kernel":
        fan_in = np.prod(shape[:-1]) if len(shape) != 3 else shape[0] * shape[1]
        return (rng.normal(size=shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)
    return (0.3 * rng.normal(size=shape)).astype(np.float32)


def manifest(network="performer", **fields):
    values = {
        "name": "random",
        "network": Network(network),
        "thresholds": MappingProxyType({3: (0.9, 0.8), 2: (0.92, 0.82), 1: (0.94, 0.84)}),
        "weights_sha256": "0" * 64,
    }
    return Manifest(**(values | fields))


def model_folder(folder, network="performer", seed=0, **fields):
    """Write a model with random weights; return its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / WEIGHTS_FILE
    write_weights(weights, network, random_weights(Network(network), seed))
    card = manifest(network, weights_sha256=file_sha256(weights), **fields)
    write_manifest(card, folder)
    return card


def windows(n, seed=0):
    """Noise with a burst somewhere, (n, 400, 3) float32, peaks far from 1."""
    rng = np.random.default_rng(seed)
    result = rng.normal(size=(n, 400, 3))
    for window in result:
        begin = rng.integers(0, 400)
        window[begin:] *= rng.uniform(1, 30)
        window[:] *= 10.0 ** rng.uniform(-8, 6)
    return result.astype(np.float32)
