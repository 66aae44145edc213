"""Exported networks answer as those that TensorFlow computes, in whatever company."""

import sys

import numpy as np
import pytest

from scperformer.cli.main import main
from scperformer.core.inference import classify_windows, window_batch
from scperformer.errors import ConfigurationError, ModelError, WeightsError
from scperformer.networks.classifier import CompiledClassifier
from scperformer.networks.contract import Network
from scperformer.networks.custom import load_custom
from scperformer.networks.loading import load_folder
from scperformer.networks.manifest import GRAPH_FILE, read_manifest
from scperformer.networks.registry import DEFAULT_MODEL

from .network_fakes import model_folder, random_weights, windows

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("tf2onnx")
onnx_export = pytest.importorskip("scperformer.networks.onnx_export")

SAME = 1e-5


@pytest.fixture(scope="module", params=["performer", "cnn", "gpd"])
def exported(request, tmp_path_factory):
    """A model folder with random weights, and what is exported of it."""
    folder = tmp_path_factory.mktemp(request.param)
    model_folder(folder / "original", request.param, seed=5)
    (folder / "original" / "LICENSE").write_text("MIT")
    onnx_export.export(str(folder / "original"), folder / "exported")
    return folder / "original", folder / "exported"


def test_it_answers_what_tensorflow_answers(exported):
    original, folder = exported
    card = read_manifest(original)
    weights = random_weights(Network(card.network), seed=5)
    ours, theirs = load_folder(str(folder)).classifier, CompiledClassifier(card, weights)
    batch = window_batch(windows(300), ours.window_input)
    batch.present[::3, 0] = batch.present[::7, 2] = False
    batch.peak[5] = 0.0
    np.testing.assert_allclose(ours.classify(batch), theirs.classify(batch), rtol=0, atol=SAME)


def test_an_answer_does_not_depend_on_its_neighbours(exported):
    classifier = load_folder(str(exported[1])).classifier
    some = windows(300)
    whole = classify_windows(classifier, some)
    for n in (1, 7, 64, 65):
        parts = [classify_windows(classifier, some[i : i + n]) for i in range(0, 150, n)]
        np.testing.assert_array_equal(np.concatenate(parts)[:150], whole[:150])
    order = np.random.default_rng(1).permutation(300)
    np.testing.assert_array_equal(classify_windows(classifier, some[order]), whole[order])


def test_the_folder_is_the_same_model_with_a_graph(exported, capsys):
    original, folder = exported
    assert {path.name for path in folder.iterdir()} == {
        GRAPH_FILE,
        "model.json",
        "weights.h5",
        "LICENSE",
    }
    before, after = read_manifest(original), read_manifest(folder)
    classifier = load_folder(str(folder)).classifier
    assert (classifier.name, classifier.sha256) == (before.name, before.weights_sha256)
    assert {**after.to_document(), "onnx": None} == {**before.to_document(), "onnx": None}
    assert main(["models", "verify", str(folder)]) == 0


def test_an_altered_graph_is_refused(exported, tmp_path, capsys):
    folder = tmp_path / "altered"
    folder.mkdir()
    for path in exported[1].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    graph = folder / GRAPH_FILE
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    with pytest.raises(WeightsError, match=r"network\.onnx: SHA-256 is"):
        load_folder(str(folder))
    assert main(["models", "verify", str(folder)]) == 2


def test_without_onnx_runtime_it_says_what_to_install(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"pip install 'scperformer\[onnx\]'"):
        load_folder(str(exported[1]))


def test_what_cannot_be_exported(tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match="picks without TensorFlow as it is"):
        onnx_export.export(DEFAULT_MODEL, tmp_path / "x")
    model_folder(tmp_path / "cnn", "cnn")
    with pytest.raises(ConfigurationError, match="something of that name"):
        onnx_export.export(str(tmp_path / "cnn"), tmp_path / "cnn")
    monkeypatch.setattr(onnx_export, "LARGEST_DIFFERENCE", -1.0)
    with pytest.raises(ModelError, match="it answers differently by"):
        onnx_export.export(str(tmp_path / "cnn"), tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["cnn"]


@pytest.fixture
def own_graph(tmp_path):
    """Somebody's network: softmax of each component's mean, (n, 400, 3) to (n, 3)."""
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    given, wanted = (
        helper.make_tensor_value_info(name, real, shape)
        for name, shape in (("windows", ("n", 400, 3)), ("answers", ("n", 3)))
    )
    axes = helper.make_tensor("axes", onnx.TensorProto.INT64, (1,), [1])
    nodes = [
        helper.make_node("ReduceMean", ["windows", "axes"], ["means"], keepdims=0),
        helper.make_node("Softmax", ["means"], ["answers"], axis=1),
    ]
    graph = helper.make_graph(nodes, "own", [given], [wanted], [axes])
    opset = [helper.make_opsetid("", onnx_export.OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    path = tmp_path / "own.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_an_onnx_file_is_a_custom_model(own_graph):
    classifier = load_custom(str(own_graph))
    some = windows(9)
    means = (some / np.abs(some).max(axis=(1, 2), keepdims=True)).mean(axis=1)
    wanted = np.exp(means) / np.exp(means).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classify_windows(classifier, some), wanted, atol=1e-6)
    assert classifier.name == "own"
    assert len(classifier.sha256) == 64


def test_an_onnx_file_that_cannot_be_used(own_graph):
    with pytest.raises(ConfigurationError, match="--loader-argv has no meaning"):
        load_custom(str(own_graph), "a=1")
    own_graph.write_bytes(own_graph.read_bytes()[:40])
    with pytest.raises(ModelError, match="cannot use it"):
        load_custom(str(own_graph))
    with pytest.raises(ModelError, match="cannot use it"):
        load_custom(str(own_graph.with_name("absent.onnx")))
