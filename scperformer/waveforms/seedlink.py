"""SeedLink servers as sources of records: which stations, from where on, and again after a loss."""

from __future__ import annotations

import logging
import math
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

from scperformer.errors import RecordError
from scperformer.types import NS_PER_S, Record, SeedId
from scperformer.waveforms.mseed_stream import decode_record
from scperformer.waveforms.problems import LimitedLog
from scperformer.waveforms.seedlink_client import (
    LinkError,
    LinkOutdated,
    LinkStopped,
    SeedLinkClient,
)
from scperformer.waveforms.seedlink_versions import Offered, Packet, StationRequest
from scperformer.waveforms.selection import (
    REFRESH_S,
    Station,
    StationPattern,
    all_select,
    is_wild,
    parse_address,
)

_log = logging.getLogger(__name__)

SHORTEST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
# A server that has lost count sends what reaches beyond this before the latest record.
_RESUME_MARGIN_NS = 300 * NS_PER_S
# How old data may be when it comes, at the first connection.
_LATENCY_NS = 120 * NS_PER_S
# What a server can make us keep in mind.
_MOST_STATIONS = 20_000
_MOST_CHANNELS = 100
_MOST_NAMED = 20

ResumeAt = Callable[[str, str], int | None]


@dataclass(slots=True)
class _Progress:
    """What has come of a station: the last packet, and each channel's latest record.

    The packet's number is None where the server would not understand it.
    """

    sequence: int | None = None
    starts_ns: dict[SeedId, int] = field(default_factory=dict)

    def has_room(self, seed_id: SeedId) -> bool:
        """Tell whether a channel is known, or may be one more."""
        return seed_id in self.starts_ns or len(self.starts_ns) < _MOST_CHANNELS

    def since_ns(self) -> int | None:
        """Time before which nothing can be missing; a clock that is ahead is not believed."""
        if not self.starts_ns:
            return None
        return min(*self.starts_ns.values(), time.time_ns()) - _RESUME_MARGIN_NS


class _Wanted:
    """What was asked for on a connection, held against what comes."""

    def __init__(self, requests: Iterable[StationPattern]) -> None:
        self._plain: dict[Station, StationPattern] = {}
        self._wild: list[StationPattern] = []
        for request in requests:
            if request.is_wild:
                self._wild.append(request)
            else:
                self._plain[request.network, request.station] = request

    def has(self, station: Station) -> bool:
        return bool(self._requests(station))

    def takes(self, seed_id: SeedId) -> bool:
        requests = self._requests((seed_id.network, seed_id.station))
        return any(all_select(request.selectors, seed_id) for request in requests)

    def _requests(self, station: Station) -> list[StationPattern]:
        plain = self._plain.get(station)
        wild = [request for request in self._wild if request.matches(station)]
        return wild if plain is None else [plain, *wild]


class SeedLinkSource:
    """The records of some stations of a SeedLink server, for as long as the program runs.

    When the connection is lost it is made again after 1 s, doubling up to 60 s, and
    every station goes on behind its last packet. A record may come twice; none is left
    out that the server still has. Where there are wildcards, the server is asked from
    time to time, on a short connection of its own, whether it has new stations; if so,
    the connection is made anew with them.

    Args:
        url: ``slink://host[:port]``, or ``slinks://`` for TLS.
        patterns: the stations.
        resume_at: where a station begins (network, station), None for no wish.
        start_ns: where stations begin that `resume_at` does not know; None for what
            comes next.
        refresh_s: how often to ask for new stations; infinite for never.
        log: hears of lost connections, refused stations and damaged records.

    Whatever a server sends, it cannot stop the stream for good: every packet takes its
    station a step further, also one that cannot be used.

    Attributes:
        n_connections: connections made.
        n_damaged: records that could not be used.
        n_unasked: records of stations or channels that nobody asked for, left out.
    """

    is_paced = True

    def __init__(
        self,
        url: str,
        patterns: Sequence[StationPattern],
        *,
        resume_at: ResumeAt | None = None,
        start_ns: int | None = None,
        refresh_s: float = REFRESH_S,
        log: LimitedLog | None = None,
    ) -> None:
        self.name = url
        self.n_connections = 0
        self.n_damaged = 0
        self.n_unasked = 0
        self._address = parse_address(url)
        self._patterns = tuple(patterns)
        self._resume_at = resume_at
        self._refresh_s = refresh_s
        self._asked: frozenset[Station] | None = None  # None: not connected, or not known
        self._outdated = threading.Event()
        self._start_ns = start_ns  # without a wish: the time of the first connection, later
        self._limited = log or LimitedLog(_log)
        self._progress: dict[Station, _Progress] = {}
        # What gives the numbers their meaning: the version of SeedLink, and what was there.
        self._version: int | None = None
        self._offered: Offered | None = None
        self._wait_s = SHORTEST_WAIT_S

    def records(self, stop: threading.Event) -> Iterator[Record]:
        """Yield records as they come, until `stop` is set."""
        done = threading.Event()
        if math.isfinite(self._refresh_s) and any(p.is_wild for p in self._patterns):
            name = f"{self.name} stations"
            threading.Thread(target=self._refresh, args=(done,), name=name, daemon=True).start()
        try:
            yield from self._connections(stop)
        finally:
            done.set()

    def _connections(self, stop: threading.Event) -> Iterator[Record]:
        """Yield records of one connection after the other."""
        while not stop.is_set():
            try:
                yield from self._connection(stop)
            except LinkStopped:
                return
            except LinkOutdated:
                continue
            except LinkError as error:
                wait_s = self._wait_s * random.uniform(0.8, 1.2)
                text = f"{self.name}: {error}; next attempt in {wait_s:.0f} s"
                self._limited.warning((self.name, _kind_of(error)), text)
            except Exception as error:  # whatever it was, other servers and later data count
                wait_s = LONGEST_WAIT_S
                text = f"{self.name}: unexpected error; next attempt in {wait_s:.0f} s"
                self._limited.warning((self.name, type(error)), text, with_traceback=True)
            self._wait_s = min(2.0 * self._wait_s, LONGEST_WAIT_S)
            stop.wait(wait_s)

    def _connection(self, stop: threading.Event) -> Iterator[Record]:
        self._outdated.clear()
        self._asked = None
        link = SeedLinkClient(self._address, stop, outdated=self._outdated)
        with closing(link) as client:
            client.open()
            offered = client.stations()
            self._check_numbers(client.version.number, offered)
            requests = self._requests(offered)
            for request, problem in client.subscribe(requests):
                code = f"{request.network}.{request.station}"
                self._limited.warning((self.name, code), f"{code}: {problem} (by {self.name})")
            self.n_connections += 1
            if self.n_connections == 1 and self._start_ns is None:
                self._start_ns = time.time_ns() - _LATENCY_NS
            _log.info("%s: connected", self.name)
            if offered:
                self._asked = frozenset((r.network, r.station) for r in requests)
            wanted = _Wanted(requests)
            for packet in client.packets():
                record = self._take(packet, wanted)
                if client.n_skipped_bytes:
                    text = f"{self.name}: bytes that are no SeedLink packets are left out"
                    self._limited.warning((self.name, "bytes"), text)
                if record is not None:
                    self._wait_s = SHORTEST_WAIT_S
                    yield record

    def _refresh(self, done: threading.Event) -> None:
        """Look for new stations from time to time; have the connection made anew for them."""
        while not done.wait(self._refresh_s):
            if self._asked is None:
                continue
            try:
                new = self._new_stations(done)
            except LinkStopped:
                return
            except LinkError as error:
                text = f"{self.name}: cannot be asked for new stations ({error})"
                self._limited.warning((self.name, "stations"), text)
                continue
            except Exception as error:  # what is asked for in passing ends no stream
                text = f"{self.name}: unexpected error in asking for new stations"
                self._limited.warning((self.name, type(error)), text, with_traceback=True)
                continue
            if new:
                codes = ", ".join(f"{network}.{station}" for network, station in new[:_MOST_NAMED])
                more = f" and {len(new) - _MOST_NAMED} more" if len(new) > _MOST_NAMED else ""
                _log.info("%s: new stations: %s%s", self.name, codes, more)
                self._outdated.set()

    def _new_stations(self, done: threading.Event) -> list[Station]:
        """Ask for the stations that are wanted and were not there at the connection.

        Raises:
            LinkError: the server does not answer.
            LinkStopped: the stream has ended.
        """
        with closing(SeedLinkClient(self._address, done)) as client:
            client.open()
            offered = client.stations() or ()
        asked = self._asked
        if asked is None:
            return []
        wanted = {s for s in offered if any(p.matches(s) for p in self._patterns if p.is_wild)}
        return sorted(wanted - asked)

    def _check_numbers(self, version: int, offered: Offered | None) -> None:
        """Forget numbers that mean nothing: of another version, or not among the server's own."""
        before = self._offered or {}
        for station, progress in self._progress.items():
            held = None if offered is None else offered.get(station, range(0))
            formerly = before.get(station) or range(0)
            is_lost = held is not None and (
                progress.sequence not in held or held.start < formerly.start
            )
            if version != self._version or is_lost:
                progress.sequence = None
        self._version, self._offered = version, offered

    def _take(self, packet: Packet, wanted: _Wanted) -> Record | None:
        """Unpack a packet, and note that it has come, before anything can go wrong with it."""
        station, code = packet.station, ".".join(packet.station)
        has_room = station in self._progress or len(self._progress) < _MOST_STATIONS
        if not (has_room and wanted.has(station)):
            self._leave_out(f"packets of {code}")
            return None
        progress = self._progress.setdefault(station, _Progress())
        progress.sequence = packet.sequence
        try:
            if not packet.payload:
                raise RecordError(f"{code}: a packet that is empty or too long")
            record = decode_record(packet.payload)
        except Exception as error:  # one packet must not come again for ever
            self.n_damaged += 1
            text = str(error) if isinstance(error, RecordError) else f"{code}: {error!r}"
            self._limited.warning((self.name, text.partition(":")[0]), f"{text} (from {self.name})")
            return None
        if record is None:
            return None
        seed_id = record.seed_id
        if not (wanted.takes(seed_id) and progress.has_room(seed_id)):
            self._leave_out(str(seed_id))
            return None
        progress.starts_ns[seed_id] = record.start_ns
        return record

    def _leave_out(self, what: str) -> None:
        self.n_unasked += 1
        text = f"{self.name}: sends {what}, which nobody asked for; such records are left out"
        self._limited.warning((self.name, "unasked"), text)

    def _requests(self, offered: Offered | None) -> list[StationRequest]:
        """Say what is wanted of each station, from where on.

        Args:
            offered: what the server has; None or nothing if it does not say: then wildcards
                are left to it, and it begins where the slowest of their stations was.

        Raises:
            LinkError: nothing that the server offers is wanted.
        """
        wanted: dict[Station, list[str]] = {}
        for pattern in self._patterns:
            own = [(pattern.network, pattern.station)]
            if pattern.is_wild and offered:
                own = sorted(station for station in offered if pattern.matches(station))
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
        known_ns = None if self._resume_at is None else self._resume_at(*station)
        request = StationRequest(
            *station, selectors, since_ns=self._start_ns if known_ns is None else known_ns
        )
        progress = self._progress.get(station)
        if is_wild(station):
            times = [
                since_ns
                for own, progress in self._progress.items()
                if request.matches(own) and (since_ns := progress.since_ns()) is not None
            ]
            return replace(request, since_ns=min(times, default=request.since_ns))
        if progress is not None:
            return replace(request, after=progress.sequence, since_ns=progress.since_ns())
        return request


def _kind_of(error: LinkError) -> str:
    """Return what is the same in all errors of a kind: the words before any figure."""
    return re.split(r"[(:\d]", str(error), maxsplit=1)[0]
