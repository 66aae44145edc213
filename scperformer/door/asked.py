"""What a call asks for: times, stations and channels, under the names of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict

import numpy as np

from scperformer.errors import ConfigurationError
from scperformer.types import NS_PER_S, parse_time
from scperformer.waveforms.selection import EVERYTHING, Selection, parse_selection

Time = Any
"""`obspy.UTCDateTime`, `datetime.datetime` (UTC unless it says otherwise), `numpy.datetime64`,
text such as ``2019-07-04T16:07:25.5``, or whole nanoseconds since 1970."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


class AskedWords(TypedDict, total=False):
    """Keywords that all calls understand.

    Attributes:
        start: leave out data before this time.
        end: leave out data from this time on.
        stations: stations, with wildcards, or channels: ``CI.*,PB.B91?`` or ``CI.*..HH?``.
        network: network codes, with wildcards.
        location: location codes, which may be empty, with wildcards.
        channels: channel codes, with wildcards: ``HH?,BH?``.
    """

    start: Time
    end: Time
    stations: str | None
    network: str | None
    location: str | None
    channels: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asks for.

    Attributes:
        start_ns: first time of interest, None for all.
        end_ns: end of the time of interest, not included; None for all.
        selection: stations and channels of interest.
    """

    start_ns: int | None = None
    end_ns: int | None = None
    selection: Selection = EVERYTHING


def read_asked(
    *,
    start: Time = None,
    end: Time = None,
    stations: str | None = None,
    network: str | None = None,
    location: str | None = None,
    channels: str | None = None,
) -> Asked:
    """Read the keywords of a call; see `AskedWords`.

    Raises:
        ConfigurationError: no time, or no pattern of codes.
    """
    start_ns, end_ns = (
        None if time is None else time_ns(time, name)
        for name, time in (("start", start), ("end", end))
    )
    if start_ns is not None and end_ns is not None and start_ns >= end_ns:
        raise ConfigurationError(f"start {start} is not before end {end}")
    with in_python_words():
        selection = parse_selection(
            stations=stations, networks=network, locations=location, channels=channels
        )
    return Asked(start_ns, end_ns, selection)


def time_ns(time: Time, name: str = "time") -> int:
    """Return a time as nanoseconds since 1970.

    Raises:
        ConfigurationError: it is none.
    """
    found = getattr(time, "ns", None)
    if isinstance(found, int):  # obspy's UTCDateTime
        return found
    if isinstance(time, str):
        try:
            return parse_time(time)
        except ValueError:
            pass
    elif isinstance(time, datetime):
        since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
        return (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1000
    elif isinstance(time, np.datetime64) and not np.isnat(time):
        return int(time.astype("datetime64[ns]").astype(np.int64))
    elif isinstance(time, (int, np.integer)) and not isinstance(time, bool):
        return int(time)
    raise ConfigurationError(
        f"{name}: got {time!r}; wanted a UTCDateTime, a datetime, text such as "
        "2019-07-04T16:07:25.5, or whole nanoseconds since 1970"
    )


@contextmanager
def in_python_words() -> Iterator[None]:
    """Name keywords where the command line's options are named by what goes wrong."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(*map(as_keywords, error.faults)) from None


def as_keywords(text: str) -> str:
    """Write ``--gap-tolerance`` as ``gap_tolerance``."""
    return _OPTION.sub(lambda match: match[1].replace("-", "_"), text)
