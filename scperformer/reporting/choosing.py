"""Which picks are shown as examples: chosen as they come, by rules that know no order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scperformer.reporting.facts import WantedExample
from scperformer.reporting.pairing import PhasePair, order_by_chance
from scperformer.types import NS_PER_S, Pick, SensorId

MOST_EXAMPLES = 7
LONGEST_EXAMPLE_S = 100.0
_BEFORE_NS, _AFTER_NS = 10 * NS_PER_S, 20 * NS_PER_S
_MOST_SAMPLED = 101


@dataclass(frozen=True, slots=True)
class _Moment:
    """Something to be seen at a sensor from a time to another."""

    sensor_id: SensorId
    first_ns: int
    last_ns: int

    def wanted(self, why: str) -> WantedExample:
        start_ns, end_ns = self.first_ns - _BEFORE_NS, self.last_ns + _AFTER_NS
        return WantedExample(self.sensor_id, start_ns, end_ns, why)


class _Best:
    """The moment of the largest value; of equal ones, the one that chance has before the other."""

    def __init__(self) -> None:
        self.moment: _Moment | None = None
        self._rank: tuple[float, int] | None = None

    def offer(self, value: float, moment: _Moment) -> None:
        if self._rank is not None and value < self._rank[0]:
            return
        rank = value, order_by_chance(moment.first_ns, moment.sensor_id)
        if self._rank is None or rank > self._rank:
            self._rank, self.moment = rank, moment


class _Median:
    """The moment of a middle value, from a sample of bounded size."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, float, int, _Moment]] = []
        self._n = 0

    def offer(self, value: float, moment: _Moment) -> None:
        self._n += 1
        entry = -order_by_chance(moment.first_ns, moment.sensor_id), value, self._n, moment
        if len(self._heap) < _MOST_SAMPLED:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    @property
    def moment(self) -> _Moment | None:
        if not self._heap:
            return None
        ordered = sorted(self._heap, key=lambda entry: (entry[1], entry[0]))
        return ordered[len(ordered) // 2][-1]


class ExampleChooser:
    """Keeps, of all picks that come, those that are worth to be seen."""

    def __init__(self) -> None:
        self._clearest, self._weakest, self._least_sure = _Best(), _Best(), _Best()
        self._one_component, self._ordinary_pair = _Best(), _Median()
        self._by_sensor: dict[SensorId, _Best] = {}

    def add(self, sensor_id: SensorId, picks: Iterable[Pick], pairs: Iterable[PhasePair]) -> None:
        """Look at further picks of a sensor, and at the pairs that they complete."""
        for pair in pairs:
            moment = _Moment(sensor_id, pair.p_ns, pair.s_ns)
            self._clearest.offer(pair.probability, moment)
            self._ordinary_pair.offer(pair.probability, moment)
        of_sensor = self._by_sensor.setdefault(sensor_id, _Best())
        for pick in picks:
            moment = _Moment(sensor_id, pick.time_ns, pick.time_ns)
            of_sensor.offer(0.0, moment)
            self._weakest.offer(-pick.probability, moment)
            if pick.uncertainty_s >= 0.0:
                self._least_sure.offer(pick.uncertainty_s, moment)
            if pick.n_components == 1:
                self._one_component.offer(0.0, moment)

    def wanted(
        self, busiest: SensorId | None, missed: tuple[SensorId, Pick] | None
    ) -> Sequence[WantedExample]:
        """Return what is to be shown, no moment twice.

        Args:
            busiest: the sensor with the most picks per hour.
            missed: a label that was not found, and the sensor.
        """
        of_busiest = self._by_sensor[busiest].moment if busiest else None
        lost = _Moment(missed[0], missed[1].time_ns, missed[1].time_ns) if missed else None
        candidates = (
            ("the clearest P and S", self._clearest.moment),
            ("an ordinary P and S: the median of their probabilities", self._ordinary_pair.moment),
            ("the weakest pick", self._weakest.moment),
            ("the least certain onset", self._least_sure.moment),
            ("a pick on one component", self._one_component.moment),
            ("a pick of the sensor with the most picks per hour", of_busiest),
            ("a label without a pick", lost),
        )
        chosen: list[WantedExample] = []
        for why, moment in candidates:
            if moment is not None:
                _join(chosen, moment.wanted(why))
        return tuple(chosen)


def overlap_ns(one: WantedExample, start_ns: int, end_ns: int) -> int:
    """Return how long an example and a span of time have in common."""
    return max(min(one.end_ns, end_ns) - max(one.start_ns, start_ns), 0)


def _join(chosen: list[WantedExample], other: WantedExample) -> None:
    """Add an example, or its reason to one that shows it already."""
    middle_ns = (other.start_ns + other.end_ns) // 2
    for row, one in enumerate(chosen):
        if one.sensor_id == other.sensor_id and one.start_ns <= middle_ns < one.end_ns:
            chosen[row] = one._replace(why=f"{one.why}; {other.why}")
            return
    chosen.append(other)
