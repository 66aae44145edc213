"""The loss of training on probabilities instead of classes.

Sources: Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural
network", arXiv 1503.02531, section 2; for the hints Romero et al. (2015), "FitNets",
arXiv 1412.6550, section 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import scperformer.networks.runtime  # noqa: F401  (quiet start of TensorFlow)

# isort: split
import tensorflow as tf

_LEAST_PROBABILITY = 1e-12


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
