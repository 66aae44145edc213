"""What was asked of a SeedLink server, held against what it sends."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from scperformer.types import SeedId

_CHANNEL_LETTERS = 3
_LOCATION_LETTERS = 2
_CODE = re.compile(r"[A-Za-z0-9_]{1,8}")
_WILD = re.compile(r"[*?]")

Request = tuple[str, str, tuple[str, ...]]
"""Network and station code, with or without wildcards, and selectors."""


def is_code(text: str) -> bool:
    """Tell whether a server may mean one network or station by it."""
    return _CODE.fullmatch(text) is not None


class Wanted:
    """What was asked for on a connection.

    Args:
        requests: the stations and what of them.
    """

    def __init__(self, requests: Iterable[Request]) -> None:
        self._plain: dict[tuple[str, str], tuple[str, ...]] = {}
        self._wild: list[Request] = []
        for network, station, selectors in requests:
            if _WILD.search(network + station):
                self._wild.append((network, station, selectors))
            else:
                self._plain[network, station] = selectors

    def takes(self, seed_id: SeedId) -> bool:
        """Tell whether a channel was asked for."""
        plain = self._plain.get((seed_id.network, seed_id.station))
        if plain is not None and select(plain, seed_id):
            return True
        return any(
            fnmatchcase(seed_id.network, network)
            and fnmatchcase(seed_id.station, station)
            and select(selectors, seed_id)
            for network, station, selectors in self._wild
        )


def select(selectors: Iterable[str], seed_id: SeedId) -> bool:
    """Tell whether selectors ``[!][LL]CCC[.T]`` together mean a channel."""
    chosen: list[bool] = []
    for selector in selectors:
        is_meant = _means(selector.removeprefix("!"), seed_id)
        if not selector.startswith("!"):
            chosen.append(is_meant)
        elif is_meant:
            return False
    return any(chosen) or not chosen


def _means(selector: str, seed_id: SeedId) -> bool:
    """Tell whether a selector means a channel; one without a channel means all."""
    pattern = selector.partition(".")[0].replace("-", " ")
    code = f"{seed_id.location:{_LOCATION_LETTERS}}{seed_id.channel}"
    if len(pattern) == _CHANNEL_LETTERS:
        code = seed_id.channel
    elif len(pattern) != _CHANNEL_LETTERS + _LOCATION_LETTERS:
        return True
    return len(code) == len(pattern) and fnmatchcase(code, pattern)
