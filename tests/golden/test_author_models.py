"""The original authors' weights answer as their own code answers at scale 50."""

import shutil

import numpy as np
import pytest

from scperformer.core.inference import classify_windows
from scperformer.errors import WeightsError
from scperformer.networks.architectures import build_network
from scperformer.networks.classifier import CompiledClassifier
from scperformer.networks.loading import load_folder
from scperformer.networks.manifest import default_manifest, write_manifest
from scperformer.networks.weights import load_weights, read_weights

pytestmark = pytest.mark.shared

FILES = {
    "performer_v2": ("performer", "w_model_performer_v2.0.h5"),
    "performer_v1": ("performer", "w_model_performer_with_spec.hd5"),
    "cnn_v2": ("cnn", "w_model_cnn_v2.0.h5"),
    "cnn_v1": ("cnn", "weights_model_cnn_spec.hd5"),
}
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "author_models.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", FILES)
def test_the_keras_model(name, golden, shared):
    network, file = FILES[name]
    model = build_network(network)
    load_weights(model, network, shared / "weights" / file)
    got = model.predict(golden["windows"], verbose=0)
    np.testing.assert_allclose(got, golden[f"{name}_scale50"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_the_compiled_classifier(name, golden, shared):
    network, file = FILES[name]
    path = shared / "weights" / file
    classifier = CompiledClassifier.from_file(default_manifest(network, path), path)
    got = classify_windows(classifier, golden["windows"] * 1e5)
    wanted = golden[f"{name}_scale50"]
    np.testing.assert_allclose(got, wanted, rtol=0, atol=TOLERANCE)
    assert np.array_equal(got.argmax(axis=1), wanted.argmax(axis=1))


@pytest.mark.parametrize("name", ["performer_v2", "cnn_v2"])
def test_the_exported_network(name, golden, shared, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    from scperformer.networks.onnx_export import export  # noqa: PLC0415 - an extra

    network, file = FILES[name]
    card = default_manifest(network, shared / "weights" / file)
    (tmp_path / "original").mkdir()
    shutil.copy(shared / "weights" / file, tmp_path / "original")
    write_manifest(card, tmp_path / "original")
    export(str(tmp_path / "original"), tmp_path / "exported")
    path = tmp_path / "original" / file
    windows = golden["windows"] * 1e5
    compiled = CompiledClassifier.from_file(card, path)
    got = classify_windows(load_folder(str(tmp_path / "exported")).classifier, windows)
    np.testing.assert_allclose(got, classify_windows(compiled, windows), rtol=0, atol=1e-5)
    np.testing.assert_allclose(got, golden[f"{name}_scale50"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_the_files_cut_short(name, share, shared, tmp_path):
    network, file = FILES[name]
    content = (shared / "weights" / file).read_bytes()
    short = tmp_path / file
    short.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WeightsError, match="cut short"):
        read_weights(short, network)


def test_the_wrong_network_is_told(shared):
    with pytest.raises(WeightsError, match="holds weights of cnn"):
        read_weights(shared / "weights" / FILES["cnn_v2"][1], "performer")
