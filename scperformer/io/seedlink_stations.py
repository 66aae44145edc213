"""Which stations of a SeedLink server are wanted, as the command line says it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from scperformer.errors import ConfigurationError
from scperformer.types import SeedId

DEFAULT_PORT = 18000
ALL_DATA = "???.D"
"""The selector of a station without any: every channel, data records only."""

REFRESH_S = 300.0
"""How often a server is asked for new stations that wildcards mean."""

_CHANNEL_LETTERS = 3
_CODE = re.compile(r"[A-Za-z0-9_*?]{1,8}")
_SELECTOR = re.compile(r"!?[A-Za-z0-9?\-]{1,5}(\.[DECOTL])?")
_WILD = re.compile(r"[*?]")
_PLAIN_CODE = re.compile(r"[A-Za-z0-9_]{1,8}")

Station = tuple[str, str]
"""Network code and station code."""


def is_code(text: str) -> bool:
    """Tell whether a server may mean one network or station by it."""
    return _PLAIN_CODE.fullmatch(text) is not None


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

    def takes(self, seed_id: SeedId) -> bool:
        """Tell whether a channel of one of its stations is wanted."""
        refused = [s for s in self.selectors if s.startswith("!")]
        chosen = [s for s in self.selectors if not s.startswith("!")]
        if any(_selects(selector[1:], seed_id) for selector in refused):
            return False
        return not chosen or any(_selects(selector, seed_id) for selector in chosen)


class Wanted:
    """What was asked for on a connection.

    Args:
        patterns: the stations, with or without wildcards.
    """

    def __init__(self, patterns: Iterable[StationPattern]) -> None:
        self._plain: dict[Station, StationPattern] = {}
        self._wild: list[StationPattern] = []
        for pattern in patterns:
            if pattern.is_wild:
                self._wild.append(pattern)
            else:
                self._plain[pattern.network, pattern.station] = pattern

    def takes(self, seed_id: SeedId) -> bool:
        """Tell whether a channel was asked for."""
        station = (seed_id.network, seed_id.station)
        plain = self._plain.get(station)
        if plain is not None and plain.takes(seed_id):
            return True
        return any(wild.matches(station) and wild.takes(seed_id) for wild in self._wild)


def _selects(selector: str, seed_id: SeedId) -> bool:
    """Tell whether a selector, ``CCC`` or ``LLCCC``, means a channel; others mean all."""
    pattern = selector.partition(".")[0].replace("-", " ")
    code = f"{seed_id.location:2}{seed_id.channel}"
    if len(pattern) == _CHANNEL_LETTERS:
        code = seed_id.channel
    elif len(pattern) != _CHANNEL_LETTERS + 2:
        return True
    return len(code) == len(pattern) and fnmatchcase(code, pattern)


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
