"""`scperformer stream`: pick phases in real time, from SeedLink servers, files and pipes."""

from __future__ import annotations

import argparse

from scperformer.cli.stream_options import add_arguments

__all__ = ["add_arguments", "run"]


def run(options: argparse.Namespace) -> int:
    """Stream; return the exit status."""
    from scperformer.cli import stream_session  # noqa: PLC0415 - slow to import

    return stream_session.run(options)
