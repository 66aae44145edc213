"""The eight invariants of a stream that never lies."""

import gc
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scperformer.core.statistics import DropReason
from scperformer.types import Record, SeedId
from tests.fakes import RiseClassifier
from tests.profiles import examples
from tests.synthetic import (
    START_NS,
    assert_same,
    earthquakes,
    make_pipeline,
    pick_all,
    records,
    samples_ns,
)

N = 6000
WAVEFORM = earthquakes(N, (15.0, 38.0))
OTHER = earthquakes(N, (24.0,), seed=5)
relaxed = examples(20)

cut_lists = st.lists(st.integers(1, N - 1), max_size=60)
cuts = st.tuples(cut_lists, cut_lists, cut_lists)


@pytest.fixture(scope="module")
def plain():
    picks = pick_all(make_pipeline(), records(WAVEFORM))
    assert [p.phase for p in picks] == ["P", "S", "P", "S"]
    return picks


class SlowClassifier(RiseClassifier):
    """Takes a while for every answer."""

    def __init__(self, pauses_ms):
        super().__init__()
        self._pauses_ms = pauses_ms

    def classify(self, batch):
        time.sleep(self._pauses_ms[len(self.batch_sizes) % len(self._pauses_ms)] / 1000.0)
        return super().classify(batch)


def merged(draw_order: list[int], streams: list[list[Record]]) -> list[Record]:
    """Interleave streams by a list of choices, keeping each stream's own order."""
    left = [list(s) for s in streams]
    out = []
    for choice in draw_order:
        alive = [s for s in left if s]
        if not alive:
            break
        out.append(alive[choice % len(alive)].pop(0))
    return out + [r for s in left for r in s]


class TestPacketsDoNotMatter:
    @relaxed
    @given(cuts=cuts, batch=st.integers(1, 300))
    def test_splits_and_batches(self, plain, cuts, batch):
        pipeline = make_pipeline(batch_size=batch)
        assert_same(pick_all(pipeline, records(WAVEFORM, cuts)), plain)
        assert not pipeline.statistics.dropped_samples
        assert not pipeline.statistics.gaps

    @relaxed
    @given(cuts=cuts, order=st.lists(st.integers(0, 5), max_size=400), batch=st.integers(1, 300))
    def test_interleavings_of_components_and_stations(self, plain, cuts, order, batch):
        own, other = records(WAVEFORM, cuts), records(OTHER, cuts, station="B")
        streams = [
            [r for r in group if r.seed_id.component == letter]
            for group in (own, other)
            for letter in "NEZ"
        ]
        pipeline = make_pipeline(batch_size=batch, component_wait_s=300.0)
        picks = pick_all(pipeline, merged(order, streams))
        assert_same([p for p in picks if p.seed_id.station == "A"], plain)
        alone = pick_all(make_pipeline(), records(OTHER, station="B"))
        assert_same([p for p in picks if p.seed_id.station == "B"], alone)

    @examples(6)
    @given(
        batch=st.integers(400, 1500),
        step=st.integers(100, 2500),
        pauses_ms=st.lists(st.integers(0, 4), min_size=1, max_size=8),
    )
    def test_large_batches_that_are_answered_at_leisure(self, batch, step, pauses_ms):
        """Whether here or in a thread beside, and whatever is fed meanwhile."""
        streams = {name: earthquakes(N, (15.0, 38.0), seed=seed) for seed, name in enumerate("DEF")}
        stream = [
            record
            for name, waveform in streams.items()
            for record in records(waveform, [range(step, N, step)] * 3, station=name)
        ]
        stream.sort(key=lambda r: (r.start_ns, r.seed_id))
        pipeline = make_pipeline(
            classifier=SlowClassifier(pauses_ms), batch_size=batch, max_batch_delay_s=60.0
        )
        picks = pick_all(pipeline, stream)
        for name, waveform in streams.items():
            alone = pick_all(make_pipeline(), records(waveform, station=name))
            assert_same([p for p in picks if p.seed_id.station == name], alone)

    @relaxed
    @given(dtype=st.sampled_from(["i4", "i8", "f4", "f8"]))
    def test_dtypes(self, plain, dtype):
        assert_same(pick_all(make_pipeline(), records(WAVEFORM, dtype=dtype)), plain)

    @relaxed
    @given(rate=st.sampled_from([20.0, 40.0, 80.0, 125.0, 200.0, 250.0, 500.0, 66.6667]), cuts=cuts)
    def test_splits_at_other_rates(self, rate, cuts):
        whole = pick_all(make_pipeline(), records(WAVEFORM, rate_hz=rate))
        assert_same(pick_all(make_pipeline(), records(WAVEFORM, cuts, rate_hz=rate)), whole)


class TestGrid:
    @relaxed
    @given(extra=st.integers(1, 4000), offset_ns=st.integers(-4_900_000, 4_900_000))
    def test_what_comes_before_changes_nothing_later(self, extra, offset_ns):
        start_ns = START_NS // 10**7 * 10**7 + offset_ns
        late = pick_all(make_pipeline(), records(WAVEFORM, start_ns=start_ns))
        before = earthquakes(extra, (), seed=9)
        longer = np.concatenate([before, WAVEFORM], axis=1)
        early = pick_all(make_pipeline(), records(longer, start_ns=start_ns - samples_ns(extra)))
        assert [p.time_ns for p in late] == [p.time_ns for p in early]
        for a, b in zip(late, early, strict=True):
            assert a.probability == pytest.approx(b.probability, abs=1e-3)

    @relaxed
    @given(offset_ns=st.integers(-4_900_000, 4_900_000))
    def test_time_between_samples_is_kept(self, offset_ns):
        base = START_NS // 10**7 * 10**7
        on_grid = pick_all(make_pipeline(), records(WAVEFORM, start_ns=base))
        beside = pick_all(make_pipeline(), records(WAVEFORM, start_ns=base + offset_ns))
        assert [p.time_ns + offset_ns for p in on_grid] == [p.time_ns for p in beside]


class TestGaps:
    @relaxed
    @given(first=st.integers(500, 4500), length=st.integers(1, 900), cuts=cuts)
    def test_no_window_spans_a_gap(self, first, length, cuts):
        last = first + length
        kept = [
            record
            for record in records(WAVEFORM, [[first, last, *c] for c in cuts])
            if not first <= round((record.start_ns - START_NS) / samples_ns(1)) < last
        ]
        pipeline = make_pipeline(min_distance_s=0.0)
        picks = pick_all(pipeline, kept)
        assert pipeline.statistics.gaps == 3
        left = records(WAVEFORM[:, :first])
        right = records(WAVEFORM[:, last:], start_ns=START_NS + samples_ns(last))
        apart = [pick_all(make_pipeline(min_distance_s=0.0), part) for part in (left, right)]
        assert_same(picks, apart[0] + apart[1])

    def test_interpolation_bridges_short_gaps_only_when_asked(self, plain):
        kept = [r for r in records(WAVEFORM, [[1000, 1050]] * 3) if len(r.samples) != 50]
        closed = make_pipeline(gap_interpolation=True)
        assert len(pick_all(closed, kept)) == len(plain)
        assert closed.statistics.interpolated_samples == 150
        open_ = make_pipeline()
        pick_all(open_, kept)
        assert open_.statistics.interpolated_samples == 0
        assert open_.statistics.windows < closed.statistics.windows

    def test_a_gap_longer_than_allowed_stays_open(self):
        kept = [r for r in records(WAVEFORM, [[1000, 1500]] * 3) if len(r.samples) != 500]
        pipeline = make_pipeline(gap_interpolation=True, max_gap_s=4.9)
        pick_all(pipeline, kept)
        assert pipeline.statistics.interpolated_samples == 0


class TestReplays:
    @relaxed
    @given(
        cuts=cuts, again=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40)), max_size=4)
    )
    def test_records_sent_twice_change_nothing(self, plain, cuts, again):
        stream = records(WAVEFORM, cuts)
        for place, back in again:
            at = min(place, len(stream))
            stream = stream[:at] + stream[max(at - back, 0) : at] + stream[at:]
        pipeline = make_pipeline()
        assert_same(pick_all(pipeline, stream), plain)
        assert not pipeline.statistics.dropped_samples[DropReason.LATE]

    @relaxed
    @given(cuts=cuts, swaps=st.lists(st.integers(0, 200), max_size=20))
    def test_late_records_are_put_in_their_place(self, plain, cuts, swaps):
        every = [list(range(100, N, 100)) + list(c) for c in cuts]
        stream = records(WAVEFORM, every)
        for place in swaps:
            if place + 1 < len(stream):
                stream[place], stream[place + 1] = stream[place + 1], stream[place]
        # The very first record decides where a channel begins.
        assume(all(r.start_ns == START_NS for r in first_of_each(stream)))
        pipeline = make_pipeline()
        assert_same(pick_all(pipeline, stream), plain)
        assert not pipeline.statistics.gaps

    def test_what_comes_too_late_is_counted(self):
        stream = records(WAVEFORM, [range(100, N, 100)] * 3)
        late = stream.pop(60)
        pipeline = make_pipeline()
        pick_all(pipeline, [*stream, late])
        assert pipeline.statistics.dropped_samples[DropReason.LATE] == 100
        assert pipeline.statistics.gaps == 1


def first_of_each(stream):
    first = {}
    for record in stream:
        first.setdefault(record.seed_id, record)
    return first.values()


bad_records = st.builds(
    Record,
    seed_id=st.builds(
        SeedId, st.just("XX"), st.just("BAD"), st.just(""), st.sampled_from(["HHZ", "HHN", "Q", ""])
    ),
    start_ns=st.integers(-(10**18), 9 * 10**18),
    sampling_rate_hz=st.sampled_from([0.0, -1.0, 1e9, float("nan"), 100.0, 50.0, 19.0]),
    samples=st.sampled_from(
        [
            np.empty(0),
            np.full(300, np.nan),
            np.full(300, np.inf),
            np.zeros(300, dtype="i4"),
            np.array(["a"]),
            np.zeros((3, 3)),
            np.full(500, 8388607, dtype="i4"),
            np.where(np.arange(900) % 90 < 5, np.nan, 1.0),
            np.full(100, 1e300),
            np.zeros(10, dtype=complex),
        ]
    ),
)


class TestBadStations:
    @relaxed
    @given(bad=st.lists(bad_records, min_size=1, max_size=30), places=st.data())
    def test_a_bad_station_harms_no_other(self, plain, bad, places):
        stream = records(WAVEFORM, [range(200, N, 200)] * 3)
        for record in bad:
            stream.insert(places.draw(st.integers(0, len(stream))), record)
        picks = pick_all(make_pipeline(), stream)
        assert_same([p for p in picks if p.seed_id.station == "A"], plain)

    @relaxed
    @given(value=st.sampled_from([0.0, 5.0, -12345.678, 1e9, 1e14]))
    def test_constant_data_are_never_scored(self, value):
        pipeline = make_pipeline()
        assert pick_all(pipeline, records(np.full((3, 3000), value), dtype="f8")) == []
        assert pipeline.statistics.windows == 0

    def test_nan_is_a_gap_and_counted(self):
        waveform = WAVEFORM.copy()
        waveform[2, 2000:2100] = np.nan
        pipeline = make_pipeline()
        pick_all(pipeline, records(waveform, dtype="f8"))
        assert pipeline.statistics.dropped_samples[DropReason.NOT_FINITE] == 100
        assert pipeline.statistics.gaps == 1

    def test_a_lost_component_delays_by_the_configured_time_only(self, plain):
        stream = [
            r
            for r in records(WAVEFORM, [range(100, N, 100)] * 3)
            if r.seed_id.component != "E" or r.start_ns < START_NS + samples_ns(1000)
        ]
        pipeline = make_pipeline(component_wait_s=5.0, max_batch_delay_s=0.0)
        seen = {}
        for record in stream:
            for pick in pipeline.feed(record):
                seen[pick.public_id] = (record.end_ns - pick.time_ns) / 1e9
        pipeline.flush()
        assert len(seen) == len(plain)
        # Waiting ends 5 s after the last E; afterwards one record is held back.
        assert max(seen.values()) < 5.0

    def test_a_clock_that_steps_back_by_days_is_believed_in_the_end(self, plain):
        days = 3 * 86_400 * 10**9
        future = records(earthquakes(1000, ()), [[500]] * 3, start_ns=START_NS + days)
        pipeline = make_pipeline()
        picks = pick_all(pipeline, future + records(WAVEFORM, [range(100, N, 100)] * 3))
        assert pipeline.statistics.dropped_samples[DropReason.LATE] > 0
        assert [p.phase for p in picks if p.time_ns < START_NS + days] != []


class TestIdentity:
    def test_a_restart_gives_the_same_ids(self, plain):
        again = pick_all(make_pipeline(), records(WAVEFORM, [[777], [1234], [2999]]))
        assert {p.public_id for p in again} == {p.public_id for p in plain}


class TestMemory:
    def test_bounded_by_stations_not_by_time(self):
        pipeline = make_pipeline()
        block = earthquakes(6000, (20.0,), seed=2)

        def feed_minutes(first: int, last: int) -> None:
            for minute in range(first, last):
                start_ns = START_NS + minute * samples_ns(6000)
                for record in records(block, [range(100, 6000, 100)] * 3, start_ns=start_ns):
                    pipeline.feed(record)

        feed_minutes(0, 5)
        tracemalloc.start()
        feed_minutes(5, 8)
        gc.collect()  # NumPy's strided views lie in cycles until then
        before = tracemalloc.get_traced_memory()[0]
        feed_minutes(8, 20)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert after - before < 100_000

    def test_a_sender_that_repeats_itself_behind_a_gap(self):
        """A stuck digitizer: the gap stays open, what waits behind it does not pile up."""
        pipeline = make_pipeline()
        stream = records(WAVEFORM, [range(100, N, 100)] * 3)
        for record in stream[:30]:
            pipeline.feed(record)
        stuck = [r for r in stream if r.start_ns == START_NS + samples_ns(1100)]

        def repeat(times: int) -> None:
            for n in range(times):
                for r in stuck:
                    start_ns = r.start_ns + n % 7 * 1000
                    pipeline.feed(Record(r.seed_id, start_ns, 100.0, r.samples[: 90 + n % 11]))

        repeat(200)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        repeat(1000)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert after - before < 100_000
        assert pipeline.statistics.dropped_samples[DropReason.DUPLICATE] > 3 * 1000 * 90
