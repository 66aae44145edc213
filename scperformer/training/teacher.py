"""Teachers: trained networks whose probabilities are the student's targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scperformer.networks.architectures import build_network, core_of
from scperformer.networks.contract import Network, parse_network
from scperformer.networks.weights import load_weights
from scperformer.training.features import Prepared
from scperformer.training.forward import inference_forward, staged_forward
from scperformer.training.inference import BatchedInference

# isort: split
import tensorflow as tf


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
            network = parse_network(name)
            model = build_network(network, dropout=False)
            load_weights(model, network, path)
            self._members.append((network, inference_forward(core_of(model), network)))
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
