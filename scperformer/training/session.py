"""A whole training: from a configuration to a model folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scperformer.datasets.marks import MarkedRecord
from scperformer.evaluation.pick_thresholds import pick_thresholds, recommended
from scperformer.networks.architectures import build_network
from scperformer.networks.loading import load_folder
from scperformer.networks.manifest import (
    Manifest,
    check_weights_file,
    read_manifest,
    write_manifest,
)
from scperformer.networks.registry import find_model
from scperformer.networks.weights import load_weights
from scperformer.training import checkpoint
from scperformer.training.batches import BatchMaker, find_sources
from scperformer.training.card import Outcome, write_model_folder
from scperformer.training.config import TrainingConfig
from scperformer.training.data import Report, TrainingData, describe_picks, load_data
from scperformer.training.evaluation import (
    Reference,
    read_reference,
    window_scores,
)
from scperformer.training.history import AGREEMENTS, LOSSES, write_curves, write_table
from scperformer.training.machine import use_threads
from scperformer.training.teacher import Teacher
from scperformer.training.trainer import Trainer, ValidationSet

# isort: split
import keras

_VALIDATION_STREAM = 2**32


@dataclass(frozen=True, slots=True)
class Start:
    """How a training begins.

    Attributes:
        command: the command line, for the model card.
        init: weights file, model folder or name of a model to start from, empty for
            random weights.
        resume: go on from the checkpoint in the output folder.
    """

    command: str
    init: str = ""
    resume: bool = False


def train_model(config: TrainingConfig, folder: Path, start: Start, report: Report) -> None:
    """Train a network and write its model folder.

    The folder gets ``weights.h5``, ``model.json``, ``history.csv`` and, where
    matplotlib is installed, ``history.png``; while training lasts, also
    ``checkpoint.npz``.

    Args:
        config: what to train, on what and how.
        folder: the model folder; made if it is not there.
        start: how to begin.
        report: takes lines that tell how far it is.

    Raises:
        ScperformerError: data, weights or the configuration cannot be used, or the
            result cannot be written.
    """
    started_s = time.monotonic()
    saved = checkpoint.load(folder / checkpoint.CHECKPOINT) if start.resume else None
    reference = None
    if config.test.windows is not None:
        reference = read_reference(config.test.windows, config.test.reference)
    use_threads(config.training.threads)
    keras.utils.set_random_seed(config.training.seed)
    model = build_network(config.model.network, dropout=config.training.dropout)
    init = weights_file(start.init) if start.init else None
    if init is not None:
        load_weights(model, config.model.network, init)
    teacher = _teacher(config)
    data = load_data(config, report)
    if config.data:
        report(f"training on {describe_picks(data.training_picks)} picks")
    trainer = Trainer(model, teacher, config)
    earlier_s = 0.0
    if saved is not None:
        trainer.resume(saved)
        earlier_s = sum(epoch.duration_s for epoch in trainer.history)
        report(f"resumed after epoch {len(trainer.history)}")
    validation = _validation_set(data, trainer, teacher, config)
    sources = find_sources(data.training, data.training_picks, teacher, config)
    if config.data:
        report(f"{len(sources.phases)} places with phases, {len(sources.noise)} with noise")
    batches = BatchMaker(data.training, sources, config)
    trainer.fit(batches, validation, checkpoint_path=folder / checkpoint.CHECKPOINT, report=report)
    scores = _scores(trainer, validation)
    if reference is not None:
        scores["test"] = _test(trainer, reference, config)
    rows = [asdict(epoch) for epoch in trainer.history]
    write_table(rows, folder / "history.csv")
    write_curves(rows, folder / "history.png", (LOSSES, AGREEMENTS))
    duration_s = earlier_s + time.monotonic() - started_s
    outcome = Outcome(
        start.command, init, len(trainer.history), trainer.best_epoch, duration_s, scores
    )
    card = write_model_folder(folder, model, config, data, outcome)
    if data.held_out:
        _recommend(card, folder, data.held_out, report)
    (folder / checkpoint.CHECKPOINT).unlink(missing_ok=True)


def _recommend(
    card: Manifest, folder: Path, held_out: Sequence[MarkedRecord], report: Report
) -> None:
    """Let the picker with the new model pick the records held out; put thresholds in the card."""
    table = pick_thresholds(load_folder(str(folder)), held_out)
    for count, phases in table.items():
        report(f"held out, {count} components: {phases}")
    scores = {**card.scores, "held_out_picks": table}
    write_manifest(replace(card, thresholds=recommended(table), scores=scores), folder)


def weights_file(name: str) -> Path:
    """Return the weights file that is meant: the file itself, or a model's, checked.

    Raises:
        ModelError: no such file and no such model, or weights that are not the card's.
    """
    if Path(name).is_file():
        return Path(name)
    folder = find_model(name)
    return check_weights_file(read_manifest(folder), folder)


def _teacher(config: TrainingConfig) -> Teacher | None:
    weights, networks = config.teacher.weights, config.teacher.networks
    if not weights:
        return None
    return Teacher(weights, networks if len(networks) > 1 else networks * len(weights))


def _validation_set(
    data: TrainingData, trainer: Trainer, teacher: Teacher | None, config: TrainingConfig
) -> ValidationSet:
    sources = find_sources(data.validation, data.validation_picks, teacher, config)
    rng = np.random.default_rng([config.training.seed, _VALIDATION_STREAM])
    maker = BatchMaker(data.validation, sources, config)
    batch = maker.make(config.validation.windows, rng, augment=False)
    return ValidationSet(batch, trainer.targets(batch))


def _scores(trainer: Trainer, validation: ValidationSet) -> dict[str, Any]:
    batch = validation.batch
    best = trainer.history[trainer.best_epoch - 1]
    return {
        "validation_loss": round(best.validation_loss, 6),
        "held_out": window_scores(
            trainer.inference, batch.windows, batch.present, validation.targets
        ),
    }


def _test(trainer: Trainer, reference: Reference, config: TrainingConfig) -> dict[str, Any]:
    return {
        "against": config.test.reference,
        **window_scores(trainer.inference, reference.windows, reference.present, reference.answers),
    }
