"""Does the resident memory grow while the picker runs for days?

Feeds a few stations with days of records through `Pipeline.feed`; time comes with the
data, so a day runs in minutes. The stream has what real ones have: an event every few
minutes, records sent twice or late, gaps, a component that is away for hours, stations
that come and go. The resident set is read once for every hour of data.

    python -m benchmarks.soak [-n 10] [--days 3] [--record-s 10] [--json FILE]
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import RATE_HZ, synthetic_trace
from benchmarks.harness import model_parser, write_json
from scperformer.cli.loading import load_model
from scperformer.config import Settings
from scperformer.core.pipeline import Pipeline
from scperformer.types import NS_PER_S, Record, SeedId

HOUR_S = 3600
START_NS = 1_600_000_000 * NS_PER_S
_SENT_TWICE, _LATE, _LOST = 0.01, 0.01, 0.002


def main() -> None:
    parser = model_parser(__doc__.splitlines()[0])
    parser.add_argument("-n", "--stations", type=int, default=10)
    parser.add_argument("--days", type=float, default=3.0)
    parser.add_argument("--record-s", type=int, default=10, help="length of a record in seconds")
    options = parser.parse_args()
    model = load_model(options)
    pipeline = model.pipeline(Settings(max_batch_delay_s=0.5))
    figures = soak(pipeline, options.stations, round(options.days * 24), options.record_s)
    print(json.dumps(figures, indent=2))
    write_json(figures, options.json)


def soak(pipeline: Pipeline, n_stations: int, n_hours: int, record_s: int) -> dict[str, object]:
    """Feed hours of records; read the resident set behind each hour of data."""
    trace = synthetic_trace()
    random = np.random.default_rng(1)
    begun_s = time.perf_counter()
    resident = []
    for hour in range(n_hours):
        for record in hour_of_records(trace, n_stations, hour, record_s, random):
            pipeline.feed(record)
        resident.append(round(resident_mb(), 1))
    elapsed_s = time.perf_counter() - begun_s
    statistics = pipeline.statistics
    growth = np.polyfit(np.arange(1, n_hours), resident[1:], 1)[0] if n_hours > 2 else float("nan")
    return {
        "stations": n_stations,
        "simulated_h": n_hours,
        "wall_s": round(elapsed_s, 1),
        "times_real_time": round(n_hours * HOUR_S / elapsed_s),
        "records": statistics.records,
        "windows": statistics.windows,
        "picks": dict(statistics.picks),
        "gaps": statistics.gaps,
        "dropped_samples": {str(k): v for k, v in statistics.dropped_samples.items()},
        "resident_mb_by_hour": resident,
        "resident_mb_after_first_hour": resident[0],
        "resident_mb_largest_afterwards": max(resident[1:], default=resident[0]),
        "growth_mb_a_day": round(float(growth) * 24, 2),
    }


def hour_of_records(
    trace: NDArray[np.int32],
    n_stations: int,
    hour: int,
    record_s: int,
    random: np.random.Generator,
) -> Iterator[Record]:
    """Yield an hour of all stations: mostly in order, now and then lost, late or twice."""
    held: list[Record] = []
    n = round(record_s * RATE_HZ)
    for second in range(hour * HOUR_S, (hour + 1) * HOUR_S, record_s):
        for number in range(n_stations):
            if number % 5 == 4 and (hour + number) % 6 == 0:
                continue  # a station that is away for an hour now and then
            first = (second * 100 + number * 3777) % (trace.shape[1] - n)
            for place, letter in enumerate("NEZ"):
                if place == 0 and number % 5 == 3 and hour % 8 < 3:
                    continue  # a component that is away for three hours of eight
                seed_id = SeedId("XX", f"S{number}", "", f"HH{letter}")
                start_ns = START_NS + second * NS_PER_S + number * 1_234_567
                record = Record(seed_id, start_ns, RATE_HZ, trace[place, first : first + n])
                chance = random.random()
                if chance < _LOST:
                    continue
                if chance < _LOST + _LATE:
                    held.append(record)
                    continue
                yield record
                if chance > 1.0 - _SENT_TWICE:
                    yield record
            if held and random.random() < 0.5:
                yield held.pop(0)


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
