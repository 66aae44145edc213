"""Files for programs that locate earthquakes: NonLinLoc, HYPOINVERSE, SEISAN and HYPODD.

All take the picks of one earthquake after another, of each phase one a station. An S
stands on the channel that it was picked on.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from scperformer.errors import InputError
from scperformer.picks.events import COLUMNS as EVENT_COLUMNS
from scperformer.picks.events import Arrivals, Event
from scperformer.picks.export import (
    CODE_WEIGHTS,
    Files,
    Material,
    check_lengths,
    labels,
    rounded,
    sigma_s,
    weight_code,
)
from scperformer.picks.stations import Site, Station
from scperformer.picks.tables import csv_line
from scperformer.types import NS_PER_S, Onset, Phase, Pick, Polarity, format_time

_DAY_NS = 86_400 * NS_PER_S

Letters = Mapping[Any, str]
_ONSETS: Letters = MappingProxyType({Onset.IMPULSIVE: "I", Onset.EMERGENT: "E"})
_UP_DOWN: Letters = MappingProxyType({Polarity.POSITIVE: "U", Polarity.NEGATIVE: "D"})
_COMPRESSION: Letters = MappingProxyType({Polarity.POSITIVE: "C", Polarity.NEGATIVE: "D"})
_NO_P = 9999
"""Seconds, in hundredths, of the P that a line of HYPOINVERSE's has not; it has no weight."""

_MOST_HOURS = 48
_log = logging.getLogger(__name__)


def nonlinloc(material: Material) -> Files:
    """Yield observations with Gaussian errors, earthquakes apart by an empty line, and sources."""
    names = labels(_picks(material), "nonlinloc", longest=63, glue="_")
    blocks = []
    for one in material.arrivals:
        lines = [f"PUBLIC_ID {'_'.join(one.event.name.split())}"]
        for pick in one.picks:
            time_ns = rounded(pick.time_ns, 4)
            onset = _ONSETS.get(pick.onset, "?").lower()
            motion = _UP_DOWN.get(pick.polarity, "?").lower()
            second = time_ns % (60 * NS_PER_S) / NS_PER_S
            lines.append(
                f"{names[pick.station]:<6} ?    {pick.seed_id.channel or '?':<4} {onset} "
                f"{pick.phase:<6} {motion} {format_time(time_ns, '%Y%m%d %H%M')} {second:7.4f} "
                f"GAU {sigma_s(pick):9.2e} -1.00e+00 -1.00e+00 -1.00e+00"
            )
        blocks.append("\n".join(lines) + "\n\n")
    yield "picks.obs", "".join(blocks).encode()
    sources = [
        f"GTSRCE {names[code]} LATLON {at.latitude:.6f} {at.longitude:.6f} 0.0 "
        f"{at.elevation_m / 1000.0:.4f}\n"
        for code, at in _stations(material, names)
    ]
    if sources:
        yield "stations.in", "".join(sources).encode()


def hypoinverse(material: Material) -> Files:
    """Yield a Y2000 archive, a line a pick, with the stations and the numbers of the earthquakes.

    Columns as in Klein (2002, USGS Open-File Report 02-171) and the SCEDC's description of
    the summary header: https://scedc.caltech.edu/eq-catalogs/docs/2000hyposum_format.txt.
    """
    check_lengths((p.seed_id.station for p in _picks(material)), "hypoinverse", longest=5)
    lines = []
    for number, one in enumerate(material.arrivals, 1):
        lines.append(_hypoinverse_header(one.event, number))
        lines += map(_hypoinverse_line, one.picks)
        lines.append(f"{number:>72d}")
    yield "phases.arc", "".join(f"{line}\n" for line in lines).encode()
    stations: dict[str, str] = {}
    for pick in _picks(material):
        own = pick.seed_id
        at = material.positions.get(Site(own.network, own.station, own.location))
        if at is not None:
            stations.setdefault(str(own), _hypoinverse_station(pick, at))
    if stations:
        yield "stations.sta", "".join(stations[code] for code in sorted(stations)).encode()
    yield _numbers(material.arrivals)


def _hypoinverse_header(event: Event, number: int) -> str:
    time_ns = rounded(event.time_ns, 2)
    seconds = time_ns % (60 * NS_PER_S) // (NS_PER_S // 100)
    text = f"{format_time(time_ns, '%Y%m%d%H%M')}{seconds:4d}"
    if event.is_located:
        depth = min(max(round(event.depth_km * 100.0), -999), 99_999)
        north, south = _degrees_minutes(event.latitude, 100)
        east, west = _degrees_minutes(event.longitude, 100)
        text += f"{north[0]:02d}{'S' if south else ' '}{north[1]:4d}"
        text += f"{east[0]:3d}{' ' if west else 'E'}{east[1]:4d}{depth:5d}"
    text = f"{text:<136}{number:10d}"
    if math.isfinite(event.magnitude):
        text += f" {round(min(max(event.magnitude, 0.0), 9.99) * 100.0):3d}"
    return text


def _hypoinverse_line(pick: Pick) -> str:
    own = pick.seed_id
    time_ns = rounded(pick.time_ns, 2)
    second = time_ns % (60 * NS_PER_S) // (NS_PER_S // 100)
    code = weight_code(pick)
    onset = _ONSETS.get(pick.onset, " ")
    motion = _UP_DOWN.get(pick.polarity, " ")
    minute = format_time(time_ns, "%Y%m%d%H%M")
    name = f"{own.station:<5}{own.network:<2.2}  {own.channel:<3.3} "
    if pick.phase == Phase.P:
        arrival = f"{onset}P{motion}{code}{minute}{second:5d}"
    else:
        arrival = f"   4{minute}{_NO_P:5d}       {second:5d}{onset}S {code}"
    return f"{name}{arrival}".ljust(111) + f"{own.location:<2.2}"


def _hypoinverse_station(pick: Pick, at: Station) -> str:
    own = pick.seed_id
    north, south = _degrees_minutes(at.latitude, 10_000)
    east, west = _degrees_minutes(at.longitude, 10_000)
    return (
        f"{own.station:<5} {own.network:<2.2}  {own.channel:<3.3}  "
        f"{north[0]:2d} {north[1] / 10_000:7.4f}{'S' if south else 'N'}"
        f"{east[0]:3d} {east[1] / 10_000:7.4f}{'W' if west else 'E'}{round(at.elevation_m):4d}\n"
    )


def _degrees_minutes(degrees: float, parts: int) -> tuple[tuple[int, int], bool]:
    """Return whole degrees and minutes in so many parts, and whether they are south or west."""
    return divmod(round(abs(degrees) * 60 * parts), 60 * parts), degrees < 0.0


def nordic(material: Material) -> Files:
    """Yield earthquakes in the Nordic format of SEISAN 12, milliseconds and networks among it.

    Columns as in the SEISAN manual (Havskov, Voss and Ottemoeller 2020), appendix A.
    """
    check_lengths((p.seed_id.station for p in _picks(material)), "nordic", longest=5)
    blocks = []
    for one in material.arrivals:
        lines = _nordic_head(one)
        lines += [_nordic_line(pick, one.event) for pick in one.picks]
        blocks.append("\n".join(lines) + "\n\n")
    yield "events.nor", "".join(blocks).encode()


def _nordic_head(one: Arrivals) -> list[str]:
    event = one.event
    time_ns = rounded(event.time_ns, 3)
    date = f" {format_time(time_ns, '%Y')} {_blanks(time_ns, '%m%d')} {_blanks(time_ns, '%H%M')}"
    n_stations = len({pick.station for pick in one.picks})
    tenths = time_ns % (60 * NS_PER_S) // (NS_PER_S // 10)
    place = f"{event.latitude:7.3f}{event.longitude:8.3f}{event.depth_km:5.1f}"
    place = place if event.is_located else " " * 20
    magnitude = f"{event.magnitude:4.1f} " if math.isfinite(event.magnitude) else ""
    first = f"{date} {tenths / 10.0:4.1f} L {place}     {min(n_stations, 999):3d}    {magnitude}"
    lines = [f"{first:<79}1"]
    if event.is_located:
        second = time_ns % (60 * NS_PER_S) / NS_PER_S
        exact = f"{event.latitude:9.5f} {event.longitude:10.5f} {event.depth_km:8.3f}"
        lines.append(f"{date} {second:6.3f} {exact}".ljust(79) + "H")
    name = " ".join(event.name.encode("ascii", "replace").decode().split())
    lines.append(f" {f'EVENT {name}':<78.78}3")
    lines.append(" STAT COM NTLO IPHASE   W HHMM SS.SSS   PAR1  PAR2 AGA OPE  AIN  RES W  DIS CAZ7")
    return lines


def _nordic_line(pick: Pick, event: Event) -> str:
    own = pick.seed_id
    time_ns = rounded(pick.time_ns, 3)
    midnight_ns = event.time_ns // _DAY_NS * _DAY_NS
    minutes, rest_ns = divmod(time_ns - midnight_ns, 60 * NS_PER_S)
    hour, minute = divmod(minutes, 60)
    if not 0 <= hour < _MOST_HOURS:
        raise InputError(f"event {event.name}: {pick.public_id} is not on its day or the next one")
    onset = _ONSETS.get(pick.onset, " ")
    motion = _COMPRESSION.get(pick.polarity, " ")
    code = weight_code(pick) or " "
    return (
        f" {own.station:<5}{own.channel:<3.3} {own.network:<2.2}{own.location:<2.2} "
        f"{onset}{pick.phase:<8}{code}A{hour:2d}{minute:2d} {rest_ns / NS_PER_S:6.3f}      {motion}"
    ).ljust(80)


def _blanks(time_ns: int, pattern: str) -> str:
    """Format two numbers of two places, blanks in front."""
    text = format_time(time_ns, pattern)
    return f"{int(text[:2]):2d}{int(text[2:]):2d}"


def hypodd(material: Material) -> Files:
    """Yield hypocentres with travel times for ph2dt, stations, and the earthquakes' numbers.

    An unknown magnitude is 0. Picks before the origin time are left out, with a word in the log.
    """
    names = labels(_picks(material), "hypodd", longest=7, glue="")
    lines, n_early = [], 0
    for number, one in enumerate(material.arrivals, 1):
        event = one.event
        time_ns = rounded(event.time_ns, 4)
        second = time_ns % (60 * NS_PER_S) / NS_PER_S
        magnitude = event.magnitude if math.isfinite(event.magnitude) else 0.0
        lines.append(
            f"# {format_time(time_ns, '%Y %m %d %H %M')} {second:.4f} {event.latitude:.5f} "
            f"{event.longitude:.5f} {event.depth_km:.3f} {magnitude:.2f} 0.0 0.0 0.0 {number}"
        )
        for pick in one.picks:
            travel_s = (pick.time_ns - time_ns) / NS_PER_S
            weight = CODE_WEIGHTS[weight_code(pick)]
            n_early += travel_s <= 0.0
            if travel_s > 0.0:
                lines.append(f"{names[pick.station]} {travel_s:.4f} {weight:.2f} {pick.phase}")
    if n_early:
        _log.warning("%d picks before the origin time of their earthquake left out", n_early)
    yield "phase.dat", "".join(f"{line}\n" for line in lines).encode()
    stations = [
        f"{names[code]} {at.latitude:.6f} {at.longitude:.6f} {round(at.elevation_m)}\n"
        for code, at in _stations(material, names)
    ]
    if stations:
        yield "station.dat", "".join(stations).encode()
    yield _numbers(material.arrivals)


def _picks(material: Material) -> list[Pick]:
    return [pick for one in material.arrivals for pick in one.picks]


def _stations(material: Material, names: Iterable[str]) -> list[tuple[str, Station]]:
    """Return where stations are, by ``NET.STA``; one of several locations is at the first."""
    found: dict[str, Station] = {}
    for site, at in material.positions.items():
        found.setdefault(f"{site.network}.{site.station}", at)
    return [(code, found[code]) for code in sorted(names) if code in found]


def _numbers(all_arrivals: Iterable[Arrivals]) -> tuple[str, bytes]:
    """Tell which earthquake has which number, and what else is known of it."""
    rows = [csv_line("number", *EVENT_COLUMNS)]
    for number, one in enumerate(all_arrivals, 1):
        event = one.event
        values = (event.latitude, event.longitude, event.depth_km, event.magnitude)
        numbers = [value if math.isfinite(value) else "" for value in values]
        rows.append(csv_line(number, event.name, format_time(event.time_ns), *numbers))
    return "events.csv", b"".join(rows)
