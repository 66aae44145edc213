"""One channel's records brought into order and onto the 100 Hz grid."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.config import Settings
from scperformer.core.clock import Clock
from scperformer.core.raw import HELD_S, Chunk, RawRun, ReorderBuffer
from scperformer.core.resample import Resampler
from scperformer.core.statistics import DropReason, Reporter, nanoseconds
from scperformer.types import NS_PER_S, SAMPLE_NS, SAMPLING_RATE_HZ, Gap, Record, SeedId

_RATE_TOLERANCE = 1e-4
_LARGEST_SAMPLE = 1e15
_FAINTEST_PEAK = 1e-30
_SEEN_SPANS = 64
_RECORDS_BEFORE_SEAM = 3
_CLOCK_RESET_NS = 86_400 * NS_PER_S
_CLOCK_RESET_EVIDENCE_NS = 10 * NS_PER_S


@dataclass(frozen=True, slots=True, eq=False)
class GridChunk:
    """Consecutive samples of one channel at 100 Hz.

    Attributes:
        index: the first sample's place on the grid, in samples since the epoch.
        samples: (n,) float64.
        offset_ns: true time minus grid time; over a run it changes with the mean of
            start times that jitter, and else not.
        fresh: a run begins here: the samples do not follow on what came before.
        raw: the run that they come from, as it was recorded.
    """

    index: int
    samples: NDArray[np.float64]
    offset_ns: int
    fresh: bool
    raw: RawRun

    @property
    def end(self) -> int:
        """Grid index that follows the last sample."""
        return self.index + len(self.samples)


class Channel:
    """Puts the records of one channel in order.

    Samples that continue the run go straight on. Later ones wait for the records
    between, until the channel itself or its sensor has gone on by `late_wait_s` of
    data time; then the gap is final and a new run begins. So does one at a change of
    the sampling rate. Samples already seen are dropped; where they contradict what was
    seen, a new run begins behind them. Start times may jitter (`Clock`).

    Args:
        seed_id: the channel.
        settings: the sensor's settings.
        reporter: hears of gaps and drops.
    """

    def __init__(self, seed_id: SeedId, settings: Settings, reporter: Reporter) -> None:
        self.seed_id = seed_id
        self._settings = settings
        self._reporter = reporter
        self._late_wait_ns = nanoseconds(settings.late_wait_s)
        self._rate_hz = 0.0
        self._run_is_over = False
        self._waiting = ReorderBuffer()
        self._seen: deque[tuple[int, int]] = deque(maxlen=_SEEN_SPANS)
        self._next_ns: int | None = None
        self._run_start_ns = 0
        self._run_start_index = 0
        self._run_offset_ns = 0
        self._run_count = 0
        self._clock = Clock(0.0)
        self._n_since_contradiction = 0
        self._is_contradicted = False
        self._seam_is_false = False
        self._resampler: Resampler | None = None
        self._raw = RawRun(0, 1.0)
        self._next_index: int | None = None
        self._begins = False
        self._rewound_to_ns = 0
        self._rewound_ns = 0
        self._latest_start_ns = 0
        self._front_ns = 0

    def push(self, record: Record, front_ns: int) -> list[GridChunk]:
        """Take a record; return what has become certain, in order.

        Args:
            record: the record.
            front_ns: start of the sensor's latest record, this one included.
        """
        if self._simply_continues(record):
            return self._go_on(record)
        grid_chunks: list[GridChunk] = []
        if abs(record.sampling_rate_hz - self._rate_hz) > _RATE_TOLERANCE * self._rate_hz:
            if self._is_past(record):
                n_samples, rate_hz = len(record.samples), record.sampling_rate_hz
                self._count_old(record.start_ns, n_samples, rate_hz, whole=True)
                return self.note_front(front_ns)
            grid_chunks += self.finish()
            self._rate_hz = record.sampling_rate_hz
            self._clock = Clock(self._rate_hz)
        self._clock.note(record.start_ns, record.end_ns)
        self._latest_start_ns = max(self._latest_start_ns, record.start_ns)
        self._front_ns = front_ns
        for chunk in self._finite_chunks(record):
            grid_chunks += self._insert(chunk)
        return grid_chunks + self.note_front(front_ns)

    def _go_on(self, record: Record) -> list[GridChunk]:
        assert self._next_ns is not None
        is_plain = self._clock.is_plain(record.start_ns - self._next_ns)
        if not is_plain:
            self._clock.note(record.start_ns, record.end_ns)
        self._latest_start_ns = max(self._latest_start_ns, record.start_ns)
        grid_chunks = self._continue_run(Chunk(record.start_ns, _as_float(record.samples)))
        if is_plain:
            self._clock.end_ns = self._next_ns
        return grid_chunks

    def _simply_continues(self, record: Record) -> bool:
        """The usual case: whole numbers that begin where the last record ended."""
        return (
            self._next_ns is not None
            and not self._waiting
            and record.sampling_rate_hz == self._rate_hz
            and abs(record.start_ns - self._next_ns) * self._rate_hz <= 0.5 * NS_PER_S
            and record.samples.dtype.kind in "iu"
            and type(record.samples) is np.ndarray
        )

    def _is_past(self, record: Record) -> bool:
        """Whether a record ends before what comes next."""
        half_sample_ns = NS_PER_S / record.sampling_rate_hz / 2
        return self._next_ns is not None and record.end_ns <= self._next_ns + half_sample_ns

    def trim_raw(self, before_ns: int) -> None:
        """Forget what was recorded before a time."""
        self._raw.trim(before_ns)

    @property
    def waits(self) -> bool:
        """Samples wait for others that should come before them."""
        return bool(self._waiting)

    def note_front(self, front_ns: int) -> list[GridChunk]:
        """Learn how far the sensor's records have come; return what that makes certain."""
        grid_chunks: list[GridChunk] = []
        while self._waiting and self._gap_is_final(front_ns):
            grid_chunks += self._accept_gap()
        return grid_chunks

    def _gap_is_final(self, front_ns: int) -> bool:
        assert self._next_ns is not None
        own_ns = self._latest_start_ns - self._next_ns
        return max(own_ns, front_ns - self._waiting.since_ns) > self._late_wait_ns

    def finish(self) -> list[GridChunk]:
        """Make everything final that waits, and end the run."""
        grid_chunks: list[GridChunk] = []
        while self._waiting:
            grid_chunks += self._accept_gap()
        return grid_chunks + self._end_run()

    @property
    def clock_was_reset(self) -> bool:
        """The channel keeps sending data from days before what it sent earlier."""
        return self._rewound_ns >= _CLOCK_RESET_EVIDENCE_NS

    def _ns(self, samples: float) -> int:
        return round(samples * NS_PER_S / self._rate_hz)

    def _finite_chunks(self, record: Record) -> list[Chunk]:
        samples = _as_float(record.samples)
        if record.samples.dtype.kind in "iu" and not np.ma.isMaskedArray(record.samples):
            return [Chunk(record.start_ns, samples)]
        if _all_usable(samples):
            if 0.0 < float(np.abs(samples).max()) < _FAINTEST_PEAK:
                self._reporter.dropped(self.seed_id, DropReason.FAINT, len(samples), whole=True)
                return []
            return [Chunk(record.start_ns, samples)]
        with np.errstate(invalid="ignore"):
            good = np.abs(samples) <= _LARGEST_SAMPLE
        n_bad = int(len(good) - np.count_nonzero(good))
        self._reporter.dropped(
            self.seed_id, DropReason.NOT_FINITE, n_bad, whole=n_bad == len(samples)
        )
        edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
        return [
            Chunk(record.start_ns + self._ns(int(first)), samples[first:last])
            for first, last in zip(edges[::2], edges[1::2], strict=True)
        ]

    def _insert(self, chunk: Chunk) -> list[GridChunk]:
        if self._next_ns is None:
            return self._begin_run(chunk)
        ahead = self._ahead(chunk.start_ns)
        if abs(ahead) <= 0.5 or self._clock.allows(ahead):
            return self._continue_run(chunk) + self._take_waiting()
        if ahead > 0.5:
            self._keep_waiting(chunk)
            return self._take_waiting()
        return self._take_overlapping(chunk, ahead)

    def _ahead(self, start_ns: int) -> float:
        """How many samples a time lies behind that of the next sample."""
        assert self._next_ns is not None
        return (start_ns - self._next_ns) * self._rate_hz / NS_PER_S

    def _take_overlapping(self, chunk: Chunk, ahead: float) -> list[GridChunk]:
        n_back = self._aligned(chunk.samples, ahead)
        n_old = min(n_back, len(chunk.samples))
        n_known, agrees = self._compare(chunk.samples, n_back)
        is_new = not (agrees or self._is_contradicted)
        if is_new and self._clock.may_be_early(ahead, len(chunk.samples)):
            return self._continue_run(chunk) + self._take_waiting()
        whole = n_old == len(chunk.samples)
        if agrees:
            self._count_old(chunk.start_ns, n_old, self._rate_hz, whole=whole)
        else:
            self._count_contradiction(chunk, n_old, n_known, ends_at_seam=n_back == n_old)
        if whole:
            return []
        rest = Chunk(chunk.start_ns + self._ns(n_old), chunk.samples[n_old:])
        grid_chunks = (
            self._continue_run(rest) if agrees else self._end_run() + self._begin_run(rest)
        )
        return grid_chunks + self._take_waiting()

    def _aligned(self, samples: NDArray[np.float64], ahead: float) -> int:
        """How far back samples lie that are older than the next one; at least 1."""
        n_back = max(round(-ahead), 1)
        for off in self._clock.misplacements():
            if n_back + off > 0 and self._compare(samples, n_back + off) == (len(samples), True):
                return n_back + off
        return n_back

    def _compare(self, samples: NDArray[np.float64], n_back: int) -> tuple[int, bool]:
        """Compare samples that begin `n_back` before the next one with those seen.

        Returns:
            How many could be compared, and whether none of them differs.
        """
        first = self._run_count - n_back
        low = max(first, self._run_count - round(HELD_S * self._rate_hz), self._raw.real_from, 0)
        end = min(first + len(samples), self._run_count)
        if low >= end:
            return 0, True
        own = samples[low - first : end - first]
        return end - low, bool(np.array_equal(own, self._raw.samples(low, end)))

    def _count_contradiction(
        self, chunk: Chunk, n_old: int, n_known: int, *, ends_at_seam: bool
    ) -> None:
        """Count samples that differ from those seen, and what lies before the latter."""
        whole = n_old == len(chunk.samples)
        if n_old > n_known:
            self._count_old(chunk.start_ns, n_old - n_known, self._rate_hz, whole=False)
        self._reporter.dropped(self.seed_id, DropReason.CONTRADICTION, n_known, whole=whole)
        if whole and ends_at_seam and self._n_since_contradiction >= _RECORDS_BEFORE_SEAM:
            # What follows goes on from these and not from those seen, unless two senders
            # speak in turns.
            self._seam_is_false = True
        self._is_contradicted = True

    def _keep_waiting(self, chunk: Chunk) -> None:
        """Keep a chunk until those before it have come."""
        left_out = self._waiting.add(
            chunk,
            chunk.start_ns + self._ns(len(chunk.samples)),
            since_ns=self._front_ns,
            tolerance_ns=NS_PER_S / self._rate_hz / 2,
        )
        for n_samples in left_out:
            self._reporter.dropped(self.seed_id, DropReason.DUPLICATE, n_samples, whole=True)

    def _take_waiting(self) -> list[GridChunk]:
        if not self._waiting:
            return []
        ahead = self._ahead(self._waiting.first_ns)
        if ahead <= 0.5 or self._clock.allows(ahead):
            return self._insert(self._waiting.take())
        if len(self._waiting) > 1:
            first_end_ns, second_ns = self._waiting.first_seam
            ahead_of_second = ahead + (second_ns - first_end_ns) * self._rate_hz / NS_PER_S
            if self._clock.is_outlier(ahead, ahead_of_second):
                return self._continue_run(self._waiting.take()) + self._take_waiting()
        return []

    def _accept_gap(self) -> list[GridChunk]:
        """Go on behind the gap in front of the first waiting chunk."""
        assert self._next_ns is not None
        chunk = self._waiting.take()
        gap = Gap(self.seed_id, self._next_ns, chunk.start_ns)
        self._reporter.gap(gap)
        if self._may_bridge(gap):
            grid_chunks = self._bridge(gap, float(chunk.samples[0]))
            return grid_chunks + self._insert(chunk)
        return self._end_run() + self._begin_run(chunk) + self._take_waiting()

    def _may_bridge(self, gap: Gap) -> bool:
        is_wanted = self._settings.gap_interpolation and not self._run_is_over
        return is_wanted and gap.duration_s <= self._settings.max_gap_s

    def _bridge(self, gap: Gap, after: float) -> list[GridChunk]:
        n_missing = round((gap.end_ns - gap.start_ns) * self._rate_hz / NS_PER_S)
        if not n_missing:
            return []
        last = float(self._raw.samples(self._run_count - 1, self._run_count)[0])
        line = np.linspace(last, after, n_missing + 2)[1:-1]
        self._reporter.statistics.interpolated_samples += n_missing
        return self._deliver(Chunk(gap.start_ns, line), fresh=False, made_up=True)

    def _begin_run(self, chunk: Chunk) -> list[GridChunk]:
        self._run_start_ns = chunk.start_ns
        self._run_start_index = round(chunk.start_ns / SAMPLE_NS)
        self._run_offset_ns = chunk.start_ns - self._run_start_index * SAMPLE_NS
        self._run_count = 0
        self._run_is_over = False
        self._clock.begin_run()
        self._seen.append((chunk.start_ns, chunk.start_ns))
        self._resampler = None
        if abs(self._rate_hz - SAMPLING_RATE_HZ) > _RATE_TOLERANCE * SAMPLING_RATE_HZ:
            self._resampler = Resampler(chunk.start_ns, self._rate_hz)
        offset_ns = self._run_offset_ns if self._resampler is None else 0
        self._raw = RawRun(chunk.start_ns, self._rate_hz, offset_ns=offset_ns)
        return self._deliver(chunk, fresh=True)

    def _continue_run(self, chunk: Chunk) -> list[GridChunk]:
        if self._run_is_over:
            return self._begin_run(chunk)
        if self._seam_is_false:
            return self._end_run() + self._begin_run(chunk)
        counted_ns = self._run_start_ns + self._ns(self._run_count)
        residual = (chunk.start_ns - counted_ns) * self._rate_hz / NS_PER_S
        self._clock.go_on(self._run_count, residual)
        if self._clock.has_crept() or self._is_misplaced():
            return self._count_anew(chunk, counted_ns)
        return self._deliver(chunk, fresh=False)

    def _is_misplaced(self) -> bool:
        """Whether the run's first record, whose time jittered, led to the wrong place."""
        offset_ns = self._run_offset_ns + self._ns(self._clock.shift)
        wrong = self._resampler is None and abs(offset_ns) > 0.6 * SAMPLE_NS
        return wrong and self._clock.is_settling

    def _count_anew(self, chunk: Chunk, counted_ns: int) -> list[GridChunk]:
        """Begin a run where the sample count has lost its place on the clock."""
        n_missing = self._clock.n_missing()
        start_ns = chunk.start_ns
        if self._clock.jitters:
            start_ns = counted_ns + self._ns(self._clock.latest_shift())
        if n_missing:
            self._reporter.gap(Gap(self.seed_id, start_ns - self._ns(n_missing), start_ns))
        return self._end_run() + self._begin_run(Chunk(start_ns, chunk.samples))

    def _end_run(self) -> list[GridChunk]:
        self._run_is_over = True
        if self._resampler is None:
            return []
        index = self._resampler.next_index
        rest = self._resampler.finish()
        self._resampler = None
        return self._on_grid(index, rest, 0, fresh=False)

    def _deliver(self, chunk: Chunk, *, fresh: bool, made_up: bool = False) -> list[GridChunk]:
        index = self._run_start_index + self._run_count
        self._run_count += len(chunk.samples)
        self._next_ns = chunk.start_ns + self._ns(len(chunk.samples))
        shift_ns = 0
        if self._clock.jitters:
            shift_ns = self._ns(self._clock.shift)
            self._next_ns = self._run_start_ns + shift_ns + self._ns(self._run_count)
        self._seen[-1] = (self._seen[-1][0], self._next_ns)
        self._raw.append(chunk.samples, made_up=made_up)
        self._rewound_ns = 0
        self._seam_is_false = False
        self._n_since_contradiction = (
            1 if self._is_contradicted else self._n_since_contradiction + 1
        )
        self._is_contradicted = False
        if self._resampler is None:
            offset_ns = self._run_offset_ns + shift_ns
            return self._on_grid(index, chunk.samples, offset_ns, fresh=fresh)
        index = self._resampler.next_index
        samples = self._resampler.process(chunk.samples)
        return self._on_grid(index, samples, shift_ns, fresh=fresh)

    def _on_grid(
        self, index: int, samples: NDArray[np.float64], offset_ns: int, *, fresh: bool
    ) -> list[GridChunk]:
        if self._next_index is not None and index < self._next_index:
            n_covered = min(self._next_index - index, len(samples))
            if self._resampler is None:
                self._reporter.dropped(self.seed_id, DropReason.DUPLICATE, n_covered)
            samples = samples[n_covered:]
            index += n_covered
        fresh = fresh or self._begins
        self._begins = fresh and not len(samples)
        if not len(samples):
            return []
        continues = self._next_index == index and not fresh
        self._next_index = index + len(samples)
        return [GridChunk(index, samples, offset_ns, fresh=not continues, raw=self._raw)]

    def _count_old(self, start_ns: int, n_old: int, rate_hz: float, *, whole: bool) -> None:
        end_ns = start_ns + round(n_old * NS_PER_S / rate_hz)
        n_seen = round(self._seen_ns(start_ns, end_ns) * rate_hz / NS_PER_S)
        n_late = max(n_old - n_seen, 0)
        if n_late < n_old:
            self._reporter.dropped(
                self.seed_id, DropReason.DUPLICATE, n_old - n_late, whole=whole and not n_late
            )
        if n_late:
            self._reporter.dropped(self.seed_id, DropReason.LATE, n_late, whole=whole)
            self._watch_clock(start_ns, end_ns)

    def _seen_ns(self, start_ns: int, end_ns: int) -> int:
        oldest_known_ns = self._seen[0][0]
        forgotten = len(self._seen) == _SEEN_SPANS
        total = max(min(end_ns, oldest_known_ns) - start_ns, 0) if forgotten else 0
        for span_start_ns, span_end_ns in self._seen:
            total += max(min(end_ns, span_end_ns) - max(start_ns, span_start_ns), 0)
        return total

    def _watch_clock(self, start_ns: int, end_ns: int) -> None:
        assert self._next_ns is not None
        if self._next_ns - start_ns < _CLOCK_RESET_NS:
            return
        continues = abs(start_ns - self._rewound_to_ns) * self._rate_hz < NS_PER_S
        self._rewound_ns = end_ns - start_ns + (self._rewound_ns if continues else 0)
        self._rewound_to_ns = end_ns


def _all_usable(samples: NDArray[np.float64]) -> bool:
    """No sample is NaN, infinite or absurdly large; NaN compares as false."""
    with np.errstate(invalid="ignore"):
        return bool(samples.min() >= -_LARGEST_SAMPLE and samples.max() <= _LARGEST_SAMPLE)


def _as_float(samples: NDArray[np.generic]) -> NDArray[np.float64]:
    if isinstance(samples, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(samples.astype(np.float64), np.nan))
    return np.asarray(samples, dtype=np.float64)
