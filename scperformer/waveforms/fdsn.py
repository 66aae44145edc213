"""FDSN web services: what a server has, and its waveforms, asked for piece by piece.

What there is tells the availability service, where a server has one, else the station service.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from scperformer.errors import InputError
from scperformer.types import SeedId, SensorId, parse_time
from scperformer.waveforms.archive import ArchiveGroup
from scperformer.waveforms.contents import Span
from scperformer.waveforms.epochs import Epoch, Epochs, gathered
from scperformer.waveforms.fdsn_client import (
    Connection,
    CutOffError,
    RefusedError,
    Server,
    TooLargeError,
)
from scperformer.waveforms.patience import PassingError
from scperformer.waveforms.pieces import Piece, Version
from scperformer.waveforms.problems import InputProblem, Report
from scperformer.waveforms.scratch import Fetched, group_of, scratch_folder
from scperformer.waveforms.selection import Chooser, Selection, selector_parts
from scperformer.waveforms.times import Times

SHORTEST_S = 600.0
"""A request for less is not halved."""

_STRIDE_DAYS = 30
_MERGED_GAPS_S = 3600
_MOST_STATIONS = 50
_ABSENT = frozenset({400, 404, 405, 410, 501})
"""Status of a service that a server does not have, or that does not know a parameter."""


@dataclass(frozen=True, slots=True)
class FdsnMaterial:
    """Material: what a server has of channels of one sensor.

    Attributes:
        server: the server.
        channels: the channels, all of one sensor.
        asked: time of interest; nothing outside is asked for.
        known: what the server told when it was asked what it has.
    """

    server: Server
    channels: tuple[SeedId, ...]
    asked: Times
    known: tuple[Version, ...]

    @contextmanager
    def open(self, span: Span, *, report: Report) -> Iterator[ArchiveGroup]:
        """Bring the waveforms of a span here; see `pieces.Material`.

        The group has no files where the server has no data.
        """
        own = self.asked.within(span)
        sensor_id = self.channels[0].sensor_id
        request = _Request(self.server.open(), self.channels, report)
        with scratch_folder() as folder:
            fetched = []
            for number, (times, data) in enumerate(request.answers(own)):
                path = folder / f"{sensor_id}.{number}.mseed"
                try:
                    path.write_bytes(data)
                except OSError as error:
                    raise InputError(f"{path}: cannot be written ({error.strerror})") from error
                fetched.append(Fetched(path, request.name(times)))
            yield group_of(fetched, sensor_id, span=own.span, report=report, channels=self.channels)

    def versions(self) -> tuple[Version, ...]:
        """Return what the server told; see `pieces.Material`."""
        return self.known


@dataclass(frozen=True, slots=True)
class _Request:
    """Asks for waveforms, in parts where the whole is too large."""

    connection: Connection
    channels: tuple[SeedId, ...]
    report: Report

    def name(self, times: Times) -> str:
        """What to call the waveforms of a time."""
        return f"{self.connection.host}/{self.channels[0].sensor_id}/{times}"

    def answers(self, times: Times) -> Iterator[tuple[Times, bytes]]:
        """Yield the answers that hold data.

        Raises:
            InputError: the server does not answer, or not with data.
        """
        try:
            data = self.connection.waveforms(self.channels, times)
        except TooLargeError:
            if times.duration_s < 2 * SHORTEST_S:
                raise InputError(f"{self.name(times)}: too much for the server") from None
            for half in times.halves():
                yield from self.answers(half)
            return
        except CutOffError as error:
            what = f"{error}, at the last attempt, too; what came is used"
            name = Path(self.name(times))
            self.report(InputProblem(name, what, "the whole answer", is_passing=True))
            data = error.data
        except (PassingError, RefusedError) as error:
            raise InputError(f"{self.name(times)}: {error}") from error
        if data:
            yield times, data


class Holding(NamedTuple):
    """A time through which a server has, or may have, data of a channel.

    Attributes:
        seed_id: the channel.
        times: the time.
        updated: when the server last changed it, as it says so; empty if it does not.
    """

    seed_id: SeedId
    times: Times
    updated: str = ""


def find_pieces(
    server: Server, *, selection: Selection, asked: Times, epochs: Epochs | None
) -> Iterator[Piece]:
    """Yield the pieces of which a server has data, by day and sensor, a month in memory.

    Args:
        server: the server.
        selection: what is asked for; of this, seismometers are taken.
        asked: time of interest.
        epochs: what is known of the channels; None to ask the server.

    Raises:
        InputError: the server does not tell what it has.
        ConfigurationError: it is none.
    """
    stock = _Stock(server, selection, asked, epochs)
    days = asked.days
    for first in days[::_STRIDE_DAYS]:
        own = days[first - days[0] : first - days[0] + _STRIDE_DAYS]
        reach = Times.of_day(own[0])._replace(end_ns=Times.of_day(own[-1]).end_ns)
        by_sensor: dict[SensorId, list[Holding]] = defaultdict(list)
        for holding in stock.holdings(reach.with_overlaps().within(asked)):
            by_sensor[holding.seed_id.sensor_id].append(holding)
        for day in own:
            for sensor_id in sorted(by_sensor):
                times = Times.of_day(day).within(asked)
                yield from _piece(server, by_sensor[sensor_id], times, asked)


def _piece(
    server: Server, holdings: Sequence[Holding], own: Times, asked: Times
) -> Iterator[Piece]:
    """Make the piece of a sensor and a day, if there are data."""
    reach = own.with_overlaps().within(asked)
    near = [one for one in holdings if one.times.touches(reach)]
    if not any(one.times.touches(own) for one in near):
        return
    channels = tuple(sorted({one.seed_id for one in near}))
    known = tuple(_version(server, channel, near, reach) for channel in channels)
    yield Piece(channels[0].sensor_id, *own, FdsnMaterial(server, channels, asked, known))


def _version(server: Server, channel: SeedId, holdings: Sequence[Holding], reach: Times) -> Version:
    """Tell a channel's data of a time from others, as far as the server does."""
    own = [one for one in holdings if one.seed_id == channel]
    parts = {str(one.times.within(reach)) for one in own}
    told = sorted(parts | {one.updated for one in own if one.updated})
    return Version(f"{server.address}/{channel}", -1, " ".join(told))


class _Stock:
    """Asks a server what it has, in the best way that it knows.

    Args:
        server: the server.
        selection: what is asked for.
        asked: time of interest.
        epochs: what is known of the channels; None to ask the server, if need be.
    """

    def __init__(
        self, server: Server, selection: Selection, asked: Times, epochs: Epochs | None
    ) -> None:
        self._connection = server.open()
        self._chooser = Chooser(selection)
        self._requests = list(_requests(selection))
        self._asked = asked
        self._epochs = epochs
        self._ways = list(_WAYS)

    def holdings(self, times: Times) -> Iterator[Holding]:
        """Yield what there is of a time, or what may be.

        Raises:
            InputError: the server does not tell.
        """
        told = self._available(times)
        if told is None:
            if self._epochs is None:
                self._epochs = self._ask_stations()
            for seed_id, epoch in self._epochs:
                if self._chooser.takes(seed_id, epoch.rate_hz):
                    yield from _living(Holding(seed_id, times), [epoch])
        elif self._epochs is None:
            yield from told
        else:
            for one in told:
                yield from _living(one, self._epochs.by_channel.get(one.seed_id, ()))

    def _ask_stations(self) -> Epochs:
        found: dict[SeedId, list[Epoch]] = defaultdict(list)
        for request in self._requests:
            try:
                answer = self._connection.epochs(request, self._asked)
            except (RefusedError, PassingError, TooLargeError) as error:
                raise InputError(
                    f"{self._connection.host}: tells neither what it has (availability) nor its "
                    f"stations ({error}); name a StationXML file with --stations-xml"
                ) from error
            for seed_id, epoch in answer:
                found[seed_id].append(epoch)
        return gathered(found.items())

    def _available(self, times: Times) -> list[Holding] | None:
        """Ask the availability service; None if there is none."""
        while self._ways:
            try:
                return [
                    holding
                    for request in self._requests
                    for holding in self._ask_availability({**request, **self._ways[0]}, times)
                ]
            except RefusedError as error:
                if error.status not in _ABSENT:
                    raise InputError(f"{self._connection.host}: availability: {error}") from error
                del self._ways[0]
            except ValueError:  # a page of something else
                self._ways.clear()
            except PassingError as error:
                raise InputError(f"{self._connection.host}: availability: {error}") from error
        return None

    def _ask_availability(self, request: Mapping[str, str], times: Times) -> list[Holding]:
        try:
            text = self._connection.availability(request, times)
        except TooLargeError:
            if times.duration_s < 2 * SHORTEST_S:
                what = "too much for the server; ask for fewer stations with --stations"
                raise InputError(f"{self._connection.host}: availability: {what}") from None
            return [one for half in times.halves() for one in self._ask_availability(request, half)]
        return [
            holding
            for holding, rate_hz in read_availability(text)
            if holding.times.touches(times) and self._chooser.takes(holding.seed_id, rate_hz)
        ]


def _living(holding: Holding, epochs: Sequence[Epoch]) -> Iterator[Holding]:
    """Yield what of a holding lies in a channel's epochs."""
    for epoch in epochs:
        if epoch.span.touches(*holding.times):
            yield holding._replace(times=holding.times.within(epoch.span))


_WAYS: tuple[dict[str, str], ...] = (
    {
        "merge": "quality,samplerate,overlap",
        "mergegaps": str(_MERGED_GAPS_S),
        "show": "latestupdate",
    },
    {"merge": "quality,samplerate,overlap"},
    {},
)
"""Parameters of the availability service, the best first; not every server knows all."""


def read_availability(text: str) -> Iterator[tuple[Holding, float | None]]:
    """Read the availability service's text: what there is, with its sampling rate.

    Raises:
        ValueError: not of that form.
    """
    columns: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            columns = columns or line.lstrip("#").split()
            continue
        values = line.split()
        if len(values) == len(columns) - 1 and "Location" in columns:
            values.insert(columns.index("Location"), "")
        row = dict(zip(columns, values, strict=False))
        try:
            location = row["Location"].replace("--", "")
            seed_id = SeedId(row["Network"], row["Station"], location, row["Channel"])
            times = Times(parse_time(row["Earliest"]), parse_time(row["Latest"]))
            rate_hz = float(row["SampleRate"]) if "SampleRate" in row else None
        except (KeyError, ValueError):
            raise ValueError(f"{line[:200]!r} is no line of an availability service") from None
        yield Holding(seed_id, times, row.get("Updated", "")), rate_hz


def _requests(selection: Selection) -> Iterator[dict[str, str]]:
    """Yield the codes to ask for; they may mean more than the selection does, never less."""
    locations = ",".join(selection.locations) or "*"
    if not selection.stations:
        networks = ",".join(selection.networks) or "*"
        channels = ",".join(selection.channels) or "*"
        yield _request(networks, "*", locations, channels)
        return
    by_network: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pattern in selection.stations:
        wanted = selection.channels or _codes_of(pattern.selectors)
        by_network[pattern.network, ",".join(wanted)].append(pattern.station)
    for (network, channels), stations in by_network.items():
        for first in range(0, len(stations), _MOST_STATIONS):
            own = ",".join(stations[first : first + _MOST_STATIONS])
            yield _request(network, own, locations, channels)


def _codes_of(selectors: Sequence[str]) -> tuple[str, ...]:
    taken = [selector_parts(one)[1] for one in selectors if not one.startswith("!")]
    is_any = not taken or any(set(code) <= set("*?") for code in taken)
    return ("*",) if is_any else tuple(dict.fromkeys(taken))


def _request(networks: str, stations: str, locations: str, channels: str) -> dict[str, str]:
    names = "network", "station", "location", "channel"
    return dict(zip(names, (networks, stations, locations, channels), strict=True))
