"""What a report gathers: sums that stay, memory that stays, pairs, labels, examples."""

import pickle
import random
from dataclasses import replace

import numpy as np
import pytest

from scperformer.reporting.facts import PieceFacts, RunFacts
from scperformer.reporting.histograms import Histogram
from scperformer.reporting.labelling import LabelMatching
from scperformer.reporting.pairing import (
    BusiestBurst,
    PairFinder,
    PairSample,
    PhasePair,
    wadati_line,
)
from scperformer.reporting.ranking import most_to_say, worst_first
from scperformer.reporting.scan_report import PRESENT_SERIES, SERIES, ScanReport
from scperformer.reporting.tallies import count_reasons
from scperformer.reporting.timeline import Timeline
from scperformer.types import NS_PER_S, Phase, Pick, SeedId, SensorId, parse_time

DAY_NS = 86_400 * NS_PER_S
START_NS = parse_time("2020-02-28T00:00:00Z")
SENSOR = SensorId("XX", "AAA", "", "HH")
RUN = RunFacts("0.2.0", "scperformer scan data -o picks.csv", "streaming", "ab" * 32)


def pick(phase, after_s, sensor_id=SENSOR, **fields):
    time_ns = START_NS + round(after_s * NS_PER_S)
    seed_id = sensor_id.channel("Z" if phase == "P" else "N")
    return Pick(time_ns, Phase(phase), seed_id, **{"probability": 0.9, **fields})


def piece(day=0, sensor_id=SENSOR, **fields):
    start_ns = START_NS + day * DAY_NS
    end_ns = fields.pop("end_ns", start_ns + DAY_NS)
    spans = {"spans_ns": ((start_ns, end_ns),), "n_components": 3, "windows": 100}
    return PieceFacts(sensor_id, start_ns, end_ns, **{**spans, **fields})


def report_of(*pieces, **arguments):
    report = ScanReport(RUN, **arguments)
    for facts, picks in pieces:
        report.add(facts, picks)
    return report


def size(report):
    return len(pickle.dumps(report))


class TestTimeline:
    def test_sums_stay_while_bins_grow(self):
        timeline = Timeline(2, most_bins=48)
        rng = np.random.default_rng(0)
        widths = set()
        for day in (*range(30), 400, 4000, 36_500, -50):
            start_ns = START_NS + day * DAY_NS
            timeline.reach("a", start_ns, start_ns + DAY_NS)
            timeline.count("a", 0, start_ns + rng.integers(0, DAY_NS, 100))
            timeline.cover("a", 1, np.array([[start_ns + 7, start_ns + DAY_NS // 3]]))
            widths.add(timeline.width_ns)
            assert timeline.n_bins <= 48
        assert timeline.row("a").sum(axis=1).tolist() == [3400, 34 * (DAY_NS // 3 - 7)]
        assert len(widths) > 4
        assert timeline.start_ns <= START_NS - 50 * DAY_NS
        assert timeline.edges_ns()[-1] >= START_NS + 36_501 * DAY_NS

    def test_what_is_counted_lies_where_it_happened(self):
        timeline = Timeline(2, most_bins=300)
        hour_ns = 3600 * NS_PER_S
        timeline.reach("a", START_NS, START_NS + 100 * hour_ns)
        assert timeline.width_ns == hour_ns
        timeline.count("a", 0, np.array([START_NS, START_NS + 5 * hour_ns, START_NS + 5 * hour_ns]))
        spans = np.array([[0.5, 1.25], [1.5, 3.0]]) * hour_ns
        timeline.cover("a", 1, START_NS + spans.astype(np.int64))
        counts, covered = timeline.row("a")
        assert counts[:6].tolist() == [1, 0, 0, 0, 0, 2]
        assert (covered[:4] / hour_ns).tolist() == [0.5, 0.75, 1.0, 0.0]
        timeline.reach("b", START_NS + 200 * hour_ns, START_NS + 310 * hour_ns)
        assert timeline.width_ns == 2 * hour_ns
        assert timeline.row("a")[0, :3].tolist() == [1, 0, 2]
        assert timeline.row("b").shape == timeline.row("never").shape == (2, 155)

    def test_earlier_times_may_come_later(self):
        one, other = Timeline(1, most_bins=20), Timeline(1, most_bins=20)
        times_ns = START_NS + np.arange(40) * DAY_NS
        for timeline, order in ((one, 1), (other, -1)):
            for time_ns in times_ns[::order]:
                timeline.reach("a", int(time_ns), int(time_ns) + 1)
                timeline.count("a", 0, np.array([time_ns]))
        assert one.width_ns == other.width_ns
        assert one.start_ns == other.start_ns
        assert one.total().tolist() == other.total().tolist()


def test_histograms_lose_no_value():
    histogram = Histogram([0.0, 0.5, 1.0])
    histogram.add(np.array([0.0, 0.25, 0.5, 1.0, 1.5, -0.1, np.nan]))
    assert histogram.counts.tolist() == [2, 2]
    assert (histogram.below, histogram.above, histogram.unknown) == (1, 1, 1)
    assert histogram.n_known == 6
    assert histogram.quantile(0.5) == pytest.approx(0.5)
    assert np.isnan(Histogram([0, 1]).quantile(0.5))


def test_spans_are_clipped_and_counted_once():
    facts = piece(spans_ns=tuple((START_NS + a, START_NS + b) for a, b in [(50, 70), (-5, 20)]))
    assert (facts.present() - START_NS).tolist() == [[0, 20], [50, 70]]
    more = replace(facts, spans_ns=(*facts.spans_ns, (START_NS + 60, START_NS + 2 * DAY_NS)))
    assert (more.present() - START_NS).tolist() == [[0, 20], [50, DAY_NS]]
    assert replace(facts, spans_ns=((0, 5),)).present().shape == (0, 2)


def test_memory_stays_where_picks_and_days_do_not():
    report, rng = ScanReport(RUN), random.Random(1)
    sizes = []
    for day in range(600):
        seconds = [day * 86_400 + rng.random() * 86_000 for _ in range(25)]
        picks = [
            pick(phase, at, probability=rng.random(), uncertainty_s=rng.random())
            for second in seconds
            for phase, at in (("P", second), ("S", second + 5))
        ]
        report.add(piece(day, left_out={f"reason {day}": 1}), picks)
        if day in (299, 599):
            sizes.append(size(report))
    assert sum(tally.n_picks for tally in report.tallies.values()) == 30_000
    assert report.tallies[SENSOR].n_left_out == 600
    total = report.timeline.total()
    assert total[SERIES[Phase.P]].sum() + total[SERIES[Phase.S]].sum() == 30_000
    assert total[PRESENT_SERIES].sum() == 600 * DAY_NS
    assert sizes[1] < 1.1 * sizes[0]


def test_reasons_are_bounded_and_none_is_lost():
    own = report_of((piece(), ()))
    counter = own.tallies[SENSOR].left_out
    for number in range(50):
        count_reasons(counter, {f"reason {number}": 2, "none": 0})
    assert counter.total() == 100
    assert len(counter) <= 21


class TestPairs:
    def pairs(self, *picks):
        found = PairFinder().pairs(SENSOR, picks)
        return [(one.p_ns - START_NS, one.s_ns - START_NS) for one in found]

    def test_an_s_follows_the_last_p_and_each_p_once(self):
        picks = (pick("S", 0), pick("P", 1), pick("P", 2), pick("S", 5), pick("S", 6))
        assert self.pairs(*picks) == [(2 * NS_PER_S, 5 * NS_PER_S)]

    def test_a_minute_is_the_longest(self):
        assert len(self.pairs(pick("P", 0), pick("S", 60))) == 1
        assert not self.pairs(pick("P", 0), pick("S", 60.001))

    def test_pairs_across_pieces_are_found(self):
        late, early = pick("P", 86_395, probability=0.3), pick("S", 86_403, probability=0.4)
        report = report_of((piece(0), [late]), (piece(1), [early]))
        assert report.pairs.n == 1
        assert report.tallies[SENSOR].pairs == 1
        assert report.tallies[SENSOR].suspects == 0
        alone = report_of((piece(0), [late]), (piece(1), []))
        assert alone.tallies[SENSOR].suspects == 1

    def test_a_sample_does_not_depend_on_the_order(self):
        pairs = [PhasePair(SENSOR, START_NS + k, START_NS + k + 9, 0.9, 0.9) for k in range(500)]
        one, other = PairSample(20), PairSample(20)
        for sample, order in ((one, pairs), (other, random.Random(0).sample(pairs, 500))):
            for pair in order:
                sample.add(pair)
        assert one.pairs() == other.pairs()
        assert len(one.pairs()) == 20
        assert one.pairs() != pairs[:20]

    def test_the_line_of_an_earthquake(self):
        """Six stations at 10 to 60 km, Vp 6 km/s and Vp/Vs 1.75, in between other pairs."""
        burst = BusiestBurst()
        origin_ns = START_NS + 1000 * NS_PER_S
        for day in (0, 1):
            for number in range(1, 7):
                travel_s = number * 10 / 6.0
                p_ns = origin_ns + round((travel_s + day * 90_000) * NS_PER_S)
                wait_ns = round(0.75 * travel_s * NS_PER_S)
                if day == 0 or number < 4:
                    sensor_id = replace(SENSOR, station=f"S{number}")
                    burst.add(PhasePair(sensor_id, p_ns, p_ns + wait_ns, 0.9, 0.9))
                burst.add(PhasePair(SENSOR, p_ns + 3600 * NS_PER_S, p_ns + 3610 * NS_PER_S, 1, 1))
        found = burst.pairs()
        assert [pair.sensor_id.station for pair in found] == [f"S{k}" for k in range(1, 7)]
        line = wadati_line(found)
        assert line.vp_over_vs == pytest.approx(1.75, abs=1e-6)
        assert line.origin_ns == pytest.approx(origin_ns, abs=1000)
        assert line.fits
        assert wadati_line(found[:3]) is None

    def test_a_line_through_nothing_does_not_fit(self):
        rng = random.Random(3)
        waits = [(rng.random() * 30, rng.random() * 30) for _ in range(12)]
        pairs = [
            PhasePair(SENSOR, START_NS + int(a * 1e9), START_NS + int((a + b) * 1e9), 1, 1)
            for a, b in sorted(waits)
        ]
        line = wadati_line(pairs)
        assert line is None or not line.fits


class TestLabels:
    def matching(self, labels, *pieces):
        matching = LabelMatching(labels)
        for facts, picks in pieces:
            matching.add(facts, facts.present(), picks)
        return matching

    def test_one_to_one_the_closest_first(self):
        labels = [pick("P", 10), pick("P", 10.4), pick("S", 12), pick("P", 50)]
        picks = [pick("P", 10.31), pick("P", 12.1), pick("S", 12.5), pick("S", 12.6)]
        found = self.matching(labels, (piece(), picks))
        total = found.total()
        assert total.labels == {"P": 3, "S": 1}
        assert total.found == {"P": 1, "S": 1}
        own = found.residuals_s[Phase.P]
        assert own.edges[own.counts.argmax()] == pytest.approx(-0.1)
        assert found.missed == (SENSOR, labels[3])

    def test_midnight_makes_no_difference(self):
        labels = [pick("P", 86_399.9), pick("P", 2 * 86_400 + 0.1)]
        picks = [pick("P", 86_400.1), pick("P", 2 * 86_400 - 0.1)]
        pieces = ((piece(0), []), (piece(1), picks), (piece(2), []))
        assert self.matching(labels, *pieces).total().found == {"P": 2}

    def test_only_labels_with_data_count(self):
        facts = piece(spans_ns=((START_NS, START_NS + 100 * NS_PER_S),))
        labels = [pick("P", 50), pick("P", 100), pick("P", 90_000), pick("P", 5, OTHER)]
        found = self.matching(labels, (facts, []))
        assert found.total().labels == {"P": 1}
        assert found.total().without_data == 1
        assert found.n_not_reached == 2

    def test_a_label_without_channel_is_every_sensors(self):
        label = replace(pick("P", 5), seed_id=SeedId("XX", "AAA", "", ""))
        strong = replace(SENSOR, band_instrument="HN")
        found = self.matching([label], (piece(), [pick("P", 5)]), (piece(sensor_id=strong), []))
        assert found.by_sensor[SENSOR].recall(Phase.P) == 1.0
        assert found.by_sensor[strong].recall(Phase.P) == 0.0
        assert found.n_not_reached == 0


OTHER = SensorId("XX", "BBB", "00", "EH")


class TestExamples:
    def report(self, **arguments):
        clear = [pick("P", 1000, probability=0.99), pick("S", 1005, probability=0.98)]
        weak = [pick("P", 5000, probability=0.3, uncertainty_s=0.01)]
        vague = [pick("S", 9000, uncertainty_s=2.0)]
        alone = [pick("P", 500, OTHER, n_components=1)]
        return report_of(
            (piece(), [*clear, *weak, *vague]), (piece(sensor_id=OTHER), alone), **arguments
        )

    def test_each_rule_finds_its_pick(self):
        wanted = self.report(labels=[pick("S", 20_000)]).wanted_examples()
        seconds = {one.why: (one.start_ns - START_NS) / NS_PER_S for one in wanted}
        assert {(why.split(";")[0], at) for why, at in seconds.items()} == {
            ("the clearest P and S", 990),
            ("the weakest pick", 4990),
            ("the least certain onset", 8990),
            ("a pick on one component", 490),
            ("a label without a pick", 19_990),
        }
        assert next(one for one in wanted if "one component" in one.why).sensor_id == OTHER
        assert wanted[0].end_ns == START_NS + 1025 * NS_PER_S

    def test_what_is_given_is_cut_to_what_was_wanted(self):
        report = self.report()
        wanted = report.wanted_examples()[0]
        times_ns = wanted.start_ns + np.arange(-10, 100) * NS_PER_S
        for _ in range(2):
            report.add_example(
                SENSOR,
                np.zeros((3, 10_000), np.float32),
                start_ns=wanted.start_ns - 20 * NS_PER_S,
                times_ns=times_ns,
                probabilities=np.zeros((len(times_ns), 3), np.float32),
                picks=[pick("P", 1000), pick("P", 3000)],
            )
        (example,) = report.examples
        assert example.start_ns == wanted.start_ns
        assert example.waveform.shape == (3, 3500)
        assert len(example.times_ns) == 35
        assert [one.time_ns for one in example.picks] == [START_NS + 1000 * NS_PER_S]

    def test_what_nobody_wanted_is_left_out_and_other_shapes_are_refused(self):
        report = self.report()
        given = {"start_ns": START_NS, "times_ns": np.zeros(0, np.int64), "picks": ()}
        none = np.zeros((0, 3), np.float32)
        report.add_example(OTHER, np.zeros((3, 100), np.float32), probabilities=none, **given)
        assert not report.examples
        with pytest.raises(ValueError, match=r"waveform of shape \(100, 3\); wanted \(3, n\)"):
            report.add_example(SENSOR, np.zeros((100, 3)), probabilities=none, **given)
        with pytest.raises(ValueError, match=r"probabilities of shape \(3, 0\)"):
            report.add_example(SENSOR, np.zeros((3, 9)), probabilities=none.T, **given)

    def test_there_are_never_many(self):
        report, rng = ScanReport(RUN), random.Random(5)
        for number in range(300):
            sensor_id = replace(SENSOR, station=f"S{number}")
            picks = [
                pick(phase, at + extra, sensor_id, probability=rng.random(), n_components=1)
                for at in range(0, 5000, 500)
                for phase, extra in (("P", 0), ("S", 8))
            ]
            report.add(piece(sensor_id=sensor_id), picks)
        assert 4 <= len(report.wanted_examples()) <= 7


def test_the_worst_sensors_come_first():
    noisy = [pick("P", 10 * k, probability=0.4) for k in range(3000)]
    good = [pick(phase, 100 * k + 5 * (phase == "S"), OTHER) for k in range(99) for phase in "PS"]
    deaf = replace(SENSOR, station="DEAF")
    halves = replace(SENSOR, station="HALF")
    half = piece(sensor_id=halves, spans_ns=((START_NS, START_NS + DAY_NS // 2),), gaps=1)
    report = report_of(
        (piece(), noisy),
        (piece(sensor_id=OTHER), good),
        (piece(sensor_id=deaf, spans_ns=(), windows=0), []),
        (half, []),
    )
    judged = worst_first(report)
    assert [one.sensor_id for one in judged] == [deaf, SENSOR, halves, OTHER]
    assert judged[0].matters == (
        "nothing to look at in 1 of 1 piece",
        "data for 0 % of its time",
    )
    assert judged[1].matters[0] == "3,000 suspect picks, 125 per hour, 100 % of all"
    assert judged[2].matters == ("data for 50 % of its time", "1 gap", "no pick in 12.0 h")
    assert judged[3].matters == ()


def test_a_station_that_came_late_is_not_blamed():
    report = report_of((piece(0), []), (piece(1), []), (piece(1, OTHER), []))
    assert report.tallies[OTHER].availability == 1.0
    assert report_of((piece(0), []), (piece(3), [])).tallies[SENSOR].availability == 0.5


def test_of_many_sensors_the_worst_and_the_busiest_are_shown():
    report = ScanReport(RUN)
    for number in range(100):
        sensor_id = replace(SENSOR, station=f"S{number:03}")
        facts = piece(sensor_id=sensor_id, unreadable=number < 20)
        report.add(facts, [pick("S", k, sensor_id) for k in range(number)])
    shown = [one.sensor_id.station for one in most_to_say(worst_first(report))]
    assert shown == [f"S{number:03}" for number in (*range(20), *range(80, 100))]


def test_a_report_outlives_its_process():
    report = report_of((piece(0), [pick("P", 86_399)]))
    again = pickle.loads(pickle.dumps(report))
    again.add(piece(1), [pick("S", 86_405)])
    assert again.pairs.n == 1
