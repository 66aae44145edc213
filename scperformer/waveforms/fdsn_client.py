"""ObsPy's client for an FDSN server, made insistent, polite and safe.

It is given an opener of this module, so that an answer is bounded in size and time, one that
was cut off is known as such, and a server is not asked again before it likes.
"""

from __future__ import annotations

import email.utils
import http.client
import io
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from scperformer import __version__
from scperformer.errors import ConfigurationError
from scperformer.types import SeedId
from scperformer.waveforms.epochs import Epoch, channel_epochs
from scperformer.waveforms.patience import PassingError, Patience, insist
from scperformer.waveforms.times import Times, iso
from scperformer.waveforms.turns import turn
from scperformer.web import plain_opener

MOST_PARALLEL = 3
"""Requests at a time to one server, of all processes of this machine."""

MOST_ANSWER_BYTES = 1 << 29
"""A larger answer is to be asked for in parts, as one that the server finds too large."""

_PIECE_BYTES = 1 << 16
_PASSING = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Server:
    """A server and how it is treated.

    Attributes:
        address: base address, or a name that ObsPy knows.
        patience: how it is asked again.
        most_parallel: requests at a time.
    """

    address: str
    patience: Patience = field(default_factory=Patience)
    most_parallel: int = MOST_PARALLEL

    def open(self) -> Connection:
        """Make a client.

        Raises:
            ConfigurationError: neither an address nor a known name.
        """
        return Connection(self)


class RefusedError(Exception):
    """The server does not give what was asked for, and would not the next time.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, status: int, what: str) -> None:
        self.status = status
        super().__init__(what or f"HTTP {status}")


class TooLargeError(Exception):
    """An answer that is to be asked for in parts."""


class CutOffError(PassingError):
    """An answer that ended too early."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        super().__init__(f"cut off after {len(data)} bytes")


class _Answer:
    """What ObsPy's client reads of an answer: all of it, or an error."""

    def __init__(self, answer: http.client.HTTPResponse, deadline_s: float) -> None:
        self._answer = answer
        self._deadline_s = deadline_s

    def getcode(self) -> int:
        return self._answer.status

    def info(self) -> Message:
        return self._answer.headers

    def read(self) -> bytes:
        wanted = self._answer.headers.get("Content-Length", "")
        data = bytearray()
        try:
            with self._answer:
                while piece := self._answer.read1(_PIECE_BYTES):
                    data += piece
                    if len(data) > MOST_ANSWER_BYTES:
                        raise TooLargeError
                    if time.monotonic() > self._deadline_s:
                        raise CutOffError(bytes(data))
        except (OSError, http.client.HTTPException) as error:
            raise CutOffError(bytes(data)) from error
        if wanted.isdecimal() and len(data) < int(wanted):
            raise CutOffError(bytes(data))
        return bytes(data)


class _Opener:
    """The opener of ObsPy's client; remembers of an answer what the client does not tell."""

    def __init__(self, patience: Patience) -> None:
        self.status = 0
        self.pause_s = 0.0
        self._patience = patience
        self._web = plain_opener()

    def open(
        self, request: urllib.request.Request, data: bytes | None = None, timeout: float = 0.0
    ) -> _Answer:
        del timeout  # the client's own
        self.status, self.pause_s = 0, 0.0
        deadline_s = time.monotonic() + self._patience.answer_s
        try:
            answer = self._web.open(request, data, timeout=self._patience.silence_s)
        except urllib.error.HTTPError as error:
            self.status = error.code
            self.pause_s = _asked_pause_s(error.headers.get("Retry-After", ""))
            raise
        self.status = answer.status
        return _Answer(answer, deadline_s)


def _asked_pause_s(text: str) -> float:
    """Read Retry-After: seconds, or a date."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0


class Connection:
    """ObsPy's client for a server, insistent and polite. It stays in its process.

    Attributes:
        host: the server's name and port.
    """

    def __init__(self, server: Server) -> None:
        from obspy.clients.fdsn import Client  # noqa: PLC0415 - slow to import

        agent = f"scperformer/{__version__}"
        try:
            self._client = Client(
                server.address, user_agent=agent, _discover_services=False, use_gzip=False
            )
        except ValueError as error:
            raise ConfigurationError(
                f"--source: {server.address}: no FDSN server ({error}); wanted a name as in "
                "fdsnws://EARTHSCOPE, or a base address such as https://geofon.gfz.de"
            ) from None
        self.host = urlsplit(self._client.base_url).netloc
        self._server = server
        self._opener = _Opener(server.patience)
        self._client._url_opener = self._opener

    def waveforms(self, channels: Sequence[SeedId], times: Times) -> bytes | None:
        """Ask for channels of one station; None if there are no data.

        Raises:
            RefusedError: not to be had.
            TooLargeError: to be asked for in parts.
            PassingError: not to be had now, nor at further attempts.
        """
        from obspy import UTCDateTime  # noqa: PLC0415

        file = io.BytesIO()
        first = channels[0]
        locations = sorted({one.location or "--" for one in channels})
        codes = sorted({one.channel for one in channels})
        ends = (UTCDateTime(ns=time_ns) for time_ns in times)
        where = first.network, first.station, ",".join(locations), ",".join(codes)
        ask = partial(self._client.get_waveforms, *where, *ends, filename=file)
        answered = self._ask(ask, file)
        return file.getvalue() or None if answered else None

    def epochs(self, request: Mapping[str, str], times: Times) -> list[tuple[SeedId, Epoch]]:
        """Ask the station service for channels.

        Raises:
            RefusedError, PassingError: as `waveforms`.
        """
        from obspy import UTCDateTime  # noqa: PLC0415

        ask = partial(
            self._client.get_stations,
            **request,
            starttime=UTCDateTime(ns=times.start_ns),
            endtime=UTCDateTime(ns=times.end_ns),
            level="channel",
            format="text",
        )
        inventory = self._ask(ask)
        return list(channel_epochs(inventory)) if inventory else []

    def availability(self, request: Mapping[str, str], times: Times) -> str:
        """Ask the availability service, which ObsPy's client does not know.

        Raises:
            RefusedError: there is none, or not with these parameters.
            TooLargeError, PassingError: as `waveforms`.
        """
        ends = {"starttime": iso(times.start_ns), "endtime": iso(times.end_ns)}
        query = urlencode({**request, **ends, "format": "text"})
        url = f"{self._client.base_url}{self._client.url_subpath}/availability/1/query?{query}"
        asked = urllib.request.Request(url, headers=self._client.request_headers)
        answered = self._ask(lambda: self._opener.open(asked).read())
        return (answered or b"").decode("utf-8", "replace")

    def _ask(self, ask: Callable[[], Any], file: io.BytesIO | None = None) -> Any:
        return insist(partial(self._ask_once, ask, file), self._server.patience)

    def _ask_once(self, ask: Callable[[], Any], file: io.BytesIO | None) -> Any:
        """Return the answer; True for one that went into the file, None where there is none."""
        if file is not None:
            file.seek(0)
            file.truncate()
        try:
            with turn(self.host, self._server.most_parallel):
                answer = ask()
        except (PassingError, TooLargeError):
            raise
        except Exception as error:  # obspy's client raises whatever it likes
            self._judge(error)
            return None
        if self._opener.status == HTTPStatus.NO_CONTENT:
            return None
        return answer if file is None else True

    def _judge(self, error: Exception) -> None:
        """Say what an error of ObsPy's client means; nothing if there are no data."""
        status = self._opener.status
        what = str(error).partition("\n")[0]
        if status == HTTPStatus.NO_CONTENT:
            return
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise TooLargeError from error
        if status in _PASSING or not status:
            told = f"HTTP {status}" if status else what
            raise PassingError(told, pause_s=self._opener.pause_s) from error
        raise RefusedError(status, what if status == HTTPStatus.OK else "") from error
