"""Which streams to subscribe to, and which records to use."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from scperformer.core.pipeline import LOWEST_RATE_HZ
from scperformer.errors import ConfigurationError
from scperformer.naming import why_left_out
from scperformer.seiscomp.bindings import Bindings, Station
from scperformer.seiscomp.inventory import ChannelSource
from scperformer.types import SeedId, SensorId

_log = logging.getLogger(__name__)

_SHORTEST_STREAM = 2


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
    inventory: ChannelSource,
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


def _bound(stations: Iterable[Station], inventory: ChannelSource, now_ns: int | None) -> Selection:
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


def _channels(sensor_id: SensorId, inventory: ChannelSource, now_ns: int | None) -> list[SeedId]:
    channels = (
        inventory.ever(sensor_id) if now_ns is None else inventory.components(sensor_id, now_ns)
    )
    if not channels:
        _log.warning("%s: not in the inventory; all its components are requested", sensor_id)
        channels = [sensor_id.channel("?")]
    _log.debug("%s: requested %s", sensor_id, " ".join(c.channel for c in channels))
    return channels


def _all(inventory: ChannelSource, now_ns: int | None, *, reads_file: bool) -> Selection:
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
