"""What the console says of a scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from scperformer.core.statistics import DropReason, Statistics
from scperformer.types import SeedId, format_time
from scperformer.waveforms.archive import ArchiveIndex

_MOST_STATIONS = 10


def nothing_to_scan(index: ArchiveIndex, *, start_ns: int | None, end_ns: int | None) -> str:
    """Say why an index has no sensor: what is there instead of what is asked for."""
    if index.covered is not None:
        asked = f"from {format_time(start_ns)} " if start_ns is not None else ""
        asked += f"until {format_time(end_ns)}" if end_ns is not None else "on"
        first, last = map(format_time, index.covered)
        return f"nothing to scan {asked}: the data cover {first} to {last}"
    if index.left_out:
        return f"nothing to scan: {channels_left_out(index.left_out)}"
    if index.not_asked:
        return (
            f"nothing to scan: of {len(index.not_asked)} channels none is asked for "
            f"({_some(sorted(map(str, index.not_asked)))})"
        )
    return "nothing to scan in the inputs"


def channels_left_out(left_out: Mapping[SeedId, str]) -> str:
    """Write the line about channels that are no seismometers."""
    codes: dict[str, set[str]] = {}
    for seed_id, reason in left_out.items():
        codes.setdefault(reason, set()).add(seed_id.channel)
    kinds = ", ".join(f"{reason} ({_some(sorted(own))})" for reason, own in sorted(codes.items()))
    return f"{len(left_out)} channels not for picking: {kinds}; --channels takes them by name"


def _some(words: Sequence[str], most: int = 3) -> str:
    return " ".join(words[:most]) + (" ..." if len(words) > most else "")


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


def samples(reasons: Counter[DropReason]) -> list[str]:
    """Say how many samples were left out, reason by reason."""
    return [f"{n} samples {reason}" for reason, n in sorted(reasons.items())]


def picks_by_station(counts: Mapping[str, Counter[str]]) -> str:
    """Write the line about stations with most picks."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1].total(), item[0]))
    told = ", ".join(
        f"{station} {' '.join(f'{phase} {own[phase]}' for phase in ('P', 'S') if own[phase])}"
        for station, own in ordered[:_MOST_STATIONS]
    )
    n_more = len(ordered) - _MOST_STATIONS
    return f"picks by station: {told}" + (f", and {n_more} more stations" if n_more > 0 else "")
