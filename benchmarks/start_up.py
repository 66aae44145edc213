"""How long a command takes before it does something."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.data import record_trace, write_short
from benchmarks.harness import Sizes, Table, run_tool, spread

COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "--version": (("--version",), 0),
    "--help": (("--help",), 0),
    "scan --help": (("scan", "--help"), 0),
    "scan, a setting out of range": (("scan", "--shift", "0", "x"), 2),
    "scan, no such file": (("scan", "/nowhere/x.mseed"), 2),
    "models list": (("models", "list"), 0),
}
"""Arguments and exit status of the commands that need no network."""


def measure(sizes: Sizes) -> dict[str, Any]:
    """Run the light commands, then a scan of twelve seconds."""
    light = {
        name: [run_tool(*arguments, status=status) for _ in range(sizes.repeats)]
        for name, (arguments, status) in COMMANDS.items()
    }
    figures: dict[str, Any] = {
        name: {
            "wall_s": spread([one.wall_s for one in done]).as_dict(),
            "peak_mb": round(max(one.peak_mb for one in done)),
        }
        for name, done in light.items()
    }
    return {"commands": figures, "first_window": _first_window(sizes.repeats)}


def _first_window(repeats: int) -> dict[str, Any]:
    """Return seconds from the command to its steps, the first columns scored among them."""
    trace, _ = record_trace()
    with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as name:
        folder = Path(name)
        archive = write_short(folder / "short", trace)
        arguments = ("scan", archive, "-o", folder / "picks.csv")
        done = [run_tool(*arguments, module="benchmarks.first_window") for _ in range(repeats)]
    steps = [
        {step: at - one.begun_s for step, at in json.loads(one.output.splitlines()[-1]).items()}
        for one in done
    ]
    seconds = {step: spread([one[step] for one in steps]).as_dict() for step in steps[0]}
    seconds["end"] = spread([one.wall_s for one in done]).as_dict()
    return {"seconds_to": seconds, "peak_mb": round(max(one.peak_mb for one in done))}


def table(figures: dict[str, Any]) -> Table:
    rows = [
        (name, _seconds(one["wall_s"]), str(one["peak_mb"]))
        for name, one in figures["commands"].items()
    ]
    first = figures["first_window"]
    rows += [
        (f"scan of 12 s: {step}", _seconds(one), str(first["peak_mb"]) if step == "end" else "")
        for step, one in first["seconds_to"].items()
    ]
    return Table("Start-up: seconds from the command on", ("", "s", "MB"), tuple(rows))


def _seconds(one: dict[str, float]) -> str:
    return f"{one['median']:.2f}"
