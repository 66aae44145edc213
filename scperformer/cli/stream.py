"""`scperformer stream`: pick phases in real time, from SeedLink servers, files and pipes."""

from __future__ import annotations

import argparse

from scperformer.cli.options import (
    add_model_options,
    add_monitoring_options,
    add_owner_options,
    add_precision_option,
    add_selection_options,
    add_setting_options,
)
from scperformer.cli.parser import add_options
from scperformer.waveforms.selection import REFRESH_S

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
    _add_monitoring_options(parser.add_argument_group("monitoring"))
    add_model_options(parser)
    add_setting_options(parser)


def _add_source_options(group: argparse._ArgumentGroup) -> None:
    add_selection_options(group)
    add_options(
        group,
        {
            f"--refresh-stations SECONDS = {REFRESH_S:g}": "how often to ask SeedLink servers for "
            "new stations that a wildcard means, 0: never",
            "--start TIME": "begin at this UTC time (default: SeedLink with what comes next, files "
            "with what they hold)",
            "--speed 1|10|max = max": "replay files and standard input at so many times real time",
        },
    )


def _add_output_options(group: argparse._ArgumentGroup) -> None:
    add_options(
        group,
        {
            "--out -o OUTPUT ...": "repeatable: a file .jsonl, .csv or .txt, to which picks are "
            "added; a folder .scml, .xml or .qml of documents; - for JSON lines on standard output "
            "(default: - unless there is --bus)",
            "--bus URL ...": "repeatable: a SeisComP messaging server, "
            "scmp://[USER:PASSWORD@]HOST[:PORT]/[QUEUE], or scmps:// for TLS",
            "--bus-ca FILE": "PEM file with the certificates to trust",
        },
    )
    group.add_argument(
        "--roll",
        choices=("hour", "day"),
        default="hour",
        help="what a document of a folder spans, by pick time (default: hour)",
    )
    add_owner_options(group)
    add_precision_option(group)
    keep = "keep here what a restart needs to neither repeat nor lose a pick"
    add_options(group, {"--state FOLDER": keep})


def _add_monitoring_options(group: argparse._ArgumentGroup) -> None:
    text = "serve metrics for Prometheus at http://HOST:PORT/metrics; without a host to this "
    text += "machine alone, as 0.0.0.0:PORT to all"
    add_options(group, {"--metrics [HOST:]PORT": text})
    add_monitoring_options(group)


def run(options: argparse.Namespace) -> int:
    """Stream; return the exit status."""
    from scperformer.cli import stream_session  # noqa: PLC0415 - slow to import

    return stream_session.run(options)
