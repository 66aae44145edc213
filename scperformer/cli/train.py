"""``scperformer train``: train a network and write a model folder."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scperformer.cli import EXIT_OK
from scperformer.cli.parser import TABLES_OF_PICKS, add_options
from scperformer.errors import ConfigurationError
from scperformer.setting import settings_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    parser.epilog = (
        "A folder of records ([[data]]) holds waveform files and, named by its option picks, files "
        "of picks (.csv .jsonl .qml .scml .xml), or it is a data set in SeisBench's layout. "
        f"{TABLES_OF_PICKS}"
    )
    parser.add_argument(
        "--config",
        required=True,
        type=Path,
        metavar="FILE",
        help="training configuration, TOML; docs/settings.md has every option",
    )
    add_options(
        parser,
        {
            "-o --out FOLDER": "model folder to write (default: the folder of the configuration)",
            "--init MODEL": "start from this model (name, folder or weights file) instead of "
            "random weights",
            "--resume": "go on from the checkpoint that an interrupted training left in the model "
            "folder",
            "--epochs N": "epochs, instead of training.epochs of the configuration; not with "
            "[streaming]",
            "--seed N": "decides every random number, instead of seed there",
            "--threads N": "threads of TensorFlow, instead of threads there",
            "-q --quiet": "no progress lines",
        },
    )


def run(options: argparse.Namespace) -> int:
    """Train; return the exit status."""
    from scperformer.training.config import TrainingConfig  # noqa: PLC0415
    from scperformer.training.session import Start, train_model  # noqa: PLC0415
    from scperformer.training.streaming_config import (  # noqa: PLC0415
        StreamingConfig,
        is_streaming_config,
    )

    overrides = {
        name: getattr(options, name)
        for name in ("epochs", "seed", "threads")
        if getattr(options, name) is not None
    }
    _check(overrides)
    folder = options.out or options.config.parent
    start = Start(_command(options, overrides), options.init or "", options.resume)
    report = (lambda _: None) if options.quiet else _reporter()
    config: TrainingConfig | StreamingConfig
    if not is_streaming_config(options.config):
        config = TrainingConfig.read(options.config, {"training": overrides})
    elif "epochs" in overrides:
        raise ConfigurationError("--epochs: with [streaming] streaming.steps counts")
    else:
        config = StreamingConfig.read(options.config, {"streaming": overrides})
    train_model(config, folder, start, report)
    print(folder)
    return EXIT_OK


def _check(overrides: dict[str, Any]) -> None:
    """Check options against what the configuration allows, under the options' names."""
    from scperformer.training.config import TrainingSection  # noqa: PLC0415

    known = {info.name: info for info in settings_of(TrainingSection)}
    found = (known[name].fault(value, name=f"--{name}") for name, value in overrides.items())
    if faults := [fault for fault in found if fault]:
        raise ConfigurationError(*faults)


def _command(options: argparse.Namespace, overrides: dict[str, Any]) -> str:
    words = ["scperformer", "train", "--config", str(options.config)]
    for name in ("out", "init"):
        if getattr(options, name):
            words += [f"--{name}", str(getattr(options, name))]
    for name, value in overrides.items():
        words += [f"--{name}", str(value)]
    return shlex.join(words)


def _reporter() -> Callable[[str], None]:
    started_s = time.monotonic()

    def report(line: str) -> None:
        print(f"[{time.monotonic() - started_s:7.1f} s] {line}", file=sys.stderr, flush=True)

    return report
