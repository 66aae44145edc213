"""What the inventory knows of channels, which to subscribe to, and which records to use."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from scperformer.core.pipeline import HIGHEST_RATE_HZ, LOWEST_RATE_HZ
from scperformer.errors import ConfigurationError
from scperformer.naming import component_places, split, why_left_out
from scperformer.seiscomp.configuration import Bindings, Station
from scperformer.types import N_COMPONENTS, SeedId, SensorId

_log = logging.getLogger(__name__)

_CHANNEL_LENGTH = 3
_SHORTEST_STREAM = 2


class Inventory:
    """Tells of channels; this one knows of none."""

    def components(self, sensor_id: SensorId, time_ns: int) -> list[SeedId]:
        """Return the vertical and the horizontals that a sensor has at a time."""
        del sensor_id, time_ns
        return []

    def ever(self, sensor_id: SensorId) -> list[SeedId]:
        """Return all channels that a sensor has had, of every epoch."""
        del sensor_id
        return []

    def sensors(self, time_ns: int) -> list[SensorId]:
        """Return the sensors with three components and a usable sampling rate at a time."""
        del time_ns
        return []


class SeiscompInventory(Inventory):
    """SeisComP's: ``client.Inventory.Instance()``, and what makes its times from ns."""

    def __init__(self, instance: Any, to_time: Any) -> None:
        self._instance = instance
        self._to_time = to_time

    def components(self, sensor_id: SensorId, time_ns: int) -> list[SeedId]:
        try:
            found = self._instance.getThreeComponents(
                sensor_id.network,
                sensor_id.station,
                sensor_id.location,
                sensor_id.band_instrument,
                self._to_time(time_ns),
            )
        except ValueError:
            # That is how SeisComP says that it does not know the location.
            return []
        streams = (found.vertical(), found.firstHorizontal(), found.secondHorizontal())
        return [_channel(sensor_id, stream.code()) for stream in streams if stream is not None]

    def ever(self, sensor_id: SensorId) -> list[SeedId]:
        codes = {
            stream.code(): None
            for own_id, stream in self._streams()
            if own_id == sensor_id and len(stream.code()) == _CHANNEL_LENGTH
        }
        known = component_places(frozenset(split(code)[1] for code in codes))
        return [_channel(sensor_id, code) for code in codes if split(code)[1] in known]

    def sensors(self, time_ns: int) -> list[SensorId]:
        now = self._to_time(time_ns)
        candidates = {
            sensor_id: None
            for sensor_id, stream in self._streams()
            if _is_open(stream, now) and _has_usable_rate(stream)
        }
        return [s for s in candidates if len(self.components(s, time_ns)) == N_COMPONENTS]

    def _streams(self) -> Iterator[tuple[SensorId, Any]]:
        inventory = self._instance.inventory()
        if inventory is None:
            return
        for network in _each(inventory, "network"):
            for station in _each(network, "station"):
                for location in _each(station, "sensorLocation"):
                    for stream in _each(location, "stream"):
                        codes = (network, station, location, stream)
                        yield SeedId(*(part.code() for part in codes)).sensor_id, stream


def _each(parent: Any, kind: str) -> Iterable[Any]:
    count = getattr(parent, f"{kind}Count")()
    return (getattr(parent, kind)(i) for i in range(count))


def _is_open(stream: Any, time: Any) -> bool:
    try:
        return bool(stream.start() <= time < stream.end())
    except ValueError:
        # An epoch without an end.
        return bool(stream.start() <= time)


def _has_usable_rate(stream: Any) -> bool:
    try:
        rate_hz = stream.sampleRateNumerator() / stream.sampleRateDenominator()
    except (ValueError, ZeroDivisionError):
        return False
    return bool(LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ)


def _channel(sensor_id: SensorId, code: str) -> SeedId:
    return SeedId(sensor_id.network, sensor_id.station, sensor_id.location, code)


@dataclass(slots=True)
class Selection:
    """The streams to be picked.

    Attributes:
        subscriptions: channels to ask the record stream for; none means all that come.
        sensors: sensors to be picked, None for all seismometers that come.
        disabled: stations not to be picked.
    """

    subscriptions: list[SeedId] = field(default_factory=list)
    sensors: set[SensorId] | None = None
    disabled: set[tuple[str, str]] = field(default_factory=set)

    def wants(self, seed_id: SeedId) -> bool:
        """Whether to use a channel's records."""
        if (seed_id.network, seed_id.station) in self.disabled:
            return False
        if self.sensors is None:
            return _is_seismometer(seed_id.channel)
        return seed_id.sensor_id in self.sensors


def select_streams(
    bindings: Bindings,
    inventory: Inventory,
    *,
    now_ns: int | None,
    all_streams: bool,
    any_stream: bool,
    reads_file: bool,
) -> Selection:
    """Choose the streams.

    Args:
        bindings: of the stations.
        inventory: knows the channels.
        now_ns: the time at which channels must exist, None in playback: all epochs.
        all_streams: where there are no bindings, take all streams.
        any_stream: take all streams even where there are bindings.
        reads_file: the record stream gives what it has without a subscription.

    Raises:
        ConfigurationError: nothing to pick.
    """
    disabled = {codes for codes, s in bindings.stations.items() if not s.enabled}
    for codes in sorted(disabled):
        _log.info("%s.%s: disabled by its binding", *codes)
    if bindings.is_known and not any_stream:
        selection = _bound(bindings.stations.values(), inventory, now_ns)
    elif all_streams or any_stream:
        selection = _all(inventory, now_ns, reads_file=reads_file)
    else:
        selection = Selection(sensors=set())
    selection.disabled = disabled
    if selection.sensors is not None and not selection.sensors:
        raise ConfigurationError(
            "nothing to pick: no enabled station has a binding with detecStream; bind stations "
            "in scconfig and run 'seiscomp update-config', or try --any-stream true"
        )
    return selection


def _bound(stations: Iterable[Station], inventory: Inventory, now_ns: int | None) -> Selection:
    selection = Selection(sensors=set())
    assert selection.sensors is not None
    for station in stations:
        if not station.enabled:
            continue
        if len(station.stream) < _SHORTEST_STREAM:
            _log.warning("%s: the binding has no detecStream; not picked", station)
            continue
        sensor_id = SensorId(
            station.network, station.station, station.location, station.stream[:_SHORTEST_STREAM]
        )
        selection.sensors.add(sensor_id)
        selection.subscriptions += _channels(sensor_id, inventory, now_ns)
    return selection


def _channels(sensor_id: SensorId, inventory: Inventory, now_ns: int | None) -> list[SeedId]:
    channels = (
        inventory.ever(sensor_id) if now_ns is None else inventory.components(sensor_id, now_ns)
    )
    if not channels:
        _log.warning("%s: not in the inventory; all its components are requested", sensor_id)
        channels = [sensor_id.channel("?")]
    _log.debug("%s: requested %s", sensor_id, " ".join(c.channel for c in channels))
    return channels


def _all(inventory: Inventory, now_ns: int | None, *, reads_file: bool) -> Selection:
    selection = Selection()
    if reads_file:
        return selection
    if now_ns is None:
        raise ConfigurationError(
            "playback without bindings works with files alone; bind the stations, or read a file"
        )
    for sensor_id in inventory.sensors(now_ns):
        if not _is_seismometer(sensor_id.channel("Z").channel):
            _log.debug("%s: no seismometer; not requested", sensor_id)
            continue
        selection.subscriptions += inventory.components(sensor_id, now_ns)
    if not selection.subscriptions:
        raise ConfigurationError(
            "nothing to pick: no bindings, and no sensor in the inventory; bind stations in "
            "scconfig and run 'seiscomp update-config'"
        )
    return selection


def _is_seismometer(channel: str) -> bool:
    """Judge by the instrument code; whether the rate will do, others know."""
    return not why_left_out(channel, LOWEST_RATE_HZ)
