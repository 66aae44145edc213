"""What the inventory knows of sensors and their channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from scperformer.core.pipeline import HIGHEST_RATE_HZ, LOWEST_RATE_HZ
from scperformer.naming import component_places, split
from scperformer.types import N_COMPONENTS, SeedId, SensorId

_CHANNEL_LENGTH = 3


class ChannelSource(Protocol):
    """Tells of channels."""

    def components(self, sensor_id: SensorId, time_ns: int) -> list[SeedId]:
        """Return the vertical and the horizontals that a sensor has at a time."""

    def ever(self, sensor_id: SensorId) -> list[SeedId]:
        """Return all channels that a sensor has had."""

    def sensors(self, time_ns: int) -> list[SensorId]:
        """Return all sensors that can be picked on at a time."""


class NoInventory:
    """Knows of nothing."""

    def components(self, sensor_id: SensorId, time_ns: int) -> list[SeedId]:
        """Return nothing."""
        del sensor_id, time_ns
        return []

    def ever(self, sensor_id: SensorId) -> list[SeedId]:
        """Return nothing."""
        del sensor_id
        return []

    def sensors(self, time_ns: int) -> list[SensorId]:
        """Return nothing."""
        del time_ns
        return []


class SeiscompInventory:
    """SeisComP's inventory.

    Args:
        instance: ``client.Inventory.Instance()``.
        to_time: makes SeisComP's time from nanoseconds.
    """

    def __init__(self, instance: Any, to_time: Any) -> None:
        self._instance = instance
        self._to_time = to_time

    def components(self, sensor_id: SensorId, time_ns: int) -> list[SeedId]:
        """Return the vertical and the horizontals that a sensor has at a time."""
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
        """Return all channels that a sensor has had, of every epoch."""
        codes = {
            stream.code(): None
            for own_id, stream in self._streams()
            if own_id == sensor_id and len(stream.code()) == _CHANNEL_LENGTH
        }
        known = component_places(frozenset(split(code)[1] for code in codes))
        return [_channel(sensor_id, code) for code in codes if split(code)[1] in known]

    def sensors(self, time_ns: int) -> list[SensorId]:
        """Return the sensors with three components and a usable sampling rate at a time."""
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
                        yield (
                            SeedId(
                                network.code(), station.code(), location.code(), stream.code()
                            ).sensor_id,
                            stream,
                        )


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
