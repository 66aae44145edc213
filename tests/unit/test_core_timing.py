"""How long a pick takes, in data time: what may delay it, and by how much at most."""

import itertools

import pytest

from scperformer.core.pipeline import LONGEST_WAIT_S
from scperformer.core.triggers import Thresholds
from scperformer.types import NS_PER_S, Phase, SeedId
from tests.fakes import LateClassifier, RiseClassifier
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
EASY = dict.fromkeys((1, 2, 3), (0.3, 0.3))


def fed(pipeline, stream):
    """Feed; yield each pick with the time of the latest sample by then, in ns."""
    latest_ns = 0
    for record in stream:
        latest_ns = max(latest_ns, record.end_ns)
        for pick in pipeline.feed(record):
            yield pick, latest_ns


def without(stream, letters, *, from_sample=0):
    first_ns = START_NS + samples_ns(from_sample)
    return [r for r in stream if r.seed_id.component not in letters or r.start_ns < first_ns]


@pytest.mark.parametrize("step", [16, 50, 100, 400])
def test_the_decision_delay_is_when_the_last_sample_needed_comes(step):
    """Without a batch to wait for, the pick is there with the record that has that sample."""
    pipeline = make_pipeline(max_batch_delay_s=0.0)
    found = list(fed(pipeline, records(WAVEFORM, [range(step, N, step)] * 3)))
    assert len(found) == 4
    for pick, latest_ns in found:
        decided_ns = pick.time_ns + round(pick.decision_delay_s * NS_PER_S)
        assert decided_ns <= latest_ns < decided_ns + samples_ns(step) + 5_000_000
        assert 1.0 < pick.decision_delay_s < 4.0


@pytest.mark.parametrize("delay_s", [0.0, 0.5, 3.0])
def test_a_batch_delays_no_longer_than_allowed(delay_s):
    pipeline = make_pipeline(max_batch_delay_s=delay_s, batch_size=100_000)
    stream = records(WAVEFORM, [range(50, N, 50)] * 3)
    other = records(WAVEFORM, [range(50, N, 50)] * 3, station="B")
    every = sorted(stream + other, key=lambda r: (r.start_ns, r.seed_id))
    waits = [
        (latest_ns - pick.time_ns) / NS_PER_S - pick.decision_delay_s
        for pick, latest_ns in fed(pipeline, every)
    ]
    assert len(waits) == 8
    assert max(waits) <= delay_s + 0.51
    assert pipeline.n_pending_windows <= 2 * (delay_s / 0.16 + 8)


def test_a_full_batch_goes_at_once():
    classifier = RiseClassifier()
    pipeline = make_pipeline(classifier=classifier, max_batch_delay_s=60.0, batch_size=20)
    for record in records(WAVEFORM, [range(50, N, 50)] * 3):
        pipeline.feed(record)
        assert pipeline.n_pending_windows < 20
    assert max(classifier.batch_sizes) < 20 + 4
    assert len(classifier.batch_sizes) > 10


def test_while_it_catches_up_only_full_batches_go():
    classifier = RiseClassifier()
    pipeline = make_pipeline(classifier=classifier, max_batch_delay_s=0.0, batch_size=64)
    pipeline.batches.catches_up = True
    for record in records(WAVEFORM, [range(50, N, 50)] * 3):
        pipeline.feed(record)
    assert min(classifier.batch_sizes) >= 60
    assert pipeline.n_pending_windows > 0


@pytest.mark.parametrize("lost", ["N", "E", "Z", "NE", "NZ"])
@pytest.mark.parametrize("wait_s", [5.0, 12.0])
class TestAMissingComponent:
    def test_delays_by_the_configured_time_and_no_longer(self, lost, wait_s):
        stream = without(records(WAVEFORM, [range(100, N, 100)] * 3), lost, from_sample=1200)
        pipeline = make_pipeline(component_wait_s=wait_s, max_batch_delay_s=0.0)
        found = list(fed(pipeline, stream))
        assert found
        assert found[-1][0].n_components == 3 - len(lost)
        for pick, latest_ns in found:
            decided_ns = pick.time_ns + round(pick.decision_delay_s * NS_PER_S)
            given_up_ns = START_NS + samples_ns(1200) + round(wait_s * NS_PER_S)
            # Once it is given up the others go on as far as their latest record's beginning.
            assert latest_ns <= max(decided_ns, given_up_ns) + 2 * NS_PER_S

    def test_that_never_was_delays_the_beginning_alone(self, lost, wait_s):
        stream = without(records(WAVEFORM, [range(100, N, 100)] * 3), lost)
        pipeline = make_pipeline(component_wait_s=wait_s, max_batch_delay_s=0.0)
        for pick, latest_ns in fed(pipeline, stream):
            decided_ns = pick.time_ns + round(pick.decision_delay_s * NS_PER_S)
            begun_ns = START_NS + round(wait_s * NS_PER_S)
            assert latest_ns <= max(decided_ns, begun_ns) + 2 * NS_PER_S

    def test_stops_a_station_that_requires_all(self, lost, wait_s):
        stream = without(records(WAVEFORM, [range(100, N, 100)] * 3), lost, from_sample=3000)
        pipeline = make_pipeline(component_wait_s=wait_s, components="all")
        picks = pick_all(pipeline, stream)
        whole = pick_all(make_pipeline(), records(WAVEFORM[:, :3000]))
        assert [(p.time_ns, p.phase) for p in picks] == [(p.time_ns, p.phase) for p in whole]
        assert {p.n_components for p in picks} == {3}


def test_components_that_were_announced_are_waited_for_from_the_start():
    """A vertical that is known to stand alone needs no wait for others."""
    stream = without(records(WAVEFORM, [range(100, N, 100)] * 3), "NE")
    pipeline = make_pipeline(component_wait_s=30.0, max_batch_delay_s=0.0)
    pipeline.expect([SeedId("XX", "A", "", "HHZ")])
    for pick, latest_ns in fed(pipeline, stream):
        decided_ns = pick.time_ns + round(pick.decision_delay_s * NS_PER_S)
        assert latest_ns <= decided_ns + NS_PER_S + 5_000_000


@pytest.mark.parametrize("letters", ["Z", "NZ", "NEZ"])
def test_each_number_of_components_has_its_own_thresholds(letters):
    """One threshold out of reach silences that number of components, and that phase, alone."""
    stream = [r for r in records(WAVEFORM) if r.seed_id.component in letters]
    usual = phases(stream, EASY)
    assert set(usual) == ({Phase.P} if letters == "Z" else {Phase.P, Phase.S})
    for n, (phase, unreachable) in itertools.product(
        (1, 2, 3), [(Phase.P, (1.0, 0.3)), (Phase.S, (0.3, 1.0))]
    ):
        expected = [p for p in usual if p is not phase] if n == len(letters) else usual
        assert phases(stream, {**EASY, n: unreachable}) == expected


def phases(stream, table):
    return [p.phase for p in pick_all(make_pipeline(thresholds=Thresholds(table)), stream)]


def test_answers_that_come_late_are_fetched_as_soon_as_they_are_there():
    stream = records(WAVEFORM, [range(50, N, 50)] * 3)
    plain = pick_all(make_pipeline(), stream)
    pipeline = make_pipeline(classifier=LateClassifier(3), batch_size=20, max_batch_delay_s=60.0)
    picks, n_fed_since = [], 0
    for record in stream:
        n_batches = pipeline.batches.n_batches
        picks += pipeline.feed(record)
        n_fed_since = 0 if pipeline.batches.n_batches > n_batches else n_fed_since + 1
        # Three no's: behind the batch itself and with the next two records.
        assert n_fed_since < 3 or pipeline.n_pending_windows < 20
    picks += pipeline.classify_pending()
    assert pipeline.n_pending_windows == 0
    assert_same(picks + pipeline.flush(), plain)


def test_a_batch_goes_while_the_one_before_it_is_being_answered():
    never = LateClassifier(10**9)
    pipeline = make_pipeline(classifier=never, batch_size=20, max_batch_delay_s=60.0)
    stream = records(WAVEFORM, [range(50, N, 50)] * 3)
    picks = [pick for record in stream for pick in pipeline.feed(record)]
    assert len(never.batch_sizes) > 10
    assert pipeline.n_pending_windows >= never.batch_sizes[-1]
    assert_same(picks + pipeline.flush(), pick_all(make_pipeline(), stream))


def waiting_pipeline():
    """A pipeline in which some windows wait and no batch will go by itself."""
    pipeline = make_pipeline(max_batch_delay_s=60.0, batch_size=10_000)
    for record in records(WAVEFORM[:, :2500]):
        assert pipeline.feed(record) == []
    assert pipeline.n_pending_windows > 0
    return pipeline


def test_windows_wait_until_the_deadline_and_no_longer():
    pipeline = waiting_pipeline()
    pipeline.keep_time(100.0)
    assert pipeline.keep_time(100.0 + 0.9 * LONGEST_WAIT_S) == []
    assert pipeline.n_pending_windows > 0
    assert len(pipeline.keep_time(100.0 + LONGEST_WAIT_S)) == 2
    assert pipeline.n_pending_windows == 0


def test_a_batch_that_went_by_itself_moves_the_deadline():
    pipeline = waiting_pipeline()
    pipeline.keep_time(100.0)
    pipeline.classify_pending()
    for record in records(WAVEFORM[:, 2500:], start_ns=START_NS + samples_ns(2500)):
        pipeline.feed(record)
    assert pipeline.n_pending_windows > 0
    assert pipeline.keep_time(101.0) == []
    assert pipeline.n_pending_windows > 0
    pipeline.keep_time(101.0 + LONGEST_WAIT_S)
    assert pipeline.n_pending_windows == 0


def test_the_deadline_counts_from_when_windows_began_to_wait():
    pipeline = make_pipeline(max_batch_delay_s=60.0, batch_size=10_000)
    pipeline.keep_time(100.0)
    assert pipeline.keep_time(200.0) == []
    for record in records(WAVEFORM):
        pipeline.feed(record)
    assert pipeline.keep_time(200.1) == []
    assert pipeline.n_pending_windows > 0
