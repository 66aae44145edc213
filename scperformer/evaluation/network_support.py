"""Does the network bear a pick out? Picks of continuous stations that no neighbour supports.

Without a complete catalogue nobody knows which picks are false. But an earthquake that
is large enough to be picked at one station of a dense network is seen at the next as
well, so that a pick which no neighbour supports is probably not one.

A pick is supported if another station within `NEIGHBOUR_KM` has a pick of any phase no
further away in time than the wave needs from one to the other at `SPEED_KM_S`, plus
`SLACK_S`. It is judged only if such a station has data at that time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scperformer.evaluation.pick_tables import Cells, Mask, PickTable
from scperformer.picks.stations import distance_km, read_stations
from scperformer.types import NS_PER_S

NEIGHBOUR_KM = 30.0
SPEED_KM_S = 3.0
SLACK_S = 2.0

Positions = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Support:
    """How many picks stand alone; report.json has it under these names.

    Attributes:
        judged: picks at stations with a neighbour that has data then.
        unsupported: those of them that no neighbour supports.
        station_hours: of the stations with a neighbour.
        unsupported_per_station_hour: nan without data.
        stations_left_out: those without a neighbour or without a position.
    """

    judged: int
    unsupported: int
    station_hours: float
    unsupported_per_station_hour: float
    stations_left_out: tuple[str, ...]


def network_support(cells: Cells, picks: PickTable, positions: Positions) -> Support:
    """Count the picks of continuous streams that no neighbour supports.

    Args:
        cells: the streams.
        picks: those that count.
        positions: latitude and longitude in degrees by ``NET.STA``.
    """
    streams: dict[str, list[int]] = defaultdict(list)
    for number, stream in enumerate(cells.streams):
        if not stream.is_record:
            streams[stream.station].append(number)
    known = [station for station in streams if station in positions]
    neighbours = {
        station: [
            (other, distance)
            for other in known
            if other != station
            and (distance := distance_km(positions[station], positions[other])) <= NEIGHBOUR_KM
        ]
        for station in known
    }
    usable = [station for station in known if neighbours[station]]
    times = {s: np.sort(picks.time_ns[np.isin(picks.stream, streams[s])]) for s in known}
    judged = unsupported = 0
    for station in usable:
        covered = np.zeros(len(times[station]), dtype=np.bool_)
        borne_out = covered.copy()
        for other, distance in neighbours[station]:
            reach_ns = round((distance / SPEED_KM_S + SLACK_S) * NS_PER_S)
            covered |= _has_data(cells, streams[other], times[station])
            borne_out |= has_near(times[other], times[station], reach_ns)
        judged += int(covered.sum())
        unsupported += int((covered & ~borne_out).sum())
    hours = sum(cells.streams[i].duration_s for s in usable for i in streams[s]) / 3600.0
    per_hour = unsupported / hours if hours else math.nan
    return Support(judged, unsupported, hours, per_hour, tuple(sorted(set(streams) - set(usable))))


def _has_data(cells: Cells, numbers: list[int], times_ns: NDArray[np.int64]) -> Mask:
    covered = np.zeros(len(times_ns), dtype=np.bool_)
    for number in numbers:
        stream = cells.streams[number]
        covered |= (times_ns >= stream.start_ns) & (times_ns < stream.end_ns)
    return covered


def has_near(ordered_ns: NDArray[np.int64], times_ns: NDArray[np.int64], reach_ns: int) -> Mask:
    """Tell of each time whether another one, of those in order, is no further away."""
    first = np.searchsorted(ordered_ns, times_ns - reach_ns, side="left")
    last = np.searchsorted(ordered_ns, times_ns + reach_ns, side="right")
    return np.asarray(last > first)


def read_positions(path: Path) -> dict[str, tuple[float, float]]:
    """Read station positions from StationXML or SCML inventory.

    Returns:
        Latitude and longitude in degrees by ``NET.STA``.

    Raises:
        InputError: the file cannot be read or holds no station.
    """
    return {
        f"{one.network}.{one.station}": (one.latitude, one.longitude)
        for one in read_stations(path)
        if one.location is None
    }
