"""`scperformer predict`: class probabilities of windows."""

from __future__ import annotations

import argparse
from pathlib import Path

from scperformer.cli import EXIT_OK
from scperformer.cli.options import add_model_options
from scperformer.cli.parser import add_options
from scperformer.config import UNHURRIED
from scperformer.errors import ConfigurationError
from scperformer.networks.registry import WINDOW_MODEL


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.add_argument(
        "windows",
        type=Path,
        metavar="WINDOWS",
        help=".npz or .h5 file with the dataset 'windows' or 'X': N x 400 x 3 samples at 100 Hz, "
        "filtered, components N, E, Z",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="PROBS",
        help=".npz or .h5 file to write: dataset 'probabilities', N x 3: P, S, noise",
    )
    size = f"--batch-size N = {UNHURRIED['batch_size']}"
    add_options(parser, {size: "windows read and answered at once; changes no answer"})
    add_model_options(parser, WINDOW_MODEL)


def run(options: argparse.Namespace) -> int:
    """Answer the windows; return the exit status."""
    if options.batch_size < 1:
        raise ConfigurationError(f"--batch-size: got {options.batch_size}; wanted at least 1")
    from scperformer.cli.loading import load_model  # noqa: PLC0415
    from scperformer.core.inference import classify_windows  # noqa: PLC0415
    from scperformer.datasets.prediction_files import (  # noqa: PLC0415
        check_output_name,
        open_windows,
        write_probabilities,
    )

    check_output_name(options.out)
    with open_windows(options.windows) as source:
        classifier = load_model(options, WINDOW_MODEL).window_classifier
        answers = (classify_windows(classifier, part) for part in source.parts(options.batch_size))
        write_probabilities(options.out, answers, len(source))
        print(f"{options.out}: {len(source)} windows, model {classifier.name}")
    return EXIT_OK
