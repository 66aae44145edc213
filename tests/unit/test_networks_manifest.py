"""Model cards: round trip, faults, checksums."""

import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.streaming_shape import StreamingShape
from scperformer.errors import ManifestError, WeightsError
from scperformer.networks.contract import Network
from scperformer.networks.manifest import (
    Manifest,
    StreamingCard,
    check_weights_file,
    default_manifest,
    parse_manifest,
    read_manifest,
    write_manifest,
)

from .network_fakes import manifest, model_folder

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
SHARES = st.floats(0.0, 1.0)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PAIRS = st.tuples(st.floats(1e-3, 1000.0), st.floats(-1000.0, 1000.0))
STREAMING_CARDS = st.builds(
    StreamingCard,
    shape=st.builds(
        lambda width, memories, **sizes: StreamingShape(
            channels=width * len(memories), memories=tuple(sorted(memories)), **sizes
        ),
        width=st.integers(4, 32),
        memories=st.lists(st.integers(1, 256), min_size=1, max_size=16),
        dilations=st.lists(st.integers(1, 1024), min_size=1, max_size=64).map(tuple),
        look_ahead=st.integers(0, 100),
    ),
    calibration=st.tuples(PAIRS, PAIRS),
)
KINDS = st.sampled_from(Network).flatmap(
    lambda network: st.tuples(
        st.just(network),
        STREAMING_CARDS if network is Network.STREAMING else st.none(),
    )
)
MANIFESTS = st.builds(
    lambda kind, graph_sha256, **fields: Manifest(
        network=kind[0],
        streaming=kind[1],
        graph_sha256="" if kind[1] else graph_sha256,
        **fields,
    ),
    kind=KINDS,
    graph_sha256=st.from_regex(r"([0-9a-f]{64})?", fullmatch=True),
    name=NAMES,
    version=TEXTS,
    thresholds=st.fixed_dictionaries({n: st.tuples(SHARES, SHARES) for n in (3, 2, 1)}).map(
        MappingProxyType
    ),
    weights_sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    weights_file=NAMES,
    filter_id=st.text("BWHP_(),0123456789>", max_size=12),
    licence=TEXTS,
    training=st.dictionaries(TEXTS, VALUES, max_size=3),
    scores=st.dictionaries(TEXTS, VALUES, max_size=3),
)


@given(MANIFESTS)
def test_a_card_comes_back_as_it_went_and_its_text_is_canonical(card):
    text = card.to_text()
    read = parse_manifest(text, "card")
    assert read.to_document() == card.to_document()
    assert dict(read.thresholds) == dict(card.thresholds)
    assert (read.streaming, read.graph_sha256) == (card.streaming, card.graph_sha256)
    assert read.to_text() == text
    assert text.endswith("}\n")


def test_a_card_of_version_0_1_is_read():
    former = {
        "training": {"configuration": {"data": [{"folder": "records", "hold_apart": "event"}]}},
        "scores": {"held_apart_loss": 0.06, "held_apart_picks": {"three": {"P": {"n": 4}}}},
    }
    document = manifest().to_document() | former
    card = parse_manifest(json.dumps(document), "card")
    assert card.to_document() == document


CARD = StreamingCard(
    shape=StreamingShape(channels=8, dilations=(1, 2, 4), memories=(1, 2), look_ahead=3),
    calibration=((1.1, -0.5), (0.9, 0.25)),
)
STREAMING = manifest("streaming", streaming=CARD)


PERFORMER = manifest("performer")


def changed(path, value, card=PERFORMER):
    document = card.to_document()
    *parents, last = path.split(".")
    place = document
    for key in parents:
        place = place[key]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document)


FAULTS = [
    ("format", "other", "format: got 'other'"),
    ("format_version", 2, "format_version: got 2; wanted 1"),
    ("name", "a b", "name: got 'a b'"),
    ("name", "../x", "name: got"),
    ("version", "", "version: got ''"),
    ("network", "resnet", "network: got 'resnet'; wanted one of performer, cnn, gpd"),
    ("parameters", 57122, "parameters: got 57122; wanted 57123"),
    ("components", ["Z", "N", "E"], "components: got"),
    ("classes", ["P", "S"], "classes: got"),
    ("preprocessing.sampling_rate_hz", 50, "preprocessing.sampling_rate_hz: got 50; wanted 100"),
    ("preprocessing.decibel_scale", 40.0, "preprocessing.decibel_scale"),
    ("preprocessing.stft", None, "preprocessing.stft: got None"),
    ("preprocessing.extra", 1, "preprocessing.extra: got 1; wanted None"),
    ("preprocessing.filter", 3, "preprocessing.filter: got 3"),
    ("thresholds.three.P", 1.5, "thresholds.three.P: got 1.5"),
    ("thresholds.two.S", True, "thresholds.two.S: got True"),
    ("thresholds.one", {"P": 0.5}, "thresholds.one: got"),
    ("thresholds.four", {}, "thresholds: got"),
    ("training", [], "training: got list; wanted an object"),
    ("scores", "good", "scores: got str"),
    ("licence", 1, "licence: got 1"),
    ("weights.file", "../w.h5", "weights.file: got '../w.h5'"),
    ("weights.sha256", "abc", "weights.sha256: got 'abc'"),
    ("weights", None, "weights: missing"),
    ("thresholds", None, "thresholds: missing"),
    (
        "onnx",
        {"file": "x.onnx", "sha256": "0" * 64},
        "onnx.file: got 'x.onnx'; wanted network.onnx",
    ),
    ("onnx", {"file": "network.onnx", "sha256": "abc"}, "onnx.sha256: got 'abc'"),
    ("colour", "red", "colour: no such key"),
]


@pytest.mark.parametrize(("path", "value", "words"), FAULTS)
def test_each_fault_is_named(path, value, words):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(changed(path, value), "models/x/model.json")
    assert words in str(caught.value)
    assert "models/x/model.json" in str(caught.value)


LEVEL_128 = "preprocessing.level_columns: got 100; wanted 128"
STREAMING_FAULTS = [
    ("streaming", None, "streaming: wanted for a streaming network, and for no other"),
    ("network", "performer", "streaming: wanted for a streaming network, and for no other"),
    ("streaming", [], "streaming: got []; wanted an object with calibration, channels"),
    ("streaming.extra", 1, "streaming: got"),
    ("streaming.look_ahead", None, "streaming: got"),
    ("streaming.channels", 3, "streaming.channels: got 3; wanted a whole number from 4 to 512"),
    ("streaming.channels", 513, "streaming.channels: got 513"),
    ("streaming.channels", 8.0, "streaming.channels: got 8.0"),
    ("streaming.channels", True, "streaming.channels: got True"),
    ("streaming.look_ahead", -1, "streaming.look_ahead: got -1; wanted a whole number from 0"),
    ("streaming.look_ahead", 101, "streaming.look_ahead: got 101"),
    ("streaming.dilations", [], "streaming.dilations: got []; wanted a list of 1 to 64 numbers"),
    ("streaming.dilations", [1] * 65, "wanted a list of 1 to 64 numbers"),
    ("streaming.dilations", 4, "streaming.dilations: got 4"),
    ("streaming.dilations", [1, 0], "streaming.dilations: got 0; wanted a whole number from 1"),
    ("streaming.dilations", [1025], "streaming.dilations: got 1025"),
    ("streaming.dilations", [[1]], "streaming.dilations: got [1]"),
    ("streaming.memories", [], "streaming.memories: got []; wanted a list of 1 to 16 numbers"),
    ("streaming.memories", [1] * 17, "wanted a list of 1 to 16 numbers"),
    ("streaming.memories", [0, 1], "streaming.memories: got 0; wanted a whole number from 1"),
    ("streaming.memories", [1, 257], "streaming.memories: got 257"),
    ("streaming.memories", [2, 1], "streaming.memories: got [2, 1]; wanted no head that looks"),
    ("streaming.memories", [1, 1, 1], "got 3 heads; wanted a number that divides 8 channels"),
    ("streaming.calibration", {}, "streaming.calibration: got {}; wanted an object with P and S"),
    ("streaming.calibration.S", None, "streaming.calibration: got"),
    ("streaming.calibration.P", [1.0], "streaming.calibration.P: got [1.0]; wanted a positive"),
    ("streaming.calibration.P", [0.0, 1.0], "streaming.calibration.P: got [0.0, 1.0]"),
    ("streaming.calibration.S", [1.0, "0"], "streaming.calibration.S: got [1.0, '0']"),
    ("streaming.calibration.S", [True, 0.0], "streaming.calibration.S: got [True, 0.0]"),
    ("streaming.calibration.S", 1.0, "streaming.calibration.S: got 1.0"),
    ("streaming.calibration.S", [10**400, 0.0], "streaming.calibration.S: got [1000"),
    ("streaming.calibration.P", [1.0, -2000.0], "of at most 1000"),
    ("parameters", 1771, "parameters: got 1771; wanted 3395"),
    ("preprocessing.level_columns", 100, LEVEL_128),
    ("preprocessing.normalization", "peak", "preprocessing.normalization: got 'peak'; wanted"),
    ("preprocessing.decibel_scale", 8.0, "preprocessing.decibel_scale: got 8.0; wanted None"),
    ("context", {}, "context: a stage behind the network, which this version no longer has"),
]


@pytest.mark.parametrize(("path", "value", "words"), STREAMING_FAULTS)
def test_each_fault_of_a_streaming_networks_card_is_named(path, value, words):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(changed(path, value, STREAMING), "card")
    assert words in str(caught.value)


def test_a_calibration_without_end_is_no_calibration():
    text = changed("scores", {}, STREAMING).replace("1.1", "1e999")
    with pytest.raises(ManifestError, match=r"streaming\.calibration\.P: got \[inf, -0\.5\]"):
        parse_manifest(text, "card")


def test_a_streaming_networks_card_says_how_large_it_is():
    document = json.loads(STREAMING.to_text())
    assert document["streaming"] == {
        "channels": 8,
        "dilations": [1, 2, 4],
        "memories": [1, 2],
        "look_ahead": 3,
        "calibration": {"P": [1.1, -0.5], "S": [0.9, 0.25]},
    }
    block = (3 * 8 * 8 + 8) + 5 * (8 * 8 + 8) + (8 * 16 + 16) + (16 * 8 + 8)
    assert document["parameters"] == (105 * 8 + 8) + 3 * block + (8 * 3 + 3)
    assert STREAMING.streaming.shape.past_columns == 145
    assert STREAMING.streaming.shape.memory_columns == 145 + 127


@pytest.mark.parametrize(
    ("network", "streaming"), [("streaming", None), ("performer", CARD), ("gpd", CARD)]
)
def test_the_size_of_a_streaming_network_goes_with_that_alone(network, streaming):
    with pytest.raises(ManifestError, match="streaming: wanted for a streaming network"):
        manifest(network, streaming=streaming).to_text()


def test_all_faults_come_at_once():
    document = manifest().to_document()
    document["name"], document["licence"], document["parameters"] = "", 1, 2
    with pytest.raises(ManifestError) as caught:
        parse_manifest(json.dumps(document), "card")
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("text", ["", "{", "[1]", "NaN", '{"scores": {"f1": NaN}}', "[" * 100000])
def test_what_is_no_card_is_refused(text):
    with pytest.raises(ManifestError, match="card"):
        parse_manifest(text, "card")


@pytest.mark.parametrize(
    "fields", [{"scores": {"f1": float("nan")}}, {"training": {"x": {1, 2}}}, {"name": "a/b"}]
)
def test_a_card_that_could_not_be_read_is_not_written(fields, tmp_path):
    with pytest.raises(ManifestError):
        write_manifest(manifest(**fields), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_readable_card(tmp_path):
    with pytest.raises(ManifestError, match="cannot read the model card"):
        read_manifest(tmp_path)
    (tmp_path / "model.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="cannot read the model card"):
        read_manifest(tmp_path)


def test_weights_must_be_those_of_the_card(tmp_path):
    card = model_folder(tmp_path)
    assert read_manifest(tmp_path) == card
    assert check_weights_file(card, tmp_path) == tmp_path / "weights.h5"
    content = (tmp_path / "weights.h5").read_bytes()
    (tmp_path / "weights.h5").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WeightsError, match=r"weights\.h5: SHA-256 is .* the model card wants"):
        check_weights_file(card, tmp_path)
    (tmp_path / "weights.h5").unlink()
    with pytest.raises(WeightsError, match="cannot read"):
        check_weights_file(card, tmp_path)


def test_a_weights_file_without_a_card_gets_one(tmp_path):
    path = tmp_path / "w model_v2.0.h5"
    path.write_bytes(b"weights")
    card = default_manifest("cnn", path)
    assert card.name == "w_model_v2.0"
    assert set(card.thresholds.values()) == {(0.95, 0.95)}
    assert parse_manifest(card.to_text(), "card").network is Network.CNN
