"""Learning from probabilities instead of classes, and the teachers that give them.

Sources: Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural
network", arXiv 1503.02531, section 2; for the hints Romero et al. (2015), "FitNets",
arXiv 1412.6550, section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import scperformer.networks.runtime  # noqa: F401  (quiet start of TensorFlow)
from scperformer.datasets.windows import Centres, WindowBank
from scperformer.networks.architectures import build_network, core_of
from scperformer.networks.contract import Network, parse_window_network
from scperformer.networks.weights import load_weights
from scperformer.training.features import Prepared, inference_forward, prepare, staged_forward
from scperformer.types import CLASSES

# isort: split
import tensorflow as tf

_LEAST_PROBABILITY = 1e-12
_BATCH = 2048


def distillation_loss(targets: Any, logits: Any, *, temperature: float = 1.0) -> Any:
    """Kullback-Leibler divergence of the student's probabilities from the targets.

    Both are softened: probabilities p become proportional to ``p ** (1 / T)``. The
    divergence is multiplied by T squared, which keeps its gradients' size.

    Args:
        targets: (n, classes) float32 probabilities.
        logits: (n, classes) float32 of the student.
        temperature: T, 1 leaves the probabilities as they are.

    Returns:
        (n,) float32, zero where the student agrees.
    """
    scores = tf.math.log(tf.maximum(targets, _LEAST_PROBABILITY)) / temperature
    wanted = tf.nn.softmax(scores)
    divergence = wanted * (tf.nn.log_softmax(scores) - tf.nn.log_softmax(logits / temperature))
    return tf.reduce_sum(divergence, axis=-1) * temperature**2


def hint_loss(wanted: Sequence[Any], stages: Sequence[Any], counts: Any) -> Any:
    """Squared difference between what teacher and student compute on the way.

    Each stage is measured against the variance of the teacher's over the batch, so that
    a student that answers the mean has a loss of 1.

    Args:
        wanted: stages of the teacher, see `forward.staged_forward`.
        stages: those of the student.
        counts: (n,) bool, windows that count.

    Returns:
        Scalar, the mean over stages and windows, 0 without a window that counts.
    """
    weight = tf.cast(counts, tf.float32)
    total = tf.maximum(tf.reduce_sum(weight), 1.0)
    losses = []
    for teacher, student in zip(wanted, stages, strict=True):
        spread = tf.reduce_mean(tf.math.reduce_variance(teacher, axis=0)) + _LEAST_PROBABILITY
        error = tf.square(student - teacher)
        each = tf.reduce_mean(error, axis=list(range(1, len(error.shape))))
        losses.append(tf.reduce_sum(each * weight) / (total * spread))
    return tf.add_n(losses) / float(len(losses))


def smooth(targets: Any, share: float) -> Any:
    """Spread a share of the probability evenly over all classes; works on any array."""
    return targets * (1.0 - share) + share / targets.shape[-1]


class BatchedInference:
    """Probabilities of a network, or of several, in batches of one size.

    Args:
        probabilities: takes prepared windows and the components to look at, (n, 3)
            bool, and returns (n, 3) float32 probabilities, inside TensorFlow's graph.
    """

    def __init__(self, probabilities: Callable[[Prepared, Any], Any]) -> None:
        def compute(windows: Any, keep: Any) -> Any:
            return probabilities(prepare(windows), keep)

        self._compute = tf.function(compute, jit_compile=True)

    def windows(self, windows: NDArray[np.float32], keep: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return (n, 3) float32 probabilities of (n, 400, 3) float32 windows."""
        return self._in_batches(len(windows), lambda which: (windows[which], keep[which]))

    def centres(self, bank: WindowBank, centres: Centres) -> NDArray[np.float32]:
        """Return (n, 3) float32 probabilities of windows that are cut as they are needed."""

        def fetch(which: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
            batch = centres.take(which)
            return bank.cut(batch), bank.present[batch.record]

        return self._in_batches(len(centres), fetch)

    def _in_batches(
        self,
        count: int,
        fetch: Callable[[NDArray[np.int64]], tuple[NDArray[np.float32], NDArray[np.bool_]]],
    ) -> NDArray[np.float32]:
        probabilities = np.empty((count, len(CLASSES)), np.float32)
        for first in range(0, count, _BATCH):
            # The last batch is filled up with its last window: one shape, one compilation.
            which = np.minimum(np.arange(first, first + _BATCH), count - 1)
            computed = self._compute(*fetch(which)).numpy()
            probabilities[first : first + _BATCH] = computed[: count - first]
        return probabilities


class Teacher:
    """The mean of the probabilities of one network or more.

    Args:
        weights: weights files, the original authors' or ours.
        networks: network of each file.

    Attributes:
        inference: asks the teacher outside of a graph.

    Raises:
        ConfigurationError: no such network.
        WeightsError: a file that cannot be read or belongs to another network.
    """

    def __init__(self, weights: Sequence[Path], networks: Sequence[str]) -> None:
        self._members = []
        self._staged = None
        for path, name in zip(weights, networks, strict=True):
            network = parse_window_network(name)
            model = build_network(network, dropout=False)
            load_weights(model, network, path)
            self._members.append((network, inference_forward(core_of(model))))
            if network is Network.PERFORMER:
                self._staged = staged_forward(core_of(model))
        self.inference = BatchedInference(self.probabilities)

    def probabilities(self, prepared: Prepared, keep: Any) -> Any:
        """Return (n, 3) float32 probabilities; for use inside a TensorFlow graph.

        Args:
            prepared: windows as `prepare` makes them.
            keep: (n, 3) bool, the components that the teacher may see.
        """
        answers = [
            tf.nn.softmax(forward(prepared.features(network, keep)))
            for network, forward in self._members
        ]
        return tf.add_n(answers) / float(len(answers))

    def stages(self, prepared: Prepared, keep: Any) -> tuple[Any, list[Any]]:
        """Return probabilities and what a single `performer` computes on the way to them."""
        assert self._staged is not None
        logits, stages = self._staged(prepared.features(Network.PERFORMER, keep))
        return tf.nn.softmax(logits), stages
