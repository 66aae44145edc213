"""`scperformer demo`: pick a real earthquake record and draw it."""

from __future__ import annotations

import argparse

from scperformer.cli.options import add_model_options
from scperformer.cli.parser import add_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    add_options(
        parser, {"--out -o FOLDER = demo": "where picks.txt, .csv, .scml, .qml and .png go"}
    )
    add_model_options(parser)


def run(options: argparse.Namespace) -> int:
    """Pick and draw; return the exit status."""
    from scperformer.cli.demo_session import run_demo  # noqa: PLC0415 - slow to import

    return run_demo(options)
