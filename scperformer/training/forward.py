"""The networks' cores as functions of features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scperformer.networks.contract import Network
from scperformer.networks.performer import Performer, apply, patches_of

Forward = Callable[[Any], Any]
StagedForward = Callable[[Any], tuple[Any, list[Any]]]


def training_forward(core: Any, network: Network, *, dropout: bool) -> Forward:
    """Return a function from features to (n, 3) logits that shares the core's weights.

    Args:
        core: core of a network, see `networks.architectures.core_of`.
        network: which one it is.
        dropout: the core has dropout layers that shall work.
    """
    is_training = dropout or network is not Network.PERFORMER
    return lambda features: core(features, training=is_training)


def inference_forward(core: Any, network: Network) -> Forward:
    """Return a function from features to (n, 3) logits that never trains."""
    del network
    return lambda features: core(features, training=False)


def staged_forward(core: Any) -> StagedForward:
    """Return a function from features to logits and to what `performer` computes on the way.

    Args:
        core: of `performer`, without dropout.

    Returns:
        A function that answers (n, 3) logits and the stages: the tokens in front of and
        behind the first block, both (n, 12, 48), the class token behind the last block
        and the input of the logits, both (n, 48).
    """

    def forward(features: Any) -> tuple[Any, list[Any]]:
        network = Performer(core.by_path)
        stages = network.stages(patches_of(features))
        return apply(network.logits, stages[-1]), stages

    return forward
