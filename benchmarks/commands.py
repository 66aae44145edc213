"""Whole commands in processes of their own: wall time, processor time, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT

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
