"""Which servers, stations and channels are wanted, as the command line says it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from scperformer.errors import ConfigurationError
from scperformer.naming import why_left_out
from scperformer.types import SeedId

DEFAULT_PORTS = {"slink": 18000, "slinks": 18500}
"""By scheme; slinks is SeedLink in TLS."""

SCHEMES = tuple(f"{scheme}://" for scheme in DEFAULT_PORTS)

REFRESH_S = 300.0
"""How often a server is asked for new stations that wildcards mean."""

ALL_DATA = "???.D"
"""The selector of a station without any: every channel, data records only."""

_CODE = re.compile(r"[A-Za-z0-9_*?]{1,8}")
_LOCATION = re.compile(r"--|[A-Za-z0-9*?]{0,2}")
_CHANNEL = re.compile(r"[A-Za-z0-9?]{3}")
_SELECTOR = re.compile(r"!?[A-Za-z0-9?\-]{1,5}(\.[DECOTL])?")
_WILD = re.compile(r"[*?]")
_EMPTY_LOCATION = "--"
_CHANNEL_LETTERS = 3
_DOTS_OF_A_CHANNEL = 3
_MOST_VERDICTS = 100_000

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


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for. Empty fields ask for everything.

    Attributes:
        stations: stations, with SeedLink's selectors for their channels.
        networks, locations, channels: codes with wildcards; ``--`` is the empty location.
    """

    stations: tuple[StationPattern, ...] = ()
    networks: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def wants(self, seed_id: SeedId) -> bool:
        """Tell whether a channel is asked for."""
        if not _any_matches(seed_id.network, self.networks):
            return False
        if not _any_matches(seed_id.location or _EMPTY_LOCATION, self.locations):
            return False
        if not _any_matches(seed_id.channel, self.channels):
            return False
        return not self.stations or bool(self._patterns_of(seed_id))

    def why_left_out(self, seed_id: SeedId, rate_hz: float | None = None) -> str:
        """Say why a channel is not picked though it is asked for; empty if it is picked.

        What is no seismometer is picked only where its band and instrument are spelt out.
        The rate is None where it is not known yet.
        """
        reason = why_left_out(seed_id.channel, rate_hz)
        return "" if reason and self._names(seed_id) else reason

    def requests(self) -> tuple[StationPattern, ...]:
        """Return the stations for a SeedLink server; it is spared channels not asked for."""
        if not self.channels:
            return self.stations
        own = tuple(
            f"{code.replace('*', '?' * _CHANNEL_LETTERS)[:_CHANNEL_LETTERS]}.D"
            for code in self.channels
        )
        return tuple(
            replace(pattern, selectors=own) if pattern.selectors == (ALL_DATA,) else pattern
            for pattern in self.stations
        )

    def _names(self, seed_id: SeedId) -> bool:
        if any(_spells_out(p) and fnmatchcase(seed_id.channel, p) for p in self.channels):
            return True
        return any(
            _spells_out(selector_parts(selector)[1]) and _selects(selector, seed_id)
            for pattern in self._patterns_of(seed_id)
            for selector in pattern.selectors
            if not selector.startswith("!")
        )

    def _patterns_of(self, seed_id: SeedId) -> list[StationPattern]:
        station = seed_id.network, seed_id.station
        return [
            pattern
            for pattern in self.stations
            if pattern.matches(station) and all_select(pattern.selectors, seed_id)
        ]


EVERYTHING = Selection()


class Chooser:
    """Applies a selection to channels as they come, and remembers what it did not take.

    Args:
        selection: what is asked for; of this, seismometers are taken.

    Attributes:
        left_out: channels that are no seismometers, and what they are.
        not_asked: channels that the selection does not want.
    """

    def __init__(self, selection: Selection = EVERYTHING) -> None:
        self.left_out: dict[SeedId, str] = {}
        self.not_asked: set[SeedId] = set()
        self._selection = selection
        self._verdicts: dict[tuple[SeedId, float | None], bool] = {}

    def takes(self, seed_id: SeedId, rate_hz: float | None) -> bool:
        """Tell whether a channel is to be picked; its rate is None where it is not known yet."""
        key = seed_id, rate_hz
        if key not in self._verdicts:
            if len(self._verdicts) >= _MOST_VERDICTS:  # rates that jitter, or hostile codes
                self._verdicts.clear()
            self._verdicts[key] = self._judge(seed_id, rate_hz)
        return self._verdicts[key]

    def _judge(self, seed_id: SeedId, rate_hz: float | None) -> bool:
        if not self._selection.wants(seed_id):
            self.not_asked.add(seed_id)
            return False
        reason = self._selection.why_left_out(seed_id, rate_hz)
        if reason:
            self.left_out[seed_id] = reason
        return not reason


def channels_left_out(left_out: Mapping[SeedId, str]) -> str:
    """Write the line about channels that are no seismometers."""
    codes: dict[str, set[str]] = {}
    for seed_id, reason in left_out.items():
        codes.setdefault(reason, set()).add(seed_id.channel)
    kinds = ", ".join(f"{reason} ({some(sorted(own))})" for reason, own in sorted(codes.items()))
    return f"{len(left_out)} channels not for picking: {kinds}; --channels takes them by name"


def some(words: Sequence[str], most: int = 3) -> str:
    """Name the first of some words."""
    return " ".join(words[:most]) + (" ..." if len(words) > most else "")


def parse_selection(
    *, stations: str | None, networks: str | None, locations: str | None, channels: str | None
) -> Selection:
    """Read the options of a selection; None where one is not given.

    Raises:
        ConfigurationError: with every fault.
    """
    faults: list[str] = []

    def codes(
        option: str, text: str | None, form: re.Pattern[str], example: str
    ) -> tuple[str, ...]:
        if text is None:
            return ()
        parts = tuple(part.strip() for part in text.split(","))
        if not all(map(form.fullmatch, parts)):
            wanted = f"codes such as {example}, commas between them"
            faults.append(f"{option}: got {text!r}; wanted {wanted}")
        return tuple(code or _EMPTY_LOCATION for code in parts)

    patterns: tuple[StationPattern, ...] = ()
    try:
        patterns = () if stations is None else parse_stations(stations)
    except ConfigurationError as error:
        faults += error.faults
    selection = Selection(
        patterns,
        codes("--network", networks, _CODE, "CI,P?"),
        codes("--location", locations, _LOCATION, "00,10, or an empty one"),
        codes("--channels", channels, _CODE, "HH?,BHZ"),
    )
    if faults:
        raise ConfigurationError(*faults)
    return selection


def parse_stations(text: str) -> tuple[StationPattern, ...]:
    """Read ``CI.*,PB.B91?``, ``CI.TOW2:??HH? ??HN?``, ``CI.*..HH?`` or ``*``, commas between them.

    The third form names channels as NET.STA.LOC.CHA; its location may be empty.

    Raises:
        ConfigurationError: with every fault.
    """
    patterns, faults = [], []
    for part in filter(None, (part.strip() for part in text.split(","))):
        codes, colon, selectors = part.partition(":")
        network, _, station = ("*.*" if codes == "*" else codes).partition(".")
        wanted = tuple(selectors.split()) or (ALL_DATA,)
        if codes.count(".") == _DOTS_OF_A_CHANNEL and not colon:
            station, location, channel = station.split(".")
            wanted = (_selector_of(location, channel),)
            if not (_LOCATION.fullmatch(location) and _CHANNEL.fullmatch(wanted[0][2:])):
                faults.append(f"--stations: got {part!r}; wanted NET.STA.LOC.CHA as in CI.*..HH?")
                continue
        if not (_CODE.fullmatch(network) and _CODE.fullmatch(station)):
            form = "NET.STA, NET.STA.LOC.CHA, NET.STA:SELECTORS or *"
            faults.append(f"--stations: got {part!r}; wanted {form}")
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


def _selector_of(location: str, channel: str) -> str:
    """Return SeedLink's selector LLCCC for codes with wildcards; a star stands for the rest."""
    own = "??" if location == "*" else location.replace("*", "?")
    rest = "?" * max(_CHANNEL_LETTERS + 1 - len(channel), 0)
    return own.ljust(2, "-") + channel.replace("*", rest)


def _any_matches(code: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(code, pattern) for pattern in patterns)


def _spells_out(pattern: str) -> bool:
    """Whether a channel pattern names band and instrument: its first two letters."""
    return len(pattern) > 1 and not _WILD.search(pattern[:2])


@lru_cache(maxsize=10_000)
def all_select(selectors: tuple[str, ...], seed_id: SeedId) -> bool:
    """Tell whether SeedLink's selectors together mean a channel; those with ``!`` take away."""
    taken = [s for s in selectors if not s.startswith("!")]
    taken_away = [s[1:] for s in selectors if s.startswith("!")]
    if any(_selects(selector, seed_id) for selector in taken_away):
        return False
    return not taken or any(_selects(selector, seed_id) for selector in taken)


def _selects(selector: str, seed_id: SeedId) -> bool:
    location, channel = selector_parts(selector)
    own = (seed_id.location or _EMPTY_LOCATION).ljust(2, "-")
    return fnmatchcase(own, location) and fnmatchcase(seed_id.channel, channel)


@lru_cache(maxsize=256)
def selector_parts(selector: str) -> tuple[str, str]:
    """Split a selector LLCCC, LL or CCC into patterns of location and channel; D means all."""
    code = selector.lstrip("!").partition(".")[0]
    if len(code) < 2:
        return "??", "*"
    if len(code) == 2:
        return code, "*"
    location = code[:-3].ljust(2, "?") if len(code) > 3 else "??"
    return location, code[-3:]


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
