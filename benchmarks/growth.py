"""Do time and memory grow with the data as they should: time in proportion, memory not?"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import record_trace, write_archive, write_short
from benchmarks.harness import Sizes, Table, ready_model, run_tool, spread
from benchmarks.station_day import scan_s
from scperformer.networks.loading import LoadedModel


def measure(sizes: Sizes) -> dict[str, Any]:
    """Scan archives of more and more stations, then longer and longer ones."""
    stations = [(n, sizes.station_h) for n in sizes.stations]
    lengths = [(1, hours) for hours in sizes.lengths_h]
    model = ready_model()
    return {
        "by_stations": _series(stations, model, sizes),
        "by_length": _series(lengths, model, sizes),
    }


def _series(
    archives: Sequence[tuple[int, float]], model: LoadedModel, sizes: Sizes
) -> dict[str, Any]:
    steps = [_step(n, hours, model, sizes) for n, hours in archives]
    hours = [step["station_hours"] for step in steps]
    memory = [step["command_peak_mb"] for step in steps]
    return {
        "steps": steps,
        "exponent": _rounded(exponent(hours, [step["scan_s"] for step in steps])),
        "memory_growth_mb": memory[-1] - memory[0] if sizes.commands else None,
    }


def _step(n_stations: int, hours: float, model: LoadedModel, sizes: Sizes) -> dict[str, Any]:
    """Time scans with the model ready; take the peak memory of a whole command."""
    trace, _ = record_trace()
    with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as name:
        folder = Path(name)
        out = folder / "picks.csv"
        archive = write_archive(folder / "archive", trace, hours, stations=n_stations)
        command = run_tool("scan", archive, "-o", out) if sizes.commands else None
        scan_s(write_short(folder / "short", trace), out, model)
        seconds = spread([scan_s(archive, out, model) for _ in range(sizes.repeats)])
    station_hours = n_stations * hours
    return {
        "stations": n_stations,
        "hours": hours,
        "station_hours": station_hours,
        "scan_s": round(seconds.median, 4),
        "seconds_a_station_day": round(seconds.median * 24.0 / station_hours, 3),
        "command_wall_s": command and round(command.wall_s, 2),
        "command_peak_mb": command and round(command.peak_mb),
    }


def exponent(amounts: Sequence[float], seconds: Sequence[float]) -> float:
    """Return p of the law seconds ~ amounts^p that fits best: 1 where cost is linear.

    It is the least-squares slope of the logarithms; NaN of fewer than two amounts.
    """
    if len(set(amounts)) < 2:
        return math.nan
    return float(np.polyfit(np.log(amounts), np.log(seconds), 1)[0])


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)


def table(figures: dict[str, Any]) -> Table:
    rows = [
        (
            f"{step['stations']} x {step['hours']:g} h",
            f"{step['scan_s']:.2f}",
            f"{step['seconds_a_station_day']:.2f}",
            "" if step["command_wall_s"] is None else f"{step['command_wall_s']:.1f}",
            str(step["command_peak_mb"] or ""),
        )
        for series in figures.values()
        for step in series["steps"]
    ]
    remarks = tuple(
        f"{name.replace('_', ' ')}: time grows with data to the power {series['exponent']} "
        f"(1 is linear), peak memory by {series['memory_growth_mb']} MB"
        for name, series in figures.items()
    )
    head = ("stations x length", "scan s", "s a station-day", "command s", "peak MB")
    return Table("Growth with stations and with length", head, tuple(rows), remarks)
