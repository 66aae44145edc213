"""The model folder that a training ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scperformer import __version__
from scperformer.atomic import AtomicFile
from scperformer.config import DEFAULT_FILTER
from scperformer.evaluation.pick_thresholds import UNTRIED
from scperformer.networks.contract import Network
from scperformer.networks.manifest import (
    WEIGHTS_FILE,
    Manifest,
    file_sha256,
    write_manifest,
)
from scperformer.networks.weights import save_weights
from scperformer.training.config import TrainingConfig
from scperformer.training.data import TrainingData, describe_picks
from scperformer.training.machine import describe_machine


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training came to.

    Attributes:
        command: the command line that started it.
        init: weights file that it started from, None for random weights.
        epochs: how many it ran, resumed ones included.
        best_epoch: whose weights are kept.
        duration_s: wall time, with the epochs before it was resumed.
        scores: by kind.
    """

    command: str
    init: Path | None
    epochs: int
    best_epoch: int
    duration_s: float
    scores: Mapping[str, Any]


def write_model_folder(
    folder: Path, model: Any, config: TrainingConfig, data: TrainingData, outcome: Outcome
) -> Manifest:
    """Write ``weights.h5`` and ``model.json``; return the card, without tried thresholds.

    Args:
        folder: where they go.
        model: the trained network, made by `build_network`.
        config: what it was trained with.
        data: what it was trained on.
        outcome: what it came to.

    Raises:
        WeightsError: weights that are not finite.
        ManifestError: the card would not be valid.
        OutputError: they cannot be written.
    """
    network = Network(config.model.network)
    weights = folder / WEIGHTS_FILE
    with AtomicFile(weights, parents=True) as output:
        save_weights(model, network, output.hidden)
    manifest = Manifest(
        name=config.model.name,
        version=config.model.version,
        network=network,
        thresholds=UNTRIED,
        weights_sha256=file_sha256(weights),
        filter_id=DEFAULT_FILTER,
        licence=config.model.licence,
        training=describe_training(config, data, outcome),
        scores=outcome.scores,
    )
    write_manifest(manifest, folder)
    return manifest


def describe_training(
    config: TrainingConfig, data: TrainingData, outcome: Outcome
) -> dict[str, Any]:
    """Return the card's account of the training."""
    return {
        "title": config.model.title,
        "command": outcome.command,
        "configuration_file": config.path.name,
        "configuration": config.as_card(),
        "data": list(data.counts),
        "picks": {
            "training": describe_picks(data.training_picks),
            "validation": describe_picks(data.validation_picks),
        },
        "teacher": {path.name: file_sha256(path) for path in config.teacher.weights},
        "init": {outcome.init.name: file_sha256(outcome.init)} if outcome.init else {},
        "seed": config.training.seed,
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "duration_s": round(outcome.duration_s),
        "machine": describe_machine(),
        "scperformer": __version__,
    }
