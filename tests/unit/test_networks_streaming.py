"""Weights files and model folders of streaming networks, whole and spoilt."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from scperformer.config import Settings
from scperformer.core.streaming import StreamingNetwork
from scperformer.delivery.state import WARM_UP_S
from scperformer.errors import ConfigurationError, WeightsError
from scperformer.networks.contract import streaming_parameters, streaming_shapes
from scperformer.networks.loading import load_folder
from scperformer.networks.registry import DEFAULT_MODEL
from scperformer.networks.streaming import read_streaming, write_streaming
from scperformer.stft import HOP_SAMPLES
from tests.streaming_network import SHAPE, make_network, random_streaming_weights, streaming_folder
from tests.synthetic import assert_same, earthquakes, pick_all, records

WEIGHTS = random_streaming_weights()


def test_the_file_keeps_every_weight_and_its_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_streaming(tmp_path / name, SHAPE, WEIGHTS)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    read = read_streaming(tmp_path / "a.h5", SHAPE)
    assert set(read) == set(WEIGHTS) == set(streaming_shapes(SHAPE))
    assert all(np.array_equal(read[name], WEIGHTS[name]) for name in WEIGHTS)
    assert sum(array.size for array in read.values()) == streaming_parameters(SHAPE)


@pytest.mark.parametrize(
    "other", [{"channels": 10}, {"dilations": (1, 2)}, {"dilations": (1, 2, 4, 8)}]
)
def test_weights_of_another_size_are_told(other, tmp_path):
    path = tmp_path / "w.h5"
    write_streaming(path, SHAPE, WEIGHTS)
    shape = replace(SHAPE, **other)
    words = (
        f"{shape.channels} channels and {len(shape.dilations)} blocks: .* do not belong together"
    )
    with pytest.raises(WeightsError, match=rf"w\.h5: .*{words}"):
        read_streaming(path, shape)


def test_the_weights_do_not_depend_on_what_the_card_alone_says(tmp_path):
    write_streaming(tmp_path / "w.h5", SHAPE, WEIGHTS)
    other = replace(SHAPE, dilations=(3, 3, 3), memories=(1, 2, 2, 5), look_ahead=0)
    read_streaming(tmp_path / "w.h5", other)


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape"])
def test_weights_that_are_not_the_networks_are_not_written(fault, tmp_path):
    weights = dict(WEIGHTS)
    if fault == "missing":
        del weights["block_2/mix/bias"]
    elif fault == "unknown":
        weights["block_4/mix/bias"] = np.zeros(8, np.float32)
    else:
        weights["output/bias"] = np.zeros(4, np.float32)
    with pytest.raises(WeightsError, match=r"block_2/mix/bias|block_4/mix/bias|output/bias"):
        write_streaming(tmp_path / "w.h5", SHAPE, weights)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value, tmp_path):
    path = tmp_path / "w.h5"
    write_streaming(path, SHAPE, WEIGHTS)
    with h5py.File(path, "r+") as file:
        file["streaming/block_1/mix/kernel"][2, 3] = value
    with pytest.raises(WeightsError, match=r"w\.h5: .*not finite"):
        read_streaming(path, SHAPE)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.9, 0.9999])
def test_a_file_cut_short_is_refused(share, tmp_path):
    path = tmp_path / "w.h5"
    write_streaming(path, SHAPE, WEIGHTS)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match=r"w\.h5: not"):
        read_streaming(path, SHAPE)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["X"] = np.zeros((3, 400, 3))
    with pytest.raises(WeightsError, match="not the weights of a streaming network"):
        read_streaming(path, SHAPE)
    path.unlink()
    with pytest.raises(WeightsError, match=r"w\.h5"):
        read_streaming(path, SHAPE)


def test_a_model_folder_picks_as_its_network_does(tmp_path):
    card = streaming_folder(tmp_path / "model", seed=9, decisive=4.0, filter_id="BW_HP(2,1)")
    model = load_folder(str(tmp_path / "model"))
    stream = records(earthquakes(9000, (15.0, 38.0, 61.0)))
    picks = pick_all(model.pipeline(Settings(threshold_p=0.3, threshold_s=0.3)), stream)
    assert picks
    assert {pick.model_sha256 for pick in picks} == {card.weights_sha256}
    assert {pick.filter_id for pick in picks} == {"BW_HP(2,1)"}
    again = replace(model, classifier=make_network(seed=9, decisive=4.0))
    again.classifier.sha256 = card.weights_sha256
    settings = Settings(threshold_p=0.3, threshold_s=0.3, filter="BW_HP(2,1)")
    assert_same(pick_all(again.pipeline(settings), stream), picks)


def test_the_calibration_of_the_card_counts(tmp_path):
    picks = {}
    for name, summand in (("as-it-is", 0.0), ("never", -30.0)):
        calibration = ((1.0, summand), (1.0, summand))
        streaming_folder(tmp_path / name, seed=9, decisive=4.0, calibration=calibration)
        pipeline = load_folder(str(tmp_path / name)).pipeline(Settings())
        picks[name] = pick_all(pipeline, records(earthquakes(9000, (15.0, 38.0, 61.0))))
    assert picks["as-it-is"]
    assert picks["never"] == []


def test_it_does_not_answer_windows_on_their_own(tmp_path):
    streaming_folder(tmp_path / "model")
    model = load_folder(str(tmp_path / "model"))
    with pytest.raises(ConfigurationError, match="cannot answer windows on their own"):
        _ = model.window_classifier


def test_the_default_model_is_a_streaming_network():
    model = load_folder(DEFAULT_MODEL)
    assert isinstance(model.classifier, StreamingNetwork)
    assert model.classifier.name == DEFAULT_MODEL
    memory_s = model.classifier.shape.memory_columns * HOP_SAMPLES / 100.0
    assert memory_s + 10.0 <= WARM_UP_S
