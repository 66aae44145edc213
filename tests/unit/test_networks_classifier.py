"""The compiled classifier against the Keras models, alone and in company."""

import dataclasses
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scperformer.config import Settings
from scperformer.core.inference import classify_windows, window_batch
from scperformer.core.spectrogram import spectrogram_columns
from scperformer.networks import classifier as compiled
from scperformer.networks import engine
from scperformer.networks.architectures import build_network
from scperformer.networks.classifier import GPU_TILE_SIZES, CompiledClassifier, default_sizes
from scperformer.networks.contract import Network
from scperformer.networks.engine import TILE_SIZES, plan_tiles
from scperformer.networks.gather import PatchSource
from scperformer.networks.weights import load_weights, write_weights
from scperformer.types import WindowBatch, WindowInput

from .network_fakes import manifest, random_weights, windows
from .network_reference import answers

LAST_BIT = 1e-6


def classifier_of(network, **options):
    return CompiledClassifier(
        manifest(network), random_weights(Network(network), seed=5), **options
    )


@pytest.fixture(scope="module", params=["performer", "cnn", "gpd"])
def classifier(request):
    return classifier_of(request.param)


@pytest.fixture(scope="module")
def performer():
    return classifier_of("performer")


@pytest.fixture(scope="module")
def pool():
    """A long noisy record whose size changes every half second, (3, 6000)."""
    rng = np.random.default_rng(2)
    samples = rng.normal(size=(3, 6000)) * 10.0 ** rng.uniform(0, 4, (1, 6000 // 50)).repeat(50, 1)
    return samples.astype(np.float32)


def record_batch(samples, step, starts, present=None):
    """Windows at sample `starts` (multiples of `step`) of a record (3, n)."""
    starts = np.asarray(starts, dtype=np.int64)
    present = np.ones((len(starts), 3), bool) if present is None else np.asarray(present)
    peaks = [
        np.abs(samples[here, s : s + 400]).max(initial=0.0)
        for s, here in zip(starts, present, strict=True)
    ]
    return WindowBatch(
        rows=spectrogram_columns(samples, step),
        starts=starts // step,
        stride=16 // step,
        peak=np.asarray(peaks, np.float32),
        present=present,
    )


@lru_cache
def keras_model(network):
    model = build_network(network)
    weights = random_weights(Network(network), seed=5)
    for variable in model.weights:
        variable.assign(weights[variable.path])
    return model


def keras_answers(network, batch_windows):
    return keras_model(network)(np.asarray(batch_windows, np.float32)).numpy()


def test_it_answers_what_the_keras_model_answers(classifier):
    some = windows(70)
    wanted = keras_answers(classifier.manifest.network, some)
    np.testing.assert_allclose(classify_windows(classifier, some), wanted, atol=1e-3)


def test_it_answers_what_the_papers_state(classifier):
    some, network = windows(70), classifier.manifest.network
    wanted = answers(network, random_weights(network, seed=5), some)
    np.testing.assert_allclose(classify_windows(classifier, some), wanted, rtol=0, atol=1e-3)


def test_card_and_kind_of_input(classifier):
    card = classifier.manifest
    assert (classifier.name, classifier.sha256) == (card.name, card.weights_sha256)
    columns = card.network is not Network.GPD
    assert classifier.window_input is (WindowInput.COLUMNS if columns else WindowInput.SAMPLES)


def test_weights_come_from_a_file(tmp_path):
    path = tmp_path / "w.h5"
    write_weights(path, "cnn", random_weights(Network.CNN, seed=5))
    model = build_network("cnn")
    load_weights(model, "cnn", path)
    some = windows(5)
    read = CompiledClassifier.from_file(manifest("cnn"), path, threads=1)
    np.testing.assert_allclose(classify_windows(read, some), model(some).numpy(), atol=1e-3)


@pytest.mark.parametrize("network", ["performer", "cnn"])
@pytest.mark.parametrize("step", [16, 2, 8])
def test_shared_columns_give_what_separate_windows_give(network, step, pool, request):
    classifier = request.getfixturevalue("performer") if network == "performer" else None
    classifier = classifier or classifier_of("cnn", threads=1)
    starts = np.arange(0, 5600, 5 * step)[:90]
    got = classifier.classify(record_batch(pool, step, starts))
    separate = np.stack([pool[:, s : s + 400].T for s in starts])
    np.testing.assert_allclose(got, classify_windows(classifier, separate), atol=1e-4)


def test_absent_components_count_as_zeros(classifier):
    some = windows(6, seed=9)
    present = np.array(
        [[1, 0, 1], [0, 0, 1], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool
    )
    batch = window_batch(some, classifier.window_input)
    # The absent components are loud; the peak is that of the others.
    zeroed = some * present[:, None]
    normal = some / np.abs(some).max(axis=(1, 2), keepdims=True)
    peak = np.abs(normal * present[:, None]).max(axis=(1, 2)).astype(np.float32)
    got = classifier.classify(dataclasses.replace(batch, present=present, peak=peak))
    np.testing.assert_allclose(got, classify_windows(classifier, zeroed), atol=1e-4)
    wanted = keras_answers(classifier.manifest.network, zeroed)
    np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_a_window_of_zeros_lies_on_the_floor(classifier):
    some = np.zeros((3, 400, 3), np.float32)
    some[1] = windows(1)[0]
    got = classify_windows(classifier, some)
    wanted = keras_answers(classifier.manifest.network, some)
    np.testing.assert_allclose(got, wanted, atol=1e-3)
    np.testing.assert_allclose(got[0], got[2], atol=LAST_BIT)


def test_columns_that_are_minus_infinity_lie_on_the_floor(performer):
    batch = window_batch(windows(2), WindowInput.COLUMNS)
    low = dataclasses.replace(batch, rows=np.where(batch.rows < -40, -np.inf, batch.rows))
    clipped = dataclasses.replace(batch, rows=np.where(batch.rows < -40, -200, batch.rows))
    low, clipped = (dataclasses.replace(b, rows=b.rows.astype(np.float32)) for b in (low, clipped))
    np.testing.assert_array_equal(performer.classify(low), performer.classify(clipped))


@pytest.fixture(scope="module")
def alone(performer, pool):
    """A batch of 300 windows at every 16th sample, a third of them on fewer components."""
    starts = np.arange(0, 300) * 16
    present = np.ones((300, 3), bool)
    present[::3, 0] = False
    present[::6, 2] = False
    batch = record_batch(pool, 16, starts, present)
    one_by_one = [performer.classify(taken(batch, [i])) for i in range(300)]
    return batch, np.concatenate(one_by_one)


def taken(batch, which):
    which = np.asarray(which, dtype=np.int64)
    return dataclasses.replace(
        batch,
        starts=batch.starts[which],
        peak=batch.peak[which],
        present=batch.present[which],
    )


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 1500),
    seed=st.integers(0, 2**32 - 1),
    ordered=st.booleans(),
)
def test_an_answer_does_not_depend_on_its_neighbours(performer, alone, n, seed, ordered):
    batch, answers = alone
    which = np.random.default_rng(seed).integers(0, len(answers), n)
    if ordered:
        which = (which[0] + np.arange(n)) % len(answers)
    np.testing.assert_allclose(
        performer.classify(taken(batch, which)), answers[which], rtol=0, atol=LAST_BIT
    )


def test_nor_on_five_thousand_neighbours(performer, alone):
    batch, answers = alone
    which = np.random.default_rng(0).permutation(np.arange(5000) % len(answers))
    got = performer.classify(taken(batch, which))
    np.testing.assert_allclose(got, answers[which], rtol=0, atol=LAST_BIT)
    loud = dataclasses.replace(batch, peak=np.where(np.arange(300) == 7, batch.peak, 1e-3))
    changed = performer.classify(loud)
    np.testing.assert_array_equal(changed[7], performer.classify(taken(batch, [7]))[0])


def test_several_threads_may_classify_at_once(performer, alone):
    batch, answers = alone
    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda _: performer.classify(batch), range(12)))
    for answer in got:
        np.testing.assert_allclose(answer, answers, rtol=0, atol=LAST_BIT)


def test_batches_may_be_started_before_others_are_done(performer, alone):
    batch, answers = alone
    whole = taken(batch, np.arange(len(batch)).repeat(20))
    running = [performer.start(whole) for _ in range(3)]
    for one in running[::-1]:
        got = one.result()
        assert one.done()
        np.testing.assert_allclose(got, answers.repeat(20, axis=0), rtol=0, atol=LAST_BIT)


def test_a_few_windows_are_answered_at_once(performer, alone):
    batch, answers = alone
    running = performer.start(taken(batch, np.arange(TILE_SIZES[0])))
    assert running.done()
    np.testing.assert_allclose(running.result(), answers[: TILE_SIZES[0]], rtol=0, atol=LAST_BIT)


def test_a_batch_may_be_forgotten_once_it_is_started(performer, alone):
    batch, answers = alone
    rows = batch.rows.copy()
    running = performer.start(dataclasses.replace(batch, rows=rows))
    rows[:] = 0.0
    np.testing.assert_allclose(running.result(), answers, rtol=0, atol=LAST_BIT)


def test_what_goes_wrong_in_reading_leaves_the_buffers_usable(performer, alone, monkeypatch):
    batch, answers = alone

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(PatchSource, "read", fail)
        for _ in range(20):
            with pytest.raises(MemoryError):
                performer.start(batch)
    np.testing.assert_allclose(performer.classify(batch), answers, rtol=0, atol=LAST_BIT)


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (engine, "_aligned"),
        (engine._Buffer, "work"),
        (engine.ThreadPoolExecutor, "submit"),
    ],
)
def test_whatever_goes_wrong_no_buffer_is_lost(where, name, alone, monkeypatch):
    batch, answers = alone
    fresh = classifier_of("performer", threads=1)

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(where, name, fail)
        for _ in range(6):
            with pytest.raises(MemoryError):
                in_time(lambda: fresh.start(batch).result())
    got = in_time(lambda: fresh.classify(batch))
    np.testing.assert_allclose(got, answers, rtol=0, atol=LAST_BIT)


def in_time(call):
    """Return what a call returns; fail where it waits for ever."""
    outcome = Future()

    def work():
        try:
            outcome.set_result(call())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=work, daemon=True).start()
    return outcome.result(timeout=60.0)


def test_an_empty_batch_has_no_answers(performer):
    empty = window_batch(np.zeros((0, 400, 3), np.float32), WindowInput.COLUMNS)
    assert performer.classify(empty).shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": np.zeros((100, 98), np.float32)}, "rows: got float32"),
        ({"rows": np.zeros((100, 99))}, "rows: got float64"),
        ({"starts": np.array([0, 30])}, "windows from row 0 to 51; there are 47"),
        ({"starts": np.array([-1, 3])}, "windows from row -1"),
        ({"stride": 3}, "windows from row 0 to 88"),
        ({"peak": np.ones(3, np.float32)}, r"peaks \(3,\)"),
    ],
)
def test_a_batch_that_contradicts_itself(changes, words, performer):
    batch = window_batch(windows(2), WindowInput.COLUMNS)
    with pytest.raises(ValueError, match=words):
        performer.classify(dataclasses.replace(batch, **changes))


@given(st.integers(0, 20_000))
def test_tiles_cover_all_windows_once(n):
    tiles = plan_tiles(n, TILE_SIZES)
    assert [i for tile in tiles for i in (tile.start, tile.stop)] == sorted(
        i for tile in tiles for i in (tile.start, tile.stop)
    )
    assert sum(tile.stop - tile.start for tile in tiles) == n
    assert all(0 < tile.stop - tile.start <= tile.size for tile in tiles)
    assert sum(tile.size for tile in tiles) < n + TILE_SIZES[-1]


@pytest.mark.parametrize(("gpus", "sizes"), [([], TILE_SIZES), (["GPU:0"], GPU_TILE_SIZES)])
def test_a_gpu_takes_a_batch_in_one_call(gpus, sizes, monkeypatch):
    monkeypatch.setattr(compiled.tf.config, "get_visible_devices", lambda kind: gpus)
    assert default_sizes() == sizes
    most = Settings().batch_size + 7
    assert len(plan_tiles(most, sizes)) == (1 if gpus else 4)


def test_the_sizes_for_a_gpu_answer_the_same(alone, monkeypatch):
    batch, answers = alone
    monkeypatch.setattr(compiled.tf.config, "get_visible_devices", lambda kind: ["GPU:0"])
    classifier = classifier_of("performer")
    monkeypatch.undo()
    np.testing.assert_allclose(classifier.classify(batch), answers, rtol=0, atol=LAST_BIT)


def test_the_picker_does_not_load_keras_but_others_may():
    code = (
        "import sys\n"
        "import scperformer.networks.classifier\n"
        "assert not {'keras', 'kapre', 'sklearn'} & set(sys.modules)\n"
        "from scperformer.networks.architectures import build_network\n"
        "import numpy\n"
        "build_network('cnn').predict(numpy.zeros((1, 400, 3)), verbose=0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
