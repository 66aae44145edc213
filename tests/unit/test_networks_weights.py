"""Weights files: ours and Keras 2's, whole and spoilt."""

import h5py
import numpy as np
import pytest

from scperformer.errors import WeightsError
from scperformer.networks.contract import WINDOW_NETWORKS, Network, weight_shapes
from scperformer.networks.weights import read_weights, write_weights

from .network_fakes import random_weights


def legacy_names(network, first):
    """Names that Keras 2 gives when `first` layers of each kind came before: layer, ours."""
    counters = {}

    def name(kind):
        number = counters.get(kind, first)
        counters[kind] = number + 1
        return f"{kind}_{number}" if number else kind

    def dense(ours, kind="dense"):
        layer = name(kind)
        return layer, [(f"{layer}/{p}:0", f"{ours}/{p}") for p in ("kernel", "bias")]

    def batch_norm(ours):
        layer = name("batch_normalization")
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        return layer, [(f"{layer}/{p}:0", f"{ours}/{p}") for p in parts]

    def block(ours):
        layer, attention = name("performer_block"), name("attention")
        pairs = [
            (f"{layer}/{attention}/{theirs}/kernel:0", f"{ours}/attention/{mine}/kernel")
            for theirs, mine in zip(
                ("query", "key", "value", "output_transform"),
                ("query", "key", "value", "output"),
                strict=True,
            )
        ]
        for number in (1, 2):
            own = name("dense")
            pairs += [
                (f"{layer}/{own}/{p}:0", f"{ours}/dense_{number}/{p}") for p in ("kernel", "bias")
            ]
        norm = name("layer_normalization")
        name("layer_normalization")  # made but never called, as the authors' code does
        pairs += [(f"{layer}/{norm}/{p}:0", f"{ours}/norm/{p}") for p in ("gamma", "beta")]
        return layer, pairs

    if network is Network.CNN:
        layers = []
        for i in (1, 2, 3):
            layers += [dense(f"conv_{i}", "conv2d"), batch_norm(f"batch_norm_{i}")]
        return [*layers, dense("dense_1"), dense("logits")]
    if network is Network.GPD:
        layers = []
        for i in (1, 2, 3, 4):
            layers += [dense(f"conv_{i}", "conv1d"), batch_norm(f"batch_norm_{i}")]
        for i in (1, 2):
            layers += [dense(f"dense_{i}"), batch_norm(f"batch_norm_{4 + i}")]
        return [*layers, dense("logits")]
    layers = [dense("patch_embedding")]
    token = name("cls_token")
    layers.append((token, [("ClsTokenW:0", "class_token/token")]))
    position, inner = name("pos_embeding2"), name("embedding")
    pair = (f"{position}/{inner}/embeddings:0", "position_embedding/embeddings")
    layers.append((position, [pair]))
    layers += [block("block_1"), block("block_2")]
    norm = name("layer_normalization")
    layers.append((norm, [(f"{norm}/{p}:0", f"norm/{p}") for p in ("gamma", "beta")]))
    return [*layers, dense("dense_1"), dense("dense_2"), dense("logits")]


def write_legacy(path, network, weights, *, first=0, group=None):
    with h5py.File(path, "w") as file:
        root = file.create_group(group) if group else file
        names = []
        for layer, pairs in legacy_names(network, first):
            names += [f"dropout_{len(names)}", layer]
            root.create_group(names[-2]).attrs["weight_names"] = np.array([], dtype="S1")
            own = root.create_group(layer)
            own.attrs["weight_names"] = [theirs.encode() for theirs, _ in pairs]
            for theirs, ours in pairs:
                own.create_dataset(theirs, data=weights[ours])
        root.attrs["layer_names"] = [name.encode() for name in names]


@pytest.mark.parametrize("network", WINDOW_NETWORKS)
def test_our_own_format_keeps_every_weight_and_its_bytes(network, tmp_path):
    weights = random_weights(network)
    write_weights(tmp_path / "a.h5", network, weights)
    write_weights(tmp_path / "b.h5", network, weights)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    read = read_weights(tmp_path / "a.h5", network)
    assert set(read) == set(weights)
    assert all(np.array_equal(read[name], weights[name]) for name in weights)


@pytest.mark.parametrize("network", WINDOW_NETWORKS)
@pytest.mark.parametrize(("first", "group"), [(0, None), (8, None), (3, "model_weights")])
def test_keras_2_files_are_read_whatever_the_layers_counters(network, first, group, tmp_path):
    weights = random_weights(network)
    write_legacy(tmp_path / "w.hd5", network, weights, first=first, group=group)
    read = read_weights(tmp_path / "w.hd5", network)
    assert set(read) == set(weight_shapes(network))
    assert all(np.array_equal(read[name], weights[name]) for name in weights)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.9, 0.9999])
def test_a_file_cut_short_says_so(legacy, share, tmp_path):
    path = tmp_path / "w.h5"
    write = write_legacy if legacy else write_weights
    arguments = (Network.CNN, random_weights(Network.CNN))
    write(path, *arguments)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match=r"w\.h5.*cut short.*again"):
        read_weights(path, "cnn")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("have", "want"), [("cnn", "performer"), ("performer", "gpd")])
def test_another_networks_weights_are_named(legacy, have, want, tmp_path):
    path = tmp_path / "w.h5"
    if legacy:
        write_legacy(path, Network(have), random_weights(Network(have)))
    else:
        write_weights(path, have, random_weights(Network(have)))
    with pytest.raises(WeightsError, match=f"weights of {want}|wanted {want}") as caught:
        read_weights(path, want)
    assert f"weights of {have}" in str(caught.value)


def test_other_shapes_missing_unknown_and_infinite_weights_are_told(tmp_path):
    weights = random_weights(Network.PERFORMER)
    spoilt = dict(weights)
    spoilt["logits/bias"] = np.zeros(4, np.float32)
    spoilt["norm/gamma"] = np.full(48, np.inf, np.float32)
    del spoilt["dense_1/bias"]
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs.update(format="scperformer-weights", format_version=1, network="performer")
        for name, value in spoilt.items():
            file[name] = value
    with pytest.raises(WeightsError) as caught:
        read_weights(tmp_path / "w.h5", "performer")
    text = str(caught.value)
    assert "dense_1/bias is missing" in text
    assert "logits/bias has shape (4,), wanted (3,)" in text
    assert "norm/gamma has values that are not finite" in text
    with pytest.raises(WeightsError, match="not finite"):
        write_weights(tmp_path / "w.h5", "performer", weights | {"logits/bias": [np.nan] * 3})
    with pytest.raises(WeightsError, match="extra is unknown"):
        write_weights(tmp_path / "w.h5", "performer", weights | {"extra": [1.0]})


def test_files_that_are_no_weights_at_all(tmp_path):
    with pytest.raises(WeightsError, match="no such weights file"):
        read_weights(tmp_path / "none.h5", "cnn")
    (tmp_path / "text.h5").write_text("not HDF5, but long enough to look at" * 100)
    with pytest.raises(WeightsError, match="not a readable HDF5 file"):
        read_weights(tmp_path / "text.h5", "cnn")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = [1, 2, 3]
    with pytest.raises(WeightsError, match="neither ours"):
        read_weights(tmp_path / "other.h5", "cnn")
    with h5py.File(tmp_path / "streaming.h5", "w") as file:
        file.create_group("streaming")
    with pytest.raises(WeightsError, match=rf"a streaming network.*--model-name {tmp_path}"):
        read_weights(tmp_path / "streaming.h5", "performer")
    with h5py.File(tmp_path / "newer.h5", "w") as file:
        file.attrs.update(format="scperformer-weights", format_version=9, network="cnn")
    with pytest.raises(WeightsError, match="weights format 9; wanted 1"):
        read_weights(tmp_path / "newer.h5", "cnn")
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
    with pytest.raises(WeightsError, match=r"bare\.h5"):
        read_weights(tmp_path / "bare.h5", "cnn")
