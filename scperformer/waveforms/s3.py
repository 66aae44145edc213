"""Public archives in S3 buckets: day objects of channels or of stations.

A piece needs a day, the last minutes of the day before and the first one of the day behind.
Of a channel's object these are fetched as ranges of bytes: records stand in the order of time,
and it is checked that the range reaches as far as the time. An object that holds a whole
station is fetched as a whole, for all its sensors once: it stays in a cache of the process,
and its edges in another one, for the days beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scperformer.errors import ConfigurationError, InputError
from scperformer.types import NS_PER_S, SeedId, SensorId
from scperformer.waveforms import mseed
from scperformer.waveforms.archive import ArchiveGroup
from scperformer.waveforms.contents import Span
from scperformer.waveforms.epochs import Epochs
from scperformer.waveforms.layouts import Layout
from scperformer.waveforms.mseed_scan import HeaderScan, end_ns, scan_headers
from scperformer.waveforms.pieces import AFTER_NS, BEFORE_NS, Piece, Version
from scperformer.waveforms.problems import Report
from scperformer.waveforms.s3_client import Bucket, Listed
from scperformer.waveforms.scratch import Fetched, edge_cache, group_of, scratch_folder, whole_cache
from scperformer.waveforms.selection import Chooser, Selection, is_wild
from scperformer.waveforms.times import Times

SMALLEST_RANGE_BYTES = 1 << 16
_ALIGNMENT_BYTES = 1 << 12
_LARGEST_EDGE = 0.25
"""An edge that is more of its day than this is fetched with all of the day."""

_N_AT_ONCE = 4
_SLACK_SAMPLES = 2.0
_MOST_STEMS = 8
"""Stations of a network whose names are asked for one by one; of more, all are listed."""


class DayObject(NamedTuple):
    """An object of an archive.

    Attributes:
        listed: the object.
        day: its day, counted from 1970-01-01.
        seed_id: its channel; location and channel are empty if it holds a station.
    """

    listed: Listed
    day: int
    seed_id: SeedId

    @property
    def times(self) -> Times:
        """Its day."""
        return Times.of_day(self.day)


@dataclass(frozen=True, slots=True)
class S3Material:
    """Material: day objects of one sensor.

    Attributes:
        bucket: where they are.
        sensor_id: the sensor.
        channels: its channels, where an object holds those of other sensors, too.
        objects: the objects.
        asked: time of interest.
    """

    bucket: Bucket
    sensor_id: SensorId
    channels: tuple[SeedId, ...]
    objects: tuple[DayObject, ...]
    asked: Times

    @contextmanager
    def open(self, span: Span, *, report: Report) -> Iterator[ArchiveGroup]:
        """Bring the waveforms of a span here; see `pieces.Material`."""
        own = self.asked.within(span)
        with scratch_folder() as folder, ThreadPoolExecutor(_N_AT_ONCE) as pool:
            fetched = list(pool.map(partial(self._fetch, own, folder), self.objects))
            there = [file for file in fetched if file is not None]
            yield group_of(
                there, self.sensor_id, span=own.span, report=report, channels=self.channels
            )

    def versions(self) -> tuple[Version, ...]:
        """Return what the lists told; see `pieces.Material`."""
        return tuple(
            Version(f"s3://{self.bucket.name}/{one.listed.key}", one.listed.size, one.listed.tag)
            for one in self.objects
        )

    def _fetch(self, own: Times, folder: Path, one: DayObject) -> Fetched | None:
        """Fetch what a time needs of an object; None if that is nothing."""
        address = f"{self.bucket.name}/{one.listed.key}"
        place = folder / address
        place.parent.mkdir(parents=True, exist_ok=True)
        wanted = _wanted_of(one, own)
        is_edge = wanted.duration_s < _LARGEST_EDGE * one.times.duration_s
        if not one.seed_id.channel:
            _lend_station(self.bucket, one, place, wanted)
        elif is_edge and own.start_ns <= one.times.start_ns:
            _write(place, _edge(self.bucket, one, wanted, is_head=True))
        elif is_edge and own.end_ns >= one.times.end_ns:
            _write(place, _edge(self.bucket, one, wanted, is_head=False))
        else:
            self.bucket.save(one.listed, place)
        if not place.stat().st_size:
            return None
        return Fetched(place, address, is_shared=not one.seed_id.channel)


def _wanted_of(one: DayObject, own: Times) -> Times:
    """Return what a time needs of an object's day, which may be a moment at its end.

    A record is filed under the day on which it begins.
    """
    if own.start_ns >= one.times.end_ns:
        return Times(one.times.end_ns, one.times.end_ns)
    return one.times.within(own)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def _edge(bucket: Bucket, one: DayObject, wanted: Times, *, is_head: bool) -> bytes:
    """Fetch the beginning or the end of a channel's day, so much that it reaches the time.

    All of it is fetched if need be: where there are gaps, where records are not in the order of
    time, and where they are no records.
    """
    size = one.listed.size
    part = 2.0 * wanted.duration_s / one.times.duration_s
    length = max(round(size * part), SMALLEST_RANGE_BYTES)
    while length < size:
        length = -(-length // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
        first = 0 if is_head else max(size - length, 0) // _ALIGNMENT_BYTES * _ALIGNMENT_BYTES
        data = bucket.read(one.listed, first, min(length, size) if is_head else size)
        scan = scan_headers(data, at_end=not is_head)
        if _covers(scan, wanted, is_head=is_head):
            begin = int(scan.records["offset"].min())
            return data[: scan.consumed] if is_head else data[begin:]
        length *= 2
    return bucket.read(one.listed, 0, size)


def _covers(scan: HeaderScan, wanted: Times, *, is_head: bool) -> bool:
    """Whether records at the edge of a day are all that there can be of a time.

    They are if they follow on to each other from before the time, or the day's first record,
    to behind it. Elsewhere a gap may be one, or a record that stands in another place.
    """
    records = scan.records
    if not len(records):
        return False
    starts, ends = records["start_ns"], end_ns(records)
    slack_ns = _SLACK_SAMPLES * NS_PER_S / float(records["rate_hz"].min())
    if (np.abs(starts[1:] - ends[:-1]) > slack_ns).any():
        return False
    longest_ns = int((ends - starts).max())
    first_ns = wanted.start_ns + (longest_ns if is_head else 0)
    return bool(starts[0] <= first_ns and ends[-1] >= wanted.end_ns - slack_ns)


def _lend_station(bucket: Bucket, one: DayObject, place: Path, wanted: Times) -> None:
    """Bring a station's day to a place, or its edges where these are enough."""
    key = f"{bucket.endpoint} {bucket.name} {one.listed.key} {one.listed.tag}"
    other = place.with_name(f"{place.name}.other")
    save = partial(bucket.save, one.listed)
    early_ns, late_ns = one.times.start_ns + AFTER_NS, one.times.end_ns - BEFORE_NS

    def edges_of(whole: Path, path: Path) -> None:
        _write(path, b"".join(_records_near(whole, early_ns, late_ns)))

    def fetch_edges(path: Path) -> None:
        whole_cache().lend(key, other, save)
        edges_of(other, path)

    if wanted.end_ns <= early_ns or wanted.start_ns >= late_ns:
        edge_cache().lend(key, place, fetch_edges)
    else:
        whole_cache().lend(key, place, save)
        edge_cache().lend(key, other, partial(edges_of, place))
    other.unlink(missing_ok=True)


def _records_near(path: Path, early_ns: int, late_ns: int) -> Iterator[bytes]:
    """Yield the records of a file that begin before one time or end behind another."""
    channels = {span.seed_id for span in mseed.look_into(path).spans}
    blocks, _ = mseed.find_blocks(path, channels)
    with path.open("rb") as file:
        for block in blocks:
            file.seek(block.offset)
            data = file.read(block.length)
            records = scan_headers(data, at_end=True).records
            near = (records["start_ns"] < early_ns) | (end_ns(records) > late_ns)
            for record in records[near]:
                yield data[record["offset"] : record["offset"] + record["length"]]


def find_pieces(
    bucket: Bucket,
    layout: Layout,
    prefix: str,
    *,
    selection: Selection,
    asked: Times,
    epochs: Epochs | None,
) -> Iterator[Piece]:
    """Yield the pieces of which there are objects, by day and sensor, three days in memory.

    Args:
        bucket: where they are.
        layout: how they are named.
        prefix: what all names begin with.
        selection: what is asked for; of this, seismometers are taken.
        asked: time of interest.
        epochs: what is known of the channels.

    Raises:
        ConfigurationError: objects hold stations, and epochs are not given.
        InputError: the bucket cannot be listed.
    """
    if layout.has_stations and epochs is None:
        raise ConfigurationError(
            f"--source: {bucket.name}: an object holds all channels of a station; wanted a "
            "StationXML file that tells which, with --stations-xml"
        )
    shelf = _Shelf(bucket, layout, prefix, selection, epochs)
    lists: dict[int, dict[SensorId, list[DayObject]]] = {}
    for day in asked.days:
        times = Times.of_day(day).within(asked)
        reach = times.with_overlaps().within(asked)
        near = Times(reach.start_ns - BEFORE_NS, reach.end_ns).days
        lists = {one: lists[one] if one in lists else shelf.of_day(one) for one in near}
        for sensor_id in sorted(lists[day]):
            objects = [one for that in near for one in lists[that].get(sensor_id, ())]
            channels = shelf.channels(sensor_id, reach)
            material = S3Material(bucket, sensor_id, channels, tuple(objects), asked)
            yield Piece(sensor_id, *times, material)


class _Shelf:
    """Lists days.

    Args:
        bucket, layout, prefix, selection, epochs: as `find_pieces`.
    """

    def __init__(
        self,
        bucket: Bucket,
        layout: Layout,
        prefix: str,
        selection: Selection,
        epochs: Epochs | None,
    ) -> None:
        self._bucket = bucket
        self._layout = layout
        self._prefix = prefix
        self._chooser = Chooser(selection)
        self._epochs = epochs
        self._places = _places(selection, self._networks if layout.is_by_network else None)
        self._by_station = self._seismometers() if layout.has_stations else {}

    def of_day(self, day: int) -> dict[SensorId, list[DayObject]]:
        """Return the objects of a day, sensor by sensor."""
        found: dict[SensorId, dict[DayObject, None]] = defaultdict(dict)
        for network, station in self._places:
            folder = self._prefix + self._layout.day_folder(day, network)
            for listed in self._bucket.objects(folder + self._layout.stem_of(network, station)):
                seed_id = self._layout.parse(listed.key[len(folder) :], day)
                if seed_id is not None and listed.size:
                    one = DayObject(listed, day, seed_id)
                    for sensor_id in self._sensors(one):
                        found[sensor_id].setdefault(one)
        return {sensor_id: _latest(own) for sensor_id, own in found.items()}

    def channels(self, sensor_id: SensorId, times: Times) -> tuple[SeedId, ...]:
        """Return the channels to take of a sensor's objects, if these hold others, too."""
        own = self._by_station.get((sensor_id.network, sensor_id.station), ())
        return tuple(one for one in own if one.sensor_id == sensor_id and self._lives(one, times))

    def _sensors(self, one: DayObject) -> set[SensorId]:
        """Return the sensors that an object holds and that are wanted."""
        if one.seed_id.channel:
            is_taken = self._chooser.takes(one.seed_id, None)
            return (
                {one.seed_id.sensor_id}
                if is_taken and self._lives(one.seed_id, one.times)
                else set()
            )
        own = self._by_station.get((one.seed_id.network, one.seed_id.station), ())
        return {seed_id.sensor_id for seed_id in own if self._lives(seed_id, one.times)}

    def _lives(self, seed_id: SeedId, times: Times) -> bool:
        return self._epochs is None or self._epochs.lives(seed_id, *times)

    def _seismometers(self) -> dict[tuple[str, str], list[SeedId]]:
        """Return the wanted channels of each station."""
        found: dict[tuple[str, str], list[SeedId]] = defaultdict(list)
        for seed_id, epoch in self._epochs or ():
            own = found[seed_id.network, seed_id.station]
            if seed_id not in own and self._chooser.takes(seed_id, epoch.rate_hz):
                own.append(seed_id)
        return dict(found)

    def _networks(self) -> list[str]:
        return list(self._bucket.folders(self._prefix))


def _latest(objects: Sequence[DayObject] | dict[DayObject, None]) -> list[DayObject]:
    """Leave out objects of which there is a newer version: its name ends with a larger number."""
    newest: dict[tuple[int, SeedId, str], DayObject] = {}
    for one in objects:
        stem, _, number = one.listed.key.partition("#")
        key = one.day, one.seed_id, stem
        if key not in newest or int(number or 0) > _number(newest[key]):
            newest[key] = one
    return sorted(newest.values(), key=lambda one: (one.seed_id, one.listed.key))


def _number(one: DayObject) -> int:
    return int(one.listed.key.partition("#")[2] or 0)


def _places(
    selection: Selection, networks: Callable[[], list[str]] | None
) -> list[tuple[str, str]]:
    """Return what to list: pairs of network and station code, empty where it is any.

    Args:
        selection: what is asked for.
        networks: tells the networks, where they must be named; otherwise None.
    """
    wanted: dict[str, set[str]] = defaultdict(set)
    for pattern in selection.stations:
        wanted[pattern.network].add("" if is_wild(("", pattern.station)) else pattern.station)
    for code in selection.networks if not selection.stations else ():
        wanted[code].add("")
    if not wanted:
        wanted["*"].add("")
    known: list[str] | None = None
    places: set[tuple[str, str]] = set()
    for network, stations in wanted.items():
        own = {""} if "" in stations or len(stations) > _MOST_STEMS else stations
        if not is_wild((network, "")):
            places |= {(network, station) for station in own}
        elif networks is None:
            places.add(("", ""))
        else:
            known = networks() if known is None else known
            named = [code for code in known if fnmatchcase(code, network)]
            places |= {(code, station) for code in named for station in own}
    whole = {network for network, station in places if not station}
    if ("", "") in places:
        return [("", "")]
    return sorted(one for one in places if not one[1] or one[0] not in whole)
