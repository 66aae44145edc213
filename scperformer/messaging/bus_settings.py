"""Where a messaging server is, how TLS is checked, and how long to wait for what."""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from scperformer.errors import ConfigurationError
from scperformer.messaging.scmp import HEARTBEAT_S

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a TLS connection is checked.

    Attributes:
        ca_file: PEM file with the certificates to trust, a self-signed one included;
            None for the system's.
        certificate_file: PEM file with our own certificate and key, for servers that
            ask for one.
        check_host: whether the server's certificate must be for its host name.
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    check_host: bool = True

    def context(self) -> ssl.SSLContext:
        """Return what Python's sockets want.

        Raises:
            ConfigurationError: a file cannot be read.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.check_hostname = self.check_host
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file)
        except OSError as error:
            files = [str(file) for file in (self.ca_file, self.certificate_file) if file]
            raise ConfigurationError(
                f"TLS: {' or '.join(files)} cannot be used ({error.strerror or error}); "
                "wanted a file in PEM format"
            ) from error
        return context


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
