"""`scperformer evaluate`: score models and pick files against labels."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from scperformer.cli.options import add_setting_options
from scperformer.cli.texts import (
    CUSTOM_MODEL_HELP,
    LOADER_ARGUMENTS_HELP,
    NO_CONTEXT_HELP,
    TABLES_OF_PICKS,
)
from scperformer.core.batching import UNHURRIED
from scperformer.errors import ConfigurationError

WINDOW_SUFFIXES = (".h5", ".hdf5", ".hd5")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.epilog = TABLES_OF_PICKS
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="DATA",
        help="folders with waveforms and labels (picks.csv or another file; see --labels), or .h5 "
        "files of windows: X, N x 400 x 3, and Y, N classes: P = 0, S = 1, noise = 2",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("evaluation"),
        metavar="FOLDER",
        help="where report.md, report.json, pictures and a table of all picks or windows go "
        "(default: evaluation)",
    )
    _add_model_options(parser)
    _add_record_options(parser)
    parser.add_argument(
        "--split",
        choices=["all", "train", "validation", "test"],
        help="which windows of .h5 files count (default: test where there are any, else all)",
    )
    parser.add_argument("--no-plots", action="store_true", help="draw no pictures")
    parser.add_argument(
        "--draws",
        type=int,
        default=1000,
        metavar="N",
        help="bootstrap draws for the intervals, 0 for none (default: 1000)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the draws (default: 0)"
    )
    add_setting_options(
        parser,
        defaults={"batch_size": UNHURRIED["batch_size"]},
        leave_out=["max_batch_delay_s", "snr_amplitudes"],
    )


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("models, as many as you like (default: performer)")
    group.add_argument(
        "--model-name",
        dest="model_names",
        action="append",
        default=[],
        metavar="[NAME=]MODEL",
        help="a model of the registry or a model folder; NAME is what the report calls it",
    )
    group.add_argument(
        "--weights",
        "-w",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="a weights file, ours or the original authors'; cnn:FILE or gpd:FILE if it is not of "
        "the network performer",
    )
    group.add_argument("--cnn", action="store_true", help="the weights files are of cnn")
    group.add_argument("--gpd", action="store_true", help="the weights files are of gpd")
    group.add_argument(
        "--model",
        dest="modules",
        action="append",
        default=[],
        metavar="[NAME=]MODULE",
        help=CUSTOM_MODEL_HELP,
    )
    group.add_argument(
        "--loader-argv",
        "--loader_argv",
        dest="loader_argv",
        metavar="TEXT",
        help=LOADER_ARGUMENTS_HELP,
    )
    group.add_argument("--no-context", action="store_true", help=NO_CONTEXT_HELP)
    group.add_argument("--cpu", action="store_true", help="use the CPU even where a GPU is")
    group.add_argument("--no-model", action="store_true", help="score pick files alone")


def _add_record_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("records")
    group.add_argument(
        "--picks",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="picks of another picker, scored beside the models: .csv .jsonl (columns below) .qml "
        ".scml .xml; files of the same NAME are one picker's",
    )
    group.add_argument(
        "--labels",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="labels of all folders: .csv .jsonl (columns below) .qml .scml .xml (default: "
        "picks.csv, picks_automatic.csv or labels.csv in each folder)",
    )
    group.add_argument(
        "--stations",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="StationXML or SCML inventory, to count picks that no neighbour supports (default: "
        "stations.xml in each folder, if it is there)",
    )
    group.add_argument(
        "--tolerance",
        type=float,
        default=0.5,
        metavar="SECONDS",
        help="largest difference of a pick and its label (default: 0.5)",
    )
    group.add_argument(
        "--label-span",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="how far around a label continuous data count as labelled (default: 30)",
    )
    group.add_argument(
        "--floor",
        type=float,
        default=0.05,
        metavar="PROBABILITY",
        help="least probability of a pick that is looked at (default: 0.05)",
    )


def run(options: argparse.Namespace) -> int:
    """Score; return the exit status."""
    _check(options)
    kinds = {path.suffix.lower() in WINDOW_SUFFIXES for path in options.inputs}
    if kinds == {True}:
        from scperformer.cli.evaluate_windows import evaluate_windows  # noqa: PLC0415

        return evaluate_windows(options)
    if kinds == {False}:
        from scperformer.cli.evaluate_picks import evaluate_picks  # noqa: PLC0415

        return evaluate_picks(options)
    raise ConfigurationError("window files and folders cannot be scored at once; give one kind")


def has_pictures(options: argparse.Namespace) -> bool:
    """Tell whether pictures are wanted and can be drawn; say so if they cannot."""
    if options.no_plots:
        return False
    found = importlib.util.find_spec("matplotlib") is not None
    if not found:
        print(
            "scperformer evaluate: no pictures: matplotlib is not installed; "
            "pip install scperformer[plot]",
            file=sys.stderr,
        )
    return found


def _check(options: argparse.Namespace) -> None:
    faults = []
    if options.draws < 0:
        faults.append(f"--draws: got {options.draws}; wanted 0 or more")
    if options.seed < 0:
        faults.append(f"--seed: got {options.seed}; wanted 0 or more")
    for name in ("tolerance", "label_span"):
        value = getattr(options, name)
        if not 0.0 < value <= 3600.0:
            faults.append(f"--{name.replace('_', '-')}: got {value:g}; wanted above 0 to 3600 s")
    if not 0.0 < options.floor < 1.0:
        faults.append(f"--floor: got {options.floor:g}; wanted between 0 and 1")
    if options.cnn and options.gpd:
        faults.append("--cnn and --gpd exclude each other; say cnn:FILE and gpd:FILE")
    if (options.cnn or options.gpd) and not options.weights:
        faults.append("--cnn and --gpd have no meaning without --weights")
    if options.loader_argv is not None and not options.modules:
        faults.append("--loader-argv has no meaning without --model")
    if options.no_model and (options.model_names or options.modules or options.weights):
        faults.append("--no-model contradicts --model-name, --model and --weights")
    if options.no_model and not options.picks:
        faults.append("--no-model leaves nothing to score; give --picks")
    if faults:
        raise ConfigurationError(*faults)
