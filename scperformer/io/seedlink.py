"""SeedLink servers as sources of records: which stations, from where on, and again after a loss."""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from scperformer.errors import ConfigurationError, RecordError
from scperformer.io.limited_log import LimitedLog
from scperformer.io.mseed_headers import seed_id_of
from scperformer.io.mseed_stream import decode_record
from scperformer.io.seedlink_client import (
    LinkError,
    LinkStopped,
    SeedLinkClient,
    StationRequest,
)
from scperformer.types import NS_PER_S, Record, SeedId

_log = logging.getLogger(__name__)

DEFAULT_PORT = 18000
ALL_DATA = "???.D"
"""The selector of a station without any: every channel, data records only."""

SHORTEST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
_CODE = re.compile(r"[A-Za-z0-9_*?]{1,8}")
_SELECTOR = re.compile(r"!?[A-Za-z0-9?\-]{1,5}(\.[DECOTL])?")
_WILD = re.compile(r"[*?]")
# A server that has lost count sends what reaches beyond this before the latest record.
_RESUME_MARGIN_NS = 300 * NS_PER_S
# How old data may be when it comes, at the first connection.
_LATENCY_NS = 120 * NS_PER_S

Station = tuple[str, str]
ResumeAt = Callable[[str, str], int | None]


@dataclass(frozen=True, slots=True)
class StationPattern:
    """Stations wanted: codes with wildcards ``*`` and ``?``, and what of them."""

    network: str
    station: str
    selectors: tuple[str, ...]

    @property
    def is_wild(self) -> bool:
        """Whether it can mean several stations."""
        return _WILD.search(self.network + self.station) is not None

    def matches(self, station: Station) -> bool:
        """Tell whether it means a station (network, station)."""
        return fnmatchcase(station[0], self.network) and fnmatchcase(station[1], self.station)


def parse_stations(text: str) -> tuple[StationPattern, ...]:
    """Read ``CI.*,PB.B91?`` or ``CI.TOW2:??HH? ??HN?``: stations, commas between them.

    Raises:
        ConfigurationError: with every fault.
    """
    patterns, faults = [], []
    for part in filter(None, (part.strip() for part in text.split(","))):
        codes, _, selectors = part.partition(":")
        network, _, station = codes.partition(".")
        wanted = tuple(selectors.split()) or (ALL_DATA,)
        if not (_CODE.fullmatch(network) and _CODE.fullmatch(station)):
            faults.append(f"--stations: got {part!r}; wanted NET.STA or NET.STA:SELECTORS")
        faults += [
            f"--stations: got the selector {selector!r}; wanted LLCCC such as ??HH?, or HHZ"
            for selector in wanted
            if not _SELECTOR.fullmatch(selector)
        ]
        patterns.append(StationPattern(network, station, wanted))
    if not patterns:
        faults.append(f"--stations: got {text!r}; wanted stations such as CI.*,PB.B91?")
    if faults:
        raise ConfigurationError(*faults)
    return tuple(patterns)


def parse_address(url: str) -> tuple[str, int]:
    """Read ``slink://host[:port]``.

    Raises:
        ConfigurationError: not of that form.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host, port = None, 0
    if not host or parts.path not in ("", "/"):
        raise ConfigurationError(f"{url}: wanted slink://HOST or slink://HOST:PORT")
    return host, port


@dataclass(slots=True)
class _Progress:
    """What has come of a station: the last packet, and each channel's latest record."""

    sequence: int
    starts_ns: dict[SeedId, int] = field(default_factory=dict)

    def since_ns(self) -> int | None:
        """Time before which nothing can be missing; a clock that is ahead is not believed."""
        if not self.starts_ns:
            return None
        return min(*self.starts_ns.values(), time.time_ns()) - _RESUME_MARGIN_NS


class SeedLinkSource:
    """The records of some stations of a SeedLink server, for as long as the program runs.

    When the connection is lost it is made again after 1 s, doubling up to 60 s, and
    every station goes on behind its last packet. A record may come twice; none is left
    out that the server still has.

    Args:
        url: ``slink://host[:port]``.
        patterns: the stations.
        resume_at: where a station begins (network, station), None for no wish.
        start_ns: where stations begin that `resume_at` does not know; None for what
            comes next.
        log: hears of lost connections, refused stations and damaged records.

    Attributes:
        n_connections: connections made.
        n_damaged: records that could not be used.
    """

    is_paced = True

    def __init__(
        self,
        url: str,
        patterns: Sequence[StationPattern],
        *,
        resume_at: ResumeAt | None = None,
        start_ns: int | None = None,
        log: LimitedLog | None = None,
    ) -> None:
        self.name = url
        self.n_connections = 0
        self.n_damaged = 0
        self._host, self._port = parse_address(url)
        self._patterns = tuple(patterns)
        self._resume_at = resume_at
        self._start_ns = start_ns  # without a wish: the time of the first connection, later
        self._limited = log or LimitedLog(_log)
        self._progress: dict[Station, _Progress] = {}
        self._wait_s = SHORTEST_WAIT_S

    def records(self, stop: threading.Event) -> Iterator[Record]:
        """Yield records as they come, until `stop` is set."""
        while not stop.is_set():
            try:
                yield from self._connection(stop)
            except LinkStopped:
                return
            except LinkError as error:
                wait_s = self._wait_s * random.uniform(0.8, 1.2)
                text = f"{self.name}: {error}; next attempt in {wait_s:.0f} s"
                self._limited.warning((self.name, str(error)), text)
            except Exception:  # whatever it was, other servers and later data count
                wait_s = LONGEST_WAIT_S
                _log.exception("%s: unexpected error; next attempt in %.0f s", self.name, wait_s)
            self._wait_s = min(2.0 * self._wait_s, LONGEST_WAIT_S)
            stop.wait(wait_s)

    def _connection(self, stop: threading.Event) -> Iterator[Record]:
        with closing(SeedLinkClient(self._host, self._port, stop)) as client:
            client.open()
            for request, problem in client.subscribe(self._requests(client.stations())):
                code = f"{request.network}.{request.station}"
                self._limited.warning((self.name, code), f"{code}: {problem} (by {self.name})")
            self.n_connections += 1
            if self.n_connections == 1 and self._start_ns is None:
                self._start_ns = time.time_ns() - _LATENCY_NS
            _log.info("%s: connected", self.name)
            for sequence, raw in client.packets():
                self._wait_s = SHORTEST_WAIT_S
                record = self._take(sequence, raw)
                if record is not None:
                    yield record

    def _take(self, sequence: int, raw: bytes) -> Record | None:
        seed_id = seed_id_of(raw[8:20])
        station = (seed_id.network, seed_id.station)
        try:
            record = decode_record(raw)
        except RecordError as error:
            self.n_damaged += 1
            self._limited.warning((self.name, seed_id), f"{error} (from {self.name})")
            if station in self._progress:
                self._progress[station].sequence = sequence
            return None
        progress = self._progress.setdefault(station, _Progress(sequence))
        progress.sequence = sequence
        if record is not None:
            progress.starts_ns[seed_id] = record.start_ns
        return record

    def _requests(self, offered: Iterable[Station] | None) -> list[StationRequest]:
        """Say what is wanted of each station, from where on.

        Args:
            offered: what the server has; None if it does not say: then wildcards are
                left to it, and it begins where the slowest of their stations was.

        Raises:
            LinkError: nothing that the server offers is wanted.
        """
        wanted: dict[Station, list[str]] = {}
        for pattern in self._patterns:
            own = [(pattern.network, pattern.station)]
            if pattern.is_wild and offered is not None:
                own = sorted(station for station in set(offered) if pattern.matches(station))
                if not own:
                    code = f"{pattern.network}.{pattern.station}"
                    self._limited.warning(
                        (self.name, code), f"{code}: no such station at {self.name}"
                    )
            for station in own:
                wanted.setdefault(station, []).extend(pattern.selectors)
        if not wanted:
            raise LinkError("no station that is wanted")
        return [
            self._request(station, tuple(dict.fromkeys(selectors)))
            for station, selectors in wanted.items()
        ]

    def _request(self, station: Station, selectors: tuple[str, ...]) -> StationRequest:
        network, code = station
        if _WILD.search(network + code):
            return StationRequest(network, code, selectors, since_ns=self._wild_since_ns(station))
        progress = self._progress.get(station)
        if progress is not None:
            return StationRequest(
                network, code, selectors, after=progress.sequence, since_ns=progress.since_ns()
            )
        return StationRequest(network, code, selectors, since_ns=self._begin_ns(network, code))

    def _begin_ns(self, network: str, station: str) -> int | None:
        known_ns = self._resume_at(network, station) if self._resume_at is not None else None
        return self._start_ns if known_ns is None else known_ns

    def _wild_since_ns(self, codes: Station) -> int | None:
        pattern = StationPattern(*codes, selectors=())
        times = [
            since_ns
            for station, progress in self._progress.items()
            if pattern.matches(station) and (since_ns := progress.since_ns()) is not None
        ]
        return min(times, default=self._begin_ns(*codes))
