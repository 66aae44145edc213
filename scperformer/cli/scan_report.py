"""What the console says of a scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from scperformer.core.statistics import Statistics

_MOST_STATIONS = 10


def summary(
    statistics: Statistics, elapsed_s: float, *, n_problems: int, n_idle_sensors: int
) -> str:
    """Write the closing summary of a scan."""
    picks = statistics.picks
    speed = statistics.station_hours * 3600.0 / elapsed_s if elapsed_s > 0.0 else 0.0
    lines = [
        f"scanned {statistics.station_hours:.2f} station-hours in {elapsed_s:.1f} s, "
        f"{speed:,.0f} times real time",
        f"{statistics.windows:,} windows, {sum(picks.values())} picks "
        f"(P {picks['P']}, S {picks['S']}), {statistics.gaps} gaps, "
        f"{statistics.interpolated_samples} samples interpolated",
    ]
    if picks:
        p50, p95, p99 = (statistics.decision_delay_s(f) for f in (0.5, 0.95, 0.99))
        lines.append(
            f"decision delay after the onset: median {p50:.2f} s, 95 % {p95:.2f} s, "
            f"99 % {p99:.2f} s"
        )
    lines += [
        f"left out: {n:,} samples {reason} (whole records: {statistics.dropped_records[reason]})"
        for reason, n in sorted(statistics.dropped_samples.items())
    ]
    if n_problems or n_idle_sensors:
        lines.append(
            f"{_counted(n_problems, 'problem')} with inputs, "
            f"{_counted(n_idle_sensors, 'sensor')} without windows"
        )
    return "\n".join(lines)


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def picks_by_station(counts: Mapping[str, Counter[str]]) -> str:
    """Write the line about stations with most picks."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
    told = ", ".join(
        f"{station} {' '.join(f'{phase} {own[phase]}' for phase in ('P', 'S') if own[phase])}"
        for station, own in ordered[:_MOST_STATIONS]
    )
    n_more = len(ordered) - _MOST_STATIONS
    return f"picks by station: {told}" + (f", and {n_more} more stations" if n_more > 0 else "")
