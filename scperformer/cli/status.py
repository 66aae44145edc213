"""`scperformer status`: what a file of metrics says is wrong, as a plugin of Nagios and Icinga."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from scperformer.cli.parser import Parser, add_options
from scperformer.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from scperformer.monitoring.status import Thresholds

_EXAMPLES = """\
examples:
  scperformer status /var/lib/scperformer/metrics.prom
  scperformer status metrics.prom --silence 600 --silent-share 10,50 --ignore 'CI.OLD,XX.*'

WARN,CRIT are two thresholds that a value may not exceed; one number warns only. Exit status, as
Nagios and Icinga have it: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (no file, or none of metrics).
"""
_UNKNOWN = 3
_LIMITS = {
    "stale_s": "--stale",
    "silent_percent": "--silent-share",
    "latency_s": "--latency",
    "stuck_s": "--stuck",
    "outbox": "--outbox",
    "backlog_percent": "--backlog",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    if isinstance(parser, Parser):
        parser.fault_status = _UNKNOWN
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("file", metavar="FILE", help="what --metrics-file or metrics.file names")
    add_options(
        parser.add_argument_group("thresholds"),
        {
            "--stale WARN,CRIT = 30,60": "age of the file in seconds; never less than three times "
            "the interval in which it is written",
            "--silence SECONDS = 300": "a station of which nothing has come for longer is silent",
            "--silent-share WARN,CRIT = 0,50": "percent of the stations that are silent",
            "--latency WARN,CRIT = 60,300": "seconds by which data come late: the first for any "
            "station, the second for half of them",
            "--stuck WARN,CRIT = 60,600": "seconds for which messages wait for an output and none "
            "is delivered",
            "--outbox WARN,CRIT = 1000,10000": "messages that wait for an output",
            "--backlog WARN,CRIT = 50,90": "percent of the queue of records that is full",
            "--ignore LIST": "stations to leave out, NET.STA with wildcards: 'CI.OLD,XX.*'",
            "--brief": "the first line alone",
        },
    )


def run(options: argparse.Namespace) -> int:
    """Print what is wrong; return the exit status of a plugin."""
    from scperformer.monitoring.status import report, unknown  # noqa: PLC0415 - the core

    try:
        with open(options.file, encoding="utf-8", errors="replace") as file:
            text = file.read()
        found = report(text, _thresholds(options), now_s=time.time())
    except OSError as error:
        found = unknown(f"{options.file}: {error.strerror or error}")
    except InputError as error:
        found = unknown(f"{options.file}: {error}")
    except ConfigurationError as error:
        found = unknown(str(error))  # 2, as elsewhere, would be CRITICAL
    for line in [found.summary] if options.brief else found.lines():
        print(line)
    return int(found.state)


def _thresholds(options: argparse.Namespace) -> Thresholds:
    """Read the options.

    Raises:
        ConfigurationError: limits that are none, all of them.
    """
    from scperformer.monitoring.status import Limits, Thresholds  # noqa: PLC0415 - the core

    limits, faults = {}, []
    for name, option in _LIMITS.items():
        text = getattr(options, option.removeprefix("--").replace("-", "_"))
        try:
            limits[name] = Limits.parse(text)
        except ValueError:
            faults.append(
                f"{option}: got {text!r}; wanted WARN,CRIT: numbers from 0 on, the second at least "
                "the first"
            )
    if faults:
        raise ConfigurationError(*faults)
    ignored = tuple(filter(None, map(str.strip, (options.ignore or "").split(","))))
    return Thresholds(**limits, silence_s=options.silence, ignored=ignored)
