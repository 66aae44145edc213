"""The scores of picks, on examples counted by hand."""

import math

import numpy as np
import pytest

from scperformer.evaluation.matching import Counts, PhaseMatching
from scperformer.evaluation.pick_scores import (
    best_index,
    differences,
    make_strata,
    score_picks,
)
from scperformer.evaluation.pick_tables import Cells, LabelTable, PickTable, Stream, join_picks
from scperformer.evaluation.statistics import Bootstrap, Reliability, residual_statistics
from scperformer.types import NS_PER_S, SensorId

START_NS = 1_600_000_000 * NS_PER_S
P, S = 0, 1


def stream(station, *, record=True, n_components=3, folder="a", start_s=0.0, length_s=90.0, **more):
    start_ns = START_NS + round(start_s * NS_PER_S)
    return Stream(
        name=f"{station}.mseed",
        folder=folder,
        sensor_id=SensorId("XX", station, "", "HH"),
        start_ns=start_ns,
        end_ns=start_ns + round(length_s * NS_PER_S),
        duration_s=length_s,
        n_components=n_components,
        is_record=record,
        **more,
    )


def labels_of(*rows):
    """(stream, phase, seconds)."""
    return LabelTable.from_rows([(n, p, START_NS + round(t * NS_PER_S)) for n, p, t in rows])


def picks_of(*rows, **columns):
    """(stream, phase, seconds, probability)."""
    times = [START_NS + round(row[2] * NS_PER_S) for row in rows]
    return PickTable.from_columns(
        [row[0] for row in rows],
        [row[1] for row in rows],
        times,
        [row[3] for row in rows],
        **columns,
    )


@pytest.fixture
def four():
    """Two stations with three components, two with one; the third has no P label."""
    cells = Cells.of(
        [
            stream("A"),
            stream("B", start_s=200),
            stream("C", n_components=1, start_s=400),
            stream("D", n_components=1, start_s=600),
        ]
    )
    labels = labels_of((0, P, 10), (0, S, 14), (1, P, 210), (2, S, 415), (3, P, 610))
    picks = picks_of(
        (0, P, 10.02, 0.9),  # right
        (0, P, 40.0, 0.8),  # false: its record has a P label
        (1, P, 210.4, 0.6),  # right
        (2, P, 410.0, 0.7),  # unknown: nobody labelled P there
        (3, P, 610.6, 0.95),  # 0.6 s off: false
        (0, S, 14.1, 0.5),
        (1, S, 230.0, 0.99),  # unknown
    )
    return cells, labels, picks


class TestCounts:
    def test_everything_at_once(self, four):
        scores = score_picks(*four)
        counts = scores["all"]["P"].recommended.counts
        assert (counts.labels, counts.hits, counts.false, counts.unknown) == (3, 2, 2, 1)
        assert counts.precision == pytest.approx(2 / 4)
        assert counts.precision_strict == pytest.approx(2 / 5)
        assert counts.recall == pytest.approx(2 / 3)
        assert counts.f1 == pytest.approx(2 * 2 / (4 + 3))
        assert counts.f1_strict == pytest.approx(2 * 2 / (5 + 3))
        s = scores["all"]["S"].recommended.counts
        assert (s.labels, s.hits, s.false, s.unknown) == (2, 1, 0, 1)

    def test_by_components(self, four):
        scores = score_picks(*four)
        three = scores["three"]["P"].recommended.counts
        assert (three.labels, three.hits, three.false, three.unknown) == (2, 2, 1, 0)
        fewer = scores["fewer"]["P"].recommended.counts
        assert (fewer.labels, fewer.hits, fewer.false, fewer.unknown) == (1, 0, 1, 1)
        assert "two" not in scores

    def test_over_thresholds(self, four):
        score = score_picks(*four, thresholds=np.array([0.5, 0.65, 0.85, 0.99]))["all"]["P"]
        assert score.curve.hits.tolist() == [2, 1, 1, 0]
        assert score.curve.false.tolist() == [2, 2, 1, 0]
        assert score.curve.unknown.tolist() == [1, 1, 0, 0]
        assert score.best.threshold == 0.5
        assert math.isnan(score.curve.precision[-1])
        assert score.curve.f1[-1] == 0.0

    def test_recommended_thresholds_follow_the_components(self, four):
        cells, labels, picks = four
        picks = PickTable(
            *[
                *(
                    getattr(picks, n)
                    for n in (
                        "stream",
                        "phase",
                        "time_ns",
                        "probability",
                        "uncertainty_s",
                        "decision_delay_s",
                        "polarity",
                    )
                ),
                np.array([3, 3, 3, 1, 1, 3, 3]),
            ]
        )
        advice = {1: (0.96, 0.5), 2: (0.5, 0.5), 3: (0.85, 0.6)}
        scores = score_picks(cells, labels, picks, recommended=advice)
        counts = scores["all"]["P"].recommended.counts
        assert (counts.hits, counts.false, counts.unknown) == (1, 0, 0)
        assert scores["all"]["S"].recommended.counts.hits == 0

    def test_rates_are_per_hour_of_all_data(self, four):
        point = score_picks(*four)["all"]["P"].recommended
        assert point.false_per_hour == pytest.approx(2 / (4 * 90 / 3600))
        assert point.unmatched_per_hour == pytest.approx(3 / (4 * 90 / 3600))

    def test_neither_labels_nor_picks(self):
        cells = Cells.of([stream("A")])
        scores = score_picks(
            cells, labels_of(), picks_of(), bootstrap=Bootstrap(cells.n_groups, draws=5)
        )
        score = scores["all"]["S"]
        assert score.best is None
        assert math.isnan(score.recommended.counts.f1)
        assert math.isnan(score.recommended.residuals.median_s)
        assert math.isnan(score.recommended.intervals()["f1"][0])
        assert math.isnan(score.reliability.calibration_error)


class TestContinuous:
    def test_picks_far_from_any_label_are_unknown(self):
        cells = Cells.of([stream("A", record=False, length_s=3600.0)])
        labels = labels_of((0, P, 1000))
        picks = picks_of((0, P, 1000.1, 0.9), (0, P, 1030.0, 0.9), (0, P, 1030.1, 0.9))
        counts = score_picks(cells, labels, picks)["all"]["P"].recommended.counts
        assert (counts.hits, counts.false, counts.unknown) == (1, 1, 1)
        counts = score_picks(cells, labels, picks, label_span_s=31)["all"]["P"].recommended.counts
        assert (counts.hits, counts.false, counts.unknown) == (1, 2, 0)

    def test_cells_are_five_minutes_of_the_clock_shared_by_all_stations(self):
        cells = Cells.of(
            [stream("A", record=False, length_s=900.0), stream("B", record=False, start_s=290.0)]
        )
        # 1,600,000,000 is 100 s after a multiple of 300.
        assert cells.stream.tolist() == [0, 0, 0, 0, 1]
        assert cells.group[:4].tolist() == [0, 1, 2, 3]
        assert cells.group[4] == 1
        times = START_NS + np.array([-5, 199, 200, 5000]) * NS_PER_S
        assert cells.locate(np.zeros(4, np.int64), times).tolist() == [0, 0, 1, 3]

    def test_blocks_without_data_are_no_cells(self):
        block = START_NS // (300 * NS_PER_S)
        cells = Cells.of(
            [stream("A", record=False, length_s=9e7, blocks=(block, block + 5)), stream("B")]
        )
        assert cells.stream.tolist() == [0, 0, 1]
        times = START_NS + np.array([0, 900, 1401, 9 * 10**7]) * NS_PER_S
        assert cells.locate(np.zeros(4, np.int64), times).tolist() == [0, 0, 1, 1]
        assert cells.locate(np.array([1, 0]), times[:2]).tolist() == [2, 0]

    def test_records_of_an_earthquake_are_one_group(self):
        cells = Cells.of(
            [
                stream("A"),
                stream("B", start_s=0.9),
                stream("C", start_s=5.0),
                stream("D", start_s=0.2, folder="b"),
                stream("E", start_s=700.0, event="e1"),
                stream("F", start_s=800.0, event="e1"),
            ]
        )
        assert cells.group.tolist() == [0, 0, 1, 2, 3, 3]
        assert cells.n_groups == 4


class TestResiduals:
    def test_by_hand(self):
        residual_s = np.array([-0.3, 0.0, 0.1, 0.4])
        uncertainty_s = np.array([0.2, 0.02, 0.1, np.nan])
        found = residual_statistics(residual_s, uncertainty_s, tolerance_s=0.5)
        assert found.n == 4
        assert found.mean_s == pytest.approx(0.05)
        assert found.median_s == pytest.approx(0.05)
        assert found.median_absolute_s == pytest.approx(0.2)
        assert found.mean_absolute_s == pytest.approx(0.2)
        assert found.root_mean_square_s == pytest.approx(math.sqrt(0.26 / 4))
        assert found.within_uncertainty == pytest.approx(2 / 3)
        assert found.within_twice_uncertainty == pytest.approx(3 / 3)
        middle = len(found.histogram) // 2
        assert [found.histogram[middle + i] for i in (-30, 0, 10, 40)] == [1, 1, 1, 1]
        assert sum(found.histogram) == 4

    def test_the_edges_of_the_tolerance_are_in_the_histogram(self):
        found = residual_statistics(np.array([-0.5, 0.5]), np.full(2, np.nan), tolerance_s=0.5)
        assert (found.histogram[0], found.histogram[-1]) == (1, 1)
        assert math.isnan(found.within_uncertainty)

    def test_of_matched_picks_only(self, four):
        own = score_picks(*four)["all"]["P"].recommended.residuals
        assert own.n == 2
        assert own.median_absolute_s == pytest.approx(0.21)


class TestReliability:
    def test_by_hand(self):
        found = Reliability()
        found.add(np.array([0.05, 0.92, 0.98, 1.0]), np.array([False, True, False, True]))
        assert found.n.tolist() == [1] + [0] * 8 + [3]
        assert found.mean_probability[-1] == pytest.approx(2.9 / 3)
        assert found.share_right[-1] == pytest.approx(2 / 3)
        assert found.calibration_error == pytest.approx((0.05 + 0.9) / 4)

    def test_unknown_picks_say_nothing(self, four):
        found = score_picks(*four)["all"]["P"].reliability
        assert found.n.tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 1, 2]
        assert found.share_right[[6, 8, 9]].tolist() == [1.0, 0.0, 0.5]

    @pytest.mark.parametrize("label_span_s", [0.2, 10.0, 31.0])
    def test_the_picks_that_precision_counts(self, label_span_s):
        cells = Cells.of([stream("A", record=False, length_s=3600.0)])
        picks = picks_of((0, P, 1000.4, 0.8), (0, P, 1030.0, 0.6), (0, P, 2000.0, 0.9))
        score = score_picks(cells, labels_of((0, P, 1000)), picks, label_span_s=label_span_s)
        counts, found = score["all"]["P"].recommended.counts, score["all"]["P"].reliability
        assert found.n.sum() == counts.hits + counts.false == 1 + (label_span_s > 30.0)
        assert found.share_right[8] == 1.0


class TestBest:
    def test_the_middle_of_equals(self):
        counts = Counts(np.full(5, 4), np.array([1, 3, 3, 3, 2]), np.zeros(5), np.zeros(5))
        assert best_index(counts) == 2

    def test_none_without_labels(self):
        counts = Counts(np.zeros(3), np.zeros(3), np.ones(3), np.zeros(3))
        assert best_index(counts) is None


class TestDraws:
    def test_sums_over_groups_give_back_the_counts(self, four):
        cells, labels, picks = four
        scores = score_picks(
            cells, labels, picks, bootstrap=Bootstrap(cells.n_groups, draws=200, seed=1)
        )
        point = scores["all"]["P"].recommended
        weights = np.concatenate(list(Bootstrap(4, draws=200, seed=1).weights()))
        hits, false, n = (weights @ np.array(c) for c in ([1, 1, 0, 0], [1, 0, 0, 1], [1, 1, 0, 1]))
        expected = 2 * hits / np.maximum(hits + false + n, 1)
        drawn = n > 0
        assert point.draws["f1"][drawn] == pytest.approx(expected[drawn])
        low, high = point.intervals()["f1"]
        assert low <= point.counts.f1 <= high

    def test_a_picker_differs_from_itself_by_nothing(self, four):
        boot = Bootstrap(four[0].n_groups, draws=50)
        one, other = (score_picks(*four, bootstrap=boot)["all"]["P"].recommended for _ in "ab")
        assert differences(one, other)["f1"] == {"low": 0.0, "high": 0.0}


def test_strata_by_folder_only_where_there_are_several():
    one = Cells.of([stream("A"), stream("B", n_components=2)])
    assert [s.name for s in make_strata(one)] == ["all", "three", "fewer", "two"]
    two = Cells.of([stream("A"), stream("B", folder="b")])
    assert [s.name for s in make_strata(two)] == ["all", "three", "a", "b"]


def test_polarity_and_delay_of_what_is_kept(four):
    cells, labels, picks = four
    rows = picks.take(picks.phase == P)
    picks = PickTable.from_columns(
        rows.stream,
        rows.phase,
        rows.time_ns,
        rows.probability,
        decision_delay_s=[2.0, 3.0, 2.5, 9.0, np.nan],
        polarity=[1, 2, 0, 1, 3],
    )
    point = score_picks(cells, labels, picks)["three"]["P"].recommended
    assert point.polarities == {"none": 1, "positive": 1, "negative": 1, "undecidable": 0}
    assert point.delay_s["median"] == 2.5
    assert point.delay_s["largest"] == 3.0


def test_first_motions_are_held_against_labels_that_have_one():
    cells = Cells.of([stream("A")])
    seconds = (10.0, 20.0, 30.0, 40.0, 50.0)
    said = (1, 2, 1, 0, 2)  # up, down, up, unknown, down
    rows = [(0, P, START_NS + round(t * NS_PER_S), s) for t, s in zip(seconds, said, strict=True)]
    picks = picks_of(*[(0, P, t, 0.9) for t in seconds[:4]], polarity=[1, 1, 3, 2])
    point = score_picks(cells, LabelTable.from_rows(rows), picks)["all"]["P"].recommended
    assert point.first_motions == {"known": 3, "decided": 2, "right": 1}


def test_joining_keeps_every_column(four):
    picks = four[2]
    both = join_picks([picks, picks])
    assert len(both) == 2 * len(picks)
    assert both.time_ns.tolist() == picks.time_ns.tolist() * 2
    assert len(join_picks([])) == 0


def test_a_matching_counts_a_match_where_its_label_lies():
    cells = Cells.of([stream("A", record=False, length_s=900.0)])
    matching = PhaseMatching(cells, labels_of((0, P, 199.9)), picks_of((0, P, 200.1, 0.5)), P)
    outcome = matching.outcome(np.ones(1, bool))
    assert outcome.cell_counts[1].tolist() == [1, 0, 0, 0]
