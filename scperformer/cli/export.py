"""`scperformer export`: picks for associators and location programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scperformer.cli import EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.parser import TABLES_OF_PICKS, add_options
from scperformer.errors import ConfigurationError, InputError
from scperformer.picks.events import arrivals, events_of
from scperformer.picks.export import (
    CODE_LIMITS_S,
    CODE_WEIGHTS,
    LEAST_S,
    TARGETS,
    UNSTATED_S,
    Material,
    Target,
    write_export,
)
from scperformer.picks.pick_files import in_order, read_pick_file
from scperformer.picks.stations import positions, read_stations, site_of
from scperformer.types import Phase, Pick

_DOCUMENTS = (".qml", ".quakeml", ".scml", ".xml")
_MOST_NAMED = 4
_EPILOG = """\
What is written into FOLDER: {written}. The first three take all picks and need --stations. The
others take the picks of earthquakes: those that have an event, of each phase one a station, the
most probable; docs/catalogue.md shows how PyOcto gives them one. Weights come from the
uncertainty (one standard deviation; at least {least} s; where none is stated {p} s for P, {s} s for
S): NonLinLoc has it as it is; HYPOINVERSE and SEISAN have the codes 0 to 4, the limits between
them at {limits} s; HYPODD has {weights} for these codes. Associators have the probability instead.
{tables}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.epilog = _EPILOG.format(
        written="; ".join(target.summary for target in TARGETS.values()),
        least=LEAST_S,
        p=UNSTATED_S[Phase.P],
        s=UNSTATED_S[Phase.S],
        limits=", ".join(map(str, CODE_LIMITS_S)),
        weights=", ".join(map(str, CODE_WEIGHTS)),
        tables=TABLES_OF_PICKS,
    )
    parser.add_argument(
        "picks",
        nargs="+",
        type=Path,
        metavar="PICKS",
        help="picks: .csv .jsonl (columns below) .parquet .qml .scml .xml, or a folder of Parquet",
    )
    parser.add_argument(
        "--to", required=True, choices=TARGETS, help="the program that is to take the picks"
    )
    parser.add_argument(
        "-o", "--out", required=True, type=Path, metavar="FOLDER", help="a new folder"
    )
    add_options(
        parser,
        {
            "--stations FILE ...": "StationXML or SCML inventory with the stations' positions",
            "--events FILE ...": "earthquakes that picks belong to: CSV with columns event, time, "
            "latitude, longitude, depth_km and perhaps magnitude, or QuakeML or SCML (default: the "
            "origins of PICKS)",
        },
    )


def run(options: argparse.Namespace) -> int:
    """Export; return the exit status."""
    target = TARGETS[options.to]
    if target.associates and not options.stations:
        raise ConfigurationError(
            f"--to {options.to} needs --stations: an associator takes the stations' positions"
        )
    if target.associates and options.events:
        raise ConfigurationError(f"--events has no meaning with --to {options.to}")
    picks = in_order(pick for path in options.picks for pick in read_pick_file(path))
    if not picks:
        raise InputError(f"{', '.join(map(str, options.picks))}: no picks; nothing to export")
    material, n_lost = _material(options, target, picks)
    names = write_export(options.to, options.out, material)
    n_picks = len(material.picks)
    events = f" of {len(material.arrivals)} events" if material.arrivals else ""
    shown = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
    print(f"written: {options.out}, {n_picks} picks{events}: {shown}")
    return EXIT_SOME_FAILED if n_lost else EXIT_OK


def _material(
    options: argparse.Namespace, target: Target, picks: Sequence[Pick]
) -> tuple[Material, int]:
    """Return what is to be written, and how many picks are lost by what the user should mend."""
    stations = [station for path in options.stations for station in read_stations(path)]
    found, missing = positions(stations, picks)
    if stations and missing:
        _say(f"no position in --stations: {', '.join(map(str, missing))}")
    if not target.associates:
        return _of_events(options, target, picks, Material((), found, ())), 0
    placed = [pick for pick in picks if site_of(pick) in found]
    if not placed:
        raise InputError("no pick is at a station of --stations; are they of another network?")
    n_lost = len(picks) - len(placed)
    if n_lost:
        _say(f"{n_lost} picks at stations without a position left out")
    return Material(placed, found, ()), n_lost


def _of_events(
    options: argparse.Namespace, target: Target, picks: Sequence[Pick], material: Material
) -> Material:

    documents = [path for path in options.picks if path.suffix.lower() in _DOCUMENTS]
    events = [event for path in options.events or documents for event in events_of(path)]
    found, n_left = arrivals(picks, events)
    if not found:
        raise InputError(
            f"no pick has an event, and --to {options.to} takes the picks of earthquakes: put them "
            "to earthquakes first (--to pyocto, gamma or real; docs/catalogue.md shows how), and "
            "give picks with a column event"
        )
    if target.needs_hypocentres:
        unknown = [one.event.name for one in found if not one.event.is_located]
        found = [one for one in found if one.event.is_located]
        if not found:
            raise InputError(
                f"--to {options.to} takes earthquakes with a hypocentre, and none is known of "
                f"{', '.join(unknown[:_MOST_NAMED])}{', ...' * (len(unknown) > _MOST_NAMED)}: "
                "give --events"
            )
        if unknown:
            _say(f"{len(unknown)} events without a hypocentre left out")
    if n_left:
        _say(f"{n_left} picks without an event left out")
    chosen = [pick for one in found for pick in one.picks]
    return replace(material, picks=chosen, arrivals=found)


def _say(text: str) -> None:
    print(f"scperformer export: {text}", file=sys.stderr)
