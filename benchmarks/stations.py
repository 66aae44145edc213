"""How many stations does `Pipeline.feed` sustain in real time?

Replays N stations of three components at 100 Hz in one-second records, every
station a copy of a real (``--records FOLDER``) or synthetic one at its own offset
in time, and divides the length of the data by the time that `feed` took.

    python -m benchmarks.stations [-n 500] [--seconds 120] [--records FOLDER] [--json FILE]
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import RATE_HZ, real_traces, record_trace, synthetic_trace
from benchmarks.harness import Sizes, Table, model_parser, ready_model, write_json
from benchmarks.stages import timed_stages
from scperformer.allocation import keep_freed_memory
from scperformer.cli.loading import load_model
from scperformer.config import Settings
from scperformer.core.pipeline import Pipeline
from scperformer.networks.loading import LoadedModel
from scperformer.types import NS_PER_S, SAMPLE_NS, Record, SeedId

START_NS = 1_600_000_000 * NS_PER_S


def main() -> None:
    parser = model_parser(__doc__.splitlines()[0])
    parser.add_argument("-n", "--stations", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--records", type=Path, help="folder of miniSEED records at 100 Hz")
    options = parser.parse_args()
    keep_freed_memory()  # as `stream` does
    traces = real_traces(options.records) if options.records else [synthetic_trace()]
    figures = feed(load_model(options), traces, options.stations, options.seconds)
    print(json.dumps(figures, indent=2))
    write_json(figures, options.json)


def feed(
    model: LoadedModel, traces: list[NDArray[np.int32]], n_stations: int, n_seconds: int
) -> dict[str, object]:
    """Feed warm-up seconds, then time the rest."""
    pipeline = model.pipeline(Settings(max_batch_delay_s=0.5))
    warm_up_s = 12
    before_mb = resident_mb()
    _feed(pipeline, traces, n_stations, 0, warm_up_s)
    windows = pipeline.statistics.windows
    elapsed_s, cpu_s = _feed(pipeline, traces, n_stations, warm_up_s, n_seconds)
    windows = pipeline.statistics.windows - windows
    # Stopwatches cost something themselves: the shares come from seconds of their own.
    n_watched = max(n_seconds // 4, 1)
    with timed_stages() as stages:
        watched_s, _ = _feed(pipeline, traces, n_stations, warm_up_s + n_seconds, n_watched)
    return {
        "stations": n_stations,
        "data_s": n_seconds,
        "wall_s": round(elapsed_s, 2),
        "cpu_s": round(cpu_s, 2),
        "stations_sustained": round(n_stations * n_seconds / elapsed_s),
        "windows_per_s": round(windows / elapsed_s),
        "memory_per_station_kb": round((resident_mb() - before_mb) * 1024 / n_stations, 1),
        "peak_memory_mb": round(peak_mb()),
        "shares": {k: round(v, 3) for k, v in stages.shares(watched_s).items()},
        "decision_delay_s": {
            f"p{p}": pipeline.statistics.decision_delay_s(p / 100) for p in (50, 95, 99)
        },
        "picks": dict(pipeline.statistics.picks),
        "processors": os.cpu_count(),
    }


def _feed(
    pipeline: Pipeline,
    traces: list[NDArray[np.int32]],
    n_stations: int,
    first_s: int,
    n_seconds: int,
) -> tuple[float, float]:
    """Feed seconds of all stations; return the wall and processor time of `feed` alone."""
    elapsed_s = cpu_s = 0.0
    for second in range(first_s, first_s + n_seconds):
        records = list(records_of(traces, n_stations, second))
        begun, cpu = time.perf_counter(), time.process_time()
        for record in records:
            pipeline.feed(record)
        elapsed_s += time.perf_counter() - begun
        cpu_s += time.process_time() - cpu
    return elapsed_s, cpu_s


def records_of(traces: list[NDArray[np.int32]], n_stations: int, second: int) -> Iterator[Record]:
    """Make one second of all stations, station by station, component by component."""
    for number in range(n_stations):
        trace = traces[number % len(traces)]
        first = (second * 100 + number * 377) % (trace.shape[1] - 100)
        for place, letter in enumerate("NEZ"):
            seed_id = SeedId("XX", f"S{number}", "", f"HH{letter}")
            start_ns = START_NS + second * NS_PER_S + number % 7 * SAMPLE_NS
            samples = trace[place, first : first + 100]
            yield Record(seed_id, start_ns, RATE_HZ, samples)


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mb() -> float:
    """Largest resident memory of this program; ru_maxrss knows that of whoever began it, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) / 1024


WANTED_STATIONS = 2000


def measure(sizes: Sizes) -> dict[str, Any]:
    """Feed one-second records of many stations through `Pipeline.feed`."""
    trace, origin = record_trace()
    figures = feed(ready_model(), [trace], sizes.live_stations, sizes.live_s)
    return {"data": origin, **figures}


def table(figures: dict[str, Any]) -> Table:
    shares = sorted(figures["shares"].items(), key=lambda item: -item[1])
    return Table(
        f"Real time: {figures['stations']} stations, one-second records, {figures['data_s']} s",
        ("stage", "share"),
        tuple((stage, f"{share:.1%}") for stage, share in shares),
        (
            f"{figures['stations_sustained']} stations sustained (wanted: {WANTED_STATIONS}), "
            f"{figures['memory_per_station_kb']} kB a station",
        ),
    )


if __name__ == "__main__":
    main()
