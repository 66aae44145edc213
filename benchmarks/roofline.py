"""What the machine's rate of matrix products allows `performer`, and the distance to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.data import window_set
from benchmarks.harness import Sizes, Table, median_until, ready_model
from scperformer.networks.contract import DIM, HEADS, HIDDEN, PATCH, PATCHES
from scperformer.networks.registry import WINDOW_MODEL
from scperformer.types import CLASSES

TOKENS = PATCHES + 1
BATCH_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product of one window: (rows, inner) x (inner, columns), so many times.

    Attributes:
        name: what it computes.
        rows, inner, columns: its sizes; rows of all windows of a batch are one product.
        times: how often it occurs.
    """

    name: str
    rows: int
    inner: int
    columns: int
    times: int = 1

    @property
    def multiply_adds(self) -> int:
        """Of one window."""
        return self.rows * self.inner * self.columns * self.times


PRODUCTS = (
    Product("patch embedding", PATCHES, PATCH, DIM),
    Product("block 1: query, key, value, output", TOKENS, DIM, DIM, 4),
    Product("block 1: perceptron in", TOKENS, DIM, HIDDEN),
    Product("block 1: perceptron out", TOKENS, HIDDEN, DIM),
    Product("block 2: key", TOKENS, DIM, DIM),
    Product("class token: query, two heads out", 1, DIM, DIM, 1 + HEADS),
    Product("class token: perceptrons in", 1, DIM, HIDDEN, 2),
    Product("class token: perceptrons out", 1, HIDDEN, DIM, 2),
    Product("logits", 1, DIM, len(CLASSES)),
)
"""The dense layers as `networks.performer` computes them."""

ATTENTION_MULTIPLY_ADDS = 2 * TOKENS * TOKENS * DIM + TOKENS * DIM + HEADS * TOKENS * DIM
"""Likeness and mixing in block 1 and for the class token; no matrix products in our graph."""


def multiply_adds() -> int:
    """Return the multiply-adds of one window, norms and gelu apart."""
    return sum(product.multiply_adds for product in PRODUCTS) + ATTENTION_MULTIPLY_ADDS


def measure(sizes: Sizes) -> dict[str, Any]:
    """Measure each product with NumPy and TensorFlow, then the network and the whole path."""
    n_windows = sizes.product_windows
    products = [_measure_product(product, n_windows, sizes.product_s) for product in PRODUCTS]
    dense_us = sum(one["microseconds"] for one in products)
    dense = sum(product.multiply_adds for product in PRODUCTS)
    floor_us = dense_us * multiply_adds() / dense
    network_us, whole_us = _measure_ours(sizes)
    return {
        "windows": n_windows,
        "products": products,
        "multiply_adds": multiply_adds(),
        "floor_us": round(floor_us, 2),
        "network_us": round(network_us, 2),
        "end_to_end_us": round(whole_us, 2),
        "network_over_floor": round(network_us / floor_us, 2),
        "end_to_end_over_floor": round(whole_us / floor_us, 2),
    }


def _measure_product(product: Product, n_windows: int, at_least_s: float) -> dict[str, Any]:
    seconds = {
        library: median_until(work, at_least_s) for library, work in _products(product, n_windows)
    }
    once = product.multiply_adds * n_windows / product.times
    best_s = min(seconds.values())
    return {
        "name": product.name,
        "shape": [product.rows * n_windows, product.inner, product.columns],
        "times": product.times,
        "multiply_adds": product.multiply_adds,
        "gflop_per_s": {key: round(2e-9 * once / value, 1) for key, value in seconds.items()},
        "microseconds": 1e6 * best_s * product.times / n_windows,
    }


def _products(product: Product, n_windows: int) -> Iterator[tuple[str, Any]]:
    """Yield the product in float32 with each library, ready to run on all processors."""
    from scperformer.networks.runtime import tf  # noqa: PLC0415 - slow to import

    random = np.random.default_rng(0)
    left = random.normal(size=(product.rows * n_windows, product.inner)).astype(np.float32)
    right = random.normal(size=(product.inner, product.columns)).astype(np.float32)
    out = np.empty((len(left), product.columns), dtype=np.float32)
    yield "numpy", lambda: np.matmul(left, right, out=out)
    left_tensor, right_tensor = tf.constant(left), tf.constant(right)
    yield "tensorflow", lambda: tf.matmul(left_tensor, right_tensor)
    fused = tf.function(lambda values: tf.matmul(values, right_tensor), jit_compile=True)
    yield "xla", lambda: fused(left_tensor)


def _measure_ours(sizes: Sizes) -> tuple[float, float]:
    """Return microseconds a window of the network alone and with the spectrogram."""
    classifier = ready_model(WINDOW_MODEL).window_classifier
    windows = window_set(dict(sizes.windows)["performer"])
    batches = list(windows.batches(BATCH_SIZE, classifier.window_input))

    def network() -> None:
        for batch in batches:
            classifier.classify(batch)

    network_s = median_until(network, sizes.product_s)
    whole_s = median_until(lambda: windows.classify(classifier, BATCH_SIZE), sizes.product_s)
    return 1e6 * network_s / windows.n_windows, 1e6 * whole_s / windows.n_windows


def table(figures: dict[str, Any]) -> Table:
    rows = [
        (
            one["name"],
            " x ".join(map(str, one["shape"])),
            str(one["times"]),
            f"{one['multiply_adds']:,}",
            *(f"{rate:.0f}" for rate in one["gflop_per_s"].values()),
            f"{one['microseconds']:.2f}",
        )
        for one in figures["products"]
    ]
    return Table(
        f"Roofline of performer: dense layers of {figures['windows']} windows, float32",
        ("layer", "shape", "times", "multiply-adds", *_LIBRARIES, "us a window"),
        tuple(rows),
        (
            f"{figures['multiply_adds']:,} multiply-adds a window; floor "
            f"{figures['floor_us']} us a window at the best rate of each shape",
            f"network alone {figures['network_us']} us, {figures['network_over_floor']} times the "
            f"floor; with spectrogram {figures['end_to_end_us']} us, "
            f"{figures['end_to_end_over_floor']} times",
        ),
    )


_LIBRARIES = ("NumPy GFLOP/s", "TensorFlow", "XLA")
