"""Which channels are seismometers, by the channel codes of SEED.

SEED Reference Manual 2.4, appendix A: band, instrument, orientation. The networks were
made for ground motion of 20 to 500 Hz. Everything else that an archive holds beside it
(state of health, mass positions, tilt, strain, pressure, weather, logs) is no failure:
it is left out, counted and told in a line. Whoever wants such a channel names it.
"""

from __future__ import annotations

import re
from functools import lru_cache

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
