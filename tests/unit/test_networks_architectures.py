"""The Keras models: parameters, shapes, parts, what they do with a window."""

import numpy as np
import pytest

from scperformer.errors import ConfigurationError, WeightsError
from scperformer.networks.architectures import Core, build_front_end, build_network, core_of
from scperformer.networks.contract import Network, parameter_count, weight_shapes
from scperformer.networks.weights import load_weights, read_weights, save_weights

from .network_fakes import random_weights, windows
from .network_reference import answers, spectrogram

# isort: split
import keras

PARAMETERS = {"performer": 57_123, "cnn": 176_387, "gpd": 1_742_763}


@pytest.fixture(scope="module", params=list(PARAMETERS))
def model(request):
    return build_network(request.param)


def test_parameters_are_those_of_the_paper(model):
    assert model.count_params() == PARAMETERS[model.name]
    assert parameter_count(Network(model.name)) == PARAMETERS[model.name]


def test_the_contract_names_every_weight_in_the_models_order(model):
    shapes = {variable.path: tuple(variable.shape) for variable in model.weights}
    wanted = weight_shapes(Network(model.name))
    assert shapes == wanted
    assert list(shapes) == list(wanted)


def test_the_model_is_front_end_then_core_then_softmax(model):
    some = windows(4)
    logits = core_of(model)(build_front_end(model.name)(some)).numpy()
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        model(some).numpy(), shares / shares.sum(axis=1, keepdims=True), atol=1e-5
    )


def test_size_of_a_window_does_not_matter_and_zeros_are_answered(model):
    some = windows(3)
    np.testing.assert_allclose(model(some).numpy(), model(some * 1024.0).numpy(), atol=1e-5)
    silent = model(np.zeros((2, 400, 3), np.float32)).numpy()
    np.testing.assert_allclose(silent.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("name", ["performer", "cnn"])
def test_the_spectrogram_is_that_of_the_contract(name):
    some = windows(2, seed=3)
    normal = some / np.abs(some).max(axis=(1, 2), keepdims=True)
    got = build_front_end(name)(some).numpy()
    assert got.shape == (2, 22, 33, 3)
    np.testing.assert_allclose(got, spectrogram(normal), atol=1e-4)


def test_it_answers_what_the_papers_state(model):
    weights = random_weights(Network(model.name), seed=5)
    plain = build_network(model.name)
    for variable in plain.weights:
        variable.assign(weights[variable.path])
    some = windows(20)
    np.testing.assert_allclose(
        plain(some).numpy(), answers(model.name, weights, some), rtol=0, atol=1e-4
    )


def test_without_dropout_the_weights_are_the_same_ones(model, tmp_path):
    bare = build_network(model.name, dropout=False)
    save_weights(model, model.name, tmp_path / "w.h5")
    load_weights(bare, model.name, tmp_path / "w.h5")
    some = windows(3)
    np.testing.assert_allclose(bare(some).numpy(), model(some).numpy(), atol=1e-6)
    features, core = build_front_end(model.name)(some), core_of(bare)
    np.testing.assert_array_equal(core(features, training=True), core(features, training=True))


def test_batch_norms_in_training_are_those_of_keras():
    core = Core(Network.GPD)
    values = np.random.default_rng(1).normal(3.0, 2.0, (50, 400, 3)).astype(np.float32)
    weights = {variable.path: variable.numpy() for variable in core.weights}
    layers = [
        keras.layers.Conv1D(32, 21, padding="same"),
        keras.layers.MaxPooling1D(2),
        keras.layers.ReLU(),
        keras.layers.BatchNormalization(),
    ]
    plain = keras.Sequential([keras.Input((400, 3)), *layers])
    layers[0].set_weights([weights["conv_1/kernel"], weights["conv_1/bias"]])
    for _ in range(2):
        plain(values, training=True)
        core(values, training=True)
    for part in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(
            core.by_path[f"batch_norm_1/{part}"], getattr(layers[3], part), rtol=1e-4
        )
    got = core.trainable_variables
    assert [v.path for v in got] == [path for path in core.by_path if "moving" not in path]


@pytest.mark.parametrize("name", ["performer", "cnn"])
def test_dropout_works_in_training_only(name):
    core = Core(Network(name))
    features = np.random.default_rng(0).normal(size=(2, 22, 33, 3)).astype(np.float32)
    assert np.array_equal(core(features), core(features))
    assert not np.array_equal(core(features, training=True), core(features, training=True))


def test_weights_go_out_and_in(model, tmp_path):
    path = tmp_path / "w.h5"
    save_weights(model, model.name, path)
    weights = read_weights(path, model.name)
    for variable in model.weights:
        np.testing.assert_array_equal(weights[variable.path], variable.numpy())
    other = "cnn" if model.name == "gpd" else "gpd"
    with pytest.raises(WeightsError, match="is not the network"):
        save_weights(model, other, path)


def test_an_unknown_network_is_named_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'resnet'; wanted one of performer, cnn, gpd"):
        build_network("resnet")
