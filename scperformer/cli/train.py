"""``scperformer train``: train a network and write a model folder."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scperformer.cli.texts import TABLES_OF_PICKS
from scperformer.errors import ConfigurationError

if TYPE_CHECKING:
    from scperformer.training.session import Start

EXIT_OK = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    parser.epilog = (
        "A folder of records ([[data]]) holds waveform files and, named by its option picks, files "
        f"of picks (.csv .jsonl .qml .scml .xml). {TABLES_OF_PICKS}"
    )
    parser.add_argument(
        "--config",
        required=True,
        type=Path,
        metavar="FILE",
        help="training configuration, TOML; docs/training.md has every option",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FOLDER",
        help="model folder to write (default: the folder of the configuration)",
    )
    parser.add_argument(
        "--init",
        default="",
        metavar="MODEL",
        help="start from this model (name, folder or weights file) instead of random weights; a "
        "training with [context] needs it",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the checkpoint that an interrupted training left in the model folder",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="epochs, instead of training.epochs of the configuration; not with [context]",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="decides every random number, instead of seed there"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of TensorFlow, instead of threads there"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress lines")


def run(options: argparse.Namespace) -> int:
    """Train; return the exit status."""
    from scperformer.training.config_file import read_config  # noqa: PLC0415
    from scperformer.training.context_config import is_context_config  # noqa: PLC0415
    from scperformer.training.session import Start, train_model  # noqa: PLC0415

    overrides = {
        name: getattr(options, name)
        for name in ("epochs", "seed", "threads")
        if getattr(options, name) is not None
    }
    _check(overrides)
    folder = options.out or options.config.parent
    start = Start(_command(options, overrides), options.init, options.resume)
    report = _ignore if options.quiet else _reporter()
    if is_context_config(options.config):
        _train_context(options.config, overrides, folder, start, report)
    else:
        train_model(read_config(options.config, {"training": overrides}), folder, start, report)
    print(folder)
    return EXIT_OK


def _check(overrides: dict[str, Any]) -> None:
    """Check options against what the configuration allows, under the options' names."""
    from scperformer.training.config import TrainingSection  # noqa: PLC0415
    from scperformer.training.config_checks import value_fault  # noqa: PLC0415

    known = {item.name: item.metadata for item in fields(TrainingSection)}
    faults = [
        f"--{name}: got {value}; {fault}"
        for name, value in overrides.items()
        if (fault := value_fault(value, known[name]))
    ]
    if faults:
        raise ConfigurationError(*faults)


def _train_context(
    path: Path, overrides: dict[str, Any], folder: Path, start: Start, report: Callable[[str], None]
) -> None:
    from scperformer.training.context_config import read_context_config  # noqa: PLC0415
    from scperformer.training.session import train_model  # noqa: PLC0415

    if "epochs" in overrides:
        raise ConfigurationError("--epochs: a configuration with [context] counts context.steps")
    train_model(read_context_config(path, {"context": overrides}), folder, start, report)


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


def _ignore(line: str) -> None:
    del line
