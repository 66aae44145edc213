"""`scperformer bench`: how many stations this machine keeps up with."""

from __future__ import annotations

import argparse

from scperformer.cli.options import add_model_options, add_setting_options
from scperformer.cli.parser import add_options

PATHS = ("stream", "module")

_EXAMPLES = """\
examples:
  scperformer bench
  scperformer bench --stations 300 --seconds 120
  seiscomp exec scperformer bench --settings $SEISCOMP_ROOT/etc/scperformer.cfg

Synthetic stations, three components at 100 Hz with an event a minute, in 512-byte miniSEED
records, are sent through a pipe to 'scperformer stream', and to the SeisComP module connected to
an scmaster of its own where SeisComP is. First a few hundred as quickly as it takes them, then as
many as that promises in real time; see docs/sizing.md. Leave the machine alone meanwhile.

Exit status: 0 if it keeps up, 1 if it does not, 2 if nothing could be measured.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    group = parser.add_argument_group("measurement")
    add_options(
        group,
        {
            "--stations -n N": "try so many stations in real time (default: four fifths of what "
            "the machine takes at its quickest)",
            "--seconds SECONDS = 30.0": "how long to send in real time",
            "--event-every SECONDS = 60.0": "how often an earthquake comes to every station, 10 to "
            "600; picks cost something, most of all in SeisComP",
            "--settings FILE": "the picker's settings as SeisComP has them, a scperformer.cfg; "
            "options prevail",
            "--json FILE": "write the figures to this file",
        },
    )
    group.add_argument(
        "--only",
        choices=PATHS,
        help="measure the stream or the SeisComP module alone (default: the stream, and the module "
        "where SeisComP is)",
    )
    add_model_options(parser)
    add_setting_options(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and tell; return the exit status."""
    from scperformer.cli.bench_session import run_bench  # noqa: PLC0415 - slow to import

    return run_bench(options)
