"""The command line of `scperformer stream`."""

from __future__ import annotations

import argparse
from pathlib import Path

from scperformer.cli.options import (
    add_model_options,
    add_owner_options,
    add_precision_option,
    add_selection_options,
    add_setting_options,
)
from scperformer.waveforms.selection import REFRESH_S

DEFAULT_STATUS_S = 60.0

_EXAMPLES = """\
examples:
  scperformer stream slink://host:18000 --stations 'CI.*,PB.B91?' -o picks.jsonl --state state
  scperformer stream slink://host --stations 'CI.*:HH?' --bus scmp://server/production --state state
  scperformer stream file:///data/2019/185 --speed 10 -o picks.csv -o picks.scml
  scart -dsE --stdout -t '2019-07-04 15:50~2019-07-04 17:10' /archive | scperformer stream -

It runs until the sources end, Ctrl-C or SIGTERM. Exit status: 0 if all went well, 1 if some
inputs or outputs failed, 2 if nothing could be done.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="slink://HOST[:PORT], or slinks:// for TLS (needs --stations); a file, a folder, an "
        "SDS root or a list file, also as file://PATH; - for miniSEED in the order of time on "
        "standard input",
    )
    _add_source_options(parser.add_argument_group("sources"))
    _add_output_options(parser.add_argument_group("outputs"))
    add_model_options(parser)
    add_setting_options(parser)


def _add_source_options(group: argparse._ArgumentGroup) -> None:
    add_selection_options(group)
    group.add_argument(
        "--refresh-stations",
        type=float,
        default=REFRESH_S,
        metavar="SECONDS",
        help="how often to ask SeedLink servers for new stations that a wildcard means "
        f"(default: {REFRESH_S:g}; 0: never)",
    )
    group.add_argument(
        "--start",
        metavar="TIME",
        help="begin at this UTC time (default: SeedLink with what comes next, files with "
        "what they hold)",
    )
    group.add_argument(
        "--speed",
        default="max",
        metavar="1|10|max",
        help="replay files and standard input at so many times real time (default: max)",
    )


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out",
        "-o",
        action="append",
        metavar="OUTPUT",
        help="repeatable: a file .jsonl, .csv or .txt, to which picks are added; a folder .scml, "
        ".xml or .qml of documents; - for JSON lines on standard output (default: - unless "
        "there is --bus)",
    )
    group.add_argument(
        "--bus",
        action="append",
        metavar="URL",
        help="repeatable: a SeisComP messaging server, scmp://[USER:PASSWORD@]HOST[:PORT]/[QUEUE]"
        ", or scmps:// for TLS",
    )
    group.add_argument(
        "--bus-ca", type=Path, metavar="FILE", help="PEM file with the certificates to trust"
    )
    group.add_argument(
        "--roll",
        choices=("hour", "day"),
        default="hour",
        help="what a document of a folder spans, by pick time (default: hour)",
    )
    add_owner_options(group)
    add_precision_option(group)
    group.add_argument(
        "--state",
        type=Path,
        metavar="FOLDER",
        help="keep here what a restart needs to neither repeat nor lose a pick",
    )
    group.add_argument(
        "--status-interval",
        type=float,
        default=DEFAULT_STATUS_S,
        metavar="SECONDS",
        help=f"time between two status lines in the log (default: {DEFAULT_STATUS_S:g})",
    )
