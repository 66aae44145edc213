"""`python -m tests.fuzz --inputs 1000000 --seconds 3600 --seed 1 [--target NAME]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.fuzz.runner import Failure, run
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Run; return 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, help="inputs over all targets (default: no end)")
    parser.add_argument("--seconds", type=float, help="time over all targets (default: no end)")
    parser.add_argument("--seed", type=int, default=0, help="of chance (default: 0)")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one")
    parser.add_argument("--slice", type=float, default=2.0, help="seconds of a target's turn")
    parser.add_argument(
        "--save", type=Path, default=Path("fuzz-failures"), help="where failing inputs go"
    )
    options = parser.parse_args()
    if options.inputs is None and options.seconds is None:
        parser.error("give --inputs or --seconds")

    def save(failure: Failure) -> None:
        options.save.mkdir(parents=True, exist_ok=True)
        data = TARGETS[failure.target].input(options.seed, failure.index)
        path = options.save / f"{failure.target}-{options.seed}-{failure.index}"
        path.write_bytes(data)
        print(f"{path}: {failure.kind} at {failure.where}\n{failure.text}", flush=True)

    report = run(
        options.target or list(TARGETS),
        seed=options.seed,
        inputs=options.inputs,
        seconds=options.seconds,
        on_failure=save,
        slice_s=options.slice,
    )
    print(f"{'target':<20} {'inputs':>9} {'a second':>9}")
    for name, n in report.inputs.items():
        print(f"{name:<20} {n:>9} {n / max(report.seconds[name], 1e-9):>9.0f}")
    print(f"{'all':<20} {report.inputs.total():>9}")
    for signature, n in report.counts.most_common():
        print(f"{n} times {' '.join(signature)}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
