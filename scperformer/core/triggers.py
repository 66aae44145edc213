"""From window probabilities to phase detections.

The log-odds of a phase are averaged over a few windows; where the mean stays
above the threshold, its highest point is a detection. It is decided as soon as
the mean has fallen below the threshold or by `_DROP_LOG_ODDS`, or has not risen
for `_PATIENCE_SAMPLES`, so that a decision needs no block and no batch to end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from scperformer.core.windows import Reach, WindowRun
from scperformer.types import Phase

PHASES = (Phase.P, Phase.S)
LARGEST_LOG_ODDS = 16.0
_PATIENCE_SAMPLES = 64
_DROP_LOG_ODDS = 1.0
_REARM_LOG_ODDS = 1.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Least probabilities of P and S picks by the number of live components.

    Attributes:
        by_components: for 1, 2 and 3 components, (P, S).
    """

    by_components: Mapping[int, tuple[float, float]]

    @classmethod
    def constant(cls, p: float, s: float) -> Thresholds:
        """Return the same thresholds whatever the number of components."""
        return cls(MappingProxyType(dict.fromkeys((1, 2, 3), (p, s))))

    def replace(self, p: float | None, s: float | None) -> Thresholds:
        """Return these thresholds with P, S or both set for every number of components."""
        return Thresholds(
            MappingProxyType(
                {
                    n: (own_p if p is None else p, own_s if s is None else s)
                    for n, (own_p, own_s) in self.by_components.items()
                }
            )
        )

    def log_odds(self) -> NDArray[np.float64]:
        """Thresholds as log-odds, (4, 2): row n for n components, the first never reached."""
        table = np.full((4, len(PHASES)), np.inf)
        for n, pair in self.by_components.items():
            table[n] = log_odds(np.asarray(pair, dtype=np.float64))
        return table


def log_odds(probability: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return ``ln(p / (1 - p))``, cut off at +-16."""
    p = np.asarray(probability, dtype=np.float64)
    with np.errstate(divide="ignore"):
        odds: NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return np.clip(odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


def mean_odds(odds: NDArray[np.float64], half: int, first: int, end: int) -> NDArray[np.float64]:
    """Average log-odds around each window; at the ends of a segment over what there is.

    Args:
        odds: (n, 2) log-odds of consecutive windows.
        half: windows on either side of the mean.
        first: the first window whose mean is wanted.
        end: the window behind the last one.

    Returns:
        (end - first, 2) float64.
    """
    total = np.zeros((end - first, len(PHASES)))
    count = np.zeros((end - first, 1))
    for shift in range(-half, half + 1):
        low, high = max(first + shift, 0), min(end + shift, len(odds))
        if low >= high:
            continue
        total[low - shift - first : high - shift - first] += odds[low:high]
        count[low - shift - first : high - shift - first] += 1.0
    means: NDArray[np.float64] = total / count
    return means


@dataclass(frozen=True, slots=True, eq=False)
class RunOdds:
    """Log-odds of P and S of a run of windows.

    Attributes:
        values: (n, 2) float64.
        top_p, top_s: the largest of each phase.
    """

    values: NDArray[np.float64]
    top_p: float
    top_s: float

    @classmethod
    def of_runs(cls, values: NDArray[np.float64], lengths: Sequence[int]) -> list[RunOdds]:
        """Look for the largest values of runs laid end to end.

        Args:
            values: (n, 2) log-odds of all runs.
            lengths: of the runs; one without windows has minus infinity.
        """
        counts = np.asarray(lengths, dtype=np.int64)
        ends = np.cumsum(counts)
        filled = np.flatnonzero(counts)
        tops = np.full((len(lengths), len(PHASES)), -np.inf)
        if len(filled):
            tops[filled] = np.maximum.reduceat(values, (ends - counts)[filled], axis=0)
        return [
            cls(values[end - length : end], top_p, top_s)
            for end, length, (top_p, top_s) in zip(
                ends.tolist(), lengths, tops.tolist(), strict=True
            )
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """A phase found in the windows of a sensor.

    Attributes:
        phase: P or S.
        centre: grid index of the centre of the window with the highest mean.
        log_odds: that mean.
        decided_at: grid index that follows the last sample that the decision needed.
        run: the windows among which it lies.
        window: its place in `run`.
        n_live: components that covered that window and were not silent.
    """

    phase: Phase
    centre: int
    log_odds: float
    decided_at: int
    run: WindowRun
    window: int
    n_live: int


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a window stands: its run, its place there and its live components."""

    run: WindowRun
    window: int
    n_live: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    position: int
    value: float
    place: _Place


class PhaseTrigger:
    """Finds one phase in a sensor's sequence of smoothed log-odds.

    Args:
        phase: the phase.
        shift: samples between windows.
        half_smoothing: windows on either side of the mean.
        min_distance: least samples between a detection and a lower one behind it.
        reach: of the predictions.
    """

    def __init__(
        self, phase: Phase, shift: int, half_smoothing: int, min_distance: int, reach: Reach
    ) -> None:
        self._reach = reach
        self._phase = phase
        self._shift = shift
        self._half = half_smoothing
        self._distance = max(min_distance, 1)
        self._patience = max(round(_PATIENCE_SAMPLES / shift), 1)
        self._candidate: _Candidate | None = None
        self._last_position: int | None = None
        self._last_value = -np.inf
        self._lowest_since = np.inf

    @property
    def pending_from(self) -> int | None:
        """Grid index of the start of the window that waits for a decision."""
        return None if self._candidate is None else self._candidate.position

    @property
    def is_idle(self) -> bool:
        """Nothing waits for a decision."""
        return self._candidate is None

    def rest(self) -> None:
        """Take windows whose means all lie below the threshold, while idle."""
        self._lowest_since = -np.inf

    def step(
        self, position: int, value: float, threshold: float, place: _Place
    ) -> Detection | None:
        """Take one window's mean log-odds; `position` is the grid index of its start."""
        found = None
        candidate = self._candidate
        above = value >= threshold
        if candidate is not None and (
            not above
            or value < candidate.value - _DROP_LOG_ODDS
            or position - candidate.position >= self._patience * self._shift
        ):
            found = self._decide(candidate, position)
        if self._candidate is None:
            self._lowest_since = min(self._lowest_since, value)
            if above and self._armed(position, value):
                self._candidate = _Candidate(position, value, place)
        elif above and value > self._candidate.value:
            self._candidate = _Candidate(position, value, place)
        if not above:
            self._lowest_since = -np.inf
        return found

    def finish(self, position: int) -> Detection | None:
        """End the segment; decide what waits. `position` is the last window's start."""
        candidate = self._candidate
        found = (
            None
            if candidate is None
            else self._decide(candidate, position - self._half * self._shift)
        )
        self._lowest_since = -np.inf
        return found

    def _armed(self, position: int, value: float) -> bool:
        if self._last_position is None:
            return True
        is_near = 0 <= position - self._last_position < self._distance
        if is_near and value <= self._last_value:
            return False
        return value >= self._lowest_since + _REARM_LOG_ODDS

    def _decide(self, candidate: _Candidate, position: int) -> Detection:
        self._candidate = None
        self._last_position, self._last_value = candidate.position, candidate.value
        self._lowest_since = candidate.value
        needed = position + self._half * self._shift + self._reach.window
        return Detection(
            phase=self._phase,
            centre=candidate.position - self._reach.lag + self._reach.window // 2,
            log_odds=candidate.value,
            decided_at=needed,
            run=candidate.place.run,
            window=candidate.place.window,
            n_live=candidate.place.n_live,
        )


class Trigger:
    """Finds P and S in the windows of one sensor.

    Args:
        thresholds: by phase and number of live components.
        shift: samples between windows.
        half_smoothing: windows on either side of the mean.
        min_distance: least samples between two detections of a phase.
        reach: of the predictions.
    """

    def __init__(
        self,
        thresholds: Thresholds,
        *,
        shift: int,
        half_smoothing: int,
        min_distance: int,
        reach: Reach,
    ) -> None:
        self._half = half_smoothing
        self._lag = reach.lag
        self._table = thresholds.log_odds()
        self._lowest_p, self._lowest_s = self._table.min(axis=0).tolist()
        self._phases = [PhaseTrigger(p, shift, self._half, min_distance, reach) for p in PHASES]
        self._start_over()

    def _start_over(self) -> None:
        self._runs: deque[WindowRun] = deque()
        self._n_skipped = 0
        self._odds = np.empty((0, len(PHASES)))
        self._n_live = np.empty(0, dtype=np.int64)
        self._n_done = 0
        self._latest_start = 0
        self._rested = False

    @property
    def pending_from(self) -> int | None:
        """Grid index from which the waveform is still needed, None if nothing waits."""
        wanted = [p.pending_from for p in self._phases if p.pending_from is not None]
        if len(self._odds) > self._n_done:
            wanted.append(self._start_of(self._n_done))
        return min(wanted) - self._lag if wanted else None

    def process(self, run: WindowRun, odds: RunOdds, n_live: NDArray[np.int64]) -> list[Detection]:
        """Take the predictions of a run of windows.

        Args:
            run: the windows, which follow those before unless a segment has ended.
            odds: their log-odds.
            n_live: (n,) int64, live components.

        Returns:
            What is decided, in the order of decision.
        """
        if run.ends:
            return self._finish()
        self._latest_start = int(run.starts[-1])
        below = odds.top_p < self._lowest_p and odds.top_s < self._lowest_s
        if below and self._rested and len(run) >= 2 * self._half:
            self._rest(run, odds, n_live)
            return []
        self._runs.append(run)
        self._odds = np.concatenate([self._odds, odds.values])
        self._n_live = np.concatenate([self._n_live, n_live])
        found = self._step_to(len(self._odds) - self._half)
        self._forget()
        idle = all(trigger.is_idle for trigger in self._phases)
        self._rested = idle and below and len(run) >= 2 * self._half
        return found

    def _rest(self, run: WindowRun, odds: RunOdds, n_live: NDArray[np.int64]) -> None:
        """Pass windows by that reach no threshold, nor do those before, while nothing waits."""
        for trigger in self._phases:
            trigger.rest()
        self._runs.clear()
        self._runs.append(run)
        self._n_skipped = len(run) - 2 * self._half
        self._odds = odds.values[self._n_skipped :]
        self._n_live = n_live[self._n_skipped :]
        self._n_done = self._half

    def _finish(self) -> list[Detection]:
        found = self._step_to(len(self._odds))
        found += [d for p in self._phases if (d := p.finish(self._latest_start)) is not None]
        self._start_over()
        return found

    def _step_to(self, end: int) -> list[Detection]:
        """Go through the windows whose mean is known."""
        first = self._n_done
        if end <= first:
            return []
        self._n_done = end
        means = mean_odds(self._odds, self._half, first, end)
        limits = self._table[self._n_live[first:end]]
        found: list[Detection] = []
        for column, trigger in enumerate(self._phases):
            found += self._step_phase(trigger, first, means[:, column], limits[:, column])
        return sorted(found, key=lambda d: (d.decided_at, d.centre, d.phase))

    def _step_phase(
        self,
        trigger: PhaseTrigger,
        first: int,
        means: NDArray[np.float64],
        limits: NDArray[np.float64],
    ) -> list[Detection]:
        above = means >= limits
        # Below the threshold a step changes nothing after the first one.
        worth = above.copy()
        worth[1:] |= above[:-1]
        worth[0] = True
        found = []
        for i in np.flatnonzero(worth):
            place = self._locate(first + int(i))
            position = int(place.run.starts[place.window])
            detection = trigger.step(position, float(means[i]), float(limits[i]), place)
            if detection is not None:
                found.append(detection)
        return found

    def _start_of(self, number: int) -> int:
        place = self._locate(number)
        return int(place.run.starts[place.window])

    def _locate(self, number: int) -> _Place:
        window = self._n_skipped + number
        for run in self._runs:
            if window < len(run):
                return _Place(run, window, int(self._n_live[number]))
            window -= len(run)
        raise AssertionError("a window that was never given")

    def _forget(self) -> None:
        """Keep only the windows that later means need."""
        spare = max(self._n_done - self._half, 0)
        self._odds = self._odds[spare:]
        self._n_live = self._n_live[spare:]
        self._n_done -= spare
        self._n_skipped += spare
        while self._runs and self._n_skipped >= len(self._runs[0]):
            self._n_skipped -= len(self._runs.popleft())
