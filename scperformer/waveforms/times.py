"""Times with a beginning and an end, as requests to archives far away need them."""

from __future__ import annotations

from typing import NamedTuple

from scperformer.types import NS_PER_S, format_time
from scperformer.waveforms.contents import Span
from scperformer.waveforms.pieces import AFTER_NS, BEFORE_NS, DAY_NS


class Times(NamedTuple):
    """From `start_ns` up to, not including, `end_ns`."""

    start_ns: int
    end_ns: int

    @classmethod
    def of_day(cls, day: int) -> Times:
        """Return a day's; days count from 1970-01-01."""
        return cls(day * DAY_NS, (day + 1) * DAY_NS)

    @property
    def span(self) -> Span:
        """The same, for those who also take open ends."""
        return Span(*self)

    @property
    def days(self) -> range:
        """The days that it touches."""
        return range(self.start_ns // DAY_NS, (self.end_ns - 1) // DAY_NS + 1)

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return (self.end_ns - self.start_ns) / NS_PER_S

    def touches(self, other: Times) -> bool:
        """Tell whether they share a moment."""
        return self.start_ns < other.end_ns and other.start_ns < self.end_ns

    def within(self, bounds: Span | Times) -> Times:
        """Return what lies in other times."""
        start_ns = self.start_ns if bounds.start_ns is None else bounds.start_ns
        end_ns = self.end_ns if bounds.end_ns is None else bounds.end_ns
        return Times(max(self.start_ns, start_ns), min(self.end_ns, end_ns))

    def with_overlaps(self) -> Times:
        """Return what is read of a piece with these times."""
        return Times(self.start_ns - BEFORE_NS, self.end_ns + AFTER_NS)

    def halves(self) -> tuple[Times, Times]:
        """Cut it in the middle."""
        middle_ns = (self.start_ns + self.end_ns) // 2
        return Times(self.start_ns, middle_ns), Times(middle_ns, self.end_ns)

    def __str__(self) -> str:
        return f"{iso(self.start_ns)}/{iso(self.end_ns)}"


def iso(time_ns: int) -> str:
    """Return a time as requests have it, to the microsecond."""
    return format_time(time_ns, "%Y-%m-%dT%H:%M:%S.%f")
