"""P picks that an S follows at the same sensor, and what they say together.

Nothing is associated: such a pair is most often one earthquake's, and sometimes not.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scperformer.reporting.histograms import Histogram
from scperformer.types import NS_PER_S, Phase, Pick, SensorId

LONGEST_S_MINUS_P_S = 60.0
BURST_S = 30.0
_DAY_NS = 86_400 * NS_PER_S
_LONGEST_NS = round(LONGEST_S_MINUS_P_S * NS_PER_S)
_BURST_NS = round(BURST_S * NS_PER_S)
_MOST_SAMPLED = 1500
_MOST_OF_A_DAY = 50_000
_FEWEST_OF_A_BURST = 4
_LARGEST_MISFIT_S = 0.5
_VP_OVER_VS = 1.4, 2.4
_WORD = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class PhasePair:
    """A P and the S that follows it at the same sensor.

    Attributes:
        sensor_id: the sensor.
        p_ns, s_ns: times of the picks.
        p_probability, s_probability: their probabilities.
    """

    sensor_id: SensorId
    p_ns: int
    s_ns: int
    p_probability: float
    s_probability: float

    @property
    def s_minus_p_s(self) -> float:
        """Time from P to S in seconds."""
        return (self.s_ns - self.p_ns) / NS_PER_S

    @property
    def probability(self) -> float:
        """The smaller of both probabilities."""
        return min(self.p_probability, self.s_probability)


class PairFinder:
    """Puts each S with the last P before it, each P once, also across pieces of a sensor."""

    def __init__(self) -> None:
        self._open: dict[SensorId, Pick] = {}

    def pairs(self, sensor_id: SensorId, picks: Iterable[Pick]) -> Iterator[PhasePair]:
        """Go on with picks of a sensor, in order of time."""
        waiting = self._open.pop(sensor_id, None)
        for pick in picks:
            if pick.phase is Phase.P:
                waiting = pick
            elif waiting is not None:
                if 0 <= pick.time_ns - waiting.time_ns <= _LONGEST_NS:
                    yield PhasePair(
                        sensor_id,
                        waiting.time_ns,
                        pick.time_ns,
                        waiting.probability,
                        pick.probability,
                    )
                waiting = None
        if waiting is not None:
            self._open[sensor_id] = waiting


def order_by_chance(time_ns: int, sensor_id: SensorId) -> int:
    """Return a number that is as good as random, but the same for the same pick in every run."""
    mixed = (time_ns ^ _number_of(sensor_id)) & _WORD
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _WORD
    return mixed ^ mixed >> 31


@lru_cache(maxsize=4096)
def _number_of(sensor_id: SensorId) -> int:
    digest = hashlib.sha256(str(sensor_id).encode()).digest()
    return int.from_bytes(digest[:8], "big")


class PairSample:
    """A bounded number of pairs, each as likely to be among them, in whatever order they come."""

    def __init__(self, most: int = _MOST_SAMPLED) -> None:
        self._most = most
        self._heap: list[tuple[int, int, PhasePair]] = []
        self._n = 0

    def add(self, pair: PhasePair) -> None:
        """Keep a pair, or not."""
        chance = -order_by_chance(pair.p_ns, pair.sensor_id)
        self._n += 1  # keeps equal ones from being compared any further
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, (chance, self._n, pair))
        elif chance > self._heap[0][0]:
            heapq.heapreplace(self._heap, (chance, self._n, pair))

    def pairs(self) -> list[PhasePair]:
        """Return them by time."""
        return sorted(
            (entry[-1] for entry in self._heap), key=lambda pair: (pair.p_ns, pair.sensor_id)
        )


@dataclass(frozen=True, slots=True)
class WadatiLine:
    """A line through S minus P over the time of P.

    Attributes:
        slope: seconds per second, Vp/Vs minus one if the pairs are of one earthquake.
        origin_ns: time at which S minus P would be nothing: the origin time.
        misfit_s: median distance of S minus P from it.
    """

    slope: float
    origin_ns: int
    misfit_s: float

    @property
    def vp_over_vs(self) -> float:
        """Ratio of the velocities."""
        return 1.0 + self.slope

    @property
    def fits(self) -> bool:
        """Whether the pairs may be of one earthquake."""
        return (
            self.misfit_s <= _LARGEST_MISFIT_S
            and _VP_OVER_VS[0] <= self.vp_over_vs <= _VP_OVER_VS[1]
        )


class BusiestBurst:
    """The half minute of P picks in which the most sensors have a pair; of a day at a time."""

    def __init__(self) -> None:
        self._day = -1
        self._today: list[PhasePair] = []
        self._best: tuple[PhasePair, ...] = ()

    def add(self, pair: PhasePair) -> None:
        """Take a pair; when a new day begins, the one before is looked through."""
        day = pair.p_ns // _DAY_NS
        if day != self._day:
            self._best = self.pairs()
            self._day, self._today = day, []
        if len(self._today) < _MOST_OF_A_DAY:
            self._today.append(pair)

    def pairs(self) -> tuple[PhasePair, ...]:
        """Return the pairs of the busiest half minute so far, one a sensor, by time."""
        today = sorted(self._today, key=lambda pair: (pair.p_ns, pair.sensor_id))
        here: dict[SensorId, int] = {}
        best, low = (len(self._best), 0, 0), 0
        for high, pair in enumerate(today):
            here[pair.sensor_id] = here.get(pair.sensor_id, 0) + 1
            while pair.p_ns - today[low].p_ns > _BURST_NS:
                here[today[low].sensor_id] -= 1
                if not here[today[low].sensor_id]:
                    del here[today[low].sensor_id]
                low += 1
            if len(here) > best[0]:
                best = len(here), low, high + 1
        if not best[2]:
            return self._best
        firsts: dict[SensorId, PhasePair] = {}
        for pair in today[best[1] : best[2]]:
            firsts.setdefault(pair.sensor_id, pair)
        return tuple(firsts.values())


def wadati_line(pairs: Sequence[PhasePair]) -> WadatiLine | None:
    """Fit the median of the slopes between all pairs (Theil and Sen); None if too few.

    Source: Wadati (1933), On the travel time of earthquake waves, Part II.
    """
    if len(pairs) < _FEWEST_OF_A_BURST:
        return None
    first_ns = pairs[0].p_ns
    x = np.array([(pair.p_ns - first_ns) / NS_PER_S for pair in pairs])
    y = np.array([pair.s_minus_p_s for pair in pairs])
    one, other = np.triu_indices(len(x), 1)
    apart = np.abs(x[other] - x[one]) > 0.1
    if not apart.any():
        return None
    slope = float(np.median((y[other] - y[one])[apart] / (x[other] - x[one])[apart]))
    if slope <= 0.0:
        return None
    offset_s = float(np.median(x - y / slope))
    misfit_s = float(np.median(np.abs(y - slope * (x - offset_s))))
    return WadatiLine(slope, first_ns + round(offset_s * NS_PER_S), misfit_s)


class Pairs:
    """All that is kept of pairs.

    Attributes:
        n: how many there are.
        s_minus_p_s: histogram.
        sample: some of them.
        burst: the busiest half minute.
    """

    def __init__(self) -> None:
        self.n = 0
        self.s_minus_p_s = Histogram(np.linspace(0.0, LONGEST_S_MINUS_P_S, 121))
        self.sample = PairSample()
        self.burst = BusiestBurst()
        self._finder = PairFinder()

    def add(self, sensor_id: SensorId, picks: Sequence[Pick]) -> list[PhasePair]:
        """Find and count the pairs in further picks of a sensor, in order of time."""
        found = list(self._finder.pairs(sensor_id, picks))
        self.n += len(found)
        self.s_minus_p_s.add(np.array([pair.s_minus_p_s for pair in found], np.float64))
        for pair in found:
            self.sample.add(pair)
            self.burst.add(pair)
        return found
