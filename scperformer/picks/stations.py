"""Where stations are: positions from StationXML and from SeisComP's inventory."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scperformer.errors import InputError
from scperformer.types import Pick, parse_time

_WANTED = "wanted StationXML or a SeisComP inventory"
_EARTH_KM = 6371.0
_ALWAYS = (-(1 << 63), (1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class Station:
    """The position of a station, or of one of its locations, while it was there.

    Attributes:
        network: its code.
        station: its code.
        location: location code; None if it is the station's own position.
        latitude: degrees north.
        longitude: degrees east, -180 to 180.
        elevation_m: metres above sea level.
        start_ns: when it began.
        end_ns: when it ended.
    """

    network: str
    station: str
    location: str | None
    latitude: float
    longitude: float
    elevation_m: float
    start_ns: int = _ALWAYS[0]
    end_ns: int = _ALWAYS[1]


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """A place that picks come from: a location of a station.

    Attributes:
        network: network code.
        station: station code.
        location: location code, may be empty.
    """

    network: str
    station: str
    location: str

    def __str__(self) -> str:
        return f"{self.network}.{self.station}.{self.location}"


def site_of(pick: Pick) -> Site:
    """Return where a pick was made."""
    return Site(pick.seed_id.network, pick.seed_id.station, pick.seed_id.location)


def read_stations(path: Path) -> list[Station]:
    """Read positions, each epoch of each station and of its locations.

    Raises:
        InputError: the file cannot be read, has no station, or one with an impossible position.
    """
    from scperformer.picks.documents import read_xml_file  # noqa: PLC0415 - not all need lxml

    try:
        root = read_xml_file(path, _WANTED)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_WANTED}") from error
    found = list(dict.fromkeys(_stations_of(path, root)))
    if not found:
        raise InputError(f"{path}: no station with a position in it; {_WANTED}")
    return found


def _stations_of(path: Path, root: Any) -> Iterator[Station]:
    for network in root.iter("{*}Network", "{*}network"):
        for station in network.iterchildren("{*}Station", "{*}station"):
            code = network.get("code", ""), station.get("code", "")
            yield from _positions(path, station, *code, None)
            for channel in station.iterchildren("{*}Channel"):
                yield from _positions(path, channel, *code, channel.get("locationCode", ""))
            for location in station.iterchildren("{*}sensorLocation"):
                yield from _positions(path, location, *code, location.get("code", ""))


def _positions(
    path: Path, element: Any, network: str, station: str, location: str | None
) -> Iterator[Station]:
    """Return the position that an element gives, if it gives one."""
    texts = [_text(element, name) for name in ("latitude", "longitude", "elevation")]
    if not (texts[0] and texts[1]):
        return
    try:
        latitude, longitude, elevation_m = (float(text or 0.0) for text in texts)
    except ValueError:
        latitude = longitude = elevation_m = math.nan
    if not (abs(latitude) <= 90.0 and abs(longitude) <= 360.0 and math.isfinite(elevation_m)):
        code = ".".join(filter(None, (network, station, location)))
        raise InputError(
            f"{path}: {code} is at latitude {texts[0]!r}, longitude {texts[1]!r}, elevation "
            f"{texts[2]!r}; wanted degrees and metres"
        )
    yield Station(
        network,
        station,
        location.strip() if location is not None else None,
        latitude,
        (longitude + 180.0) % 360.0 - 180.0 if abs(longitude) > 180.0 else longitude,
        elevation_m,
        _time(element.get("startDate") or _text(element, "start"), _ALWAYS[0]),
        _time(element.get("endDate") or _text(element, "end"), _ALWAYS[1]),
    )


def _text(element: Any, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or element.findtext(f"{{*}}{name.capitalize()}") or ""


def _time(text: str, otherwise: int) -> int:
    try:
        return parse_time(text)
    except ValueError:
        return otherwise


def positions(
    stations: Iterable[Station], picks: Sequence[Pick]
) -> tuple[dict[Site, Station], list[Site]]:
    """Find out where each site was when it was picked.

    A location that is not listed is where its station is. Sites without picks are there
    as well: an associator wants to know who has seen nothing.

    Returns:
        Positions by site, in order, and the sites of picks that have none.
    """
    known: dict[tuple[str, str], list[Station]] = defaultdict(list)
    for station in stations:
        known[station.network, station.station].append(station)
    times_ns: dict[Site, int] = {}
    for pick in picks:
        times_ns.setdefault(site_of(pick), pick.time_ns)
    some_ns = picks[len(picks) // 2].time_ns if picks else 0
    wanted = set(times_ns)
    picked = {(site.network, site.station) for site in times_ns}
    for code, places in known.items():
        listed = {place.location for place in places if place.location is not None}
        if code not in picked:
            wanted |= {Site(*code, location) for location in listed or {""}}
    found: dict[Site, Station] = {}
    for site in sorted(wanted):
        place = _place(known[site.network, site.station], site, times_ns.get(site, some_ns))
        if place is not None:
            found[site] = place
    return found, sorted(set(times_ns) - set(found))


def _place(places: Sequence[Station], site: Site, time_ns: int) -> Station | None:
    """Return the position of a site at a time; if it was nowhere then, its latest one."""
    own = [place for place in places if place.location == site.location]
    candidates = own or [place for place in places if place.location is None]
    then = [place for place in candidates if place.start_ns <= time_ns < place.end_ns]
    return max(then or candidates, key=lambda place: place.start_ns, default=None)


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the great-circle distance of two positions (latitude, longitude) in degrees."""
    (lat_1, lon_1), (lat_2, lon_2) = (tuple(map(math.radians, place)) for place in (one, other))
    half = (
        math.sin((lat_2 - lat_1) / 2) ** 2
        + math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
    )
    return 2 * _EARTH_KM * math.asin(math.sqrt(min(half, 1.0)))
