"""Picks beside labels: what was found, and how far the picks lie from it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from scperformer.reporting.facts import PieceFacts, Times
from scperformer.reporting.histograms import Histogram
from scperformer.types import NS_PER_S, Phase, Pick, SensorId

TOLERANCE_S = 0.5
_TOLERANCE_NS = round(TOLERANCE_S * NS_PER_S)
_BINS = 50


@dataclass(slots=True)
class LabelTally:
    """Counts of a sensor.

    Attributes:
        labels: by phase, at times when there were data.
        found: those with a pick within the tolerance.
        without_data: labels at times when there were none.
    """

    labels: Counter[Phase] = field(default_factory=Counter)
    found: Counter[Phase] = field(default_factory=Counter)
    without_data: int = 0

    def recall(self, phase: Phase) -> float:
        """Share of the labels that was found; nan if there are none."""
        n_labels = self.labels[phase]
        return self.found[phase] / n_labels if n_labels else float("nan")


@dataclass(slots=True)
class _Unmatched:
    """What lies so close to the end of a piece that the next one may have its counterpart."""

    labels: list[Pick] = field(default_factory=list)
    picks: list[Pick] = field(default_factory=list)


class LabelMatching:
    """Matches picks with labels piece by piece, one to one, the closest first.

    A label without location and channel counts for every sensor of its station.

    Args:
        labels: of the whole scan, in any order.

    Attributes:
        residuals_s: pick minus label by phase.
        by_sensor: counts.
        missed: a label that no pick was found for, the latest.
    """

    def __init__(self, labels: Sequence[Pick]) -> None:
        self.residuals_s = {
            phase: Histogram(np.linspace(-TOLERANCE_S, TOLERANCE_S, _BINS + 1)) for phase in Phase
        }
        self.by_sensor: dict[SensorId, LabelTally] = {}
        self.missed: tuple[SensorId, Pick] | None = None
        self._labels: dict[tuple[str, str], list[Pick]] = defaultdict(list)
        for label in sorted(labels, key=lambda label: label.time_ns):
            self._labels[label.seed_id.network, label.seed_id.station].append(label)
        self._times = {
            station: [label.time_ns for label in own] for station, own in self._labels.items()
        }
        self._reached = {
            station: np.zeros(len(own), np.bool_) for station, own in self._labels.items()
        }
        self._unmatched: dict[SensorId, _Unmatched] = {}

    @property
    def n_labels(self) -> int:
        """All labels that were given."""
        return sum(map(len, self._labels.values()))

    @property
    def n_not_reached(self) -> int:
        """Labels at stations or times that were not scanned."""
        return sum(int((~reached).sum()) for reached in self._reached.values())

    def total(self) -> LabelTally:
        """Sum over the sensors."""
        total = LabelTally()
        for tally in self.by_sensor.values():
            total.labels.update(tally.labels)
            total.found.update(tally.found)
            total.without_data += tally.without_data
        return total

    def add(self, piece: PieceFacts, present_ns: Times, picks: Iterable[Pick]) -> None:
        """Match the picks of a piece; `present_ns` (n, 2) are the times with data."""
        own = self._own(piece)
        if not own and piece.sensor_id not in self._unmatched:
            return
        tally = self.by_sensor.setdefault(piece.sensor_id, LabelTally())
        with_data = [label for label in own if _is_covered(label.time_ns, present_ns)]
        tally.without_data += len(own) - len(with_data)
        tally.labels.update(label.phase for label in with_data)
        before = self._unmatched.pop(piece.sensor_id, _Unmatched())
        after = _Unmatched()
        for phase in Phase:
            labels = [one for one in (*before.labels, *with_data) if one.phase is phase]
            found = [one for one in (*before.picks, *picks) if one.phase is phase]
            self._match(piece, tally, labels, found, after)
        if after.labels or after.picks:
            self._unmatched[piece.sensor_id] = after

    def within(self, sensor_id: SensorId, start_ns: int, end_ns: int) -> list[Pick]:
        """Return the labels of a sensor from a time to another, in order."""
        station, rows = self._rows(sensor_id, start_ns, end_ns)
        return [self._labels[station][row] for row in rows]

    def _own(self, piece: PieceFacts) -> list[Pick]:
        station, rows = self._rows(piece.sensor_id, piece.start_ns, piece.end_ns)
        if rows:
            self._reached[station][rows] = True
        return [self._labels[station][row] for row in rows]

    def _rows(
        self, sensor_id: SensorId, start_ns: int, end_ns: int
    ) -> tuple[tuple[str, str], list[int]]:
        station = sensor_id.network, sensor_id.station
        times_ns = self._times.get(station, [])
        low, high = bisect_left(times_ns, start_ns), bisect_left(times_ns, end_ns)
        rows = range(low, high)
        return station, [row for row in rows if self._labels[station][row].belongs_to(sensor_id)]

    def _match(
        self,
        piece: PieceFacts,
        tally: LabelTally,
        labels: Sequence[Pick],
        picks: Sequence[Pick],
        after: _Unmatched,
    ) -> None:
        matched = _closest_first(labels, picks)
        for label, pick in matched:
            tally.found[labels[label].phase] += 1
            residual_s = (picks[pick].time_ns - labels[label].time_ns) / NS_PER_S
            self.residuals_s[labels[label].phase].add(np.array([residual_s]))
        late_ns = piece.end_ns - _TOLERANCE_NS
        free_labels = _without(labels, {label for label, _ in matched})
        free_picks = _without(picks, {pick for _, pick in matched})
        after.labels += [label for label in free_labels if label.time_ns >= late_ns]
        after.picks += [pick for pick in free_picks if pick.time_ns >= late_ns]
        for lost in free_labels:
            if lost.time_ns < late_ns:
                self.missed = piece.sensor_id, lost


def _closest_first(labels: Sequence[Pick], picks: Sequence[Pick]) -> list[tuple[int, int]]:
    """Return (label, pick) rows matched one to one."""
    order = sorted(range(len(picks)), key=lambda row: picks[row].time_ns)
    times_ns = [picks[row].time_ns for row in order]
    candidates = []
    for label, one in enumerate(labels):
        low = bisect_left(times_ns, one.time_ns - _TOLERANCE_NS)
        high = bisect_right(times_ns, one.time_ns + _TOLERANCE_NS)
        candidates += [
            (abs(times_ns[place] - one.time_ns), label, order[place]) for place in range(low, high)
        ]
    matched: list[tuple[int, int]] = []
    labels_taken: set[int] = set()
    picks_taken: set[int] = set()
    for _, label, pick in sorted(candidates):
        if label not in labels_taken and pick not in picks_taken:
            labels_taken.add(label)
            picks_taken.add(pick)
            matched.append((label, pick))
    return matched


def _without(picks: Sequence[Pick], rows: set[int]) -> list[Pick]:
    return [pick for row, pick in enumerate(picks) if row not in rows]


def _is_covered(time_ns: int, spans_ns: Times) -> bool:
    row = int(np.searchsorted(spans_ns[:, 0], time_ns, side="right")) - 1
    return row >= 0 and time_ns < int(spans_ns[row, 1])
