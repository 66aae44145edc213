"""SeedLink servers, as the command line names them."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from scperformer.errors import ConfigurationError

DEFAULT_PORTS = {"slink": 18000, "slinks": 18500}
"""By scheme; slinks is SeedLink in TLS."""

SCHEMES = tuple(f"{scheme}://" for scheme in DEFAULT_PORTS)

REFRESH_S = 300.0
"""How often a server is asked for new stations that wildcards mean."""


class Address(NamedTuple):
    """Where a server is, and whether to speak with it in TLS."""

    host: str
    port: int
    is_encrypted: bool = False


def parse_address(url: str) -> Address:
    """Read ``slink://host[:port]`` or ``slinks://host[:port]``.

    Raises:
        ConfigurationError: not of that form.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        host, port = None, 0
    if not (host and port) or parts.path not in ("", "/"):
        raise ConfigurationError(f"{url}: wanted slink://HOST or slink://HOST:PORT, or slinks://")
    return Address(host, port, parts.scheme == "slinks")
