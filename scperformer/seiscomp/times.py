"""SeisComP's times and our nanoseconds."""

from __future__ import annotations

from typing import Any

from seiscomp import core

from scperformer.types import NS_PER_S

_NS_PER_US = 1000


def to_time(time_ns: int) -> Any:
    """Make SeisComP's time, which counts microseconds, from nanoseconds."""
    seconds, rest_ns = divmod(time_ns, NS_PER_S)
    return core.Time(seconds, rest_ns // _NS_PER_US)


def to_ns(time: Any) -> int:
    """Return SeisComP's time in nanoseconds, exactly."""
    # Older versions have no epochSeconds, newer ones may have no seconds.
    seconds = time.epochSeconds() if hasattr(time, "epochSeconds") else time.seconds()
    return int(seconds) * NS_PER_S + int(time.microseconds()) * _NS_PER_US
