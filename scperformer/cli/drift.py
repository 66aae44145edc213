"""`scperformer drift`: which stations pick unlike the others."""

from __future__ import annotations

import argparse
from pathlib import Path

from scperformer.cli.parser import add_options
from scperformer.networks.registry import DEFAULT_MODEL

_EXAMPLES = """\
examples:
  scperformer drift picks.csv
  scperformer drift 'picks.scml/'*.scml --stations stations.xml --start 2019-07-01 --end 2019-07-08

Stations that are unlike the others come first, each with a sentence that says in what; see
docs/drift.md. Exit status: 0 if none is, 1 if some are, 2 if nothing could be compared.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    from scperformer.evaluation.drift import WINDOW_S  # noqa: PLC0415 - numpy

    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "picks",
        nargs="+",
        type=Path,
        metavar="PICKS",
        help="files of picks: .csv .jsonl .parquet .scml .xml .qml",
    )
    add_options(
        parser,
        {
            "--start TIME": "leave out picks before this UTC time (default: the first pick)",
            "--end TIME": "leave out picks from this UTC time on (default: behind the last pick)",
            "--stations FILE": "StationXML or SeisComP inventory: a pick is supported by stations "
            "within 30 km as the wave travels, and stations without any pick are told",
            f"--window SECONDS = {WINDOW_S:.1f}": "without --stations, a pick is supported by a "
            "pick of any other station this close",
            f"--model-name NAME = {DEFAULT_MODEL}": "the model whose card says what to expect",
            "--json FILE": "write the figures to this file",
        },
    )


def run(options: argparse.Namespace) -> int:
    """Compare and tell; return the exit status."""
    from scperformer.cli.drift_session import run_drift  # noqa: PLC0415 - slow to import

    return run_drift(options)
