import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scperformer.config import Settings
from scperformer.core.context import ContextShape, ContextStage
from scperformer.core.pipeline import Pipeline
from scperformer.core.statistics import Observer
from scperformer.core.triggers import Thresholds, log_odds, mean_odds
from scperformer.errors import ConfigurationError, WeightsError
from scperformer.networks.context import (
    context_parameters,
    context_shapes,
    read_context,
    write_context,
)
from scperformer.types import NS_PER_S
from tests.fakes import RiseClassifier
from tests.synthetic import assert_same, earthquakes, pick_all, records

SHAPE = ContextShape(channels=6, layers=4, lag_windows=1, embedding=5)
N = 240


def make_stage(shape: ContextShape = SHAPE, seed: int = 0) -> ContextStage:
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(scale=0.3, size=size).astype(np.float32)
        for name, size in context_shapes(shape).items()
    }
    weights["logits/gain"][:] = 0.8
    return ContextStage(shape, weights)


def make_windows(n: int = N, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.3, 0.3, 1.0], n).astype(np.float32)
    seen = np.tanh(rng.normal(size=(n, SHAPE.embedding))).astype(np.float32)
    peaks = np.exp(rng.normal(size=(n, 3)).cumsum(axis=0) * 0.3).astype(np.float32)
    peaks[n // 2 :, 0] = 0.0
    peaks[n * 3 // 4 :, 1] = 0.0
    return np.concatenate([probabilities, seen], axis=1), peaks


def in_one_go(stage: ContextStage, probabilities: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    return stage.predict(probabilities, peaks, [stage.start()], [len(peaks)], [False])


STAGE = make_stage()
WINDOWS = make_windows()
WHOLE = in_one_go(STAGE, *WINDOWS)


def by_the_book(stage_weights, shape, probabilities, peaks):
    """The stage written out window by window and layer by layer, in float64."""
    w = {name: np.asarray(value, np.float64) for name, value in stage_weights.items()}
    own = np.log(np.maximum(probabilities[:, :3].astype(np.float64), np.exp(-12.0)))
    n = len(own)
    followed = [peaks.max(axis=1), peaks[:, 2], peaks[:, :2].max(axis=1)]
    levels = [np.log(np.maximum(p.astype(np.float64), 1e-9)) for p in followed]
    changes = np.zeros((n, 15))
    for number, level in enumerate(levels):
        for column, lag in enumerate((2, 6, 12, 25, 50)):
            for i in range(lag, n):
                change = np.clip(level[i] - level[i - lag], -4, 4) / 2
                changes[i, number * 5 + column] = change
    ratio = np.zeros((n, 1))
    for i in range(n):
        if followed[1][i] > 0 and followed[2][i] > 0:
            ratio[i] = np.clip(levels[1][i] - levels[2][i], -4, 4) / 2
    features = [own / 4, changes, ratio, probabilities[:, 3:]]
    hidden = np.concatenate(features, axis=1) @ w["input/kernel"] + w["input/bias"]
    hidden = np.maximum(hidden, 0)
    for layer in range(1, shape.layers + 1):
        mixed = np.tile(w[f"layer_{layer}/bias"], (n, 1))
        for tap in range(3):
            back = (2 - tap) * 2 ** (layer - 1)
            mixed[back:] += hidden[: n - back] @ w[f"layer_{layer}/kernel"][tap]
        hidden = hidden + np.maximum(mixed, 0)
    top = np.maximum(hidden @ w["hidden/kernel"] + w["hidden/bias"], 0)
    logits = top @ w["logits/kernel"] + w["logits/bias"]
    logits[shape.lag_windows :] += w["logits/gain"] * own[: n - shape.lag_windows]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    answers = powers / powers.sum(axis=1, keepdims=True)
    answers[: shape.lag_windows] = (0, 0, 1)
    return answers


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_it_computes_what_is_written_down(lag):
    shape = replace(SHAPE, lag_windows=lag)
    rng = np.random.default_rng(2)
    weights = {
        name: rng.normal(scale=0.3, size=size).astype(np.float32)
        for name, size in context_shapes(shape).items()
    }
    answers = in_one_go(ContextStage(shape, weights), *WINDOWS)
    np.testing.assert_allclose(answers, by_the_book(weights, shape, *WINDOWS), atol=2e-5)


@settings(deadline=None, max_examples=60)
@given(cuts=st.lists(st.integers(0, N), max_size=30))
def test_splits_do_not_matter(cuts):
    edges = [0, *sorted(cuts), N]
    state = STAGE.start()
    parts = [
        STAGE.predict(WINDOWS[0][a:b], WINDOWS[1][a:b], [state], [b - a], [False])
        for a, b in itertools.pairwise(edges)
    ]
    np.testing.assert_allclose(np.concatenate(parts), WHOLE, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), max_size=25),
)
def test_sensors_in_one_batch_do_not_know_each_other(lengths):
    """Runs of three sensors in any order, several of one sensor in one batch."""
    streams = [make_windows(N, seed) for seed in range(3)]
    wanted = [in_one_go(STAGE, *stream) for stream in streams]
    states = [STAGE.start() for _ in streams]
    at = [0, 0, 0]
    runs = []
    for sensor, length in lengths:
        end = min(at[sensor] + length, N)
        runs.append((sensor, at[sensor], end))
        at[sensor] = end
    if not runs:
        return
    answers = STAGE.predict(
        np.concatenate([streams[s][0][a:b] for s, a, b in runs]),
        np.concatenate([streams[s][1][a:b] for s, a, b in runs]),
        [states[s] for s, _, _ in runs],
        [b - a for _, a, b in runs],
        [False] * len(runs),
    )
    first = 0
    for sensor, begin, end in runs:
        found = answers[first : first + end - begin]
        np.testing.assert_allclose(found, wanted[sensor][begin:end], atol=1e-6)
        first += end - begin


def test_the_end_of_a_segment_is_forgotten_even_inside_a_batch():
    state = STAGE.start()
    twice = STAGE.predict(
        np.concatenate([WINDOWS[0]] * 2),
        np.concatenate([WINDOWS[1]] * 2),
        [state, state, state],
        [N, 0, N],
        [False, True, False],
    )
    np.testing.assert_allclose(twice[:N], WHOLE, atol=1e-6)
    np.testing.assert_allclose(twice[N:], WHOLE, atol=1e-6)


def test_memory_is_as_long_as_it_says_and_no_longer():
    probabilities, peaks = make_windows(400)
    reach = SHAPE.memory_windows
    before = in_one_go(STAGE, probabilities, peaks)
    other = probabilities.copy()
    other[:100, :3] = (0.98, 0.01, 0.01)
    other[:100, 3:] *= -1.0
    changed = peaks.copy()
    changed[:100] *= 7.0
    after = in_one_go(STAGE, other, changed)
    np.testing.assert_allclose(after[100 + reach :], before[100 + reach :], atol=1e-6)
    assert np.abs(after[100:110] - before[100:110]).max() > 1e-3


def test_the_gain_of_the_instrument_does_not_matter():
    np.testing.assert_allclose(
        in_one_go(STAGE, WINDOWS[0], WINDOWS[1] * np.float32(1e4)), WHOLE, atol=1e-4
    )


def test_weights_come_back_from_the_file(tmp_path):
    stage = make_stage()
    path = tmp_path / "weights.h5"
    weights = {name: np.asarray(stage._weights[name]) for name in context_shapes(SHAPE)}
    write_context(path, SHAPE, weights)
    found = read_context(path, SHAPE)
    assert {name: array.tolist() for name, array in found.items()} == {
        name: array.tolist() for name, array in weights.items()
    }
    assert sum(array.size for array in found.values()) == context_parameters(SHAPE)
    with pytest.raises(WeightsError, match="context stage with 7 channels"):
        read_context(path, replace(SHAPE, channels=7))


class SeeingClassifier(RiseClassifier):
    """Answers what the stage reads of a network besides."""

    def classify(self, batch):
        probabilities = super().classify(batch)
        turned = probabilities @ np.linspace(-1.0, 1.0, 3 * SHAPE.embedding).reshape(3, -1)
        return np.concatenate([probabilities, np.tanh(turned)], axis=1).astype(np.float32)


class TestInThePipeline:
    waveform = earthquakes(9000, (15.0, 38.0, 61.0))

    def picks(self, cuts=None, **settings_):
        pipeline = Pipeline(
            SeeingClassifier(),
            thresholds=Thresholds.constant(0.3, 0.3),
            settings=Settings(**settings_),
            context=make_stage(seed=5),
        )
        stream = records(self.waveform, cuts) if cuts else records(self.waveform)
        return pick_all(pipeline, stream)

    def test_packets_and_batches_do_not_matter(self):
        whole = self.picks()
        assert whole
        cuts = [range(37, 9000, 111), range(100, 9000, 100), range(55, 9000, 333)]
        assert_same(self.picks(cuts, batch_size=17), whole)

    def test_scores_are_given_with_the_windows_that_they_speak_of(self):
        heard = []

        class Listener(Observer):
            wants_scores = True

            def scored(self, windows):
                heard.append((windows.start_ns, windows.probabilities, windows.waveform_start_ns))

        pipeline = Pipeline(
            SeeingClassifier(),
            thresholds=Thresholds.constant(0.3, 0.3),
            settings=Settings(refine_onset=False),
            context=make_stage(seed=5),
            observer=Listener(),
        )
        picks = pick_all(pipeline, records(self.waveform))
        lag_ns = SHAPE.lag_windows * 160_000_000
        assert all(times[0] == start_ns - lag_ns for times, _, start_ns in heard)
        times = np.concatenate([times for times, _, _ in heard]) + 2 * NS_PER_S
        answers = np.concatenate([answers for _, answers, _ in heard])
        means = mean_odds(log_odds(answers[:, :2]), 1, 0, len(answers))
        assert picks
        for pick in picks:
            near = np.abs(times - pick.time_ns) < 0.2 * NS_PER_S
            odds = means[near, ("P", "S").index(pick.phase)]
            assert np.abs(1.0 / (1.0 + np.exp(-odds)) - pick.probability).min() < 1e-6

    def test_a_shift_that_it_was_not_made_for_is_refused(self):
        with pytest.raises(ConfigurationError, match="works at 16"):
            self.picks(shift_samples=10)
