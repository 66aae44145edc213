"""`scperformer scan`: pick phases in archives."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scperformer.cli.options import (
    add_model_options,
    add_owner_options,
    add_precision_option,
    add_selection_options,
    add_setting_options,
    parse_time_option,
    selection_from_options,
    settings_from_options,
)
from scperformer.cli.parser import add_options
from scperformer.config import UNHURRIED, Settings
from scperformer.errors import ConfigurationError
from scperformer.picks.pick_files import BY_SUFFIX

if TYPE_CHECKING:
    from scperformer.waveforms.selection import Selection

_AUTO, _MOST_JOBS = "auto", 1024


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What the command line asks for, checked.

    Attributes:
        options: the parsed command line.
        settings: of the picker.
        start_ns: first time of interest, None for all.
        end_ns: end of the time of interest, not included; None for all.
        outputs: files of picks, at least one.
        jobs: processes that scan.
        selection: stations and channels of interest.
    """

    options: argparse.Namespace
    settings: Settings
    start_ns: int | None
    end_ns: int | None
    outputs: tuple[Path, ...]
    selection: Selection
    jobs: int = 1


_EPILOG = """\
An archive is scanned by days and sensors, and the outputs grow with each: tables are in the order
of days, sensors and times. What cannot be read is named and the rest is scanned. Ctrl-C and
SIGTERM end a scan early: the picks decided so far are written. Exit status: 0 if all went well, 1
if some inputs failed, 2 if nothing could be done, 130 or 143 after a signal.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "inputs",
        nargs="*",
        type=Path,
        metavar="INPUT",
        help="waveform files, folders, an SDS root, or a list file: a line a station, its "
        "component files separated by white space",
    )
    add_options(
        parser,
        {
            "--out -o FILE ...": "output file, repeatable; the suffix chooses the format: .txt "
            ".csv .jsonl .scml .xml .qml, or .parquet, a folder with a file a day (default: "
            "predictions.txt)",
            "--source SOURCE ...": "waveforms far away, repeatable: fdsnws://EARTHSCOPE or the "
            "address of another FDSN server, s3://scedc or another bucket; with --start and --end",
            "--stations-xml FILE ...": "StationXML of a source's channels, repeatable: which there "
            "are, and when",
            "--start TIME": "leave out data before this UTC time",
            "--end TIME": "leave out data from this UTC time on",
            "--resume FOLDER": "keep what is done in this folder, and go on from there: the "
            "outputs are in the end those of a scan that was never ended",
            "--jobs N|auto = 1": "processes that scan, each with the model and a station-day in "
            "memory; auto: one for each core",
            "--report FILE": "a page, report.html, that shows what was found and what was there",
            "--labels FILE": "picks to compare with in the report: .csv .jsonl .xml .scml .qml",
            "--dask ADDRESS": "scan on the workers of a Dask scheduler, such as tcp://host:8786; "
            "local: start one here",
        },
    )
    parser.add_argument(
        "--roll",
        choices=("none", "day"),
        default="none",
        help="day: an output .scml, .xml, .qml or .quakeml is a folder with a document for each "
        "UTC day of picks, as 2019-07-04.scml (default: none)",
    )
    add_selection_options(parser)
    add_precision_option(parser)
    add_owner_options(parser)
    add_options(parser, {"--time": "print the time spent in the network"})
    add_model_options(parser)
    add_setting_options(parser, defaults=UNHURRIED, leave_out=["max_batch_delay_s"])
    drawn = "window of every pick into the folder OUT_positives"
    add_options(
        parser.add_argument_group("as in the original program"),
        {
            "--no-filter": "do not filter the waveforms",
            "--no-detrend": "do not detrend the waveforms",
            "--plot-positives": f"draw the filtered {drawn}",
            "--plot-positives-original": f"draw the unfiltered {drawn}",
            "--print-scores": "save probabilities, window times and waveforms as .npy into the "
            "folder OUT_scores",
        },
    )


def run(options: argparse.Namespace) -> int:
    """Scan; return the exit status."""
    request = read_request(options)
    from scperformer.cli.scan_session import Scan  # noqa: PLC0415 - slow to import

    return Scan(request).run()


def read_request(options: argparse.Namespace) -> ScanRequest:
    """Check the parsed options.

    Raises:
        ConfigurationError: options that are not usable.
    """
    defaults: dict[str, object] = {**UNHURRIED, "detrend": not options.no_detrend}
    if options.no_filter:
        if "filter" in vars(options):
            raise ConfigurationError("--no-filter and --filter exclude each other")
        defaults["filter"] = ""
    settings = settings_from_options(options, defaults=defaults)
    start_ns = parse_time_option("--start", options.start)
    end_ns = parse_time_option("--end", options.end)
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ConfigurationError(f"--start {options.start} is not before --end {options.end}")
    outputs = tuple(options.out or [Path("predictions.txt")])
    documents = [suffix for suffix, kind in BY_SUFFIX.items() if kind.is_document]
    if options.roll != "none" and not any(path.suffix.lower() in documents for path in outputs):
        named = " ".join(map(str, outputs))
        raise ConfigurationError(
            f"--roll {options.roll}: got no output that rolls but {named}; wanted one of "
            f"{' '.join(documents)}"
        )
    selection = selection_from_options(options)
    if not options.inputs and not options.source:
        raise ConfigurationError("nothing to scan: wanted an INPUT, or --source")
    jobs = _read_jobs(options)
    return ScanRequest(options, settings, start_ns, end_ns, outputs, selection, jobs)


def _read_jobs(options: argparse.Namespace) -> int:
    if options.jobs == _AUTO:
        jobs = len(os.sched_getaffinity(0))
    elif options.jobs.isdigit() and 1 <= int(options.jobs) <= _MOST_JOBS:
        jobs = int(options.jobs)
    else:
        raise ConfigurationError(
            f"--jobs: got {options.jobs!r}; wanted {_AUTO} or 1 to {_MOST_JOBS}"
        )
    if options.labels is not None and options.report is None:
        raise ConfigurationError("--labels has no meaning without --report")
    if options.dask and jobs > 1:
        raise ConfigurationError("--jobs and --dask exclude each other")
    return jobs
