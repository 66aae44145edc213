"""Bringing the authors' weights here, from a server of this test's own and from a folder."""

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

import numpy as np
import pytest

from scperformer.cli.main import main
from scperformer.errors import ConfigurationError, ModelError, OutputError, WeightsError
from scperformer.networks import fetch, registry
from scperformer.networks.contract import Network, weight_shapes
from scperformer.networks.fetch import fetch_original
from scperformer.networks.loading import load_folder
from scperformer.networks.manifest import read_manifest
from scperformer.networks.registry import ORIGINALS, Original, fetch_root, find_model
from scperformer.networks.weights import write_weights


@pytest.fixture
def served(tmp_path):
    """A folder with a weights file, and what is known of that file."""
    folder = tmp_path / "served"
    folder.mkdir()
    rng = np.random.default_rng(0)
    shapes = weight_shapes(Network.PERFORMER)
    path = folder / "theirs.h5"
    write_weights(path, "performer", {k: 0.1 * rng.standard_normal(s) for k, s in shapes.items()})
    content = path.read_bytes()
    return folder, Original(
        name="performer-v2",
        network=Network.PERFORMER,
        file=path.name,
        trained_on="nothing",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


@pytest.fixture
def server(served):
    """A web server; the first part of a path says what it does wrong."""
    folder, _ = served
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            _, how, name = self.path.split("/", 2)
            if how == "away":
                self.send_response(302)
                self.send_header("Location", f"/right/{name}")
                self.end_headers()
                return
            if how == "elsewhere":
                self.send_response(302)
                self.send_header("Location", f"file://{folder}/{name}")
                self.end_headers()
                return
            if how == "none":
                self.send_error(404)
                return
            content = (folder / name).read_bytes()
            if how == "wrong":
                content = content[:-1] + bytes([content[-1] ^ 1])
            if how == "other-size":
                content += b"more"
            self.send_response(200)
            if how != "endless":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if how == "cut":
                content = content[: len(content) // 2]
            if how == "endless":
                content = 3 * content
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", asked
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.mark.parametrize("how", ["right", "away"])
def test_the_right_file_becomes_a_model_that_loads(how, served, server, tmp_path):
    _, original = served
    heard = []
    fetched = fetch_original(
        original,
        tmp_path / "models",
        mirror=f"{server[0]}/{how}/",
        progress=lambda *numbers: heard.append(numbers),
    )
    card = read_manifest(fetched.folder)
    assert fetched.folder == tmp_path / "models" / "performer-v2"
    assert (card.name, card.weights_file) == ("performer-v2", original.file)
    assert card.weights_sha256 == fetched.sha256 == original.sha256
    assert card.thresholds[3] == (0.95, 0.95)
    assert card.training["source"] == f"{server[0]}/{how}/{original.file}"
    assert heard[-1] == (original.size_bytes, original.size_bytes)
    assert fetched.folder.stat().st_mode & 0o777 == 0o755


def test_what_was_fetched_answers_windows(served, tmp_path):
    folder, original = served
    fetched = fetch_original(original, tmp_path / "models", local=folder)
    model = load_folder(str(fetched.folder))
    assert model.classifier.sha256 == original.sha256
    assert model.classifier.name == "performer-v2"


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ("wrong", (WeightsError, "altered, cut short or is another file: not used")),
        ("cut", (ModelError, "cut short")),
        ("none", (ModelError, "HTTP 404")),
        ("elsewhere", (ModelError, "nothing was written")),
        ("other-size", (WeightsError, "bytes long; the authors' theirs.h5 has")),
        ("endless", (WeightsError, "sends more than")),
    ],
)
def test_all_else_leaves_nothing_behind(how, fault, served, server, tmp_path):
    _, original = served
    with pytest.raises(fault[0], match=fault[1]):
        fetch_original(original, tmp_path / "models", mirror=f"{server[0]}/{how}")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_server_that_is_not_there(served, tmp_path):
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9.*cannot be fetched.*--from"):
        fetch_original(served[1], tmp_path, mirror="http://127.0.0.1:9")
    for address in ("ftp://host/folder", "file:///etc", "host/folder", "http://"):
        with pytest.raises(ConfigurationError, match="--mirror"):
            fetch_original(served[1], tmp_path, mirror=address)


def test_a_file_too_slow_is_given_up(served, server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "DEADLINE_S", 0.0)
    with pytest.raises(ModelError, match="given up"):
        fetch_original(served[1], tmp_path, mirror=f"{server[0]}/right")


def test_a_local_folder_is_trusted_no_more(served, tmp_path):
    folder, original = served
    fetched = fetch_original(original, tmp_path / "models", local=folder)
    assert not fetched.was_there
    (folder / original.file).write_bytes(b"altered")
    with pytest.raises(WeightsError, match="7 bytes with the SHA-256"):
        fetch_original(original, tmp_path / "others", local=folder)
    with pytest.raises(WeightsError, match="larger than 3 bytes"):
        fetch_original(replace(original, size_bytes=3), tmp_path / "others", local=folder)
    with pytest.raises(ModelError, match="wanted the authors' file"):
        fetch_original(original, tmp_path / "others", local=tmp_path)
    assert list((tmp_path / "others").iterdir()) == []


def test_only_a_git_id_may_be_known(served, tmp_path):
    folder, original = served
    content = (folder / original.file).read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    known = replace(original, sha256="", size_bytes=0, git_blob=blob)
    assert fetch_original(known, tmp_path / "a", local=folder).sha256 == original.sha256
    with pytest.raises(WeightsError, match="git object id"):
        fetch_original(replace(known, git_blob="0" * 40), tmp_path / "b", local=folder)


def test_weights_of_another_network_are_refused_whatever_their_digest(served, tmp_path):
    folder, original = served
    with pytest.raises(WeightsError, match="cnn"):
        fetch_original(replace(original, network=Network.CNN), tmp_path, local=folder)
    assert [path.name for path in tmp_path.iterdir()] == ["served"]


def test_what_is_there_is_kept_and_what_is_damaged_repaired(served, tmp_path):
    folder, original = served
    first = fetch_original(original, tmp_path, local=folder)
    assert fetch_original(original, tmp_path, local=tmp_path / "nowhere").was_there
    (first.folder / original.file).write_bytes(b"damaged")
    assert not fetch_original(original, tmp_path, local=folder).was_there
    original.check(first.folder / original.file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["performer-v2", "served"]


def test_a_model_of_the_users_own_is_left_alone(served, tmp_path):
    folder, original = served
    mine = tmp_path / "performer-v2"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="something else of that name"):
        fetch_original(original, tmp_path, local=folder)
    assert (mine / "notes.txt").read_text() == "mine"


def test_a_place_that_cannot_be_written(served, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="no model folder can be made there"):
        fetch_original(served[1], tmp_path / "file" / "models", local=served[0])


@pytest.fixture
def home(served, tmp_path, monkeypatch):
    """A user's home; the file that is served is all that the authors have published."""
    monkeypatch.delenv("SCPERFORMER_MODELS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("SEISCOMP_ROOT", "")
    known = MappingProxyType({"performer-v2": served[1], "gpd": ORIGINALS["gpd"]})
    monkeypatch.setattr(registry, "ORIGINALS", known)
    return tmp_path


def test_the_command_fetches_into_the_users_folder(home, served, server, capsys):
    assert main(["models", "list"]) == 0
    assert "fetch NAME': performer-v2, gpd" in capsys.readouterr().err
    assert main(["models", "fetch", "performer-v2", "--mirror", f"{server[0]}/right"]) == 0
    folder = home / "data" / "scperformer" / "models" / "performer-v2"
    assert str(folder) in capsys.readouterr().out
    assert find_model("performer-v2") == folder
    assert main(["models", "verify", "performer-v2"]) == 0
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    said = capsys.readouterr()
    assert f"legacy   {folder}" in said.out
    assert "fetch NAME': gpd" in said.err


def test_verify_knows_the_authors_file(home, served, capsys):
    folder, _ = served
    assert main(["models", "fetch", "performer-v2", "--from", str(folder)]) == 0
    fetched = find_model("performer-v2")
    # An attacker who can write the weights can write the card's checksum too.
    weights = fetched / "theirs.h5"
    rng = np.random.default_rng(1)
    shapes = weight_shapes(Network.PERFORMER)
    write_weights(weights, "performer", {k: rng.standard_normal(s) for k, s in shapes.items()})
    card = (fetched / "model.json").read_text()
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    (fetched / "model.json").write_text(card.replace(served[1].sha256, digest))
    assert main(["models", "verify", "performer-v2"]) == 2
    assert "another file: not used" in capsys.readouterr().err


def test_one_of_several_may_fail(home, served, capsys):
    folder, _ = served
    assert main(["models", "fetch", "all", "--from", str(folder)]) == 1
    said = capsys.readouterr()
    assert "performer-v2: fetched" in said.out
    assert "gpd: " in said.err
    assert main(["models", "fetch", "gpd", "--from", str(folder)]) == 2
    assert main(["models", "fetch", "gdp"]) == 2
    assert "gdp: cannot be fetched; wanted performer-v2, gpd" in capsys.readouterr().err


def test_a_folder_that_is_not_searched_is_told_of(home, served, tmp_path, capsys, monkeypatch):
    command = ["models", "fetch", "performer-v2", "--from", str(served[0])]
    assert main([*command, "--into", str(tmp_path / "here")]) == 0
    assert f"set SCPERFORMER_MODELS={tmp_path / 'here'}" in capsys.readouterr().err
    monkeypatch.setenv("SCPERFORMER_MODELS", f"{tmp_path / 'here'}:{tmp_path / 'there'}")
    assert fetch_root() == tmp_path / "here"
    assert find_model("performer-v2") == tmp_path / "here" / "performer-v2"


def test_a_network_without_a_model_says_how_to_get_one(home, monkeypatch, caplog):
    with pytest.raises(ModelError, match="scperformer models fetch gpd"):
        find_model("gpd")
    monkeypatch.setattr(registry, "model_roots", lambda: [home / "models"])
    (home / "models" / "cnn-v2").mkdir(parents=True)
    (home / "models" / "cnn-v2" / "model.json").write_text("{}")
    assert find_model("cnn") == home / "models" / "cnn-v2"
    assert "'cnn-v2' serves" in caplog.text


def test_the_known_digests_are_those_of_the_shared_files(shared):
    for original in ORIGINALS.values():
        path = shared / "weights" / original.file
        if original.sha256:
            assert original.check(path) == original.sha256
            assert path.stat().st_size == original.size_bytes
        else:
            assert original.git_blob
