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

_STEPS = 32
_FEW_STEPS = 8
_FRACTION = 0.25
_LEAST_BALANCE = 0.5
_TIMES_MEAN_STEP = 3.0
_UNUSUAL_SAMPLES, _UNUSUAL_TIMES = 1.5, 4.0
_RECORDS = 64
_LEAST_RECORDS = 4
_SPAN_S = 64.0
_REFERENCE_RECORDS = 32
_RECENT_RECORDS = 16
_CREEP_SAMPLES = 0.5
_STANDARD_ERRORS = 4.0
_SETTLING_RECORDS = range(4, 9)


class Clock:
    """Learns of the records of one channel and rate.

    Times are in samples, relative to where the count of samples puts them.

    Args:
        rate_hz: sampling rate.

    Attributes:
        end_ns: where the record that arrived last ends, None before the first.
        jitters: start times jitter.
        shift: how far the clock has moved away from the count since the run began.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._largest = LARGEST_JITTER_S * rate_hz
        self._span = _SPAN_S * rate_hz
        self._steps: deque[float] = deque(maxlen=_STEPS)
        self._sizes: deque[float] = deque(maxlen=_STEPS)
        self._residuals: deque[tuple[int, float]] = deque()
        self._before = (0, 0.0)
        self._reference: float | None = None
        self._n_reference = 0
        self._bound = 0.0
        self.end_ns: int | None = None
        self.jitters = False
        self.shift = 0.0

    def note(self, start_ns: int, end_ns: int) -> None:
        """Learn of a record that has arrived, whatever becomes of it."""
        if self.end_ns is not None:
            step = (start_ns - self.end_ns) * self._rate_hz / NS_PER_S
            if abs(step) <= self._largest:
                self._sizes.append(abs(step))
            if abs(step) <= self._largest and (self.jitters or _is_fraction(step)):
                self._steps.append(step)
                self._look_at_steps()
        self.end_ns = end_ns

    def is_plain(self, ahead_ns: int) -> bool:
        """Whether a record that is so far ahead, and whose sender does not jitter, is no news."""
        return not self.jitters and abs(ahead_ns) * self._rate_hz <= _FRACTION * NS_PER_S

    def _look_at_steps(self) -> None:
        sizes = sorted(map(abs, self._steps))
        n = len(sizes)
        few = n < _FEW_STEPS
        # Jitter goes to and fro; steps of one sign are those of a wrong sampling rate.
        balanced = few or abs(sum(self._steps)) <= _LEAST_BALANCE * sum(sizes)
        self.jitters = balanced and any(map(_is_fraction, self._steps))
        bound = sizes[-1] if few else _TIMES_MEAN_STEP * sum(sizes[:-1]) / (n - 1)
        self._bound = min(bound, self._largest)

    def allows(self, ahead: float) -> bool:
        """Whether a record that is so far ahead may be the next one nevertheless."""
        if abs(ahead) > self._largest:
            return False
        # No whole number of samples is missing.
        if self.jitters and abs(ahead) <= self._bound:
            return True
        return 0 < ahead <= self._most_usual() and _is_fraction(ahead)

    def _most_usual(self) -> float:
        """How far ahead a record may be that is the first to tell of a jitter."""
        if len(self._sizes) < _STEPS:
            return self._largest
        # A gap is one large step; where a clock jitters, the next one is as large.
        return max(_UNUSUAL_SAMPLES, _UNUSUAL_TIMES * sorted(self._sizes)[-2])

    def may_be_early(self, ahead: float, n_samples: int) -> bool:
        """Whether a record whose first samples differ from those seen only begins too early."""
        return abs(ahead) <= self._largest and n_samples > 2 * self._largest

    def misplacements(self) -> list[int]:
        """Samples by which a record that has been seen may be misplaced, the least first."""
        if not self.jitters:
            return []
        most = round(self._bound)
        return sorted(range(-most, most + 1), key=abs)

    def is_outlier(self, ahead: float, ahead_of_next: float) -> bool:
        """Whether a record stands out for once: the one behind it is in time."""
        in_time = self.jitters and abs(ahead_of_next) <= self._bound / 2
        return in_time and abs(ahead) <= self._largest

    def begin_run(self) -> None:
        """A run begins at the time of a record."""
        self._residuals.clear()
        self._before = (0, 0.0)
        self._reference = None
        self.shift = 0.0

    def go_on(self, count: int, residual: float) -> None:
        """A run goes on with a record.

        Args:
            count: samples of the run before the record.
            residual: the record's time less what the count says.
        """
        if not self.jitters:
            self._before = (count, residual)
            self.shift = residual
            return
        residuals = self._residuals
        if not residuals:
            residuals.append(self._before)
        residuals.append((count, residual))
        is_old = len(residuals) >= _REFERENCE_RECORDS
        while len(residuals) > _LEAST_RECORDS and (
            len(residuals) > _RECORDS or count - residuals[0][0] > self._span
        ):
            residuals.popleft()
            is_old = True
        self.shift = self._mean(len(residuals))
        if is_old and self._reference is None:
            self._reference, self._n_reference = self.shift, len(residuals)

    def has_crept(self) -> bool:
        """Whether the clock is no longer where it was when the run began."""
        if not self.jitters:
            return abs(self.shift) > _CREEP_SAMPLES
        if self._reference is None:
            return False
        n = len(self._residuals)
        variance = sum((r - self.shift) ** 2 for _, r in self._residuals) / n
        error = math.sqrt(variance * (1.0 / n + 1.0 / self._n_reference))
        bound = max(_CREEP_SAMPLES, _STANDARD_ERRORS * error)
        return abs(self.shift - self._reference) > bound

    @property
    def is_settling(self) -> bool:
        """Whether so few records of the run have come that it may as well begin anew."""
        return self.jitters and len(self._residuals) in _SETTLING_RECORDS

    def latest_shift(self) -> float:
        """Where the clock stands now: if it jitters, the mean of a few records."""
        return self._mean(_RECENT_RECORDS) if self.jitters else self.shift

    def n_missing(self) -> int:
        """Whole samples by which a clock that jitters has jumped ahead of the count."""
        if not self.jitters or self._reference is None:
            return 0
        return max(round(self.latest_shift() - self._reference), 0)

    def _mean(self, n_latest: int) -> float:
        latest = [residual for _, residual in self._residuals][-n_latest:]
        return sum(latest) / len(latest)


def _is_fraction(samples: float) -> bool:
    return abs(samples - round(samples)) > _FRACTION
