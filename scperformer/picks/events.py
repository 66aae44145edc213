"""Earthquakes that picks belong to: where and when, as far as that is known."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scperformer.errors import InputError
from scperformer.picks.columns import DAMAGED, read_number, text_of
from scperformer.types import Phase, Pick, parse_time

COLUMNS = ("event", "time", "latitude", "longitude", "depth_km", "magnitude")
_WANTED = f"wanted CSV with columns {', '.join(COLUMNS)} (the last may be absent), QuakeML or SCML"


@dataclass(frozen=True, slots=True)
class Event:
    """An earthquake.

    Attributes:
        name: what picks call it.
        time_ns: origin time, or the first arrival's where it has no hypocentre.
        latitude: degrees north; nan if not known, as what follows.
        longitude: degrees east.
        depth_km: below sea level.
        magnitude: of any kind.
    """

    name: str
    time_ns: int
    latitude: float = math.nan
    longitude: float = math.nan
    depth_km: float = math.nan
    magnitude: float = math.nan

    @property
    def is_located(self) -> bool:
        """Whether it has a hypocentre."""
        return all(map(math.isfinite, (self.latitude, self.longitude, self.depth_km)))


@dataclass(frozen=True, slots=True)
class Arrivals:
    """An earthquake and its picks: of each phase one a station, the most probable, by time."""

    event: Event
    picks: tuple[Pick, ...]


def events_of(path: Path) -> list[Event]:
    """Read earthquakes from CSV, or from the origins of QuakeML and SCML.

    Raises:
        InputError: the file cannot be read, or an earthquake of it.
    """
    try:
        if path.suffix.lower() == ".csv":
            return _events_of_table(path)
        return _events_of_document(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {_WANTED}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _events_of_table(path: Path) -> list[Event]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = set(COLUMNS[:-1]) - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"{path}: no column {', '.join(sorted(missing))}; {_WANTED}")
        events = []
        for row in reader:
            try:
                events.append(_event(row["event"], *(row.get(name) for name in COLUMNS[1:])))
            except DAMAGED as error:
                where = f"{path}, line {reader.line_num}"
                raise InputError(f"{where}: {error!r}; {_WANTED}") from error
    return events


def _event(name: Any, time: Any, *numbers: Any) -> Event:
    latitude, longitude, depth_km, magnitude = map(read_number, numbers)
    if abs(latitude) > 90.0 or abs(longitude) > 360.0:
        raise ValueError(f"latitude {latitude}, longitude {longitude}")
    return Event(text_of(name), parse_time(text_of(time)), latitude, longitude, depth_km, magnitude)


def _events_of_document(path: Path) -> list[Event]:
    """Return an event for each that has an origin, and for each origin that has none."""
    from scperformer.picks.documents import read_plain  # noqa: PLC0415 - CSV needs no lxml

    root = read_plain(path, _WANTED)
    origins = {origin.get("publicID", ""): origin for origin in root.iter("origin")}
    named: dict[str, str] = {}
    events = []
    for event in root.iter("event"):
        own = [origin.get("publicID", "") for origin in event.iter("origin")]
        own += [reference.text or "" for reference in event.iter("originReference")]
        preferred = event.findtext("preferredOriginID") or next(iter(own), "")
        name = event.get("publicID", "")
        named |= dict.fromkeys([preferred, *own], name)
        if preferred in origins:
            events.append(_event_of_origin(path, name, origins[preferred], event))
    events += [
        _event_of_origin(path, public_id, origin, origin)
        for public_id, origin in origins.items()
        if public_id not in named
    ]
    return events


def _magnitude(event: Any, origin: Any) -> str | None:
    """Return the preferred magnitude, or the first: QuakeML has them in events, SCML in origins."""
    magnitudes = {
        element.get("publicID"): element
        for parent in (event, origin)
        for element in parent.iter("magnitude")
        if element.get("publicID")
    }
    preferred = magnitudes.get(event.findtext("preferredMagnitudeID"))
    chosen = preferred if preferred is not None else next(iter(magnitudes.values()), None)
    if chosen is None:
        return None
    found: str | None = chosen.findtext("mag/value") or chosen.findtext("magnitude/value")
    return found


def _event_of_origin(path: Path, name: str, origin: Any, event: Any) -> Event:
    magnitude = _magnitude(event, origin)
    time, latitude, longitude, depth = (
        origin.findtext(f"{what}/value") for what in ("time", "latitude", "longitude", "depth")
    )
    is_quakeml = origin.getroottree().getroot().tag == "quakeml"  # whose depths are in metres
    try:
        depth_km = read_number(depth) / (1000.0 if is_quakeml else 1.0)
        return _event(name, time, latitude, longitude, depth_km, magnitude)
    except DAMAGED as error:
        raise InputError(f"{path}, origin of {name}: {error!r}; {_WANTED}") from error


def arrivals(picks: Iterable[Pick], events: Iterable[Event]) -> tuple[list[Arrivals], int]:
    """Put picks to their earthquakes.

    An earthquake that picks name and that is not among `events` has no hypocentre; its time is
    its name, where that is a time, else that of its first pick.

    Returns:
        The earthquakes that have picks, by time, and how many picks belong to none.
    """
    known = {event.name: event for event in events}
    grouped: dict[str, dict[tuple[str, Phase], Pick]] = defaultdict(dict)
    n_left = 0
    for pick in picks:
        if not pick.event:
            n_left += 1
            continue
        own = grouped[pick.event]
        key = (pick.station, pick.phase)
        if key not in own or own[key].probability < pick.probability:
            own[key] = pick
    found = []
    for name, chosen in grouped.items():
        ordered = tuple(sorted(chosen.values(), key=lambda p: (p.time_ns, p.phase, p.seed_id)))
        event = known.get(name) or Event(name, _time_of(name, ordered))
        found.append(Arrivals(event, ordered))
    return sorted(found, key=lambda one: (one.event.time_ns, one.event.name)), n_left


def _time_of(name: str, picks: Sequence[Pick]) -> int:
    try:
        return parse_time(name if ":" in name else "")  # digits alone are a number, not a day
    except ValueError:
        return picks[0].time_ns
