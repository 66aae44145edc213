"""A whole training: from a configuration to a model folder."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import platform
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scperformer import __version__
from scperformer.atomic import AtomicFile, write_bytes
from scperformer.datasets.labels import MarkedRecord
from scperformer.evaluation.picking import UNTRIED, calibrate, pick_thresholds, recommended
from scperformer.networks.contract import Network
from scperformer.networks.loading import load_folder
from scperformer.networks.manifest import (
    WEIGHTS_FILE,
    Manifest,
    check_weights_file,
    file_sha256,
    read_manifest,
    write_manifest,
)
from scperformer.networks.registry import find_model
from scperformer.training import checkpoint
from scperformer.training.config import TrainingConfig
from scperformer.training.loop import Report, Row, fit
from scperformer.training.streaming_config import StreamingConfig
from scperformer.training.streaming_training import StreamingTraining
from scperformer.training.window_training import WindowTraining

# isort: split
import keras
import tensorflow as tf

_NOT_DRAWN = frozenset({"epoch", "step", "learning_rate", "duration_s"})


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


def train_model(
    config: TrainingConfig | StreamingConfig, folder: Path, start: Start, report: Report
) -> None:
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
    path = folder / checkpoint.CHECKPOINT
    saved = checkpoint.load(path) if start.resume else None
    options = config.streaming if isinstance(config, StreamingConfig) else config.training
    if options.threads:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    keras.utils.set_random_seed(options.seed)
    init = weights_file(start.init) if start.init else None
    training: WindowTraining | StreamingTraining
    if isinstance(config, StreamingConfig):
        training = StreamingTraining(config, init, report)
    else:
        training = WindowTraining(config, init, report)
    done = len(saved.history) if saved is not None else 0
    if done:
        report(f"resumed after epoch {done}")
    with closing(training):
        history = fit(
            training.model,
            training,
            training.look,
            training.plan,
            path=path,
            configuration=config.as_card(),
            saved=saved,
            report=report,
        )
    earlier_s = sum(row["duration_s"] for row in history[:done])
    _write_table(history, folder / "history.csv")
    _write_curves(history, folder / "history.png")
    weights = folder / WEIGHTS_FILE
    with AtomicFile(weights, parents=True) as output:
        streaming = training.save(output.hidden)
    card = Manifest(
        name=config.model.name,
        version=config.model.version,
        network=Network(config.model.network),
        thresholds=UNTRIED,
        streaming=streaming,
        weights_sha256=file_sha256(weights),
        filter_id=training.filter_id,
        licence=config.model.licence,
        training={
            "title": config.model.title,
            "command": start.command,
            "configuration_file": config.path.name,
            "configuration": config.as_card(),
            "data": list(training.counts),
            "picks": dict(training.picks),
            "init": {init.name: file_sha256(init)} if init else {},
            "seed": options.seed,
            **training.account(history),
            "duration_s": round(earlier_s + time.monotonic() - started_s),
            "machine": describe_machine(),
            "scperformer": __version__,
        },
        scores=training.scores(history),
    )
    write_manifest(card, folder)
    if training.held_out:
        write_manifest(_with_thresholds(card, folder, training.held_out, report), folder)
    path.unlink(missing_ok=True)


def weights_file(name: str) -> Path:
    """Return the weights file that is meant: the file itself, or a model's, checked.

    Raises:
        ModelError: no such file and no such model, or weights that are not the card's.
    """
    if Path(name).is_file():
        return Path(name)
    folder = find_model(name)
    return check_weights_file(read_manifest(folder), folder)


def _with_thresholds(
    card: Manifest, folder: Path, held_out: Sequence[MarkedRecord], report: Report
) -> Manifest:
    """Let the picker with the new model pick the records held out; choose thresholds by that."""
    if card.streaming is not None:
        found = calibrate(load_folder(str(folder)), held_out)
        report(f"held out: true log-odds of P and S are factor and summand {found}")
        card = replace(card, streaming=replace(card.streaming, calibration=found))
        write_manifest(card, folder)
    table = pick_thresholds(load_folder(str(folder)), held_out)
    for count, phases in table.items():
        report(f"held out, {count} components: {phases}")
    return replace(
        card,
        thresholds=recommended(table),
        scores={**card.scores, "held_out_picks": table},
    )


def describe_machine() -> dict[str, str | int]:
    """Return processor, cores, accelerators, system and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def _write_table(rows: Sequence[Row], path: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
    write_bytes(path, text.getvalue().encode())


def _write_curves(rows: Sequence[Row], path: Path) -> None:
    """With matplotlib, draw the losses and beside them all other scores over the epochs."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    drawn = [name for name in rows[0] if name not in _NOT_DRAWN]
    losses = [name for name in drawn if "loss" in name]
    scores = [name for name in drawn if name not in losses]
    panels = [("loss", "log", losses), ("scores, held out", "linear", scores)]
    panels = [panel for panel in panels if panel[2]]
    figure = Figure(figsize=(4.5 * len(panels), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, scale, names) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        for name in names:
            values = [row[name] for row in rows]
            axes.plot([row["epoch"] for row in rows], values, label=name.replace("_", " "))
        axes.set(xlabel="epoch", ylabel=title, yscale=scale)
        axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    write_bytes(path, content.getvalue())
