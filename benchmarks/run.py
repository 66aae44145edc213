"""Everything that is measured, by one command.

Prints tables and writes the figures to a JSON file, with the machine that they belong
to. Machines are noisy: medians, and ratios of what ran in turns.

    python -m benchmarks.run [--only classifier,start-up] [--quick | --full] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness import DEFAULT, FULL, QUICK, Sizes, describe, load_average, write_json

EXIT_OK, EXIT_FAILED = 0, 1


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the benchmark.

    Attributes:
        module: has ``measure`` and ``table``.
        needs_folder: ``measure`` wants a folder for scratch beside the sizes.
    """

    module: str
    needs_folder: bool = False

    def measure(self, sizes: Sizes, folder: Path) -> dict[str, Any]:
        """Take the figures."""
        measure: Callable[..., dict[str, Any]] = import_module(self.module).measure
        return measure(sizes, folder) if self.needs_folder else measure(sizes)

    def table(self, figures: dict[str, Any]) -> str:
        return str(import_module(self.module).table(figures))


PARTS = {
    "start-up": Part("benchmarks.start_up"),
    "station-day": Part("benchmarks.station_day"),
    "stations": Part("benchmarks.stations"),
    "growth": Part("benchmarks.growth"),
    "roofline": Part("benchmarks.roofline"),
    "classifier": Part("benchmarks.classifier", needs_folder=True),
}
"""In this order: what measures memory comes before Keras fills it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts asked for; return 1 if one of them failed."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sizes = QUICK if options.quick else FULL if options.full else DEFAULT
    report: dict[str, Any] = {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "sizes": "quick" if options.quick else "full" if options.full else "default",
        "machine": describe(),
        "parts": {},
        "failed": {},
    }
    with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as folder:
        for name in options.only:
            _run(name, sizes, Path(folder), report)
            write_json(report, options.json)
    if options.json:
        print(options.json)
    return EXIT_FAILED if report["failed"] else EXIT_OK


def _run(name: str, sizes: Sizes, folder: Path, report: dict[str, Any]) -> None:
    """Run one part and print its table; a part that fails harms no other."""
    before, begun_s = load_average(), time.monotonic()
    try:
        figures = PARTS[name].measure(sizes, folder)
    except Exception as error:
        report["failed"][name] = f"{type(error).__name__}: {error}"
        print(f"{name} failed: {report['failed'][name]}\n", file=sys.stderr)
        return
    load = {"load_average_before": before, "load_average_after": load_average()}
    took_s = round(time.monotonic() - begun_s, 1)
    report["parts"][name] = {**figures, **load, "measured_in_s": took_s}
    print(PARTS[name].table(figures), end="")
    print(f"load average {before} before, {load['load_average_after']} after; {took_s} s\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--only",
        type=_parts,
        default=list(PARTS),
        metavar="PART,...",
        help=f"parts to run, of {', '.join(PARTS)} (default: all)",
    )
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "--quick", action="store_true", help="see whether it runs; the figures mean nothing"
    )
    amount.add_argument(
        "--full", action="store_true", help="100 stations, ten days, more repetitions"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    return parser


def _parts(text: str) -> list[str]:
    asked = [word.strip() for word in text.split(",") if word.strip()]
    if not asked or not set(asked) <= set(PARTS):
        raise argparse.ArgumentTypeError(f"got {text!r}; parts are {', '.join(PARTS)}")
    return [name for name in PARTS if name in asked]


if __name__ == "__main__":
    sys.exit(main())
