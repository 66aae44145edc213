"""Long scans: several processes beside one, a month beside a day, and what years would cost.

    python -m benchmarks.years [--stations N] [--days N] [--json FILE]

Writes an archive of day files, three components a station, and scans it by the command line in
one process and in one for each core: wall-clock and processor time, and the largest resident
memory of any process, for one day and for all of them. From the slope between the two come the
costs of 10,000 station-years.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import record_trace, write_archive
from benchmarks.harness import Finished, run_tool, write_json

_DAY_H = 24.0
_STATION_DAYS = 10_000 * 365.25


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stations", type=int, default=2, metavar="N")
    parser.add_argument("--days", type=int, default=15, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    figures = measure(options.stations, options.days)
    for name, value in figures.items():
        print(name, value)
    write_json(figures, options.json)
    return 0


def measure(n_stations: int, n_days: int) -> dict[str, Any]:
    """Scan a day and many days, in one process and in several."""
    jobs = len(os.sched_getaffinity(0))
    trace, origin = record_trace()
    figures: dict[str, Any] = {"data": origin, "stations": n_stations, "days": n_days}
    with tempfile.TemporaryDirectory(prefix="scperformer-bench-") as name:
        folder = Path(name)
        day = write_archive(folder / "day", trace, _DAY_H, stations=n_stations)
        month = write_archive(folder / "month", trace, _DAY_H * n_days, stations=n_stations)
        n_bytes = sum(path.stat().st_size for path in day.iterdir())
        outputs = folder / "picks.csv", folder / "picks.jsonl"
        found: dict[tuple[int, int], Finished] = {}
        tables: set[bytes] = set()
        for n in (1, jobs):
            for length, archive in ((1, day), (n_days, month)):
                wanted = [word for path in outputs for word in ("-o", path)]
                found[n, length] = run_tool("scan", archive, *wanted, "--jobs", str(n))
            tables.add(outputs[0].read_bytes())
        n_picks = sum(table.count(b"\n") - 1 for table in tables) / len(tables)
    figures["same_bytes"] = len(tables) == 1
    for (n, length), done in found.items():
        figures[f"jobs_{n}_days_{length}"] = {
            "wall_s": round(done.wall_s, 1),
            "cpu_s": round(done.cpu_s, 1),
            "peak_mb": round(done.peak_mb),
        }
    more = n_stations * (n_days - 1)
    slope = {n: (found[n, n_days].wall_s - found[n, 1].wall_s) / more for n in (1, jobs)}
    cpu_s = (found[1, n_days].cpu_s - found[1, 1].cpu_s) / more
    figures |= {
        "wall_s_a_station_day": {n: round(value, 2) for n, value in slope.items()},
        "speed_up": round(slope[1] / slope[jobs], 2),
        "cpu_s_a_station_day": round(cpu_s, 2),
        "mb_a_station_day": round(n_bytes / n_stations / 2**20, 1),
        "picks_a_station_day": round(n_picks / n_stations / n_days),
        "of_10000_station_years": {
            "core_hours": round(_STATION_DAYS * cpu_s / 3600.0),
            "terabytes_read": round(_STATION_DAYS * n_bytes / n_stations / 1e12, 1),
        },
    }
    return figures


if __name__ == "__main__":
    raise SystemExit(main())
