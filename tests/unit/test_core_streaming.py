"""The streaming network: what it computes, what it remembers, and of whom."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scperformer.config import Settings
from scperformer.core.columns import PowerColumns, features_from_start
from scperformer.core.pipeline import Pipeline
from scperformer.core.statistics import Observer
from scperformer.core.streaming import COLD_COLUMNS, Memory, Step, StreamingNetwork
from scperformer.core.streaming_shape import StreamingShape
from scperformer.core.triggers import Thresholds, log_odds, mean_odds
from scperformer.errors import ConfigurationError
from scperformer.types import NS_PER_S
from tests.streaming_network import SHAPE, Weights, make_network, random_streaming_weights
from tests.synthetic import earthquakes, pick_all, records

N = 260
NEXT = 272
"""Beyond N, a multiple of a bundle."""

NOISE = (0.0, 0.0, 1.0)


def ground(seed: int = 0, n_columns: int = N) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = (n_columns - 1) * 16 + 64
    size = np.exp(np.cumsum(rng.normal(scale=0.03, size=n)))
    return (rng.normal(size=(3, n)) * size).astype(np.float32)


def presence(n_columns: int = N) -> np.ndarray:
    present = np.ones((n_columns, 3), dtype=bool)
    present[n_columns // 2 :, 0] = False
    present[n_columns * 3 // 4 :, 1] = False
    return present


def make_columns(seed: int = 0, n_columns: int = N) -> PowerColumns:
    return PowerColumns.of(ground(seed, n_columns), slice(None), presence(n_columns))


def joined(parts: list[PowerColumns]) -> PowerColumns:
    return PowerColumns(
        np.concatenate([part.log_powers for part in parts]),
        np.concatenate([part.log_totals for part in parts]),
        np.concatenate([part.live for part in parts]),
    )


def in_one_go(
    network: StreamingNetwork,
    columns: PowerColumns,
    memory: Memory | None = None,
    *,
    index: int = 0,
) -> np.ndarray:
    own = network.remember() if memory is None else memory
    return network.predict(columns, [Step(own, index, len(columns.live), ends=False)])


NETWORK = make_network()
STREAMS = [make_columns(seed) for seed in range(3)]
WHOLE = [in_one_go(NETWORK, columns) for columns in STREAMS]
STARTS = [5, 10**9 + 7, 123_456]
ELSEWHERE = [
    in_one_go(NETWORK, columns, index=start) for columns, start in zip(STREAMS, STARTS, strict=True)
]


def log_odds_by_the_book(shape: StreamingShape, weights: Weights, features: np.ndarray, index: int):
    """The network written out column by column and layer by layer, in float64."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def normal(row):
        return row / np.sqrt(np.mean(row**2) + 1e-3)

    hidden = [row @ w["input/kernel"] + w["input/bias"] for row in features.astype(np.float64)]

    def dense(name, row):
        return row @ w[f"{name}/kernel"] + w[f"{name}/bias"]

    for number, dilation in enumerate(shape.dilations, start=1):
        name = f"block_{number}"
        seen = [normal(row) for row in hidden]
        for i in range(len(hidden)):
            mixed = w[f"{name}/convolution/bias"].copy()
            for tap in range(3):
                back = i - (2 - tap) * dilation
                if back >= 0:
                    mixed += seen[back] @ w[f"{name}/convolution/kernel"][tap]
            mixed = np.maximum(mixed, 0.0)
            hidden[i] = hidden[i] + dense(f"{name}/mix", mixed)
        seen = [normal(row) for row in hidden]
        query = [np.maximum(dense(f"{name}/query", row), 0.0) + 1e-3 for row in seen]
        key = [np.maximum(dense(f"{name}/key", row), 0.0) + 1e-3 for row in seen]
        value = [dense(f"{name}/value", row) for row in seen]
        for i in range(len(hidden)):
            told = []
            for head, memory in enumerate(shape.memories):
                own = slice(head * shape.head_width, (head + 1) * shape.head_width)
                first = ((index + i) // 16 - memory) * 16 - index
                among = range(max(first, 0), i + 1)
                shares = np.array([query[i][own] @ key[j][own] for j in among])
                values = np.array([value[j][own] for j in among])
                told.append(shares @ values / (shares.sum() + 1e-6))
            hidden[i] = hidden[i] + dense(f"{name}/join", np.concatenate(told))
        for i, row in enumerate(hidden):
            wide = np.maximum(dense(f"{name}/expand", normal(row)), 0.0)
            hidden[i] = row + dense(f"{name}/contract", wide)
    logits = np.array([normal(row) @ w["output/kernel"] + w["output/bias"] for row in hidden])
    p, s, noise = np.exp(logits).T
    return np.log(np.stack([p / (s + noise), s / (p + noise)], axis=1))


@pytest.mark.parametrize(
    ("shape", "calibration"),
    [
        (SHAPE, ((1.0, 0.0), (1.0, 0.0))),
        (SHAPE, ((1.3, -0.4), (0.7, 0.9))),
        (StreamingShape(5, (3, 1), (1,), look_ahead=0), ((1.0, 0.0), (1.0, 0.0))),
        (StreamingShape(33, (40,), (2, 2, 9), look_ahead=11), ((2.0, 3.0), (2.0, 3.0))),
    ],
)
def test_it_computes_what_is_written_down(shape, calibration):
    weights = random_streaming_weights(shape, seed=4, decisive=3.0)
    network = StreamingNetwork(shape, weights, calibration=calibration)
    answers = in_one_go(network, make_columns(), index=1005)
    features = features_from_start(ground(), presence())
    odds = log_odds_by_the_book(shape, weights, features, 1005)
    (p_factor, p_summand), (s_factor, s_summand) = calibration
    odds = odds * (p_factor, s_factor) + (p_summand, s_summand)
    phases = 1.0 / (1.0 + np.exp(-odds))
    phases /= np.maximum(phases.sum(axis=1, keepdims=True), 1.0)
    wanted = np.column_stack([phases, 1.0 - phases.sum(axis=1)])
    wanted[: shape.look_ahead + COLD_COLUMNS] = NOISE
    np.testing.assert_allclose(answers, wanted, atol=2e-5)
    assert answers[COLD_COLUMNS + shape.look_ahead :].std(axis=0).min() > 0.01


def test_calibration_moves_log_odds():
    calibrated = in_one_go(make_network(calibration=((1.5, -2.0), (0.5, -3.0))), STREAMS[0])
    warm = slice(SHAPE.look_ahead + COLD_COLUMNS, None)
    odds = log_odds(WHOLE[0][warm, :2]) * (1.5, 0.5) + (-2.0, -3.0)
    assert calibrated[warm, :2].sum(axis=1).max() < 1.0
    np.testing.assert_allclose(log_odds(calibrated[warm, :2]), odds, atol=1e-4)


def test_probabilities_add_up_to_one():
    sure = in_one_go(make_network(calibration=((3.0, 5.0), (3.0, 5.0))), STREAMS[0])
    for answers in (WHOLE[0], sure):
        assert (answers >= 0.0).all()
        np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(cuts=st.lists(st.integers(0, N), max_size=40))
def test_steps_do_not_matter(cuts):
    memory = NETWORK.remember()
    parts = [
        in_one_go(NETWORK, STREAMS[0].part(slice(a, b)), memory, index=a)
        for a, b in itertools.pairwise([0, *sorted(cuts), N])
    ]
    np.testing.assert_allclose(np.concatenate(parts), WHOLE[0], rtol=0, atol=1e-6)


def test_column_by_column():
    memory = NETWORK.remember()
    rows = [in_one_go(NETWORK, STREAMS[0].part(slice(i, i + 1)), memory, index=i) for i in range(N)]
    np.testing.assert_allclose(np.concatenate(rows), WHOLE[0], rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), min_size=1, max_size=25),
    at_once=st.integers(1, 25),
)
def test_sensors_in_one_call_do_not_know_each_other(lengths, at_once):
    """Steps of three sensors in any order, several of one sensor in one call."""
    memories = [NETWORK.remember() for _ in STREAMS]
    starts = STARTS
    at = [0, 0, 0]
    steps = []
    for sensor, length in lengths:
        end = min(at[sensor] + length, N)
        steps.append((sensor, at[sensor], end))
        at[sensor] = end
    found = [[], [], []]
    for begin in range(0, len(steps), at_once):
        call = steps[begin : begin + at_once]
        answers = NETWORK.predict(
            joined([STREAMS[sensor].part(slice(a, b)) for sensor, a, b in call]),
            [Step(memories[s], starts[s] + a, b - a, ends=False) for s, a, b in call],
        )
        first = 0
        for sensor, a, b in call:
            found[sensor].append(answers[first : first + b - a])
            first += b - a
    for own, wanted, end in zip(found, ELSEWHERE, at, strict=True):
        if own:
            np.testing.assert_allclose(np.concatenate(own), wanted[:end], rtol=0, atol=1e-6)


def test_the_end_of_a_segment_is_forgotten_even_inside_a_call():
    memory = NETWORK.remember()
    twice = NETWORK.predict(
        joined([STREAMS[0], STREAMS[1]]),
        [
            Step(memory, 0, N, ends=False),
            Step(memory, 0, 0, ends=True),
            Step(memory, NEXT, N, ends=True),
        ],
    )
    np.testing.assert_allclose(twice[:N], WHOLE[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(twice[N:], WHOLE[1], rtol=0, atol=1e-6)
    assert memory.n_seen == 0
    again = in_one_go(NETWORK, STREAMS[2], memory, index=2 * NEXT)
    np.testing.assert_allclose(again, WHOLE[2], rtol=0, atol=1e-6)


def test_memory_is_as_long_as_it_says_and_no_longer():
    n = 100 + SHAPE.memory_columns + 20
    before = in_one_go(NETWORK, make_columns(n_columns=n))
    lasting = []
    for place in range(80, 96):
        changed = make_columns(n_columns=n)
        changed.log_totals[place] += 30.0
        changed.log_powers[place] += 30.0
        after = in_one_go(NETWORK, changed)
        assert np.array_equal(after[:place], before[:place])
        assert np.abs(after[place] - before[place]).max() > 1e-3
        lasting.append(np.flatnonzero((after != before).any(axis=1))[-1] - place)
    assert max(lasting) == SHAPE.memory_columns


def test_of_the_first_columns_nothing_is_said():
    first = SHAPE.look_ahead + COLD_COLUMNS
    assert 2.0 <= COLD_COLUMNS * 0.16 < 2.16
    assert (WHOLE[0][:first] == NOISE).all()
    assert (WHOLE[0][first:, 2] < 1.0).all()


def test_a_slot_is_used_again_and_is_clean():
    network = make_network()
    memory = network.remember()
    in_one_go(network, STREAMS[1], memory)
    slot = memory.slot
    del memory
    again = network.remember()
    assert again.slot == slot
    np.testing.assert_allclose(in_one_go(network, STREAMS[0], again), WHOLE[0], rtol=0, atol=1e-6)


def test_more_and_more_sensors_find_room_and_disturb_nobody():
    network = make_network()
    memories = [network.remember()]
    answers = [in_one_go(network, STREAMS[0].part(slice(100)), memories[0])]
    memories += [network.remember() for _ in range(40)]
    assert len({memory.slot for memory in memories}) == 41
    for memory in memories[1:]:
        in_one_go(network, STREAMS[1].part(slice(20)), memory)
    answers.append(in_one_go(network, STREAMS[0].part(slice(100, N)), memories[0], index=100))
    np.testing.assert_allclose(np.concatenate(answers), WHOLE[0], rtol=0, atol=1e-6)


def test_sensors_that_come_and_go_take_no_more_room():
    network = make_network()
    slots = {network.remember().slot for _ in range(200)}
    assert len(slots) <= 8
    level = 128 * 2 * 8
    rings = sum(2 * dilation * 8 for dilation in SHAPE.dilations)
    sums, current = 2 * 2 * 4 * 5, 16 * 2 * (4 + 5)
    assert network.bytes_per_sensor == level + 4 * (rings + 3 * (sums + current))


class Listener(Observer):
    wants_scores = True

    def __init__(self):
        self.heard = []

    def scored(self, windows):
        self.heard.append((windows.centre_ns, windows.probabilities, windows.waveform_start_ns))


class TestInThePipeline:
    def picks(self, observer=None, **own):
        pipeline = Pipeline(
            make_network(seed=9, decisive=4.0),
            thresholds=Thresholds.constant(0.3, 0.3),
            settings=Settings(**own),
            observer=observer,
        )
        return pick_all(pipeline, records(earthquakes(9000, (15.0, 38.0, 61.0))))

    def test_scores_are_given_with_the_columns_that_they_speak_of(self):
        listener = Listener()
        picks = self.picks(listener, refine_onset=False)
        behind_ns = 320_000_000 - SHAPE.look_ahead * 160_000_000
        assert all(times[0] == start_ns + behind_ns for times, _, start_ns in listener.heard)
        times = np.concatenate([times for times, _, _ in listener.heard])
        assert (np.diff(times) == 160_000_000).all()
        answers = np.concatenate([answers for _, answers, _ in listener.heard])
        means = mean_odds(log_odds(answers[:, :2]), 1, 0, len(answers))
        assert picks
        for pick in picks:
            near = np.abs(times - pick.time_ns) < 0.2 * NS_PER_S
            odds = means[near, ("P", "S").index(pick.phase)]
            assert np.abs(1.0 / (1.0 + np.exp(-odds)) - pick.probability).min() < 1e-6

    @pytest.mark.parametrize("seed", [4, 9])
    def test_every_pick_before_what_is_decided_has_been_returned(self, seed):
        network = make_network(replace(SHAPE, look_ahead=30), seed, decisive=4.0)

        def pipeline():
            return Pipeline(
                network,
                thresholds=Thresholds.constant(0.3, 0.3),
                settings=Settings(max_batch_delay_s=0.0),
            )

        stream = records(earthquakes(6000, (15.0, 38.0)), [range(50, 6000, 50)] * 3)
        final = pick_all(pipeline(), stream)
        assert len(final) >= 4
        live, returned = pipeline(), set()
        for record in stream:
            returned |= {pick.public_id for pick in live.feed(record)}
            for until_ns in live.decided_until_ns().values():
                assert {p.public_id for p in final if p.time_ns < until_ns} <= returned
        (until_ns,) = live.decided_until_ns().values()
        assert 0.0 < (stream[-1].end_ns - until_ns) / NS_PER_S - 30 * 0.16 < 4.0

    @pytest.mark.parametrize(
        ("own", "words"),
        [
            ({"shift_samples": 10}, "shift: got 10; random works at 16 alone"),
            ({"trace_normalization": True}, "traceNormalization: random follows the level"),
        ],
    )
    def test_settings_that_it_was_not_made_for_are_refused(self, own, words):
        with pytest.raises(ConfigurationError, match=words):
            self.picks(**own)

    def test_all_components_can_be_required(self):
        pipeline = Pipeline(
            make_network(seed=9, decisive=4.0),
            thresholds=Thresholds.constant(0.3, 0.3),
            settings=Settings(components="all"),
        )
        stream = records(earthquakes(9000, (15.0, 38.0)))
        assert pick_all(pipeline, [r for r in stream if r.seed_id.component == "Z"]) == []
        assert pipeline.statistics.windows == 0
