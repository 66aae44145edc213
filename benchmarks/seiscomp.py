"""The SeisComP module's `--ep` beside `stream`: processor time for the same records.

Both read the records of Ridgecrest (22 stations, 80 minutes) from one file in the order of
time, each as a whole command. What a few of the records take is start-up, and told apart.

    python -m benchmarks.seiscomp [--repeats 3] [--json FILE]

It needs SeisComP's environment (``seiscomp exec``) and the records in ../shared; without
them it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    DEFAULT,
    ROOT,
    Finished,
    Sizes,
    Table,
    describe,
    run,
    run_tool,
    shared_folder,
    spread,
    write_json,
)

WANTED_RATIO = 1.2

_RECORD_BYTES = 512
_FEW_SHARE = 40
"""One record in so many stands for the start-up: two minutes."""
_PICK_MARK = {"stream": '"public_id"', "--ep": "<pick "}
_PROGRAM = "import sys\nfrom scperformer.entry import main\nsys.exit(main())\n"


def missing() -> str | None:
    """Say what is not here, None if all is."""
    if "SEISCOMP_ROOT" not in os.environ or find_spec("seiscomp") is None:
        return "no SeisComP: run it under 'seiscomp exec', with the Python that it was built for"
    if shutil.which("scmssort") is None:
        return "no scmssort in PATH, which puts the records in order"
    if not record_files():
        return "no records: ../shared/data/continuous/ridgecrest is not there"
    return None


def record_files() -> list[Path]:
    """Return the records of Ridgecrest, none where they are not."""
    shared = shared_folder()
    if shared is None:
        return []
    return sorted((shared / "data" / "continuous" / "ridgecrest").glob("*.D.*"))


def measure(sizes: Sizes) -> dict[str, Any]:
    """Run both in turns over few records and over all; nothing where something is missing."""
    reason = missing()
    if reason is not None:
        return {"skipped": reason}
    with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as name:
        folder = Path(name)
        whole, few = write_records(folder)
        module = module_command(folder)
        runs: dict[str, Callable[[Path], Finished]] = {
            "stream": lambda path: run_tool("stream", path),
            "--ep": lambda path: run([*module, f"file://{path}"]),
        }
        seconds: dict[str, list[tuple[float, float]]] = {command: [] for command in runs}
        n_picks = {}
        for _ in range(sizes.repeats):
            for command, take in runs.items():
                begin, done = take(few), take(whole)
                seconds[command].append((begin.cpu_s, done.cpu_s))
                n_picks[command] = done.output.count(_PICK_MARK[command])
        n_records = whole.stat().st_size // _RECORD_BYTES
    return {"records": n_records, "picks": n_picks, "cpu_s": summarise(seconds)}


def summarise(seconds: dict[str, list[tuple[float, float]]]) -> dict[str, Any]:
    """Return medians and ratios, with the start-up and without.

    Args:
        seconds: of each command, pairs of runs: over the few records, over all of them.
    """
    figures: dict[str, Any] = {}
    for command, pairs in seconds.items():
        rest = [(all_s - few_s) * _FEW_SHARE / (_FEW_SHARE - 1) for few_s, all_s in pairs]
        figures[command] = {
            "whole": spread([all_s for _, all_s in pairs]).as_dict(),
            "records": spread(rest).as_dict(),
        }
    ep, stream = figures["--ep"], figures["stream"]
    figures["ratio"] = {
        part: round(ep[part]["median"] / stream[part]["median"], 3) for part in ("whole", "records")
    }
    return figures


def write_records(folder: Path) -> tuple[Path, Path]:
    """Write all records in the order of time, and a file of the first few."""
    whole, few = folder / "all.mseed", folder / "few.mseed"
    with whole.open("wb") as file:
        subprocess.run(["scmssort", "-u", *map(str, record_files())], stdout=file, check=True)
    data = whole.read_bytes()
    n_few = len(data) // _RECORD_BYTES // _FEW_SHARE
    few.write_bytes(data[: n_few * _RECORD_BYTES])
    return whole, few


def module_command(folder: Path, tree: Path = ROOT) -> list[str]:
    """Return the module as a command, up to its record stream; the name decides bindings."""
    program = folder / "scperformer"
    program.write_text(_PROGRAM)
    local = folder / "local"
    local.mkdir(exist_ok=True)
    (local / "global.cfg").write_text('core.plugins = ""\n')
    paths = f"{tree}:{Path(os.environ['SEISCOMP_ROOT']) / 'lib' / 'python'}"
    environment = [f"PYTHONPATH={paths}", f"SEISCOMP_LOCAL_CONFIG={local}"]
    options = ["--ep", "--playback", "--db-disable", "-I"]
    return [str(shutil.which("env")), *environment, sys.executable, str(program), *options]


def table(figures: dict[str, Any]) -> Table:
    title = "SeisComP: the module's --ep beside stream, seconds of processor time"
    head = ("", "stream", "--ep", "ratio")
    if "skipped" in figures:
        return Table(title, head, (), (f"skipped: {figures['skipped']}",))
    cpu_s, picks = figures["cpu_s"], figures["picks"]
    names = {"whole": "whole command", "records": "start-up not counted"}
    rows = tuple(
        (
            name,
            f"{cpu_s['stream'][part]['median']:.1f}",
            f"{cpu_s['--ep'][part]['median']:.1f}",
            f"{cpu_s['ratio'][part]:.2f}",
        )
        for part, name in names.items()
    )
    remarks = (
        f"{figures['records']} records; picks: stream {picks['stream']}, --ep {picks['--ep']} "
        f"(wanted: ratio {WANTED_RATIO:g}, the same picks)",
    )
    return Table(title, head, rows, remarks)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.seiscomp", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--repeats", type=int, default=DEFAULT.repeats)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    options = parser.parse_args(arguments)
    figures = measure(replace(DEFAULT, repeats=options.repeats))
    print(table(figures), end="")
    write_json({"machine": describe(), **figures}, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
