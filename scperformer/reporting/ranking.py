"""Which sensors are to be looked at first, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scperformer.reporting.scan_report import ScanReport
from scperformer.reporting.tallies import SensorTally
from scperformer.reporting.words import counted, decimals, percent, rate
from scperformer.types import SAMPLING_RATE_HZ, Phase, SensorId

MOST_SHOWN = 40
POOR_AVAILABILITY = 0.9
SUSPECT = 0.5
"""Suspicion from which the summary names a sensor."""

_WORTH_A_WORD = 0.2
_MANY_GAPS = 10.0
_MANY_P = 100
_FEW_P = 20
_FEW_WITH_S = 0.2
_QUIET_HOURS = 1.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A sensor with what is the matter with it.

    Attributes:
        sensor_id: the sensor.
        tally: its counts.
        trouble: larger is worse, 0 if there is nothing to say.
        matters: in words, empty if there is nothing to say.
    """

    sensor_id: SensorId
    tally: SensorTally
    trouble: float
    matters: tuple[str, ...]


def worst_first(report: ScanReport) -> list[Judged]:
    """Return all sensors, those with the most trouble first."""
    judged = [
        Judged(sensor_id, tally, _trouble(tally), tuple(_matters(tally)))
        for sensor_id, tally in report.tallies.items()
    ]
    return sorted(judged, key=lambda one: (-one.trouble, -one.tally.n_picks, one.sensor_id))


def most_to_say(judged: list[Judged]) -> list[Judged]:
    """Return 40 at most, by name: half for their trouble, the others for their picks."""
    chosen = judged[: MOST_SHOWN // 2]
    others = sorted(judged[MOST_SHOWN // 2 :], key=lambda one: (-one.tally.n_picks, one.sensor_id))
    return sorted(chosen + others[: MOST_SHOWN - len(chosen)], key=lambda one: one.sensor_id)


def _trouble(tally: SensorTally) -> float:
    samples = max(tally.hours * 3600.0 * SAMPLING_RATE_HZ, 1.0)
    n_p = tally.picks[Phase.P]
    lone = (1.0 - tally.p_with_s) * min(n_p / _MANY_P, 1.0) if n_p else 0.0
    return (
        3.0 * tally.suspicion
        + 3.0 * (tally.idle_pieces / tally.pieces if tally.pieces else 0.0)
        + 2.0 * min(tally.unreadable, 1)
        + 2.0 * (1.0 - tally.availability)
        + 2.0 * min(tally.n_left_out / samples, 1.0)
        + min(tally.per_hour(tally.gaps) / _MANY_GAPS, 1.0)
        + lone
    )


def _matters(tally: SensorTally) -> Iterator[str]:
    if tally.unreadable:
        yield f"{counted(tally.unreadable, 'input')} unreadable"
    if tally.idle_pieces:
        yield f"nothing to look at in {tally.idle_pieces:,} of {counted(tally.pieces, 'piece')}"
    if tally.availability < POOR_AVAILABILITY:
        yield f"data for {percent(tally.availability)} of its time"
    if tally.suspicion >= _WORTH_A_WORD:
        yield (
            f"{counted(tally.suspects, 'suspect pick')}, {rate(tally.per_hour(tally.suspects))} "
            f"per hour, {percent(tally.suspects / tally.n_picks)} of all"
        )
    n_p = tally.picks[Phase.P]
    if n_p >= _FEW_P and tally.p_with_s < _FEW_WITH_S:
        yield f"an S behind {percent(tally.p_with_s)} of {n_p:,} P"
    if tally.left_out:
        reason = tally.left_out.most_common(1)[0][0]
        others = " and other reasons" if len(tally.left_out) > 1 else ""
        yield f"{counted(tally.n_left_out, 'sample')} left out: {reason}{others}"
    if tally.gaps:
        yield counted(tally.gaps, "gap")
    if not tally.n_picks and tally.hours >= _QUIET_HOURS:
        yield f"no pick in {decimals(tally.hours, 1)} h"
    if tally.most_components == 1:
        yield "one component"
