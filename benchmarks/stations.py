"""How many stations does `scperformer stream` sustain in real time?

Asks `scperformer bench`, the command that operators have, and keeps its figures.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import Sizes, Table, run_tool

WANTED_STATIONS = 2000


def measure(sizes: Sizes) -> dict[str, Any]:
    """Send records of many stations to the stream in real time."""
    with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as folder:
        path = Path(folder) / "bench.json"
        words = ("-n", str(sizes.live_stations), "--seconds", str(sizes.live_s))
        run_tool("bench", "--only", "stream", *words, "--json", path)
        found = json.loads(path.read_text())
    last: dict[str, Any] = found["paths"][0]["tries"][-1]
    # As many as would keep all processors busy, by what so many kept busy.
    sustained = last["stations"] * found["processors"] / max(last["processors"], 1e-3)
    return {**last, "stations_sustained": round(sustained)}


def table(figures: dict[str, Any]) -> Table:
    delay_s = figures["delay_s"] or ("", "")
    return Table(
        f"Real time: {figures['stations']} stations, records of 512 bytes",
        ("what", "how much"),
        (
            ("processors busy", f"{figures['processors']:g}"),
            ("processor time a station-hour, s", f"{figures['cpu_s_per_station_hour']:g}"),
            ("memory, MB", f"{figures['peak_mb']:g}"),
            ("from onset to pick, s: median, 95 %", f"{delay_s[0]}, {delay_s[1]}"),
        ),
        (
            f"{figures['stations_sustained']} stations would keep all processors busy "
            f"(wanted: {WANTED_STATIONS})",
        ),
    )
