"""What was asked of a SeedLink server, held against what it sends."""

from __future__ import annotations

from collections.abc import Iterable

from scperformer.types import SeedId
from scperformer.waveforms.selection import Station, StationPattern, all_select


class Wanted:
    """What was asked for on a connection.

    Args:
        requests: the stations and what of them.
    """

    def __init__(self, requests: Iterable[StationPattern]) -> None:
        self._plain: dict[Station, StationPattern] = {}
        self._wild: list[StationPattern] = []
        for request in requests:
            if request.is_wild:
                self._wild.append(request)
            else:
                self._plain[request.network, request.station] = request

    def has(self, station: Station) -> bool:
        """Tell whether a station was asked for."""
        return bool(self._requests(station))

    def takes(self, seed_id: SeedId) -> bool:
        """Tell whether a channel was asked for."""
        requests = self._requests((seed_id.network, seed_id.station))
        return any(all_select(request.selectors, seed_id) for request in requests)

    def _requests(self, station: Station) -> list[StationPattern]:
        plain = self._plain.get(station)
        wild = [request for request in self._wild if request.matches(station)]
        return wild if plain is None else [plain, *wild]
