"""What `scperformer drift` does: reads picks, compares stations, prints a table and sentences."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from scperformer.atomic import write_bytes
from scperformer.cli import EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.options import parse_time_option
from scperformer.errors import ConfigurationError, InputError
from scperformer.evaluation.drift import Station, compare_stations
from scperformer.evaluation.network_support import NEIGHBOUR_KM, read_positions
from scperformer.networks.manifest import read_manifest
from scperformer.networks.registry import find_model
from scperformer.picks.pick_files import in_order, read_pick_file
from scperformer.types import NS_PER_S, Pick, format_time

EXPECTATIONS = "expectations"
"""Where a card's scores have what to expect; `benchmarks.expectations` measures it."""

_HEAD = ("station", "P", "S", "a day", "P prob", "S prob", "P with S", "alone", "clock s")


def run_drift(options: argparse.Namespace) -> int:
    """Compare and tell; return the exit status."""
    if not options.window > 0.0:
        raise ConfigurationError(f"--window: got {options.window:g}; wanted seconds, above 0")
    expected = read_manifest(find_model(options.model_name)).scores.get(EXPECTATIONS, {})
    picks = in_order(pick for path in options.picks for pick in read_pick_file(path))
    start_ns, end_ns = _period(options, picks)
    positions = None if options.stations is None else read_positions(options.stations)
    try:
        stations = compare_stations(
            picks, start_ns, end_ns, positions=positions, window_s=options.window
        )
    except ValueError as error:
        raise InputError(f"{', '.join(map(str, options.picks))}: {error}") from None
    support = (
        f"another station within {options.window:g} s"
        if positions is None
        else f"another station within {NEIGHBOUR_KM:g} km, as the wave travels"
    )
    print(f"{format_time(start_ns)} to {format_time(end_ns)}, {len(stations)} stations")
    print(f"alone: picks that are not supported by {support}\n")
    for line in _table(stations):
        print(line)
    print()
    for line in (*_against_the_card(stations, expected, options.model_name), *_told(stations)):
        print(line)
    if options.json:
        figures = {
            "start": format_time(start_ns),
            "end": format_time(end_ns),
            "expected": expected,
            "stations": [_plain(asdict(one)) for one in stations],
        }
        write_bytes(options.json, (json.dumps(figures, indent=2) + "\n").encode())
    return EXIT_SOME_FAILED if stations[0].findings else EXIT_OK


def _period(options: argparse.Namespace, picks: Sequence[Pick]) -> tuple[int, int]:
    start_ns = parse_time_option("--start", options.start)
    end_ns = parse_time_option("--end", options.end)
    if not picks:
        raise InputError(f"{', '.join(map(str, options.picks))}: no picks; wanted a week's")
    start_ns = picks[0].time_ns if start_ns is None else start_ns
    end_ns = picks[-1].time_ns + NS_PER_S if end_ns is None else end_ns
    if start_ns >= end_ns:
        raise ConfigurationError(
            f"--start, --end: got {format_time(start_ns)} and {format_time(end_ns)}; wanted the "
            "first before the second"
        )
    return start_ns, end_ns


def _table(stations: Sequence[Station]) -> Iterator[str]:
    rows = [_HEAD, *map(_row, stations)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip()


def _row(one: Station) -> tuple[str, ...]:
    values = (
        ("{:.3g}", one.a_day),
        ("{:.2f}", one.probability_p),
        ("{:.2f}", one.probability_s),
        ("{:.0%}", one.with_s),
        ("{:.0%}", one.alone),
        ("{:+.2f}", one.origin_s),
    )
    texts = ("" if math.isnan(value) else form.format(value) for form, value in values)
    return (one.station, str(one.p), str(one.s), *texts)


def _told(stations: Sequence[Station]) -> Iterator[str]:
    unlike = [one for one in stations if one.findings]
    for one in unlike:
        yield f"{one.station}: {'; '.join(finding.sentence for finding in one.findings)}"
    if not unlike:
        yield "No station is unlike the others."


def _against_the_card(
    stations: Sequence[Station], expected: Mapping[str, Any], model: str
) -> Iterator[str]:
    """Say how the median station stands to what the model's card expects."""
    if not expected:
        yield f"The card of {model} says nothing of what to expect."
        return
    yield f"The median station, and what the card of {model} says of {expected['records']}:"
    shares = _known(one.with_s for one in stations)
    if shares:
        wanted = expected["share_of_p_with_s"]
        yield f"  an S follows {median(shares):.0%} of the P; {wanted:.0%}"
    for phase in ("p", "s"):
        own = _known(getattr(one, f"probability_{phase}") for one in stations)
        if own:
            low, middle, high = expected["probability"][phase.upper()]
            yield (
                f"  probability of {phase.upper()} {median(own):.2f}; "
                f"{middle:.2f}, half of them from {low:.2f} to {high:.2f}"
            )
    alone = _known(one.alone_a_day for one in stations)
    if alone:
        quiet = ", ".join(
            f"{rate:g} ({where})" for where, rate in expected["quiet_picks_a_station_day"].items()
        )
        yield f"  picks alone {median(alone):.3g} a station-day; where nothing arrives, {quiet}"


def _known(values: Iterator[float] | Any) -> list[float]:
    return [value for value in values if math.isfinite(value)]


def _plain(figures: dict[str, Any]) -> dict[str, Any]:
    """Put null in the place of nan."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in figures.items()
    }
