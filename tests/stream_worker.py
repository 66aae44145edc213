"""`scperformer stream` with the classifier of the tests: ``python -m tests.stream_worker ...``."""

import argparse
import logging
import sys

from scperformer.cli import stream, stream_session
from scperformer.core.triggers import Thresholds
from scperformer.networks.loading import LoadedModel
from tests.fakes import RiseClassifier


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    parser = argparse.ArgumentParser()
    stream.add_arguments(parser)
    options = parser.parse_args(arguments)
    return stream_session.Stream(options).run(
        lambda: LoadedModel(RiseClassifier(), Thresholds.constant(0.5, 0.5))
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
