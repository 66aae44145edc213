"""`scperformer evaluate`: score models and pick files against labels."""

from __future__ import annotations

import argparse
from pathlib import Path

from scperformer.cli.options import CUSTOM_MODEL, HOW_TO_LOAD, add_setting_options
from scperformer.cli.parser import TABLES_OF_PICKS, add_options
from scperformer.config import UNHURRIED
from scperformer.errors import ConfigurationError
from scperformer.networks.registry import DEFAULT_MODEL, WINDOW_MODEL

WINDOW_SUFFIXES = (".h5", ".hdf5", ".hd5")


_MODELS = {
    "--model-name [NAME=]MODEL ...": "a model of the registry or a model folder; NAME is what the "
    "report calls it",
    "--weights -w [NAME=]FILE ...": "a weights file, ours or the original authors'; cnn:FILE or "
    "gpd:FILE if it is not of the network performer",
    "--cnn": "the weights files are of cnn",
    "--gpd": "the weights files are of gpd",
    "--model [NAME=]MODULE ...": CUSTOM_MODEL,
    **HOW_TO_LOAD,
    "--no-model": "score pick files alone",
}
_RECORDS = {
    "--picks [NAME=]FILE ...": "picks of another picker, scored beside the models: .csv .jsonl "
    "(columns below) .qml .scml .xml; files of the same NAME are one picker's",
    "--labels FILE ...": "labels of all folders: .csv .jsonl (columns below) .qml .scml .xml "
    "(default: picks.csv, picks_automatic.csv or labels.csv in each folder, metadata of data sets)",
    "--stations FILE ...": "StationXML or SCML inventory, to count picks that no neighbour "
    "supports (default: stations.xml in each folder, if it is there)",
    "--tolerance SECONDS = 0.5": "largest difference of a pick and its label",
    "--label-span SECONDS = 30": "how far around a label continuous data count as labelled",
    "--floor PROBABILITY = 0.05": "least probability of a pick that is looked at",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.epilog = TABLES_OF_PICKS
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="DATA",
        help="folders with waveforms and labels (picks.csv or another file; see --labels), data "
        "sets in SeisBench's layout (each trace a record, labelled by the metadata), or .h5 files "
        "of windows: X, N x 400 x 3, and Y, N classes: P = 0, S = 1, noise = 2",
    )
    add_options(
        parser,
        {
            "-o --out FOLDER = evaluation": "where report.md, report.json, pictures and a table of "
            "all picks or windows go",
        },
    )
    models = parser.add_argument_group(
        f"models, as many as you like (default: {DEFAULT_MODEL}; for windows {WINDOW_MODEL})"
    )
    add_options(models, _MODELS)
    add_options(parser.add_argument_group("records"), _RECORDS)
    parser.add_argument(
        "--split",
        choices=["all", "train", "validation", "test"],
        help="which windows of .h5 files, and which traces of SeisBench data sets, count "
        "(default: test where there are any, else all)",
    )
    add_options(
        parser,
        {
            "--no-plots": "draw no pictures",
            "--draws N = 1000": "bootstrap draws for the intervals, 0 for none",
            "--seed N = 0": "seed of the draws",
        },
    )
    left_out = ["max_batch_delay_s", "snr_amplitudes"]
    add_setting_options(parser, defaults=UNHURRIED, leave_out=left_out)


def run(options: argparse.Namespace) -> int:
    """Score; return the exit status."""
    _check(options)
    kinds = {path.suffix.lower() in WINDOW_SUFFIXES for path in options.inputs}
    if len(kinds) > 1:
        raise ConfigurationError("window files and folders cannot be scored at once; give one kind")
    from scperformer.cli.evaluate_session import (  # noqa: PLC0415 - slow to import
        evaluate_picks,
        evaluate_windows,
    )

    return evaluate_windows(options) if kinds == {True} else evaluate_picks(options)


def _check(options: argparse.Namespace) -> None:
    models = options.model_name or options.model or options.weights
    faults = {
        f"--draws: got {options.draws}; wanted 0 or more": options.draws < 0,
        f"--seed: got {options.seed}; wanted 0 or more": options.seed < 0,
        f"--tolerance: got {options.tolerance:g}; wanted above 0 to 3600 s": (
            not 0.0 < options.tolerance <= 3600.0
        ),
        f"--label-span: got {options.label_span:g}; wanted above 0 to 3600 s": (
            not 0.0 < options.label_span <= 3600.0
        ),
        f"--floor: got {options.floor:g}; wanted between 0 and 1": not 0.0 < options.floor < 1.0,
        "--cnn and --gpd exclude each other; say cnn:FILE and gpd:FILE": (
            options.cnn and options.gpd
        ),
        "--cnn and --gpd have no meaning without --weights": (
            (options.cnn or options.gpd) and not options.weights
        ),
        "--loader-argv has no meaning without --model": (
            options.loader_argv is not None and not options.model
        ),
        "--no-model contradicts --model-name, --model and --weights": options.no_model and models,
        "--no-model leaves nothing to score; give --picks": (
            options.no_model and not options.picks
        ),
    }
    if any(faults.values()):
        raise ConfigurationError(*(text for text, is_fault in faults.items() if is_fault))
