"""Picks as JSON: what the journal and the outbox keep on disk, and get back exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scperformer.types import NS_PER_S, Onset, Phase, Pick, Polarity, SeedId

DAMAGED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading damaged JSON, or what is not of our making, can raise."""

# The years that times can be written with: 1 to 9999.
_TIMES_NS = (-62_135_596_800 * NS_PER_S, 253_402_300_800 * NS_PER_S)


def pick_to_json(pick: Pick) -> dict[str, Any]:
    """Return a pick as plain values from which it comes back exactly."""
    seed_id = pick.seed_id
    return {
        "time_ns": int(pick.time_ns),
        "phase": str(pick.phase),
        "seed_id": [seed_id.network, seed_id.station, seed_id.location, seed_id.channel],
        "probability": float(pick.probability),
        "uncertainty_s": float(pick.uncertainty_s),
        "snr": float(pick.snr),
        "polarity": None if pick.polarity is None else str(pick.polarity),
        "onset": str(pick.onset),
        "decision_delay_s": float(pick.decision_delay_s),
        "model": pick.model,
        "model_sha256": pick.model_sha256,
        "filter_id": pick.filter_id,
        "n_components": int(pick.n_components),
        "recipe": pick.recipe,
    }


def pick_from_json(values: Mapping[str, Any]) -> Pick:
    """Make a pick of `pick_to_json`'s values; a number that is null is nan.

    Raises:
        One of `DAMAGED`: the values are not a pick's.
    """
    time_ns, polarity = time_from_json(values["time_ns"]), values["polarity"]
    probability = _number(values["probability"])
    if probability < 0.0 or probability > 1.0:
        raise ValueError(f"a probability of {probability}")
    network, station, location, channel = map(text_from_json, values["seed_id"])
    return Pick(
        time_ns=time_ns,
        phase=Phase(values["phase"]),
        seed_id=SeedId(network, station, location, channel),
        probability=probability,
        uncertainty_s=_number(values["uncertainty_s"]),
        snr=_number(values["snr"]),
        polarity=None if polarity is None else Polarity(polarity),
        onset=Onset(values["onset"]),
        decision_delay_s=_number(values["decision_delay_s"]),
        model=text_from_json(values["model"]),
        model_sha256=text_from_json(values["model_sha256"]),
        filter_id=text_from_json(values["filter_id"]),
        n_components=int(values["n_components"]),
        recipe=text_from_json(values.get("recipe", "")),
    )


def time_from_json(value: Any) -> int:
    """Take a time in ns that can be written as a date.

    Raises:
        One of `DAMAGED`: it is none.
    """
    time_ns = int(value)
    if not _TIMES_NS[0] <= time_ns < _TIMES_NS[1]:
        raise ValueError(f"a time of {time_ns} ns")
    return time_ns


def text_from_json(value: Any) -> str:
    """Take a text that can be written as UTF-8.

    Raises:
        One of `DAMAGED`: it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"got {value!r}; wanted text")
    value.encode()
    return value


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
