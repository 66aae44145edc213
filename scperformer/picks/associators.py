"""Files for programs that put picks to earthquakes: PyOcto, GaMMA and REAL.

A pick's station is its site, ``NET.STA.LOC``; REAL knows networks and stations alone. A
column ``public_id`` beside those that PyOcto and GaMMA read comes back with the picks of
each earthquake, and says which they are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from scperformer.picks.export import Files, Material
from scperformer.picks.stations import Station, site_of
from scperformer.picks.tables import csv_line
from scperformer.types import NS_PER_S, Pick, format_time

_WGS84_KM = 6378.137
_WGS84_E2 = 0.0066943799901413165


def pyocto(material: Material) -> Files:
    """Yield tables of picks (time in seconds since 1970) and stations (degrees, metres)."""
    rows = [
        csv_line(site_of(p), p.phase, _seconds(p.time_ns), _probability(p), p.public_id)
        for p in material.picks
    ]
    yield _table("picks.csv", ("station", "phase", "time", "probability", "public_id"), rows)
    places = [
        csv_line(site, f"{at.latitude:.6f}", f"{at.longitude:.6f}", f"{at.elevation_m:.1f}")
        for site, at in material.positions.items()
    ]
    yield _table("stations.csv", ("id", "latitude", "longitude", "elevation"), places)


def gamma(material: Material) -> Files:
    """Yield tables of picks (time in UTC) and stations (degrees, and kilometres in a plane)."""
    rows = [
        csv_line(
            site_of(p),
            format_time(p.time_ns, "%Y-%m-%dT%H:%M:%S.%f"),
            p.phase.lower(),
            _probability(p),
            p.public_id,
        )
        for p in material.picks
    ]
    yield _table("picks.csv", ("id", "timestamp", "type", "prob", "public_id"), rows)
    middle = centre(material.positions.values())
    places = []
    for site, at in material.positions.items():
        x_km, y_km = plane_km(at.latitude, at.longitude, *middle)
        degrees = f"{at.longitude:.6f}", f"{at.latitude:.6f}", f"{at.elevation_m:.1f}"
        km = f"{x_km:.4f}", f"{y_km:.4f}", f"{-at.elevation_m / 1000.0:.4f}"
        places.append(csv_line(site, *degrees, *km))
    header = ("id", "longitude", "latitude", "elevation(m)", "x(km)", "y(km)", "z(km)")
    yield _table("stations.csv", header, places)
    lat_0, lon_0 = middle
    projection = f"+proj=ortho +lat_0={lat_0:.6f} +lon_0={lon_0:.6f} +ellps=WGS84 +units=km"
    yield "projection.txt", f"{projection}\n".encode()


def real(material: Material) -> Files:
    """Yield files of a day's, a station's and a phase's picks, and the stations.

    A line is time in the day (s), probability and amplitude, 0 for not known. A station
    with several sites is where the first of them is.
    """
    lines: dict[str, list[bytes]] = defaultdict(list)
    for pick in material.picks:
        day = format_time(pick.time_ns, "%Y%m%d")
        of_day = _seconds(pick.time_ns % (86_400 * NS_PER_S))
        line = f"{of_day} {_probability(pick)} 0.0\n".encode()
        lines[f"{day}/{pick.station}.{pick.phase}.txt"].append(line)
    for name in sorted(lines):
        yield name, b"".join(lines[name])
    channels = {pick.station: pick.seed_id.channel for pick in reversed(material.picks)}
    places: dict[str, bytes] = {}
    for site, at in material.positions.items():
        station = f"{site.network}.{site.station}"
        channel = channels.get(station) or "Z"
        codes = f"{site.network} {site.station} {channel[:-1]}Z"
        where = f"{at.longitude:.6f} {at.latitude:.6f}"
        text = f"{where} {codes} {at.elevation_m / 1000.0:.4f}\n"
        places.setdefault(station, text.encode())
    yield "stations.dat", b"".join(places.values())


def centre(places: Iterable[Station]) -> tuple[float, float]:
    """Return the middle of the range of latitudes and longitudes, in degrees to six decimals.

    Longitudes are counted from the first place's, so that the date line does not matter.
    """
    positions = [(at.latitude, at.longitude) for at in places]
    if not positions:
        return 0.0, 0.0
    latitudes = [latitude for latitude, _ in positions]
    first = positions[0][1]
    east = [(longitude - first + 180.0) % 360.0 - 180.0 for _, longitude in positions]
    longitude = first + (min(east) + max(east)) / 2.0
    middle = (min(latitudes) + max(latitudes)) / 2.0
    return round(middle, 6), round((longitude + 180.0) % 360.0 - 180.0, 6)


def plane_km(
    latitude: float, longitude: float, latitude_0: float, longitude_0: float
) -> tuple[float, float]:
    """Project onto the plane that touches the ellipsoid (WGS84) at a point.

    The orthographic projection of Snyder (1987, USGS Professional Paper 1395) for the
    ellipsoid; distances are 4 m short at 100 km, and 0.1 km at 300 km.

    Args:
        latitude: in degrees, as all.
        longitude: of the place.
        latitude_0: where the plane touches.
        longitude_0: where the plane touches.

    Returns:
        Kilometres east and north of that point.
    """
    phi, phi_0 = math.radians(latitude), math.radians(latitude_0)
    east = math.radians(longitude - longitude_0)
    nu = _WGS84_KM / math.sqrt(1.0 - _WGS84_E2 * math.sin(phi) ** 2)
    nu_0 = _WGS84_KM / math.sqrt(1.0 - _WGS84_E2 * math.sin(phi_0) ** 2)
    x_km = nu * math.cos(phi) * math.sin(east)
    y_km = nu * (
        math.sin(phi) * math.cos(phi_0) - math.cos(phi) * math.sin(phi_0) * math.cos(east)
    ) + _WGS84_E2 * (nu_0 * math.sin(phi_0) - nu * math.sin(phi)) * math.cos(phi_0)
    return x_km, y_km


def _table(name: str, header: tuple[str, ...], rows: Iterable[bytes]) -> tuple[str, bytes]:
    return name, csv_line(*header) + b"".join(rows)


def _seconds(time_ns: int) -> str:
    """Write a time in seconds with six decimals, none of them a float's."""
    whole, rest_ns = divmod(time_ns, NS_PER_S)
    return f"{whole}.{rest_ns // 1000:06d}"


def _probability(pick: Pick) -> str:
    return f"{pick.probability:.4f}"
