"""Which channels exist when: StationXML, or what a server tells of its stations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scperformer.errors import InputError
from scperformer.types import SeedId, SensorId
from scperformer.waveforms.contents import Span


class Epoch(NamedTuple):
    """A time through which a channel does not change.

    Attributes:
        span: its time; open at its end while the channel lives.
        rate_hz: sampling rate, None if it is not told.
    """

    span: Span
    rate_hz: float | None


@dataclass(frozen=True, slots=True)
class Epochs:
    """The channels that are known, and when each of them lives."""

    by_channel: dict[SeedId, tuple[Epoch, ...]]

    def __iter__(self) -> Iterator[tuple[SeedId, Epoch]]:
        """Yield every epoch, sorted by channel."""
        for seed_id in sorted(self.by_channel):
            for epoch in self.by_channel[seed_id]:
                yield seed_id, epoch

    def lives(self, seed_id: SeedId, start_ns: int, end_ns: int) -> bool:
        """Tell whether a channel lives at some moment of a time."""
        own = self.by_channel.get(seed_id, ())
        return any(epoch.span.touches(start_ns, end_ns) for epoch in own)

    def sensor_lives(self, sensor_id: SensorId, start_ns: int, end_ns: int) -> bool:
        """Tell whether a channel of a sensor lives at some moment of a time."""
        return any(
            seed_id.sensor_id == sensor_id and self.lives(seed_id, start_ns, end_ns)
            for seed_id in self.by_channel
        )


def read_stations(paths: Sequence[Path]) -> Epochs | None:
    """Read StationXML files; None if there are none to read.

    Raises:
        InputError: a file cannot be read, or names no channels.
    """
    if not paths:
        return None
    import obspy  # noqa: PLC0415 - slow to import

    epochs: dict[SeedId, list[Epoch]] = defaultdict(list)
    for path in paths:
        try:
            inventory = obspy.read_inventory(str(path), level="channel")
        except Exception as error:  # obspy's readers raise whatever they like
            raise InputError(f"{path}: cannot be read as StationXML ({error})") from error
        found = list(channel_epochs(inventory))
        if not found:
            raise InputError(f"{path}: names no channels; wanted StationXML of level channel")
        for seed_id, epoch in found:
            epochs[seed_id].append(epoch)
    return gathered(epochs.items())


def gathered(epochs: Iterable[tuple[SeedId, Iterable[Epoch]]]) -> Epochs:
    """Make the table, each channel's epochs in the order of time."""
    return Epochs({seed_id: tuple(sorted(own, key=_begin)) for seed_id, own in epochs})


def channel_epochs(inventory: Any) -> Iterator[tuple[SeedId, Epoch]]:
    """Yield the epochs of an ObsPy inventory."""
    for network in inventory:
        for station in network:
            for channel in station:
                codes = network.code, station.code, channel.location_code or "", channel.code
                span = Span(*(_ns(time) for time in (channel.start_date, channel.end_date)))
                yield SeedId(*codes), Epoch(span, channel.sample_rate or None)


def _ns(time: Any) -> int | None:
    return None if time is None else int(time.ns)


def _begin(epoch: Epoch) -> int:
    return epoch.span.start_ns or 0
