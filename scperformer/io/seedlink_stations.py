"""Which stations of a SeedLink server are wanted, as the command line says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from scperformer.errors import ConfigurationError

DEFAULT_PORT = 18000
ALL_DATA = "???.D"
"""The selector of a station without any: every channel, data records only."""

REFRESH_S = 300.0
"""How often a server is asked for new stations that wildcards mean."""

_CODE = re.compile(r"[A-Za-z0-9_*?]{1,8}")
_SELECTOR = re.compile(r"!?[A-Za-z0-9?\-]{1,5}(\.[DECOTL])?")
_WILD = re.compile(r"[*?]")

Station = tuple[str, str]
"""Network code and station code."""


def is_wild(station: Station) -> bool:
    """Tell whether codes have wildcards, so that they can mean several stations."""
    return _WILD.search("".join(station)) is not None


@dataclass(frozen=True, slots=True)
class StationPattern:
    """Stations wanted: codes with wildcards ``*`` and ``?``, and what of them."""

    network: str
    station: str
    selectors: tuple[str, ...]

    @property
    def is_wild(self) -> bool:
        """Whether it can mean several stations."""
        return is_wild((self.network, self.station))

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
