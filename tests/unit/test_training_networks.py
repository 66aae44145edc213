"""What training computes in TensorFlow: features, forward pass, loss, teacher, scores."""

import numpy as np
import pytest

from scperformer.datasets.windows import WindowBank, grid
from scperformer.networks.architectures import build_front_end, build_network, core_of
from scperformer.networks.contract import Network
from scperformer.networks.weights import save_weights
from scperformer.training.distillation import (
    BatchedInference,
    Teacher,
    distillation_loss,
    hint_loss,
    smooth,
)
from scperformer.training.features import inference_forward, prepare, training_forward
from scperformer.training.window_training import agreement, agreement_table, component_mask
from tests.unit.network_reference import logits
from tests.unit.training_fakes import record

# isort: split
import keras
import tensorflow as tf


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((40, 400, 3)) * 10.0 ** rng.uniform(-2, 6, (40, 1, 1))
    return samples.astype(np.float32)


@pytest.fixture(scope="module")
def performer():
    keras.utils.set_random_seed(5)
    return build_network("performer", dropout=False)


ALL = np.array([True, True, True])


@pytest.mark.parametrize("name", ["performer", "gpd"])
@pytest.mark.parametrize("mask", [[True, True, True], [False, False, True], [True, False, True]])
def test_features_are_those_of_the_networks_front_end(windows, name, mask):
    keep = np.tile(mask, (len(windows), 1))
    fast = prepare(windows).features(Network(name), keep).numpy()
    slow = build_front_end(name)(windows * keep[:, None, :]).numpy()
    np.testing.assert_allclose(fast, slow, atol=2e-3)


def test_silence_has_features_too():
    silence = np.zeros((2, 400, 3), np.float32)
    features = prepare(silence).features(Network.PERFORMER, np.ones((2, 3), bool)).numpy()
    np.testing.assert_array_equal(features, -1.0)


def test_the_forward_pass_is_that_of_the_paper(windows, performer):
    core = core_of(performer)
    features = prepare(windows).features(Network.PERFORMER, np.tile(ALL, (len(windows), 1)))
    found = training_forward(core, Network.PERFORMER, dropout=False)(features)
    np.testing.assert_allclose(found, logits("performer", core.by_path, features), atol=1e-4)


def test_its_gradients_are_those_of_the_paper(windows, performer):
    """Along each weight's gradient the paper's loss rises by the gradient's length."""
    core = core_of(performer)
    features = prepare(windows).features(Network.PERFORMER, np.tile(ALL, (len(windows), 1)))
    with tf.GradientTape() as tape:
        found = training_forward(core, Network.PERFORMER, dropout=False)(features)
        loss = tf.reduce_sum(tf.square(found))
    weights = {path: np.asarray(value, np.float64) for path, value in core.by_path.items()}
    gradients = tape.gradient(loss, list(core.by_path.values()))
    for path, gradient in zip(weights, gradients, strict=True):
        length = np.linalg.norm(gradient)
        step = 1e-6 * np.asarray(gradient, np.float64) / length
        up, down = (
            np.square(logits("performer", weights | {path: weights[path] + s}, features)).sum()
            for s in (step, -step)
        )
        assert (up - down) / 2e-6 == pytest.approx(length, rel=1e-3), path


def test_the_loss_by_hand():
    targets = np.array([[0.7, 0.2, 0.1]], np.float32)
    found = np.log(np.array([[0.5, 0.25, 0.25]], np.float32)) + 3.0
    by_hand = 0.7 * np.log(0.7 / 0.5) + 0.2 * np.log(0.2 / 0.25) + 0.1 * np.log(0.1 / 0.25)
    assert float(distillation_loss(targets, found)[0]) == pytest.approx(by_hand, rel=1e-5)


def test_the_softened_loss_by_hand():
    targets, found = np.array([[0.81, 0.09, 0.1]]), np.log(np.array([[0.25, 0.5, 0.25]]))
    p, q = np.sqrt(targets[0]), np.sqrt([0.25, 0.5, 0.25])
    p, q = p / p.sum(), q / q.sum()
    by_hand = 4.0 * np.sum(p * np.log(p / q))
    loss = distillation_loss(targets.astype(np.float32), found.astype(np.float32), temperature=2.0)
    assert float(loss[0]) == pytest.approx(by_hand, rel=1e-5)


def test_the_loss_is_zero_only_where_both_agree():
    targets = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]], np.float32)
    same = distillation_loss(targets, np.log(np.maximum(targets, 1e-12)))
    np.testing.assert_allclose(same, 0.0, atol=1e-6)
    assert float(distillation_loss(targets, np.zeros((2, 3), np.float32))[0]) > 0.5


def test_smoothing_by_hand():
    np.testing.assert_allclose(smooth(np.array([[1.0, 0.0, 0.0]]), 0.3), [[0.8, 0.1, 0.1]])


def test_a_teacher_is_the_mean_of_its_networks(tmp_path, windows):
    paths, answers = [], []
    keep = np.tile(ALL, (len(windows), 1))
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        model = build_network("performer", dropout=False)
        paths.append(tmp_path / f"{seed}.h5")
        save_weights(model, "performer", paths[-1])
        answers.append(model(windows).numpy())
    teacher = Teacher(paths, ("performer", "performer"))
    np.testing.assert_allclose(
        teacher.inference.windows(windows, keep), np.mean(answers, axis=0), atol=1e-3
    )


def test_answers_do_not_depend_on_how_windows_are_fetched(performer):
    bank = WindowBank([record(n=5000), record("BBB", n=900, present=(False, False, True))])
    forward = inference_forward(core_of(performer))
    inference = BatchedInference(
        lambda prepared, keep: tf.nn.softmax(forward(prepared.features(Network.PERFORMER, keep)))
    )
    centres = grid(bank, step_samples=2)
    assert len(centres) > 2048
    whole = inference.centres(bank, centres)
    np.testing.assert_allclose(whole.sum(axis=1), 1.0, atol=1e-5)
    some = np.array([0, 2047, 2048, len(centres) - 1])
    chosen = centres.take(some)
    windows, present = bank.cut(chosen), bank.present[chosen.record]
    np.testing.assert_allclose(inference.windows(windows, present), whole[some], atol=1e-5)
    np.testing.assert_allclose(performer(windows).numpy(), whole[some], atol=2e-3)


def test_hints_by_hand():
    teacher = [np.array([[0.0, 0.0], [2.0, 4.0]], np.float32)]  # variances 1 and 4
    student = [np.array([[1.0, 1.0], [2.0, 0.0]], np.float32)]
    both = hint_loss(teacher, student, np.array([True, True]))
    assert float(both) == pytest.approx((1.0 + 8.0) / 2 / 2.5)
    first = hint_loss(teacher, student, np.array([True, False]))
    assert float(first) == pytest.approx(1.0 / 2.5)
    assert float(hint_loss(teacher, student, np.array([False, False]))) == 0.0


def test_a_teachers_stages_lead_to_its_answers(tmp_path, windows, performer):
    save_weights(performer, "performer", tmp_path / "weights.h5")
    teacher = Teacher([tmp_path / "weights.h5"], ("performer",))
    keep = np.tile(ALL, (len(windows), 1))
    probabilities, stages = teacher.stages(prepare(windows), keep)
    np.testing.assert_allclose(probabilities, performer(windows), atol=2e-3)
    assert [tuple(s.shape) for s in stages] == [(40, 12, 48), (40, 12, 48), (40, 48), (40, 48)]
    last = stages[-1] @ core_of(performer).by_path["logits/kernel"]
    np.testing.assert_allclose(tf.nn.softmax(last), probabilities, atol=1e-4)


def one_hot(*classes):
    return np.eye(3, dtype=np.float32)[list(classes)]


def test_agreement_by_hand():
    answers, targets = one_hot(0, 0, 1, 2, 2), one_hot(0, 1, 1, 2, 0)
    assert agreement(answers, targets) == 0.6
    table = agreement_table(answers, targets)
    assert table["P"] == {"windows": 2, "recall": 0.5, "precision": 0.5}
    assert table["S"] == {"windows": 2, "recall": 0.5, "precision": 1.0}
    assert table["noise"] == {"windows": 1, "recall": 1.0, "precision": 0.5}


def test_a_class_without_windows_has_no_score():
    table = agreement_table(one_hot(2, 2), one_hot(2, 2))
    assert table["P"] == {"windows": 0, "recall": None, "precision": None}


def test_component_masks():
    assert component_mask("NZ").tolist() == [True, False, True]
