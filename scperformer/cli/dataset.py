"""`scperformer dataset`: training windows from waveforms and picks, or from SeisBench data."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scperformer import __version__
from scperformer.cli import EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.parser import TABLES_OF_PICKS, add_options
from scperformer.errors import OutputError

if TYPE_CHECKING:
    from scperformer.datasets.cutting import Account, CutOptions
    from scperformer.datasets.window_file import SplitWriter

_TOLD_FAULTS = 5
_NOT_ASKED = ("command", "quiet", "out")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    kinds = parser.add_subparsers(dest="kind", metavar="FROM", required=True)
    _add_records(kinds)
    _add_seisbench(kinds)
    show = kinds.add_parser(
        "show",
        help="what a file of windows holds",
        description="Says what files of windows hold.",
    )
    show.add_argument("files", nargs="+", type=Path, metavar="FILE", help="HDF5 file of windows")


def _add_records(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    records = kinds.add_parser(
        "records",
        help="from waveform archives and picks",
        description="Cuts windows of 4 s around picks, and of noise away from them, out of "
        "archives; prepared as the picker prepares them (100 Hz, order N, E, Z, filtered, "
        "divided by the largest sample). Writes HDF5: X (n x 400 x 3), Y (P = 0, S = 1, "
        "noise = 2) and, beside them, split, event, station, trace, components, time_ns and "
        "shift_samples.",
        epilog=TABLES_OF_PICKS,
    )
    records.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="waveform files, folders, an SDS root, or a list file",
    )
    records.add_argument(
        "--picks",
        action="append",
        required=True,
        type=Path,
        metavar="FILE",
        help="picks: .csv, .jsonl (columns below), QuakeML (.qml .xml) or SCML (.scml .xml), "
        "repeatable; of two files that state the same arrival (0.5 s) the first one counts",
    )
    add_options(
        records,
        {
            "--pick-probability PROBABILITY = 0.3": "least probability of a pick, where the file "
            "gives one",
        },
    )
    _add_common(records)
    add_options(
        records,
        {
            "--noise-near-others": "noise stays away from the picks of its own station only, not "
            "of all stations",
            "--event-gap SECONDS = 30.0": "picks of all stations with no longer pause than this "
            "are one earthquake",
        },
    )


def _add_seisbench(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    seisbench = kinds.add_parser(
        "seisbench",
        help="from a SeisBench data set, its splits kept",
        description="Cuts windows out of a data set in SeisBench's layout. SeisBench itself is "
        "needed to download one only: pip install 'scperformer[seisbench]'.",
    )
    seisbench.add_argument(
        "data",
        metavar="DATA",
        help="folder with metadata.csv and waveforms.hdf5, or the name of a data set",
    )
    _add_common(seisbench)
    own = {"--noise-per-trace N = 1": "windows from a trace without any arrival"}
    add_options(seisbench, own)


_WINDOWS = {
    "--per-pick N = 1": "windows a pick",
    "--jitter SECONDS = 0": "largest distance of a window's centre from its pick",
    "--noise N = 0.5": "windows of noise for each window of a phase; by default P, S and noise are "
    "as many",
    "--noise-distance SECONDS = 4.0": "least distance of noise from any pick",
    "--unlabelled SECONDS = 30.0": "noise stays out of so long a time behind a P without S, and "
    "before an S without P, at its station",
}


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--out", required=True, type=Path, metavar="FILE", help="HDF5 file to write, .h5"
    )
    apart = "write FILE_train.h5, FILE_validation.h5 and FILE_test.h5 instead of one file"
    add_options(parser, {"--split-files": apart})
    windows = parser.add_argument_group("windows")
    add_options(windows, _WINDOWS)
    windows.add_argument(
        "--components",
        choices=["any", "all"],
        default="any",
        help="windows with any component, or only those with all three (default: any)",
    )
    text = "causal filter in SeisComP's grammar (default: the models' \"BW_HP(4,2)\")"
    add_options(windows, {"--filter FILTER": text})
    splits = parser.add_argument_group("splits")
    splits.add_argument(
        "--split-by",
        choices=["event", "station", "both"],
        default="event",
        help="what is never divided: earthquakes, stations, or both, where windows whose "
        "earthquake and station disagree are left out (default: event)",
    )
    splits.add_argument(
        "--split",
        nargs=3,
        type=float,
        default=[0.8, 0.1, 0.1],
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="shares (default: 0.8 0.1 0.1)",
    )
    add_options(
        parser,
        {"--seed N = 1": "decides every random choice", "-q --quiet": "no progress lines"},
    )


def run(options: argparse.Namespace) -> int:
    """Build or show; return the exit status."""
    return _show(options.files) if options.kind == "show" else _build(options)


def _build(options: argparse.Namespace) -> int:
    from scperformer.datasets.window_file import (  # noqa: PLC0415
        SplitWriter,
        describe_counts,
        empty_splits,
        require_windows,
    )

    cutting = _cut_options(options)
    if options.out.suffix not in (".h5", ".hdf5", ".hd5"):
        raise OutputError(f"{options.out}: unknown suffix {options.out.suffix!r}; wanted .h5")
    with SplitWriter(options.out, _attributes(options), apart=options.split_files) as writer:
        account = _cut(options, cutting, writer)
        require_windows(writer.counts)
    for line in describe_counts(writer.counts):
        print(line)
    for path in writer.paths:
        print(path)
    for line in (*account.lines(), *empty_splits(writer.counts, cutting.shares)):
        print(line, file=sys.stderr)
    for fault in account.unusable[:_TOLD_FAULTS]:
        print(f"scperformer dataset: {fault}", file=sys.stderr)
    if account.n_unusable > _TOLD_FAULTS:
        more = account.n_unusable - _TOLD_FAULTS
        print(f"scperformer dataset: {more} more inputs could not be used", file=sys.stderr)
    return EXIT_SOME_FAILED if account.n_unusable else EXIT_OK


def _cut(options: argparse.Namespace, cutting: CutOptions, writer: SplitWriter) -> Account:
    def report(line: str) -> None:
        if not options.quiet:
            print(line, file=sys.stderr, flush=True)

    if options.kind == "records":
        from scperformer.datasets.builders import build_from_records  # noqa: PLC0415

        return build_from_records(
            options.inputs,
            options.picks,
            cutting,
            write=writer.write,
            report=report,
            least_probability=options.pick_probability,
        )
    from scperformer.datasets.builders import build_from_seisbench  # noqa: PLC0415
    from scperformer.datasets.seisbench_files import find_data_set  # noqa: PLC0415

    folder = find_data_set(options.data)
    return build_from_seisbench(folder, cutting, write=writer.write, report=report)


def _cut_options(options: argparse.Namespace) -> CutOptions:
    from scperformer.cli.options import check_filter_option  # noqa: PLC0415 - imports NumPy
    from scperformer.config import DEFAULT_FILTER  # noqa: PLC0415
    from scperformer.datasets.cutting import CutOptions  # noqa: PLC0415
    from scperformer.datasets.splits import SplitBy  # noqa: PLC0415

    options.filter = DEFAULT_FILTER if options.filter is None else options.filter
    check_filter_option(options.filter)
    return CutOptions(
        per_pick=options.per_pick,
        jitter_s=options.jitter,
        noise_per_pick=options.noise,
        noise_per_trace=getattr(options, "noise_per_trace", 1),
        noise_distance_s=options.noise_distance,
        unlabelled_s=options.unlabelled,
        quiet_network=not getattr(options, "noise_near_others", False),
        all_components=options.components == "all",
        filter_text=options.filter,
        split_by=SplitBy(options.split_by),
        shares=tuple(options.split),
        event_gap_s=getattr(options, "event_gap", 30.0),
        seed=options.seed,
    )


def _attributes(options: argparse.Namespace) -> dict[str, Any]:
    asked = {name: value for name, value in vars(options).items() if name not in _NOT_ASKED}
    return {"options": asked, "scperformer": __version__}


def _show(paths: list[Path]) -> int:
    from scperformer.datasets.window_file import WindowFile, describe_counts  # noqa: PLC0415

    for path in paths:
        file = WindowFile.open(path)
        chunked = f"chunks of {file.chunk_windows}" if file.chunk_windows > 1 else "contiguous"
        print(f"{path}: {len(file)} windows, {file.windows.dtype}, {chunked}")
        for line in describe_counts(file.counts):
            print(line)
    return EXIT_OK
