"""How many stations does `Pipeline.feed` sustain in real time?

Replays N stations of three components at 100 Hz in one-second records, every
station a copy of a real (``--records FOLDER``) or synthetic one at its own offset
in time, and divides the length of the data by the time that `feed` took.

    python -m benchmarks.stations [-n 500] [--seconds 120] [--records FOLDER] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.stages import timed_stages
from scperformer.cli.loading import load_model
from scperformer.cli.options import add_model_options
from scperformer.config import Settings
from scperformer.core.pipeline import Pipeline
from scperformer.networks.loading import LoadedModel
from scperformer.types import NS_PER_S, SAMPLE_NS, Record, SeedId
from scperformer.waveforms.archive import index_inputs

START_NS = 1_600_000_000 * NS_PER_S
RATE_HZ = 100.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", "--stations", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--records", type=Path, help="folder of miniSEED records at 100 Hz")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    add_model_options(parser)
    options = parser.parse_args()
    traces = real_traces(options.records) if options.records else [synthetic_trace()]
    figures = measure(load_model(options), traces, options.stations, options.seconds)
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def measure(
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
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
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


def synthetic_trace() -> NDArray[np.int32]:
    """Ten minutes of noise with an event a minute, (3, 60000)."""
    random = np.random.default_rng(0)
    trace = random.normal(scale=100.0, size=(3, 60_000))
    for first in range(3000, 60_000, 6000):
        trace[:, first : first + 1500] += random.normal(size=(3, 1500)) * np.geomspace(
            5000.0, 50.0, 1500
        )
    return trace.astype(np.int32)


def real_traces(*paths: Path) -> list[NDArray[np.int32]]:
    """Read every sensor with three components from files and folders, each (3, n)."""
    return list(_read(paths))


def _read(paths: Sequence[Path]) -> Iterator[NDArray[np.int32]]:
    for group in index_inputs(paths).groups:
        parts: dict[str, list[NDArray[np.generic]]] = {}
        for record in group.records():
            parts.setdefault(record.seed_id.component, []).append(record.samples)
        traces = [np.concatenate(part) for _, part in sorted(parts.items())]
        if len(traces) == 3:
            length = min(map(len, traces))
            yield np.stack([trace[:length] for trace in traces]).astype(np.int32)


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
