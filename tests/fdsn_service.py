"""A small FDSN service on the loopback that can be told to falter."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from scperformer.types import SeedId, format_time, parse_time
from scperformer.waveforms.mseed_headers import seed_id_of
from scperformer.waveforms.mseed_scan import end_ns, scan_headers
from tests.loopback import Loopback


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer.

    Attributes:
        status: answer so; 200 to answer with data.
        retry_after: the header's value, empty for none.
        wait_s: so long comes nothing.
        drip_s: pause behind each piece of the body.
        keep: this part of the body is sent, then the connection closes.
        body: instead of the data.
    """

    status: int = 200
    retry_after: str = ""
    wait_s: float = 0.0
    drip_s: float = 0.0
    keep: float = 1.0
    body: bytes | None = None


FINE = Fault()


class Record(NamedTuple):
    """A record of miniSEED."""

    seed_id: SeedId
    start_ns: int
    end_ns: int
    data: bytes


def records_of(data):
    """Take miniSEED apart."""
    table = scan_headers(data, at_end=True).records
    columns = (table[name].tolist() for name in ("code", "start_ns", "offset", "length"))
    rows = zip(*columns, end_ns(table).tolist(), strict=True)
    return [
        Record(seed_id_of(code), start_ns, until_ns, data[offset : offset + length])
        for code, start_ns, offset, length, until_ns in rows
    ]


class FdsnService(Loopback):
    """Serves miniSEED; start it as a context manager.

    Args:
        data: miniSEED of all channels.
        epochs: lines of the station service: channel, start, end (empty: still there).
        has_availability, has_stations: whether there are such services.
        largest_s: a request for a longer time is too large.

    Attributes:
        asked: requests, in the order in which they came: service and parameters.
        faults: of a service's next answers; what is last stays if it is in `for_good`.
        most_at_once: so many requests were under way at a time.
    """

    def __init__(
        self, data, *, epochs=(), has_availability=True, has_stations=True, largest_s=1e9, rest_s=0
    ):
        self.asked = []
        self.times = []
        self.faults = defaultdict(deque)
        self.for_good = {}
        self.most_at_once = 0
        self.updated = "2024-03-05T00:00:00Z"
        self.knows_merging = True
        self._n_now = 0
        self._lock = threading.Lock()
        self._records = records_of(data)
        self._epochs = epochs
        self._has = {"dataselect": True, "availability": has_availability, "station": has_stations}
        self._largest_s = largest_s
        self._rest_s = rest_s

    def __enter__(self):
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                with service._busy():
                    service._serve(self)

            def log_message(self, *_):
                pass

        return self.begin(Handler, lambda *_: None)  # a client that has gone away

    def requests(self, name):
        return [parameters for service, parameters in self.asked if service == name]

    def _busy(self):
        service = self

        class Busy:
            def __enter__(self):
                with service._lock:
                    service._n_now += 1
                    service.most_at_once = max(service.most_at_once, service._n_now)

            def __exit__(self, *_):
                with service._lock:
                    service._n_now -= 1

        return Busy()

    def _serve(self, handler):
        parts = urlsplit(handler.path)
        folders = parts.path.split("/")
        if len(folders) != 5 or folders[1] != "fdsnws" or not self._has.get(folders[2]):
            handler.send_error(404)
            return
        parameters = dict(parse_qsl(parts.query))
        service = folders[2]
        with self._lock:
            self.asked.append((service, parameters))
            self.times.append(time.monotonic())
            queue = self.faults[service]
            fault = queue.popleft() if queue else self.for_good.get(service, FINE)
        time.sleep(fault.wait_s + self._rest_s)
        if fault.status != 200:
            handler.send_response(fault.status)
            if fault.retry_after:
                handler.send_header("Retry-After", fault.retry_after)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        status, body = getattr(self, f"_{service}")(parameters)
        self._send(handler, status, body if fault.body is None else fault.body, fault)

    def _send(self, handler, status, body, fault):
        handler.send_response(status)
        if status == 200:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        body = body[: round(len(body) * fault.keep)]
        step = 4096 if fault.drip_s else max(len(body), 1)
        with suppress(OSError):
            for first in range(0, len(body), step):
                handler.wfile.write(body[first : first + step])
                handler.wfile.flush()
                time.sleep(fault.drip_s)

    def _wanted(self, parameters):
        start, end = (parse_time(parameters[name]) for name in ("starttime", "endtime"))
        return start, end, cache(partial(_matches, parameters))

    def _dataselect(self, parameters):
        start, end, wants = self._wanted(parameters)
        if (end - start) / 1e9 > self._largest_s:
            return 413, b""
        body = b"".join(
            one.data
            for one in self._records
            if one.start_ns < end and one.end_ns > start and wants(one.seed_id)
        )
        return (200, body) if body else (204, b"")

    def _availability(self, parameters):
        if not self.knows_merging and ("mergegaps" in parameters or "show" in parameters):
            return 400, b""
        start, end, wants = self._wanted(parameters)
        lines = ["#Network Station Location Channel Quality SampleRate Earliest Latest Updated"]
        for channel, first, last in self._spans():
            if first < end and last > start and wants(channel):
                codes = channel.network, channel.station, channel.location or "--", channel.channel
                ends = format_time(max(first, start)), format_time(min(last, end))
                lines.append(" ".join((*codes, "M", "100.0", *ends, self.updated)))
        return (200, "\n".join(lines).encode()) if len(lines) > 1 else (204, b"")

    def _spans(self):
        """Channels and their times, a gap of an hour between two of one channel."""
        spans = []
        for one in self._records:
            if spans and spans[-1][0] == one.seed_id and one.start_ns - spans[-1][2] < 3600e9:
                spans[-1][2] = one.end_ns
            else:
                spans.append([one.seed_id, one.start_ns, one.end_ns])
        return spans

    def _station(self, parameters):
        _, _, wants = self._wanted(parameters)
        names = "Network Station Location Channel Latitude Longitude Elevation Depth Azimuth Dip"
        names += " SensorDescription Scale ScaleFreq ScaleUnits SampleRate StartTime EndTime"
        lines = ["#" + "|".join(names.split())]
        for text, start, end in self._epochs:
            channel = SeedId.parse(text)
            if wants(channel):
                codes = channel.network, channel.station, channel.location, channel.channel
                numbers = "35.0", "-117.0", "0.0", "0.0", "0.0", "0.0"
                sensor = "", "1.0", "1.0", "M/S", "100.0"
                lines.append("|".join((*codes, *numbers, *sensor, start, end)))
        return (200, "\n".join(lines).encode()) if len(lines) > 1 else (204, b"")


def _matches(parameters, seed_id):
    fields = {
        "network": seed_id.network,
        "station": seed_id.station,
        "location": seed_id.location or "--",
        "channel": seed_id.channel,
    }
    return all(
        any(fnmatchcase(code, pattern) for pattern in parameters.get(name, "*").split(","))
        for name, code in fields.items()
    )
