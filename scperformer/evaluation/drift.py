"""Which stations pick unlike the others? A week's picks, station against station.

Nobody says what a week's picks should be, but stations of a network hear the same earthquakes:
each figure of a station is compared with the median of all, in units of how far the stations lie
apart (1.4826 times the median absolute deviation, and the figure's own counting error). What no
failure changes by much, a station's distance and ground, makes them lie apart; a dead channel, a
new gain, a bad clock makes one lie far away.

A clock is judged without any position: a station's P and S tell when the earthquake was (Wadati,
1933: origin = P - (S - P) / (Vp/Vs - 1)), and the others tell it as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from scperformer.evaluation.network_support import (
    NEIGHBOUR_KM,
    SLACK_S,
    SPEED_KM_S,
    Positions,
    has_near,
)
from scperformer.picks.stations import distance_km
from scperformer.types import NS_PER_S, Phase, Pick, format_time

FAR = 5.0
"""So many times further from the median than stations lie apart, and a station is unlike them."""

FEWEST_STATIONS = 4
FEWEST_PICKS = 10
"""Of a station, for medians and shares."""

LONGEST_S_MINUS_P_S = 40.0
WINDOW_S = 20.0
"""Where no positions are known, a pick is supported by another station's this close."""

_VP_OVER_VS = 1.73
_SAME_ORIGIN_S = 10.0
_FEWEST_OTHERS = 3
_FEWEST_ORIGINS = 5
_PARTS = 20
_HARDLY_EVER = 1e-6
_MAD_TO_SIGMA = 1.4826
_MINUTE = "%Y-%m-%dT%H:%M"
_DAY_NS = 86_400 * NS_PER_S
_LEAST_APART = MappingProxyType(
    {"rate": 0.15, "probability_p": 0.3, "probability_s": 0.3, "with_s": 0.3, "alone": 0.3}
    | {"origin_s": 0.1}
)
"""Stations are taken to lie at least so far apart: decades, log-odds, seconds."""

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is unlike the others about a station.

    Attributes:
        what: silent, or a figure of `Station`.
        sentence: in words.
        far: how far it is from the median, in the stations' own spread; infinite if there is
            nothing to compare.
    """

    what: str
    sentence: str
    far: float


@dataclass(slots=True)
class Station:
    """A station's figures; nan where it has too few picks. JSON has them under these names.

    Attributes:
        station: ``NET.STA``.
        p, s: picks.
        a_day: picks a day.
        probability_p, probability_s: medians.
        with_s: share of P that an S follows.
        alone: share of picks that no other station supports.
        alone_a_day: those picks a day.
        origin_s: how late, by its clock, the earthquakes were; median.
        findings: what is unlike the others, worst first.
    """

    station: str
    p: int
    s: int
    a_day: float
    probability_p: float
    probability_s: float
    with_s: float
    alone: float
    alone_a_day: float
    origin_s: float
    n_origins: int
    findings: list[Finding] = field(default_factory=list)

    @property
    def far(self) -> float:
        """How far it is from the others where it is furthest; 0 where nothing is unlike."""
        return max((finding.far for finding in self.findings), default=0.0)


@dataclass(frozen=True, slots=True, eq=False)
class StationPicks:
    """A station's picks in the order of time: ns and probability."""

    p: Times
    s: Times
    probability_p: NDArray[np.float64]
    probability_s: NDArray[np.float64]

    @property
    def all(self) -> Times:
        return np.sort(np.concatenate([self.p, self.s]))


def compare_stations(
    picks: Sequence[Pick],
    start_ns: int,
    end_ns: int,
    *,
    positions: Positions | None = None,
    window_s: float = WINDOW_S,
) -> list[Station]:
    """Compare the stations; those that are furthest from the others come first.

    Args:
        picks: of all stations.
        start_ns: beginning of the period; what is outside is left out.
        end_ns: its end, not included.
        positions: latitude and longitude in degrees by ``NET.STA``; those without a pick are
            stations, too. None where they are not known.
        window_s: without positions, a pick is supported by one of any other station this close.

    Raises:
        ValueError: too few stations to compare.
    """
    own = picks_by_station([pick for pick in picks if start_ns <= pick.time_ns < end_ns])
    if len(own) < FEWEST_STATIONS:
        raise ValueError(f"picks of {len(own)} stations; wanted {FEWEST_STATIONS} or more")
    for name in positions or ():
        own.setdefault(name, _picks_of([]))
    days = (end_ns - start_ns) / _DAY_NS
    support = _support(own, positions, window_s)
    origins = _origins(own)
    stations = [
        _figures(name, one, days, support[name], origins[name]) for name, one in own.items()
    ]
    _find(stations, days)
    times = np.concatenate([one.all for one in own.values()])
    edges = np.quantile(times, np.linspace(0.0, 1.0, _PARTS + 1)).astype(np.int64)
    typical = float(np.median([one.p + one.s for one in stations]))
    for station, one in zip(stations, own.values(), strict=True):
        station.findings += _silence(one, edges, typical)
        station.findings.sort(key=lambda finding: -finding.far)
    return sorted(stations, key=lambda station: (-station.far, station.station))


def picks_by_station(picks: Sequence[Pick]) -> dict[str, StationPicks]:
    """Gather picks by ``NET.STA``, in order."""
    parts: dict[str, list[Pick]] = {}
    for pick in sorted(picks, key=lambda pick: pick.time_ns):
        parts.setdefault(f"{pick.seed_id.network}.{pick.seed_id.station}", []).append(pick)
    return {name: _picks_of(parts[name]) for name in sorted(parts)}


def _picks_of(picks: Sequence[Pick]) -> StationPicks:
    def times(phase: Phase) -> Times:
        return np.array([pick.time_ns for pick in picks if pick.phase is phase], np.int64)

    def probabilities(phase: Phase) -> NDArray[np.float64]:
        return np.array([pick.probability for pick in picks if pick.phase is phase], np.float64)

    return StationPicks(
        times(Phase.P), times(Phase.S), probabilities(Phase.P), probabilities(Phase.S)
    )


def pairs(one: StationPicks) -> tuple[Times, Times]:
    """Return the P that an S follows before the next P, and these S."""
    following = np.searchsorted(one.s, one.p, side="right")
    there = following < len(one.s)
    p, s = one.p[there], one.s[following[there]]
    next_p = np.append(one.p, np.iinfo(np.int64).max)[1:][there]
    good = (s < next_p) & (s - p <= round(LONGEST_S_MINUS_P_S * NS_PER_S))
    return p[good], s[good]


def _support(
    own: Mapping[str, StationPicks], positions: Positions | None, window_s: float
) -> dict[str, NDArray[np.bool_] | None]:
    """Tell of each pick whether another station bears it out; None without a neighbour."""
    times = {name: one.all for name, one in own.items()}
    found: dict[str, NDArray[np.bool_] | None] = {}
    for name in own:
        reaches_s = {other: _reach_s(name, other, positions, window_s) for other in own}
        near = [(other, reach) for other, reach in reaches_s.items() if reach is not None]
        borne_out = np.zeros(len(times[name]), np.bool_)
        for other, reach_s in near:
            borne_out |= has_near(times[other], times[name], round(reach_s * NS_PER_S))
        found[name] = borne_out if near else None
    return found


def _reach_s(name: str, other: str, positions: Positions | None, window_s: float) -> float | None:
    """How far apart picks of two stations may be; None if they say nothing of each other."""
    if name == other:
        return None
    if positions is None:
        return window_s
    if name not in positions or other not in positions:
        return None
    distance = distance_km(positions[name], positions[other])
    return distance / SPEED_KM_S + SLACK_S if distance <= NEIGHBOUR_KM else None


def _origins(own: Mapping[str, StationPicks]) -> dict[str, NDArray[np.float64]]:
    """Return how late each earthquake was by a station's P and S, against the others', in s."""
    tables = {}
    for name, one in own.items():
        p, s = pairs(one)
        tables[name] = np.sort(p - ((s - p) / (_VP_OVER_VS - 1.0)).astype(np.int64))
    found = {}
    for name, times in tables.items():
        late = np.full((len(times), len(tables) - 1), math.nan)
        others = [table for other, table in tables.items() if other != name and len(table)]
        for place, table in enumerate(others):
            late[:, place] = (times - _nearest(table, times)) / NS_PER_S
        late[np.abs(late) > _SAME_ORIGIN_S] = math.nan
        heard = np.count_nonzero(np.isfinite(late), axis=1) >= _FEWEST_OTHERS
        found[name] = np.nanmedian(late[heard], axis=1) if heard.any() else np.empty(0)
    return found


def _nearest(table: Times, times: Times) -> Times:
    behind = np.clip(np.searchsorted(table, times), 1, max(len(table) - 1, 1))
    before, after = table[behind - 1], table[np.minimum(behind, len(table) - 1)]
    return np.where(np.abs(times - before) <= np.abs(after - times), before, after)


def _figures(
    name: str,
    one: StationPicks,
    days: float,
    support: NDArray[np.bool_] | None,
    origins: NDArray[np.float64],
) -> Station:
    n = len(one.p) + len(one.s)
    n_alone = math.nan if support is None else float(np.count_nonzero(~support))
    return Station(
        station=name,
        p=len(one.p),
        s=len(one.s),
        a_day=n / days,
        probability_p=_median(one.probability_p),
        probability_s=_median(one.probability_s),
        with_s=len(pairs(one)[0]) / len(one.p) if len(one.p) >= FEWEST_PICKS else math.nan,
        alone=n_alone / n if n >= FEWEST_PICKS else math.nan,
        alone_a_day=n_alone / days,
        origin_s=_median(origins, _FEWEST_ORIGINS),
        n_origins=len(origins),
    )


def _median(values: NDArray[np.float64], fewest: int = FEWEST_PICKS) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) >= fewest else math.nan


def _log_odds(probability: float, margin: float = 1e-4) -> float:
    p = min(max(probability, margin), 1.0 - margin)
    return math.log(p / (1.0 - p))


def _share_value(share: float, n: int) -> tuple[float, float]:
    """Return a share's log-odds and their counting error, half a case added to either side."""
    yes, no = share * n + 0.5, (1.0 - share) * n + 0.5
    return math.log(yes / no), math.sqrt(1.0 / yes + 1.0 / no)


_Value = Callable[[Station, float], tuple[float, float]]
_VALUES: Mapping[str, _Value] = MappingProxyType(
    {
        "rate": lambda one, days: (
            math.log10(one.a_day + 0.5 / days),
            1.0 / math.log(10.0) / math.sqrt(one.p + one.s + 0.5),
        ),
        "probability_p": lambda one, _: (_log_odds(one.probability_p), 1.0 / math.sqrt(one.p)),
        "probability_s": lambda one, _: (_log_odds(one.probability_s), 1.0 / math.sqrt(one.s)),
        "with_s": lambda one, _: _share_value(one.with_s, one.p),
        "alone": lambda one, _: _share_value(one.alone, one.p + one.s),
        "origin_s": lambda one, _: (one.origin_s, 0.3 / math.sqrt(one.n_origins)),
    }
)
"""What is compared of a station, and its own error."""


def _find(stations: Sequence[Station], days: float) -> None:
    """Add what is far from the median of all to the stations' findings."""
    for what, value in _VALUES.items():
        name = "a_day" if what == "rate" else what
        known = [one for one in stations if math.isfinite(getattr(one, name))]
        if len(known) < FEWEST_STATIONS:
            continue
        values = np.array([value(one, days) for one in known])
        middle = float(np.median(values[:, 0]))
        apart = _MAD_TO_SIGMA * float(np.median(np.abs(values[:, 0] - middle)))
        spread = np.hypot(max(apart, _LEAST_APART[what]), values[:, 1])
        typical = float(np.median([getattr(one, name) for one in known]))
        for one, (own, _), sigma in zip(known, values, spread, strict=True):
            far = abs(own - middle) / sigma
            if far >= FAR and _is_bad(what, own > middle):
                sentence = _sentence(what, getattr(one, name), typical)
                one.findings.append(Finding(what, sentence, round(float(far), 1)))


def _is_bad(what: str, is_more: bool) -> bool:
    """Nobody minds a station that stands alone less often, or is surer, than the others."""
    return not ((what == "alone" and not is_more) or (what.startswith("probability") and is_more))


def _sentence(what: str, own: float, typical: float) -> str:
    if what == "rate":
        return f"{own:.3g} picks a day, the others {typical:.3g}"
    if what.startswith("probability"):
        phase = what[-1].upper()
        return (
            f"its {phase} picks have a median probability of {own:.2f}, the others' {typical:.2f}"
        )
    if what == "with_s":
        return f"an S follows {own:.0%} of its P, {typical:.0%} at the others"
    if what == "alone":
        return f"no other station supports {own:.0%} of its picks, {typical:.0%} at the others"
    direction = "late" if own > typical else "early"
    return (
        f"its P and S say that earthquakes were {abs(own - typical):.1f} s {direction}: "
        "look at its clock"
    )


def _silence(one: StationPicks, edges: Times, typical: float) -> Iterator[Finding]:
    """Tell of a long stretch without a pick while the others went on picking.

    Args:
        one: the station.
        edges: of parts of the period in each of which the stations made equally many picks; each
            part should hold as many of the station's own.
        typical: picks of a station, median.
    """
    times = one.all
    if not len(times):
        if typical >= FEWEST_PICKS:
            yield Finding("silent", f"no pick at all, {typical:.0f} at the others", _far(-typical))
        return
    counts = np.histogram(times, edges)[0]
    bounds = np.flatnonzero(np.concatenate([[1], counts, [1]]))
    longest = int(np.argmax(np.diff(bounds)))
    n_parts = int(np.diff(bounds)[longest]) - 1
    log_chance = len(times) * math.log1p(-n_parts / len(counts))
    if n_parts and log_chance < math.log(_HARDLY_EVER):
        first = int(bounds[longest])
        since, until = (format_time(int(edges[part]), _MINUTE) for part in (first, first + n_parts))
        yield Finding(
            "silent",
            f"no pick from {since} to {until}, "
            f"when {n_parts / len(counts):.0%} of all picks were made",
            _far(log_chance),
        )


def _far(log_chance: float) -> float:
    """Turn the logarithm of a chance into what it is in standard deviations, about."""
    return round(math.sqrt(-2.0 * log_chance), 1)
