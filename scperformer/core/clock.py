"""The time of a channel's samples, from the start times of its records.

Start times of some digitizers jitter by several milliseconds from record to record, though
no sample is missing. Where there is no jitter, a record's own time counts. Where there is,
the mean over the latest records does, and a record that begins too early or too late is
taken for the next one as long as that is within the jitter.

A gap of whole samples is no jitter: steps between records that are no whole numbers of
samples, to and fro, are what tells it.
"""

from __future__ import annotations

import math
from collections import deque

from scperformer.types import NS_PER_S

LARGEST_JITTER_S = 0.02
"""Records whose times are further off do not follow on each other."""

_STEPS = 8
_FRACTION = 0.2
_LEAST_FRACTIONS = 2
_LEAST_BALANCE = 0.5
_TIMES_MEAN_STEP = 3.0
_RECORDS = 64
_REFERENCE_RECORDS = 8
_LEAST_RECORDS = 16
_RECENT_RECORDS = 16
_FIRST_RECORDS = 4
_CREEP_SAMPLES = 0.5
_STANDARD_ERRORS = 4.0


class Clock:
    """Learns of the records of one channel and rate.

    Times are in samples, relative to where the count of samples puts them.

    Args:
        rate_hz: sampling rate.

    Attributes:
        jitters: start times jitter.
        shift: how far the clock has moved away from the count since the run began.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._largest = LARGEST_JITTER_S * rate_hz
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._residuals: deque[float] = deque(maxlen=_RECORDS)
        self._reference: float | None = None
        self._bound = 0.0
        self._end_ns: int | None = None
        self.jitters = False
        self.shift = 0.0

    def note(self, start_ns: int, end_ns: int) -> None:
        """Learn of a record that has arrived, whatever becomes of it."""
        if self._end_ns is not None:
            step = (start_ns - self._end_ns) * self._rate_hz / NS_PER_S
            if abs(step) <= self._largest:
                self._steps.append(step)
                if self.jitters or abs(step) > _FRACTION:
                    self._look_at_steps()
        self._end_ns = end_ns

    def _look_at_steps(self) -> None:
        sizes = sorted(map(abs, self._steps))
        fractions = sum(abs(step - round(step)) > _FRACTION for step in self._steps)
        balanced = abs(sum(self._steps)) <= _LEAST_BALANCE * sum(sizes)
        self.jitters = fractions >= _LEAST_FRACTIONS and balanced
        self._bound = _TIMES_MEAN_STEP * sum(sizes[:-1]) / max(len(sizes) - 1, 1)

    def allows(self, ahead: float) -> bool:
        """Whether a record that is so far ahead may be the next one nevertheless."""
        return self.jitters and abs(ahead) <= min(self._bound, self._largest)

    def may_be_early(self, ahead: float, n_samples: int) -> bool:
        """Whether a record whose first samples differ from those seen only begins too early."""
        return abs(ahead) <= self._largest and n_samples > 2 * self._largest

    def misplacements(self) -> list[int]:
        """Samples by which a record that has been seen may be misplaced, the least first."""
        if not self.jitters:
            return []
        most = round(min(self._bound, self._largest))
        return sorted(range(-most, most + 1), key=abs)

    def is_outlier(self, ahead: float, ahead_of_next: float) -> bool:
        """Whether a record stands out for once: the one behind it is in time."""
        return (
            self.jitters
            and abs(ahead) <= self._largest
            and abs(ahead_of_next) <= min(self._bound, self._largest) / 2
        )

    def begin_run(self) -> None:
        """A run begins at the time of a record."""
        self._residuals.clear()
        self._residuals.append(0.0)
        self._reference = None
        self.shift = 0.0

    def go_on(self, residual: float) -> None:
        """A run goes on with a record; `residual` is its time less what the count says."""
        self._residuals.append(residual)
        self.shift = residual
        if self.jitters:
            self.shift = sum(self._residuals) / len(self._residuals)
            if self._reference is None and len(self._residuals) >= _REFERENCE_RECORDS:
                self._reference = self.shift

    def has_crept(self) -> bool:
        """Whether the clock is no longer where it was when the run began."""
        if not self.jitters:
            latest = self._residuals[-1]
            steps = abs(latest - self._residuals[-2]) if len(self._residuals) > 1 else 0.0
            is_new = len(self._residuals) <= _FIRST_RECORDS and steps > _FRACTION
            return abs(latest) > _CREEP_SAMPLES and not is_new
        n = len(self._residuals)
        if self._reference is None or n < _LEAST_RECORDS:
            return False
        spread = math.sqrt(sum((r - self.shift) ** 2 for r in self._residuals) / n)
        bound = max(_CREEP_SAMPLES, _STANDARD_ERRORS * spread / math.sqrt(n))
        return abs(self.shift - self._reference) > bound

    def latest_shift(self) -> float:
        """Where the clock stands now, if it jitters: the mean of a few records."""
        if not self.jitters:
            return self._residuals[-1]
        latest = list(self._residuals)[-_RECENT_RECORDS:]
        return sum(latest) / len(latest)

    def n_missing(self) -> int:
        """Whole samples by which a clock that jitters has jumped ahead of the count."""
        if not self.jitters or self._reference is None:
            return 0
        return max(round(self.latest_shift() - self._reference), 0)
