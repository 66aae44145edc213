"""A whole training on records: from a configuration to a model folder with a context stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from scperformer import __version__
from scperformer.atomic import AtomicFile
from scperformer.config import DEFAULT_FILTER
from scperformer.datasets.marks import MarkedRecord
from scperformer.errors import ConfigurationError
from scperformer.evaluation.pick_thresholds import UNTRIED, pick_thresholds, recommended
from scperformer.networks.architectures import build_network
from scperformer.networks.context import context_parameters, write_context
from scperformer.networks.contract import Network
from scperformer.networks.loading import load_folder
from scperformer.networks.manifest import (
    WEIGHTS_FILE,
    ContextCard,
    Manifest,
    file_sha256,
    write_manifest,
)
from scperformer.networks.weights import load_weights, save_weights
from scperformer.training import checkpoint
from scperformer.training.context_config import ContextConfig
from scperformer.training.context_data import ContextData, describe_marks, load_context_data
from scperformer.training.context_trainer import ContextTrainer
from scperformer.training.data import Report
from scperformer.training.history import LOSSES, write_curves, write_table
from scperformer.training.machine import describe_machine, use_threads
from scperformer.training.sequences import SequenceMaker
from scperformer.training.session import Start, weights_file

# isort: split
import keras


def train_context(config: ContextConfig, folder: Path, start: Start, report: Report) -> None:
    """Train a network with its context stage and write its model folder.

    The folder gets ``weights.h5``, ``model.json``, ``history.csv`` and, where matplotlib is
    installed, ``history.png``; while training lasts, also ``checkpoint.npz``.

    Args:
        config: what to train, on what and how.
        folder: the model folder; made if it is not there.
        start: how to begin; it must name the network to start from.
        report: takes lines that tell how far it is.

    Raises:
        ScperformerError: data, weights or the configuration cannot be used, or the
            result cannot be written.
    """
    if not start.init:
        raise ConfigurationError(
            f"{config.path}: a context stage is trained behind a trained network; "
            "name one by --init"
        )
    saved = checkpoint.load(folder / checkpoint.CHECKPOINT) if start.resume else None
    use_threads(config.context.threads)
    keras.utils.set_random_seed(config.context.seed)
    init = weights_file(start.init)
    model = _network(init)
    teacher = None
    if config.teacher.weights is not None and config.context.network_learning_rate:
        teacher = _network(config.teacher.weights)
    data = load_context_data(config, report)
    trainer = ContextTrainer(model, teacher, config)
    makers = [_maker(part, config) for part in (data.training, data.validation)]
    assert makers[0] is not None
    if saved is not None:
        trainer.resume(saved)
        report(f"resumed after step {trainer.history[-1].step}")
    path = folder / checkpoint.CHECKPOINT
    trainer.fit(makers[0], makers[1], checkpoint_path=path, report=report)
    rows = [asdict(look) for look in trainer.history]
    write_table(rows, folder / "history.csv")
    write_curves(rows, folder / "history.png", (LOSSES,))
    weights = folder / WEIGHTS_FILE
    with AtomicFile(weights, parents=True) as output:
        save_weights(model, Network.PERFORMER, output.hidden)
        write_context(output.hidden, trainer.stage.shape, trainer.stage.values())
    card = Manifest(
        name=config.model.name,
        version=config.model.version,
        network=Network.PERFORMER,
        thresholds=UNTRIED,
        context=ContextCard(shape=trainer.stage.shape, thresholds=UNTRIED),
        weights_sha256=file_sha256(weights),
        filter_id=DEFAULT_FILTER,
        licence=config.model.licence,
        training=_account(config, data, start, init, trainer.history[-1].duration_s)
        | {"context_parameters": context_parameters(trainer.stage.shape)},
        scores={"held_out_loss": round(trainer.history[-1].validation_loss, 6)}
        if data.validation
        else {},
    )
    write_manifest(card, folder)
    if data.validation:
        _recommend(card, folder, data.validation, report)
    path.unlink(missing_ok=True)


def _network(weights: Path) -> Any:
    model = build_network(Network.PERFORMER, dropout=False)
    load_weights(model, Network.PERFORMER, weights)
    return model


def _maker(
    folders: Sequence[Sequence[MarkedRecord]], config: ContextConfig
) -> SequenceMaker | None:
    if not folders:
        return None
    options = config.context
    return SequenceMaker(
        folders, config.sequences, n_windows=options.windows, width_s=options.width_s
    )


def _recommend(
    card: Manifest, folder: Path, held: Sequence[Sequence[MarkedRecord]], report: Report
) -> None:
    """Choose thresholds with the stage and without it, and write them into the card."""
    records = [record for part in held for record in part]
    tables = {}
    for name, context in (("context", True), ("network", False)):
        model = load_folder(str(folder), context=context)
        tables[name] = pick_thresholds(model, records)
        for count, phases in tables[name].items():
            report(f"held out, {name}, {count} components: {phases}")
    assert card.context is not None
    stage = replace(card.context, thresholds=recommended(tables["context"]))
    write_manifest(
        replace(
            card,
            thresholds=recommended(tables["network"]),
            context=stage,
            scores={**card.scores, "held_out_picks": tables},
        ),
        folder,
    )


def _account(
    config: ContextConfig, data: ContextData, start: Start, init: Path, duration_s: float
) -> dict[str, Any]:
    teacher = config.teacher.weights
    return {
        "title": config.model.title,
        "command": start.command,
        "configuration_file": config.path.name,
        "configuration": config.as_card(),
        "data": list(data.counts),
        "picks": {
            "training": describe_marks(data.training),
            "validation": describe_marks(data.validation),
        },
        "teacher": {} if teacher is None else {teacher.name: file_sha256(teacher)},
        "init": {init.name: file_sha256(init)},
        "seed": config.context.seed,
        "steps": config.context.steps,
        "duration_s": round(duration_s),
        "machine": describe_machine(),
        "scperformer": __version__,
    }
