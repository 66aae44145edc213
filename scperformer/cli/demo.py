"""`scperformer demo`: pick a real earthquake record and draw it."""

from __future__ import annotations

import argparse
from pathlib import Path

from scperformer.cli.options import add_model_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.add_argument(
        "--out",
        "-o",
        type=Path,
        default=Path("demo"),
        metavar="FOLDER",
        help="where picks.txt, .csv, .scml, .qml and .png go (default: %(default)s)",
    )
    add_model_options(parser)


def run(options: argparse.Namespace) -> int:
    """Pick and draw; return the exit status."""
    from scperformer.cli.demo_session import run_demo  # noqa: PLC0415 - slow to import

    return run_demo(options)
