"""SeedLink servers, as the command line names them."""

from __future__ import annotations

from urllib.parse import urlsplit

from scperformer.errors import ConfigurationError

DEFAULT_PORT = 18000

REFRESH_S = 300.0
"""How often a server is asked for new stations that wildcards mean."""


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
