"""What has come of each station, and which have fallen silent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from scperformer.types import Record

Station = tuple[str, str]
"""Network and station code."""

_MOST_NAMED = 10
_LULL = 0.1
"""Of the silence; if nothing at all came for so long, it may soon be said of all stations."""


class Heard(NamedTuple):
    """The latest record of a station.

    Attributes:
        end_ns: time that follows its last sample; None if none has come yet.
        at_s: when it came, or since when it is expected.
    """

    end_ns: int | None
    at_s: float


class Stations:
    """Remembers the latest record of each station, and says once who falls silent or is back.

    Times in seconds are of one clock that never goes back.

    Args:
        silence_s: without data for so long, a station is silent.
        now_s: the time now.

    Attributes:
        heard: the latest record by station, of all that have been heard of or are expected.
        silent: stations that are silent, with the time of their latest record.
    """

    def __init__(self, silence_s: float, now_s: float) -> None:
        self.heard: dict[Station, Heard] = {}
        self.silent: dict[Station, float] = {}
        self._silence_s = silence_s
        self._latest: tuple[Sequence[str], float] = (), now_s
        self._since_s = now_s
        self._all_since_s: float | None = None

    def expect(self, stations: Iterable[Station], now_s: float) -> None:
        """Announce stations before anything comes of them."""
        for station in stations:
            self.heard.setdefault(station, Heard(None, now_s))

    def note(self, record: Record, now_s: float) -> None:
        """Take notice of a record."""
        seed_id = record.seed_id
        station = seed_id.network, seed_id.station
        self.heard[station] = Heard(record.end_ns, now_s)
        self._latest = station, now_s

    @property
    def n_silent(self) -> int:
        """How many stations are silent."""
        return len(self.silent) if self._all_since_s is None else len(self.heard)

    def check(self, now_s: float) -> Iterator[str]:
        """Yield a line for what is new; stations of one moment share it."""
        latest, latest_s = self._latest
        idle_s = now_s - latest_s
        if idle_s >= self._silence_s:
            if self._all_since_s is None:
                self._all_since_s = latest_s
                whose = f"any of {len(self.heard)} stations" if self.heard else "any station"
                yield f"silent: nothing from {whose} for {idle_s:.0f} s"
            return
        if self._all_since_s is not None:
            yield f"data again after {latest_s - self._all_since_s:.0f} s, from {_name(latest)}"
            self._all_since_s, self._since_s = None, now_s
        back = {s: at_s for s, at_s in self.silent.items() if self.heard[s].at_s > at_s}
        for station in back:
            del self.silent[station]
        if back:
            after_s = now_s - min(back.values())
            yield f"data again after {after_s:.0f} s: {_names(back)}"
        if idle_s < _LULL * self._silence_s:
            gone = self._gone(now_s - self._silence_s)
            self.silent |= gone
            if gone:
                yield f"silent for {self._silence_s:.0f} s: {_names(gone)}"

    def _gone(self, before_s: float) -> dict[Station, float]:
        """Return the stations of which nothing has come since a time, if they had to."""
        if self._since_s > before_s:
            return {}
        return {
            station: heard.at_s
            for station, heard in self.heard.items()
            if heard.at_s <= before_s and station not in self.silent
        }


def _name(station: Sequence[str]) -> str:
    return ".".join(station)


def _names(stations: Collection[Station]) -> str:
    named = ", ".join(map(_name, sorted(stations)[:_MOST_NAMED]))
    n_more = len(stations) - _MOST_NAMED
    return f"{named} and {n_more} more" if n_more > 0 else named
