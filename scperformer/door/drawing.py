"""Pictures of what a picker sees: one sensor, or a record section."""

from __future__ import annotations

import io
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scperformer.core.triggers import PHASES
from scperformer.door.asked import time_ns
from scperformer.door.views import View
from scperformer.errors import ConfigurationError, InputError
from scperformer.picks.events import Event, events_of
from scperformer.picks.plots import record_figure, write_png
from scperformer.picks.sections import Row, section_figure
from scperformer.picks.stations import Station, distance_km, positions, read_stations, site_of
from scperformer.types import NS_PER_S, Phase, Pick, format_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scperformer.door.picker import Picker

_TRAVEL_NS = 300 * NS_PER_S
"""How long before the waveforms an earthquake may have been."""

_VERTICAL = 2


def draw(
    picker: Picker,
    views: Sequence[View],
    *,
    event: Any = None,
    stations_xml: Any = None,
    section: bool | None = None,
) -> Figure:
    """Draw views; see `Picker.plot`."""
    if section or (section is None and len(views) > 1):
        figure = _section(picker, views, event, stations_xml)
    elif len(views) > 1:
        names = ", ".join(str(view.sensor_id) for view in views)
        raise ConfigurationError(f"section=False is for one sensor; got {names}")
    else:
        figure = record(picker, views[0])
    setattr(figure, "_repr_png_", partial(_png, figure))  # noqa: B010 - notebooks ask for it
    return figure


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    write_png(figure, content)
    return content.getvalue()


def record(picker: Picker, view: View) -> Figure:
    """Draw one sensor."""
    settings, model = picker.settings, picker.model
    thresholds = model.thresholds.replace(settings.threshold_p, settings.threshold_s)
    own = thresholds.by_components[len(view.channels)]
    n_averaged = 2 * settings.half_smoothing_windows + 1
    return record_figure(
        view.traces(),
        start_ns=view.moment.start_ns,
        unit="counts",
        probabilities=view.deciding_probabilities(settings),
        averaged=f"mean of {n_averaged} answers",
        thresholds=dict(zip(PHASES, own, strict=True)),
        picks=view.moment.picks,
        title=f"{_name(view)}, {_filtered(picker)}",
    )


def _section(picker: Picker, views: Sequence[View], event: Any, stations_xml: Any) -> Figure:
    start_ns = min(view.moment.start_ns for view in views)
    end_ns = max(view.end_ns for view in views)
    origin = None if event is None else read_event(event, start_ns, end_ns)
    places = list(_read_places(stations_xml))
    names = _names(views)
    rows = [_row(view, name, origin, places) for view, name in zip(views, names, strict=True)]
    if origin is not None and all(math.isfinite(row.distance_km) for row in rows):
        rows.sort(key=lambda row: row.distance_km)
    elif origin is not None:
        lost = [row.label for row in rows if not math.isfinite(row.distance_km)]
        raise InputError(
            f"no position of {', '.join(lost)} in stations_xml: a section by distance wants "
            "those of all stations; leave event away to have it by S minus P"
        )
    else:
        rows.sort(key=_nearness)
    return section_figure(
        rows,
        start_ns=start_ns,
        end_ns=end_ns,
        origin_ns=None if origin is None else origin.time_ns,
        title=f"{len(rows)} verticals, {_filtered(picker)}",
    )


def _names(views: Sequence[View]) -> list[str]:
    """Name stations by their codes, with band and instrument where one has several sensors."""
    n_sensors = Counter(view.sensor_id.station for view in views)
    return [
        own.station if n_sensors[own.station] == 1 else f"{own.station} {own.band_instrument}"
        for own in (view.sensor_id for view in views)
    ]


def _row(view: View, name: str, origin: Event | None, places: Sequence[Station]) -> Row:
    moment = view.moment
    place = _VERTICAL if _VERTICAL in view.channels else min(view.channels)
    distance = math.nan
    if origin is not None:
        probe = Pick(moment.start_ns, Phase.P, view.sensor_id.channel("Z"))
        found = positions(places, [probe])[0].get(site_of(probe))
        if found is not None:
            epicentre = origin.latitude, origin.longitude
            distance = distance_km((found.latitude, found.longitude), epicentre)
    samples = moment.waveform[place]
    return Row(name, samples, moment.start_ns, moment.picks, distance)


def _nearness(row: Row) -> tuple[float, float]:
    """Order by S minus P of the surest S, then by the first P; rows without picks come last."""
    p_ns = [pick.time_ns for pick in row.picks if pick.phase is Phase.P]
    s = [pick for pick in row.picks if pick.phase is Phase.S]
    first_p = float(min(p_ns, default=math.inf))
    if not s:
        return math.inf, first_p
    surest_ns = max(s, key=lambda pick: pick.probability).time_ns
    before_ns = [time_ns for time_ns in p_ns if time_ns < surest_ns]
    return float(surest_ns - max(before_ns)) if before_ns else math.inf, first_p


def read_event(event: Any, start_ns: int, end_ns: int) -> Event:
    """Return an earthquake; of a file, the largest that the waveforms can have.

    Raises:
        ConfigurationError: it is none, or has no epicentre.
        InputError: the file cannot be read, or has none of that time.
    """
    if isinstance(event, (str, os.PathLike)):
        path = Path(event)
        near = [
            one
            for one in events_of(path)
            if start_ns - _TRAVEL_NS <= one.time_ns < end_ns and math.isfinite(one.latitude)
        ]
        if not near:
            first, last = format_time(start_ns), format_time(end_ns)
            raise InputError(f"{path}: no earthquake with an epicentre from {first} to {last}")
        return max(near, key=_size)
    if isinstance(event, (tuple, list)) and len(event) >= 3:
        time, latitude, longitude = event[:3]
        return Event("", time_ns(time, "event"), float(latitude), float(longitude))
    origin = event
    if hasattr(event, "preferred_origin"):
        origin = event.preferred_origin() or next(iter(event.origins), None)
    if getattr(origin, "latitude", None) is None or getattr(origin, "time", None) is None:
        raise ConfigurationError(
            f"event: got {event!r}; wanted a file, an obspy Event or Origin with an epicentre, or "
            "(time, latitude, longitude)"
        )
    return Event("", time_ns(origin.time, "event"), origin.latitude, origin.longitude)


def _size(event: Event) -> tuple[float, int]:
    return -math.inf if math.isnan(event.magnitude) else event.magnitude, event.time_ns


def _read_places(stations_xml: Any) -> Iterator[Station]:
    """Yield positions of stations from files or from an obspy Inventory."""
    if stations_xml is None:
        return
    if hasattr(stations_xml, "networks"):
        yield from _places_of(stations_xml)
        return
    if isinstance(stations_xml, (str, os.PathLike)):
        stations_xml = [stations_xml]
    for path in stations_xml:
        yield from read_stations(Path(path))


def _places_of(inventory: Any) -> Iterator[Station]:
    for network in inventory:
        for station in network:
            for location, one in _located(station):
                where = float(one.latitude), float(one.longitude), float(one.elevation)
                yield Station(network.code, station.code, location, *where)


def _located(station: Any) -> Iterable[tuple[str | None, Any]]:
    yield None, station
    for channel in station:
        yield channel.location_code, channel


def _name(view: View) -> str:
    return f"{view.sensor_id.network}.{view.sensor_id.station}"


def _filtered(picker: Picker) -> str:
    filter_id = picker.filter_id
    filtered = f"filtered with {filter_id}" if filter_id else "unfiltered"
    return f"{filtered}, picked by {picker.name}"
