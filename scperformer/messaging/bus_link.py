"""Where a messaging server is, and a connection to it: made, kept, made again."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import random
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from scperformer.errors import ConfigurationError, OutputError
from scperformer.messaging.publisher import Publisher, RefusedError, Step
from scperformer.messaging.scmp import HEARTBEAT_S, SUBPROTOCOL, ProtocolError
from scperformer.types import format_time

# Others' messages go by when messages in doubt are looked for, inventories among them.
MAX_RECEIVED_BYTES = 64 * 1024 * 1024

# Such messages that have been received and not been looked at yet.
_MOST_WAITING = 2

# Before messages are sent and the outbox takes note of acknowledgements.
FRAMES_AT_A_TIME = 200

# A problem that lasts is told again after so many attempts.
_TELL_AGAIN = 20

_MOST_SAID_BYTES = 300

_HTTP_PROBLEMS = {
    401: "it wants another user and password, or a client certificate",
    403: "this user or certificate has no access",
    404: "it has no such queue, or not for this address",
}

_log = logging.getLogger(__name__)

PORTS = {"scmp": 18180, "scmps": 18181}
DEFAULT_QUEUE = "production"

_CREDENTIALS = re.compile("//.*@")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a messaging server is, and who we are there. Its text hides the password."""

    host: str
    port: int
    path: str
    secure: bool = False
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``scmp://[user:password@]host[:port]/[queue]``; ``scmps`` is with TLS.

        Raises:
            ConfigurationError: not such a URL.
        """
        try:
            parts = urlsplit(url)
            port = PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
            usable = parts.scheme in PORTS and port and parts.hostname
        except ValueError:
            usable = False
        if not usable or parts.query or parts.fragment:
            raise ConfigurationError(
                f"got {_CREDENTIALS.sub('//...@', url)!r}; "
                "wanted a messaging server, scmp://[user:password@]host[:port]/[queue], or "
                "scmps:// for TLS"
            )
        return cls(
            host=parts.hostname or "",
            port=port,
            path=parts.path.rstrip("/") or f"/{DEFAULT_QUEUE}",
            secure=parts.scheme == "scmps",
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    @property
    def websocket_uri(self) -> str:
        """The address for a WebSocket client, without user and password."""
        return f"{'wss' if self.secure else 'ws'}://{self._place}"

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that authenticate us."""
        if not self.user:
            return {}
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {token}"}

    @property
    def _place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}{self.path}"

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        return f"{'scmps' if self.secure else 'scmp'}://{user}{self._place}"


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return how an ``scmps`` server is checked.

    Args:
        ca_file: PEM file with the certificates to trust, a self-signed one included; None for
            the system's.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigurationError(
            f"TLS: {ca_file} cannot be used ({error.strerror or error}); "
            "wanted a file in PEM format"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times of a connection.

    Attributes:
        heartbeat_s: between two signs of life.
        first_pause_s: after the first failed attempt to connect; doubles each time.
        longest_pause_s: between two attempts.
        connect_timeout_s: for the TCP, TLS and WebSocket handshakes.
        silence_timeout_s: without an answer to a ping, the connection is given up.
        looking_timeout_s: for the server to bring back what it remembers.
        goodbye_timeout_s: for the server to confirm the end.
        acknowledgement_timeout_s: for the server to acknowledge any of the messages that
            it has been sent.
    """

    heartbeat_s: float = HEARTBEAT_S
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    connect_timeout_s: float = 10.0
    silence_timeout_s: float = 24.0
    looking_timeout_s: float = 60.0
    goodbye_timeout_s: float = 2.0
    acknowledgement_timeout_s: float = 300.0

    def pause_s(self, failures: int) -> float:
        """Return the longest pause after so many failed attempts in a row."""
        return min(self.first_pause_s * 2.0 ** min(failures, 30), self.longest_pause_s)


class Link:
    """Brings a publisher's frames to a server and back, for as long as it runs.

    Args:
        publisher: knows what to say.
        address: of the server.
        tls: for ``scmps``.
        timing: heartbeats and pauses.
        progress: called when something may have changed, from the loop's thread.
    """

    def __init__(
        self,
        publisher: Publisher,
        address: Address,
        *,
        tls: ssl.SSLContext | None,
        timing: Timing,
        progress: Callable[[], None],
    ) -> None:
        self.problem = ""
        self._publisher = publisher
        self._address = address
        self._tls = tls
        self._timing = timing
        self._progress = progress
        self._attempts = 0
        self._announced = False
        self._progress_at = 0.0
        self._n_acknowledged = 0
        self._begun_s = time.monotonic()
        self._load = self._begun_s, time.process_time()
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()

    def wake(self) -> None:
        """Look into the outbox. From another thread: by `call_soon_threadsafe`."""
        self._wake.set()

    def stop(self) -> None:
        """Say goodbye and end. From another thread: by `call_soon_threadsafe`."""
        self._stop.set()
        self._wake.set()

    async def run(self) -> None:
        """Converse with the server, again and again, until `stop`."""
        while not self._stop.is_set():
            at_once = await self._attempt()
            self._progress()
            if not at_once and not self._stop.is_set():
                await self._pause()

    async def _attempt(self) -> bool:
        """Connect once and stay; return whether the next attempt may come at once."""
        self._announced = False
        try:
            async with self._connect() as connection:
                await self._converse(connection)
        except RefusedError as error:
            self._fail(str(error), logging.ERROR)
            return error.at_once
        except InvalidStatus as error:
            self._fail(_http_problem(error), logging.ERROR)
        except ProtocolError as error:
            self._fail(f"the server does not speak SCMP as we do: {error}", logging.ERROR)
        except ConnectionClosed as error:
            self._fail(f"the connection was lost ({error})", logging.WARNING)
        except OutputError as error:
            self._fail(f"the outbox fails ({error})", logging.ERROR)
        except (OSError, TimeoutError, WebSocketException) as error:
            self._fail(f"no connection ({error or type(error).__name__})", logging.WARNING)
        except Exception:
            # Whatever one message or the disk did, the others must go on being delivered.
            _log.exception("%s: publishing failed; it begins again", self._address)
        finally:
            self._publisher.lost()
        return False

    def _connect(self) -> connect:
        timing = self._timing
        return connect(
            self._address.websocket_uri,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            additional_headers=self._address.headers,
            ssl=self._tls,
            proxy=None,
            compression=None,
            max_size=MAX_RECEIVED_BYTES,
            max_queue=_MOST_WAITING,
            open_timeout=timing.connect_timeout_s,
            close_timeout=timing.goodbye_timeout_s,
            ping_interval=timing.heartbeat_s,
            ping_timeout=timing.silence_timeout_s,
        )

    async def _converse(self, connection: ClientConnection) -> None:
        publisher, timing = self._publisher, self._timing
        await connection.send(publisher.open())
        begun = time.monotonic()
        self._progress_at, self._n_acknowledged = begun, publisher.counts.acknowledged
        beat_at = begun + timing.heartbeat_s
        incoming = _next_frame(connection)
        try:
            while not self._stop.is_set():
                await self._happening(incoming, max(0.0, beat_at - time.monotonic()))
                incoming = await self._take(connection, incoming)
                await _send(connection, publisher.pump())
                self._take_note()
                now = time.monotonic()
                await _send(connection, self._overdue(now - begun))
                if now >= beat_at:
                    await _send(connection, publisher.heartbeat(self._health()))
                    beat_at = now + timing.heartbeat_s
            await self._leave(connection, incoming)
        finally:
            incoming.cancel()

    async def _happening(self, incoming: asyncio.Future[str | bytes], wait_s: float) -> None:
        """Wait for a frame, for `wake` or for the time to pass."""
        woken = asyncio.ensure_future(self._wake.wait())
        either: set[asyncio.Future[Any]] = {incoming, woken}
        wait_s = min(wait_s, self._timing.connect_timeout_s)
        await asyncio.wait(either, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        self._wake.clear()

    async def _take(
        self, connection: ClientConnection, incoming: asyncio.Future[str | bytes]
    ) -> asyncio.Future[str | bytes]:
        """Take the frames that are there; return the future of the next one."""
        for _ in range(FRAMES_AT_A_TIME):
            if not incoming.done():
                break
            await _send(connection, self._publisher.receive(incoming.result()))
            incoming = _next_frame(connection)
            # Lets the future above find a frame that has arrived already.
            await asyncio.sleep(0)
        return incoming

    def _overdue(self, elapsed_s: float) -> list[bytes]:
        """Return what is to be sent where the server takes too long to begin."""
        if not self._publisher.greeted and elapsed_s >= self._timing.connect_timeout_s:
            raise TimeoutError("the server does not answer CONNECT")
        self._check_progress()
        if elapsed_s >= self._timing.looking_timeout_s:
            return self._publisher.stop_looking()
        return []

    def _check_progress(self) -> None:
        """Raise where the server takes messages and acknowledges none of them for too long."""
        n_acknowledged, now = self._publisher.counts.acknowledged, time.monotonic()
        if n_acknowledged != self._n_acknowledged or not self._publisher.n_in_flight:
            self._n_acknowledged, self._progress_at = n_acknowledged, now
        elif now - self._progress_at >= self._timing.acknowledgement_timeout_s:
            raise TimeoutError("the server acknowledges no message")

    async def _leave(
        self, connection: ClientConnection, incoming: asyncio.Future[str | bytes]
    ) -> None:
        """Tell the server that we go, and wait a moment for its receipt."""
        await _send(connection, self._publisher.leave())
        try:
            async with asyncio.timeout(self._timing.goodbye_timeout_s):
                data = await incoming
                while self._publisher.take_leave(data):
                    data = await connection.recv()
        except (TimeoutError, ConnectionClosed, RefusedError, ProtocolError):
            _log.debug("%s: left without a receipt", self._address)

    def _take_note(self) -> None:
        server = self._publisher.server
        if server is not None and self._publisher.step is Step.PUBLISHING and not self._announced:
            self._announced, self.problem = True, ""
            _log.info(
                "%s: connected as %s; SeisComP %s, schema %s; %d messages wait",
                self._address,
                server.client_name,
                server.framework_version or "of unknown version",
                server.schema_version or "unknown",
                self._publisher.n_waiting,
            )
        if self._publisher.confirmed:
            self._attempts = 0
        self._progress()

    def _fail(self, problem: str, level: int) -> None:
        again = self._attempts and self._attempts % _TELL_AGAIN == 0
        if problem != self.problem or again:
            _log.log(
                level, "%s: %s; %d messages wait", self._address, problem, self._publisher.n_waiting
            )
        self.problem = problem

    async def _pause(self) -> None:
        pause_s = self._timing.pause_s(self._attempts) * random.uniform(0.5, 1.0)
        self._attempts += 1
        try:
            async with asyncio.timeout(pause_s):
                await self._stop.wait()
        except TimeoutError:
            return

    def _health(self) -> str:
        values = {
            "clientname": self._publisher.server.client_name if self._publisher.server else "",
            "programname": "scperformer",
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "time": format_time(time.time_ns()),
            "uptime": round(time.monotonic() - self._begun_s),
            "cpuusage": f"{self._cpu_share():.3f}",
            "clientmemoryusage": _resident_kib(),
            "sentmessages": self._publisher.counts.acknowledged,
            "messagequeuesize": self._publisher.n_waiting,
        }
        return "&".join(f"{key}={value}" for key, value in values.items())

    def _cpu_share(self) -> float:
        """Share of one processor that the process has taken since it was asked last.

        SeisComP's own clients send the same, 0.25 for a quarter, and call it percent.
        """
        (before_s, cpu_before_s), now_s, cpu_s = self._load, time.monotonic(), time.process_time()
        self._load = now_s, cpu_s
        return (cpu_s - cpu_before_s) / max(now_s - before_s, 1e-3)


def _resident_kib() -> int:
    """Memory of the process, kibibytes; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        return 0


def _next_frame(connection: ClientConnection) -> asyncio.Future[str | bytes]:
    def heed(future: asyncio.Future[str | bytes]) -> None:
        # Sending may find out first that the connection was lost.
        if not future.cancelled():
            future.exception()

    future: asyncio.Future[str | bytes] = asyncio.ensure_future(connection.recv())
    future.add_done_callback(heed)
    return future


async def _send(connection: ClientConnection, frames: Iterable[bytes]) -> None:
    for frame in frames:
        await connection.send(frame)


def _http_problem(error: InvalidStatus) -> str:
    status = error.response.status_code
    said = (error.response.body or b"")[:_MOST_SAID_BYTES].decode(errors="replace").strip()
    why = _HTTP_PROBLEMS.get(status) or said or error.response.reason_phrase
    return f"the server refuses the connection: HTTP {status}, {why}"
