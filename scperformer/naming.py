"""Which part of a channel code names the instrument, which the component, and where that stands.

| names       | instrument            | first horizontal, second, vertical |
|-------------|-----------------------|------------------------------------|
| Z N E       | all but the last      | N, E, Z                            |
| Z 1 2       | all but the last      | 1, 2, Z                            |
| Z 2 3       | all but the last      | 2, 3, Z                            |
| 1 2 3       | all but the last      | 1, 2, 3                            |
| U N E       | all but the last      | N, E, U (up; Hi-net)               |
| Z R T       | all but the last      | R, T, Z                            |
| X Y Z       | all but the last      | X, Y, Z                            |
| NS EW UD    | the digit behind them | NS, EW, UD (K-NET, KiK-net)        |

Small letters count as large ones. U V W and A B C (Galperin) lie askew: none of them is
vertical or horizontal, and they are left out unless a setting gives them places.

Which channels are seismometers the codes of SEED tell (Reference Manual 2.4, appendix A:
band, instrument, orientation). The networks were made for ground motion of 20 to 500 Hz.
Everything else that an archive holds beside it (state of health, mass positions, tilt,
strain, pressure, weather, logs) is no failure: it is left out, counted and told in a line.
Whoever wants such a channel names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

PLACES = ("N", "E", "Z")
_NORTH, _EAST, _VERTICAL = range(len(PLACES))

Codes = frozenset[tuple[str, int]]
"""Further component letters, large, with their places."""

NO_CODES: Codes = frozenset()

_NIED = re.compile(r"(NS|EW|UD)(\d?)", re.IGNORECASE)
_ROLES: Mapping[str, int] = MappingProxyType(
    {
        **{"N": _NORTH, "E": _EAST, "Z": _VERTICAL},
        **{"NS": _NORTH, "EW": _EAST, "UD": _VERTICAL},
        **{"R": _NORTH, "T": _EAST},
        **{"X": _NORTH, "Y": _EAST},
    }
)
"""Those that mean the same whatever stands beside them, the preferred ones first."""

_NUMBERS = ("1", "2", "3")
_UP = "U"
_GROUP = re.compile(r"([NEZ])([0-9A-Z]+)")


@lru_cache(maxsize=4096)
def split(channel: str) -> tuple[str, str]:
    """Return the instrument's and the component's part of a channel code."""
    nied = _NIED.fullmatch(channel)
    return (nied[2], nied[1]) if nied else (channel[:-1], channel[-1:])


def join(instrument: str, component: str) -> str:
    """Return the channel code of which `split` gives these parts."""
    return component + instrument if _NIED.fullmatch(component) else instrument + component


def parse_codes(text: str) -> Codes:
    """Read groups such as ``NU,EV,ZW``: a place (N, E, Z), then the letters that stand for it.

    Raises:
        ValueError: not of that form, or a letter in two places.
    """
    pairs: dict[str, int] = {}
    for group in text.upper().replace(",", " ").split():
        match = _GROUP.fullmatch(group)
        if match is None:
            raise ValueError(f"{group!r} is no place (N, E, Z) with letters behind it")
        for letter in match[2]:
            place = PLACES.index(match[1])
            if pairs.setdefault(letter, place) != place:
                raise ValueError(f"{letter!r} has two places")
    return frozenset(pairs.items())


@lru_cache(maxsize=1024)
def may_have_place(component: str, codes: Codes = NO_CODES) -> bool:
    """Whether there are sensors in which a component is one of the three."""
    large = component.upper()
    return large in _ROLES or large in (*_NUMBERS, _UP) or large in dict(codes)


@lru_cache(maxsize=4096)
def holders(
    active: frozenset[str], known: frozenset[str], codes: Codes = NO_CODES
) -> tuple[str, ...]:
    """Say which component stands in each place, N, E, Z; empty where none does.

    Where two want the same place, those of the setting come first, then N E Z, NS EW UD,
    R T, X Y, 1 2 3, U.

    Args:
        active: components that have samples at the time in question.
        known: all that the sensor has ever had: they tell what 2, 3 and U mean.
        codes: further component letters.
    """
    roles = [dict(codes), _ROLES, _numbers(_large(active), _large(known), codes)]
    if _UP in _large(known) and not _large(known) & {"V", "W"} and _large(known) & {"N", "E"}:
        roles.append({_UP: _VERTICAL})
    given = set(dict(codes))
    found = [""] * len(PLACES)
    for number, own in enumerate(roles):
        for name, place in own.items():
            if number and name in given:
                continue
            named = sorted(component for component in active if component.upper() == name)
            if named and not found[place]:
                found[place] = named[0]
    return tuple(found)


def component_places(letters: frozenset[str], codes: Codes = NO_CODES) -> Mapping[str, int]:
    """Say which component of a sensor stands where, if all of them have samples."""
    found = holders(letters, letters, codes)
    return MappingProxyType({name: place for place, name in enumerate(found) if name})


def _numbers(active: frozenset[str], known: frozenset[str], codes: Codes) -> dict[str, int]:
    """Places of 1, 2 and 3.

    3 is the vertical where there is no other. Beside a vertical it is the second horizontal
    and 2 the first, unless 1 is there, too.
    """
    verticals = {name for name, place in (*_ROLES.items(), *codes) if place == _VERTICAL}
    if not known & verticals or (active >= set(_NUMBERS) and not active & verticals):
        return {"1": _NORTH, "2": _EAST, "3": _VERTICAL}
    if "3" in known and ("1" not in known or ("3" in active and "1" not in active)):
        return {"2": _NORTH, "3": _EAST}
    return {"1": _NORTH, "2": _EAST}


def _large(components: frozenset[str]) -> frozenset[str]:
    return frozenset(component.upper() for component in components)


TAKEN = {
    "H": "high gain seismometer",
    "L": "low gain seismometer",
    "G": "gravimeter; in older networks an accelerometer",
    "N": "accelerometer",
    "P": "geophone, very short period seismometer",
}
"""Instrument codes that are picked."""

LEFT_OUT = {
    "A": "tilt",
    "B": "creep",
    "C": "calibration",
    "D": "pressure",
    "E": "electronic test point",
    "F": "magnetometer",
    "I": "humidity",
    "J": "rotation",
    "K": "temperature",
    "M": "mass position",
    "O": "water current",
    "Q": "electric potential",
    "R": "rainfall",
    "S": "linear strain",
    "T": "tide",
    "U": "bolometer",
    "V": "volumetric strain",
    "W": "wind",
    "X": "derived channel",
    "Y": "non-specific instrument",
    "Z": "synthesized beam",
}
"""Instrument codes that are not."""

_NO_DATA_BANDS = {"A": "administrative channel", "O": "opaque channel"}
_SLOW_BANDS = "MLVURPTQ"
_LOWEST_RATE_HZ = 20.0
_SEED_CODE = re.compile(r"[A-Z][A-Z][A-Z0-9]")
# Components of the Japanese strong-motion networks, which have no SEED codes.
_NIED_CODE = re.compile(r"(EW|NS|UD)[12]")


@lru_cache(maxsize=4096)
def why_left_out(channel: str, rate_hz: float | None = None) -> str:
    """Say why a channel is not picked unless it is asked for by name.

    A code that is not made as SEED wants it says nothing: it is picked.

    Args:
        channel: channel code.
        rate_hz: its sampling rate; None where it is not known yet: then the band code
            tells. Where it is known, a slow band with a high rate is picked.

    Returns:
        What the channel is; empty for one to be picked.
    """
    code = channel.upper()
    if _NIED_CODE.fullmatch(code) or not _SEED_CODE.fullmatch(code):
        return ""
    band, instrument = code[0], code[1]
    if band in _NO_DATA_BANDS:
        return _NO_DATA_BANDS[band]
    if instrument not in TAKEN:
        return LEFT_OUT[instrument]
    if band in _SLOW_BANDS and (rate_hz is None or rate_hz < _LOWEST_RATE_HZ):
        return f"sampled below {_LOWEST_RATE_HZ:g} Hz"
    return ""
