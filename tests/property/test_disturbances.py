"""Whatever happens to a stream, its picks are those of a plain scan of what is left."""

from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from scperformer.core.statistics import DropReason
from scperformer.core.triggers import Thresholds
from scperformer.types import NS_PER_S, Gap, Phase, SeedId
from tests.profiles import examples
from tests.property.streams import (
    Accounts,
    cuts_of_all,
    every,
    far_from,
    holes,
    in_time_order,
    n_samples,
    records_of,
    seconds,
    used_samples_counted,
    without,
)
from tests.synthetic import (
    LETTERS,
    START_NS,
    assert_same,
    earthquakes,
    make_pipeline,
    pick_all,
    records,
    samples_ns,
)

N, N_LATER = 6000, 3000
WAVEFORM = earthquakes(N, (15.0, 38.0))
LATER = earthquakes(N_LATER, (8.0, 20.0), seed=7)
MINUTE_NS, DAY_NS = 60 * NS_PER_S, 86_400 * NS_PER_S
CHANNELS = [SeedId("XX", "A", "", f"HH{letter}") for letter in LETTERS]
PLAIN = pick_all(make_pipeline(), records(WAVEFORM))
RATES_HZ = [20.0, 50.0, 66.6667, 80.0, 125.0, 200.0]


def scanned_apart(*parts):
    """The picks of parts that know nothing of each other."""
    found = [pick_all(make_pipeline(min_distance_s=0.0), part) for part in parts]
    return sorted(chain(*found), key=lambda p: (p.seed_id.sensor_id, p.time_ns, p.phase))


class TestRateChanges:
    @examples(10)
    @given(
        at=st.integers(450, 5500),
        rate_hz=st.sampled_from(RATES_HZ),
        pause_ms=st.just(0) | st.integers(100, 9000),
        cuts=cuts_of_all(N, most=30),
        back=st.booleans(),
        again=st.integers(0, 20),
    )
    def test_each_part_is_scanned_by_itself(self, *, at, rate_hz, pause_ms, cuts, back, again):
        """Whatever was sent before the change may be sent again after it."""
        parts = [records(WAVEFORM[:, :at], [[x for x in c if x < at] for c in cuts])]
        start_ns = parts[0][-1].end_ns + pause_ms * 1_000_000
        parts.append(records(LATER, cuts, start_ns=start_ns, rate_hz=rate_hz))
        if back:
            start_ns = parts[1][-1].end_ns + pause_ms * 1_000_000
            parts.append(records(WAVEFORM, cuts, start_ns=start_ns))
        repeated = parts[0][-again:] if again else []
        stream = [*parts[0], *parts[1][:7], *repeated, *parts[1][7:], *chain(*parts[2:])]
        accounts = Accounts()
        pipeline = make_pipeline(accounts, min_distance_s=0.0)
        assert_same(pick_all(pipeline, stream), scanned_apart(*parts))
        n_gaps = 3 * (len(parts) - 1) if pause_ms else 0
        assert pipeline.statistics.gaps == len(accounts.gaps) == n_gaps
        # A part's last sample may reach into the place on the grid of the next one's first.
        n_again = accounts.total(DropReason.DUPLICATE) - n_samples(repeated)
        assert 0 <= n_again <= 3 * (len(parts) - 1)
        assert set(pipeline.statistics.dropped_samples) <= {DropReason.DUPLICATE}

    @examples(8)
    @given(
        at=st.integers(600, 2500),
        rate_hz=st.sampled_from(RATES_HZ),
        changing=st.sampled_from(["N", "Z", "NE"]),
        cuts=cuts_of_all(N_LATER, most=30),
    )
    def test_of_some_components_packets_do_not_matter(self, at, rate_hz, changing, cuts):
        def stream(cuts):
            first = dict.fromkeys(LETTERS, ((0, N_LATER),)) | dict.fromkeys(changing, ((0, at),))
            later = dict.fromkeys(changing, ((0, N_LATER),))
            start_ns = START_NS + samples_ns(at)
            parts = records_of(LATER, first, cuts)
            return in_time_order(
                parts + records_of(LATER, later, cuts, start_ns=start_ns, rate_hz=rate_hz)
            )

        pipeline = make_pipeline(component_wait_s=300.0)
        whole = pick_all(make_pipeline(component_wait_s=300.0), stream([()] * 3))
        assert_same(pick_all(pipeline, stream(cuts)), whole)
        assert not pipeline.statistics.gaps


class TestClockJumps:
    @examples(8)
    @given(
        at=st.integers(450, 5500),
        ahead_ns=st.integers(3 * NS_PER_S, 3 * MINUTE_NS) | st.integers(DAY_NS // 2, 9 * DAY_NS),
        cuts=cuts_of_all(N_LATER, most=30),
    )
    def test_forward(self, at, ahead_ns, cuts):
        left = records(WAVEFORM[:, :at], cuts)
        right = records(LATER, cuts, start_ns=START_NS + samples_ns(at) + ahead_ns)
        accounts = Accounts()
        pipeline = make_pipeline(accounts, min_distance_s=0.0)
        assert_same(pick_all(pipeline, left + right), scanned_apart(left, right))
        end_ns = START_NS + samples_ns(at)
        assert set(accounts.gaps) == {Gap(c, end_ns, end_ns + ahead_ns) for c in CHANNELS}
        assert len(accounts.gaps) == 3
        assert not pipeline.statistics.dropped_samples

    @examples(8)
    @given(back=st.integers(100, N_LATER - 100), step=st.integers(50, 400))
    @example(back=1150, step=50)
    @example(back=1151, step=50)
    def test_back_by_less_than_a_day(self, back, step):
        """What was there already is not replaced; what follows begins anew, as behind a gap."""
        left = records(WAVEFORM, every(N, step))
        right = records(LATER, every(N_LATER, step), start_ns=START_NS + samples_ns(N - back))
        accounts = Accounts()
        rest = records(LATER[:, back:], start_ns=START_NS + samples_ns(N))
        picks = pick_all(make_pipeline(accounts, min_distance_s=0.0), left + right)
        assert_same(picks, scanned_apart(left, rest))
        # Those of the last twelve seconds are compared.
        assert accounts.total(DropReason.CONTRADICTION) == 3 * min(back, 1200)
        assert accounts.total(DropReason.DUPLICATE) == 3 * max(back - 1200, 0)
        assert not accounts.gaps

    @examples(8)
    @given(
        back_ns=st.integers(DAY_NS + 61 * NS_PER_S, 9 * DAY_NS),
        step=st.integers(50, 300),
        lost=st.sampled_from(["", "N", "E", "Z", "NE"]),
        rate_hz=st.just(100.0) | st.sampled_from([50.0, 200.0]),
    )
    def test_back_by_days(self, back_ns, step, lost, rate_hz):
        """After ten seconds it is believed; from there on it is a plain scan."""
        left = records(WAVEFORM, every(N, step))
        start_ns = START_NS + samples_ns(N) - back_ns
        spans = {letter: [(0, N_LATER)] for letter in LETTERS if letter not in lost}
        right = records_of(LATER, spans, every(N_LATER, step), start_ns=start_ns, rate_hz=rate_hz)
        accounts = Accounts()
        picks = pick_all(make_pipeline(accounts, min_distance_s=0.0), left + right)
        late_s = accounts.total(DropReason.LATE) / rate_hz / len(spans)
        step_s = step / rate_hz
        assert 10.0 - step_s < late_s < 10.0 + 2.0 * step_s
        settled_ns = start_ns + round((late_s - step_s) * NS_PER_S) + 9 * NS_PER_S
        expected = [p.public_id for p in scanned_apart(right) if p.time_ns > settled_ns]
        found = [p.public_id for p in picks if settled_ns < p.time_ns < START_NS]
        assert found == expected
        assert_same([p for p in picks if p.time_ns > START_NS], scanned_apart(left))

    @examples(8)
    @given(
        number=st.integers(3, 170),
        by_ns=st.integers(-9 * DAY_NS, -5 * NS_PER_S)
        | st.integers(DAY_NS + 15 * NS_PER_S, 9 * DAY_NS),
    )
    def test_one_record_with_a_wrong_time(self, number, by_ns):
        """It costs itself; if it comes from the future, the ten seconds until that is noticed."""
        stream = records(WAVEFORM, every(N, 100))
        begun_s = (stream[number].start_ns - START_NS) / NS_PER_S
        stream[number] = replace(stream[number], start_ns=stream[number].start_ns + by_ns)
        with used_samples_counted() as n_used:
            pipeline = make_pipeline()
            picks = pick_all(pipeline, stream)
        dropped = pipeline.statistics.dropped_samples
        assert n_used() + dropped.total() == 3 * N
        lost_s = 12.0 if by_ns > 0 else 1.0
        assert dropped[DropReason.LATE] <= (3 * 1200 if by_ns > 0 else 100)
        touched = [(begun_s, begun_s + lost_s)]
        expected = [p.public_id for p in far_from(PLAIN, touched)]
        assert [p.public_id for p in far_from(picks, touched) if seconds(p) < N] == expected


class TestClockErrors:
    @examples(8)
    @given(
        jitter=st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=50), step=st.integers(50, 400)
    )
    def test_jitter_within_a_fraction_of_a_sample_is_harmless(self, jitter, step):
        """It moves a pick's time by less than itself, and changes nothing else."""
        stream = records(WAVEFORM, every(N, step))
        jitter = (jitter * len(stream))[: len(stream)]
        jitter[:3] = [0.0] * 3
        shaken = [
            replace(r, start_ns=r.start_ns + round(j * samples_ns(1)))
            for r, j in zip(stream, jitter, strict=True)
        ]
        accounts = Accounts()
        picks = pick_all(make_pipeline(accounts), shaken)
        for own, plain in zip(picks, PLAIN, strict=True):
            assert abs(own.time_ns - plain.time_ns) <= 0.2 * samples_ns(1)
            moved = {"time_ns": plain.time_ns, "decision_delay_s": plain.decision_delay_s}
            assert_same([replace(own, **moved)], [plain])
        assert not accounts.gaps
        assert not accounts.left_out

    @examples(8)
    @given(creep=st.floats(-5e-4, 5e-4), step=st.integers(50, 400))
    def test_a_clock_that_creeps_makes_no_gap_and_loses_no_sample(self, creep, step):
        """Where half a sample has come together the samples are counted anew."""
        stream = records(WAVEFORM, every(N, step))
        crept = [
            replace(r, start_ns=r.start_ns + round((r.start_ns - START_NS) * creep)) for r in stream
        ]
        accounts = Accounts()
        with used_samples_counted() as n_used:
            picks = pick_all(make_pipeline(accounts), crept)
        slipped = accounts.total(DropReason.DUPLICATE)
        assert slipped == sum(accounts.left_out.values()) <= 3 * (abs(creep) * N + 1)
        assert n_used() == 3 * N - slipped
        assert not accounts.gaps
        if abs(creep) * N <= 0.5:
            assert len(picks) == len(PLAIN)


@st.composite
def losses(draw):
    """Stretches of each component that never come; at the ends, too."""
    spans = {}
    for letter in LETTERS:
        own = without(N, draw(holes(N, most=2, longest=N)))
        if len(own) > 1 and draw(st.booleans()):
            own = own[1:] if draw(st.booleans()) else own[:-1]
        spans[letter] = own
    return spans


def gaps_between(spans):
    return {
        Gap(channel, START_NS + samples_ns(end), START_NS + samples_ns(first))
        for channel in CHANNELS
        for (_, end), (first, _) in pairwise(spans[channel.component])
    }


class TestComponents:
    @examples(15)
    @given(spans=losses(), cuts=cuts_of_all(N), wait_s=st.sampled_from([5.0, 30.0]))
    def test_lost_and_back_at_any_time(self, spans, cuts, wait_s):
        """The same picks as from one record for each stretch, and no sample left out."""
        accounts = Accounts()
        stream = records_of(WAVEFORM, spans, cuts)
        with used_samples_counted() as n_used:
            pipeline = make_pipeline(accounts, component_wait_s=wait_s)
            pipeline.expect(CHANNELS)
            picks = pick_all(pipeline, stream)
        assert n_used() == n_samples(stream)
        assert not accounts.left_out
        whole = make_pipeline()
        whole.expect(CHANNELS)
        assert_same(picks, pick_all(whole, records_of(WAVEFORM, spans)))
        assert set(accounts.gaps) == gaps_between(spans)
        assert pipeline.statistics.gaps == len(gaps_between(spans))
        edges = [[0, *chain(*own), N] for own in spans.values()]
        missing = [(a, b) for own in edges for a, b in zip(own[::2], own[1::2], strict=True)]
        touched = [(a / 100.0, b / 100.0) for a, b in missing if a < b]
        assert_same(far_from(picks, touched), far_from(PLAIN, touched))

    @examples(8)
    @given(letter=st.sampled_from(LETTERS), first=st.integers(1, N - 1), cuts=cuts_of_all(N))
    def test_that_nobody_expected(self, letter, first, cuts):
        """One that comes late for the first time loses no more than the others' last record."""
        spans = dict.fromkeys(LETTERS, ((0, N),)) | {letter: [(first, N)]}
        stream = records_of(WAVEFORM, spans, cuts)
        accounts = Accounts()
        with used_samples_counted() as n_used:
            pick_all(make_pipeline(accounts), stream)
        assert n_used() + accounts.total(DropReason.LATE) == n_samples(stream)
        first_ns = START_NS + samples_ns(first)
        begun = [r for r in stream if r.start_ns <= first_ns and r.seed_id.component != letter]
        overlap_ns = max(r.end_ns for r in begun) - first_ns
        assert accounts.total(DropReason.LATE) <= max(overlap_ns, 0) // samples_ns(1)

    @examples(8)
    @given(letters=st.sampled_from(["N", "E", "Z", "NE", "EZ", "NZ", "NEZ"]), cuts=cuts_of_all(N))
    def test_own_thresholds(self, letters, cuts):
        """Each number of live components has its own, for each phase."""
        table = {1: (0.97, 0.3), 2: (0.3, 0.97), 3: (0.3, 0.3)}
        stream = records_of(WAVEFORM, dict.fromkeys(letters, ((0, N),)), cuts)
        easy = pick_all(make_pipeline(), stream)
        picks = pick_all(make_pipeline(thresholds=Thresholds(table)), stream)
        least_p, least_s = table[len(letters)]
        assert {p.n_components for p in picks} <= {len(letters)}
        assert all(p.probability >= (least_p if p.phase is Phase.P else least_s) for p in picks)
        sure = [(p.time_ns, p.phase) for p in easy if p.probability >= max(least_p, least_s)]
        assert set(sure) <= {(p.time_ns, p.phase) for p in picks}


class TestOverlaps:
    @examples(10)
    @given(
        cuts=cuts_of_all(N), again=cuts_of_all(N), copies=st.integers(1, 3), lag=st.integers(0, 900)
    )
    def test_copies_with_other_boundaries(self, cuts, again, copies, lag):
        arrivals = [(r.start_ns, r) for r in records(WAVEFORM, cuts)]
        for copy in range(copies):
            own = records(WAVEFORM, again)
            arrivals += [(r.start_ns + samples_ns(lag * copy), r) for r in own]
        accounts = Accounts()
        arrivals.sort(key=lambda arrival: arrival[0])
        assert_same(pick_all(make_pipeline(accounts), [r for _, r in arrivals]), PLAIN)
        assert accounts.total(DropReason.DUPLICATE) == sum(accounts.left_out.values())
        assert accounts.total(DropReason.DUPLICATE) == copies * 3 * N
        assert not accounts.gaps


class TestLateRecords:
    @examples(10)
    @given(
        delays_s=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=60),
        step=st.integers(50, 300),
    )
    def test_within_the_wait_they_are_put_in_their_place(self, delays_s, step):
        stream = records(WAVEFORM, every(N, step))
        delays_s = (delays_s * len(stream))[: len(stream)]
        delays_s[:3] = [0.0] * 3  # a channel begins with the record that comes first
        arrivals = [
            r.start_ns - START_NS + d * NS_PER_S for r, d in zip(stream, delays_s, strict=True)
        ]
        order = np.argsort(arrivals, kind="stable")
        accounts = Accounts()
        assert_same(pick_all(make_pipeline(accounts), [stream[k] for k in order]), PLAIN)
        assert not accounts.gaps
        assert not accounts.left_out

    @examples(10)
    @given(
        delays_s=st.dictionaries(st.integers(3, 60), st.floats(0.0, 20.0), max_size=5),
        step=st.integers(50, 300),
    )
    def test_what_is_too_late_is_counted_and_harms_nothing_far_away(self, delays_s, step):
        stream = records(WAVEFORM, every(N, step))
        arrivals = [
            r.start_ns - START_NS + NS_PER_S * delays_s.get(k, 0.0) for k, r in enumerate(stream)
        ]
        order = np.argsort(arrivals, kind="stable")
        accounts = Accounts()
        with used_samples_counted() as n_used:
            picks = pick_all(make_pipeline(accounts), [stream[k] for k in order])
        assert n_used() + accounts.total(DropReason.LATE) == 3 * N
        assert {reason for _, reason in accounts.left_out} <= {DropReason.LATE}
        late = [stream[k] for k in delays_s if k < len(stream)]
        touched = [
            ((r.start_ns - START_NS) / NS_PER_S, (r.end_ns - START_NS) / NS_PER_S) for r in late
        ]
        assert_same(far_from(picks, touched), far_from(PLAIN, touched))


class TestSpoiltSamples:
    @examples(10)
    @given(
        kind=st.sampled_from(["clipped", "stuck", "zero"]),
        limit=st.sampled_from([5005, 5050, 5300]),
        first=st.integers(0, N),
        length=st.integers(1, 3000),
        cuts=cuts_of_all(N),
    )
    def test_clipped_and_stuck(self, kind, limit, first, length, cuts):
        waveform = WAVEFORM.copy()
        part = waveform[:, first : first + length]
        low, high = {"clipped": (10_000 - limit, limit), "stuck": (limit, limit)}.get(kind, (0, 0))
        np.clip(part, low, high, out=part)
        picks = pick_all(make_pipeline(), records(waveform, cuts))
        assert_same(picks, pick_all(make_pipeline(), records(waveform)))
        touched = [(first / 100.0, (first + length) / 100.0)]
        assert_same(far_from(picks, touched), far_from(PLAIN, touched))

    @examples(10)
    @given(
        missing=st.tuples(holes(N), holes(N), holes(N)),
        cuts=cuts_of_all(N),
        value=st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1.01e15]),
    )
    def test_what_is_no_number_is_a_gap(self, missing, cuts, value):
        waveform = WAVEFORM.copy()
        for trace, own in zip(waveform, missing, strict=True):
            for first, end in own:
                trace[first:end] = value
        accounts = Accounts()
        picks = pick_all(make_pipeline(accounts), records(waveform, cuts, dtype="f8"))
        spans = {k: without(N, own) for k, own in zip(LETTERS, missing, strict=True)}
        assert_same(picks, pick_all(make_pipeline(), records_of(WAVEFORM, spans)))
        n_bad = sum(end - first for own in missing for first, end in own)
        assert accounts.total(DropReason.NOT_FINITE) == sum(accounts.left_out.values()) == n_bad
        assert set(accounts.gaps) == gaps_between(spans)
        assert len(accounts.gaps) == len(gaps_between(spans))
