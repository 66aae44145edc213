"""From window probabilities to phase detections.

The log-odds of a phase are averaged over a few windows; where the mean stays
above the threshold, its highest point is a detection. It is decided as soon as
the mean has fallen below the threshold or by `_DROP_LOG_ODDS`, or has not risen
for `_PATIENCE_SAMPLES`, so that a decision needs no block and no batch to end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from scperformer.core.windows import WindowRun
from scperformer.types import WINDOW_SAMPLES, Phase

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
        min_distance: least samples between two detections.
    """

    def __init__(self, phase: Phase, shift: int, half_smoothing: int, min_distance: int) -> None:
        self._phase = phase
        self._shift = shift
        self._half = half_smoothing
        self._distance = max(min_distance, 1)
        self._patience = max(round(_PATIENCE_SAMPLES / shift), 1)
        self._candidate: _Candidate | None = None
        self._last_position: int | None = None
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
        if 0 <= position - self._last_position < self._distance:
            return False
        return value >= self._lowest_since + _REARM_LOG_ODDS

    def _decide(self, candidate: _Candidate, position: int) -> Detection:
        self._candidate = None
        self._last_position = candidate.position
        self._lowest_since = candidate.value
        needed = position + self._half * self._shift + WINDOW_SAMPLES
        return Detection(
            phase=self._phase,
            centre=candidate.position + WINDOW_SAMPLES // 2,
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
    """

    def __init__(
        self, thresholds: Thresholds, *, shift: int, half_smoothing: int, min_distance: int
    ) -> None:
        self._half = half_smoothing
        self._table = thresholds.log_odds()
        self._lowest_limits = self._table.min(axis=0)
        self._phases = [PhaseTrigger(p, shift, self._half, min_distance) for p in PHASES]
        self._recent: deque[WindowRun] = deque()
        self._odds = np.empty((0, len(PHASES)))
        self._n_live = np.empty(0, dtype=np.int64)
        self._n_done = 0

    @property
    def pending_from(self) -> int | None:
        """Grid index from which the waveform is still needed, None if nothing waits."""
        wanted = [p.pending_from for p in self._phases if p.pending_from is not None]
        if len(self._odds) > self._n_done:
            wanted.append(self._start_of(self._n_done))
        return min(wanted, default=None)

    def process(
        self, run: WindowRun, probabilities: NDArray[np.float32], n_live: NDArray[np.int64]
    ) -> list[Detection]:
        """Take the answers of a run of windows.

        Args:
            run: the windows, which follow those before unless a segment has ended.
            probabilities: (n, 3) float32.
            n_live: (n,) int64, live components.

        Returns:
            What is decided, in the order of decision.
        """
        if run.ends:
            return self._finish()
        self._recent.append(run)
        self._odds = np.concatenate([self._odds, log_odds(probabilities[:, : len(PHASES)])])
        self._n_live = np.concatenate([self._n_live, n_live])
        found = self._step_to(len(self._odds) - self._half)
        self._forget()
        return found

    def _finish(self) -> list[Detection]:
        found = self._step_to(len(self._odds))
        if len(self._odds):
            last = self._start_of(len(self._odds) - 1)
            found += [d for p in self._phases if (d := p.finish(last)) is not None]
        self._recent.clear()
        self._odds = self._odds[:0]
        self._n_live = self._n_live[:0]
        self._n_done = 0
        return found

    def _step_to(self, end: int) -> list[Detection]:
        """Go through the windows whose mean is known."""
        first = self._n_done
        if end <= first:
            return []
        self._n_done = end
        if self._is_quiet():
            for trigger in self._phases:
                trigger.rest()
            return []
        means = self._means(first, end)
        limits = self._table[self._n_live[first:end]]
        found: list[Detection] = []
        for column, trigger in enumerate(self._phases):
            found += self._step_phase(trigger, first, means[:, column], limits[:, column])
        return sorted(found, key=lambda d: (d.decided_at, d.centre, d.phase))

    def _is_quiet(self) -> bool:
        """No mean can reach a threshold, since no window does, and nothing waits."""
        below = bool((self._odds.max(axis=0) < self._lowest_limits).all())
        return below and all(trigger.is_idle for trigger in self._phases)

    def _means(self, first: int, end: int) -> NDArray[np.float64]:
        """Mean log-odds around each window; at the ends of a segment over what there is."""
        total = np.zeros((end - first, len(PHASES)))
        count = np.zeros((end - first, 1))
        for shift in range(-self._half, self._half + 1):
            low, high = max(first + shift, 0), min(end + shift, len(self._odds))
            if low >= high:
                continue
            total[low - shift - first : high - shift - first] += self._odds[low:high]
            count[low - shift - first : high - shift - first] += 1.0
        means: NDArray[np.float64] = total / count
        return means

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
        window = number
        for run in self._recent:
            if window < len(run):
                return _Place(run, window, int(self._n_live[number]))
            window -= len(run)
        raise AssertionError("a window that was never given")

    def _forget(self) -> None:
        """Keep only the windows that later means need."""
        spare = self._n_done - self._half
        while self._recent and spare >= len(self._recent[0]):
            n = len(self._recent.popleft())
            spare -= n
            self._n_done -= n
            self._odds = self._odds[n:]
            self._n_live = self._n_live[n:]
