"""Stations sustained in real time, as a part of the whole benchmark."""

from __future__ import annotations

from typing import Any

from benchmarks.archives import record_trace
from benchmarks.scanning import ready_model
from benchmarks.sizes import Sizes
from benchmarks.stations import measure as measure_stations
from benchmarks.tables import Table

WANTED_STATIONS = 2000


def measure(sizes: Sizes) -> dict[str, Any]:
    """Feed one-second records of many stations through `Pipeline.feed`."""
    trace, origin = record_trace()
    figures = measure_stations(ready_model(), [trace], sizes.live_stations, sizes.live_s)
    return {"data": origin, **figures}


def table(figures: dict[str, Any]) -> Table:
    """Write the figures down."""
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
