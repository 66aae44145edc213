"""The invariants of a stream hold for the streaming network, too."""

from hypothesis import given
from hypothesis import strategies as st

from scperformer.config import Settings
from scperformer.core.pipeline import Pipeline
from scperformer.core.triggers import Thresholds
from scperformer.delivery.delivery import Emitted
from scperformer.types import NS_PER_S
from tests.profiles import examples
from tests.property.streams import cuts_of_all, every, records_of
from tests.streaming_network import SHAPE, make_network
from tests.synthetic import (
    LETTERS,
    START_NS,
    assert_same,
    earthquakes,
    pick_all,
    records,
    samples_ns,
)

N = 9000
WAVEFORM = earthquakes(N, (15.0, 38.0, 61.0))
OTHER = earthquakes(N, (24.0, 52.0), seed=5)
NETWORK = make_network(seed=9, decisive=4.0)
MEMORY_S = SHAPE.memory_columns * 0.16


def make_pipeline(**settings):
    return Pipeline(
        NETWORK, thresholds=Thresholds.constant(0.3, 0.3), settings=Settings(**settings)
    )


PLAIN = pick_all(make_pipeline(), records(WAVEFORM))


@examples(10)
@given(
    cuts=cuts_of_all(N),
    other_cuts=cuts_of_all(N),
    batch=st.sampled_from([4096, 600, 40, 7]),
    pauses=st.lists(st.integers(0, 3), min_size=1, max_size=20),
)
def test_packets_batches_and_other_stations_do_not_matter(cuts, other_cuts, batch, pauses):
    assert len(PLAIN) >= 4
    assert {pick.phase for pick in PLAIN} == {"P", "S"}
    stream = records(WAVEFORM, cuts) + records(OTHER, other_cuts, station="B")
    stream.sort(key=lambda r: (r.start_ns, r.seed_id))
    pipeline = make_pipeline(batch_size=batch)
    picks = []
    for number, record in enumerate(stream):
        whim = pauses[number % len(pauses)]
        pipeline.batches.catches_up = whim == 1
        picks += pipeline.feed(record)
        if whim == 2:
            picks += pipeline.classify_pending()
        if whim == 3:
            picks += pipeline.collect()
    picks += pipeline.flush()
    picks.sort(key=lambda p: (p.seed_id.sensor_id, p.time_ns, p.phase))
    assert_same([p for p in picks if p.seed_id.station == "A"], PLAIN)
    alone = pick_all(make_pipeline(), records(OTHER, station="B"))
    assert_same([p for p in picks if p.seed_id.station == "B"], alone)


@examples(10)
@given(first=st.integers(500, 7500), length=st.integers(1, 900), cuts=cuts_of_all(N))
def test_a_gap_is_forgotten(first, length, cuts):
    end = min(first + length, N - 400)
    spans = dict.fromkeys(LETTERS, ((0, first), (end, N)))
    picks = pick_all(make_pipeline(min_distance_s=0.0), records_of(WAVEFORM, spans, cuts))
    parts = [records(WAVEFORM[:, :first])]
    parts.append(records(WAVEFORM[:, end:], start_ns=START_NS + samples_ns(end)))
    apart = [pick_all(make_pipeline(min_distance_s=0.0), part) for part in parts]
    assert_same(picks, apart[0] + apart[1])


@examples(10)
@given(
    stop=st.integers(1, 265),
    warm_up_s=st.floats(MEMORY_S + 15.0, 60.0),
    delay_s=st.sampled_from([0.0, 0.5, 30.0]),
)
def test_a_restart_neither_repeats_nor_loses_a_pick(stop, warm_up_s, delay_s):
    stream = records(WAVEFORM, every(N, 100))
    first = make_pipeline(max_batch_delay_s=delay_s)
    given_out = [pick for record in stream[:stop] for pick in first.feed(record)]
    decided = first.decided_until_ns()
    emitted = Emitted(given_out, decided)
    begin_ns = min(decided.values(), default=0) - round(warm_up_s * NS_PER_S)
    rest = [record for record in stream if record.end_ns > begin_ns]
    given_out += emitted.take_new(pick_all(make_pipeline(max_batch_delay_s=delay_s), rest))
    given_out.sort(key=lambda p: (p.time_ns, p.phase))
    assert [p.public_id for p in given_out] == [p.public_id for p in PLAIN]
