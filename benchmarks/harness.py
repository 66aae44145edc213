"""What every part measures with: amounts, clocks, commands, tables, and the machine's name."""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scperformer.networks.registry import DEFAULT_MODEL

if TYPE_CHECKING:
    from scperformer.networks.loading import LoadedModel

ROOT = Path(__file__).resolve().parents[1]
SHARED_VARIABLE = "SCPERFORMER_SHARED"
_PACKAGES = ("numpy", "scipy", "tensorflow", "keras", "obspy")
_WIDE_INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


def describe() -> dict[str, object]:
    """Return processor, memory, system, versions and the revision of the tree."""
    fields = _processor()
    flags = fields.get("flags", "").split()
    return {
        "processor": fields.get("model name", platform.processor() or "unknown"),
        "instructions": [flag for flag in _WIDE_INSTRUCTIONS if flag in flags],
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "revision": _revision(),
    }


def load_average() -> float:
    """Return how many processes wanted a processor in the last minute, on average."""
    return round(os.getloadavg()[0], 2)


def shared_folder() -> Path | None:
    """Return the folder of real records and weights beside the tree, None if it is absent."""
    folder = Path(os.environ.get(SHARED_VARIABLE, ROOT.parent / "shared"))
    return folder if folder.is_dir() else None


def _processor() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _revision() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


LAUNCHER = Path(__file__).with_name("launch.py")


class CommandError(RuntimeError):
    """A command ended with another status than it should have."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command took.

    Attributes:
        wall_s: from its start to its end.
        cpu_s: of all its threads, in the system too.
        peak_mb: its largest resident memory, MiB.
        begun_s: `time.monotonic` at its start; the clock is the same in all processes.
        output: what it wrote on standard output.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    begun_s: float
    output: str


def run_tool(*arguments: str | Path, status: int = 0, module: str = "scperformer") -> Finished:
    """Run ``python -m scperformer`` with arguments.

    Raises:
        CommandError: it ended with another exit status.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return run(command, status=status)


def run(command: Sequence[str], *, status: int = 0, tree: Path = ROOT) -> Finished:
    """Run a command.

    Args:
        command: the program's absolute path, and its arguments.
        status: the exit status that is right.
        tree: the source tree that Python finds.

    Raises:
        CommandError: it ended with another one.
    """
    with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as folder:
        result = Path(folder) / "result.json"
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(result), *command]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        done = subprocess.run(
            launcher, capture_output=True, text=True, check=False, env=environment, cwd=folder
        )
        if not result.exists():
            raise CommandError(f"{' '.join(command)} did not start: {done.stderr.strip()}")
        figures = json.loads(result.read_text())
    if figures.pop("status") != status:
        raise CommandError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}")
    return Finished(**figures, output=done.stdout)


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, the quartiles around it, and how many values they come from."""

    median: float
    low: float
    high: float
    n: int

    def as_dict(self) -> dict[str, float]:
        """Return it for JSON, four digits kept."""
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds of two computations that ran in turns, and what the second takes of the first."""

    first_s: Spread
    second_s: Spread
    ratio: Spread


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles.

    Raises:
        ValueError: no values.
    """
    if not len(values):
        raise ValueError("no values; wanted at least one")
    low, median, high = np.percentile(values, (25, 50, 75))
    return Spread(float(median), float(low), float(high), len(values))


def elapsed_s(work: Callable[[], Any]) -> float:
    """Run something once; return the seconds that it took."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def in_turns(first: Callable[[], Any], second: Callable[[], Any], n_pairs: int) -> Pair:
    """Time two computations in turns, so that a busy machine is busy for both.

    Each runs once before, uncounted; who goes first changes from pair to pair. The ratio
    is the second's time over the first's, pair by pair.
    """
    first(), second()
    times: list[tuple[float, float]] = []
    for number in range(n_pairs):
        if number % 2:
            b, a = elapsed_s(second), elapsed_s(first)
        else:
            a, b = elapsed_s(first), elapsed_s(second)
        times.append((a, b))
    ones, others = zip(*times, strict=True)
    return Pair(spread(ones), spread(others), spread([b / a for a, b in times]))


def median_until(work: Callable[[], Any], at_least_s: float) -> float:
    """Repeat something for a while; return the median of its times in seconds."""
    work()
    times: list[float] = []
    while sum(times) < at_least_s or len(times) < 3:
        times.append(elapsed_s(work))
    return spread(times).median


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the columns' heads, rows of words, and remarks below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        cells = [self.head, *self.rows]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.head))]
        lines = [self.title, _line(self.head, widths), "  ".join("-" * w for w in widths)]
        lines += [_line(row, widths) for row in self.rows]
        return "\n".join([*lines, *self.remarks]) + "\n"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0].ljust(widths[0])
    rest = [word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([first, *rest])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Amounts of data and numbers of repetitions; the defaults fit a coffee break.

    Attributes:
        repeats: runs of a command, or of a scan; the median counts.
        pairs: pairs of runs, ours and Keras's, for each network and batch size.
        windows: windows of one run, by network.
        batch_sizes: windows answered in one call.
        day_h: length of the archive that stands for a station-day.
        stations, station_h: archives of so many stations, each of that length.
        lengths_h: archives of one station of these lengths.
        commands: scan the archives by whole commands too, for their peak memory.
        live_stations, live_s: what the real-time benchmark feeds.
        product_windows: windows of one matrix product of the roofline.
        product_s: how long each product is repeated.
    """

    repeats: int = 3
    pairs: int = 7
    windows: tuple[tuple[str, int], ...] = (("performer", 8192), ("cnn", 2048), ("gpd", 1024))
    batch_sizes: tuple[int, ...] = (64, 512, 4096)
    day_h: float = 24.0
    stations: tuple[int, ...] = (1, 10, 30)
    station_h: float = 1.0
    lengths_h: tuple[float, ...] = (3.0, 10.0, 24.0)
    commands: bool = True
    live_stations: int = 500
    live_s: int = 30
    product_windows: int = 512
    product_s: float = 0.3


DEFAULT = Sizes()

FULL = Sizes(
    repeats=5,
    pairs=15,
    windows=(("performer", 32_768), ("cnn", 8192), ("gpd", 4096)),
    batch_sizes=(1, 64, 512, 1024, 4096),
    stations=(1, 10, 100),
    station_h=4.0,
    lengths_h=(24.0, 72.0, 240.0),
    live_stations=2000,
    live_s=60,
    product_s=1.0,
)

QUICK = Sizes(
    repeats=1,
    pairs=2,
    windows=(("performer", 64),),
    batch_sizes=(64,),
    day_h=0.05,
    stations=(1, 2),
    station_h=0.05,
    lengths_h=(0.05, 0.1),
    commands=False,
    live_stations=2,
    live_s=5,
    product_windows=64,
    product_s=0.002,
)
"""Looks whether everything runs; its figures mean nothing."""


@functools.cache
def ready_model(name: str = DEFAULT_MODEL) -> LoadedModel:
    """Load a model and compile it, so that nothing waits for that."""
    from scperformer.networks.loading import load_folder  # noqa: PLC0415 - slow to import

    return load_folder(name, warm_up=True)


def model_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser with the options that choose a model, and --json, which `write_json` obeys."""
    from scperformer.cli.options import add_model_options  # noqa: PLC0415 - slow to import

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    add_model_options(parser)
    return parser


def write_json(figures: Any, path: Path | None) -> None:
    """Write figures to a file, if one is named."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n")
