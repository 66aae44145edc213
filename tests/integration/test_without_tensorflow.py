"""Picking where TensorFlow and what comes with it are not installed."""

import csv
import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.integration.test_scan import write_mseed
from tests.synthetic import earthquakes

ABSENT = ("tensorflow", "keras", "kapre", "einops", "tf2onnx")
SAME = 1e-5
MOST_MB = 250


@pytest.fixture(scope="module")
def absent(tmp_path_factory):
    """A folder in front of all others where these packages say that they are not there."""
    folder = tmp_path_factory.mktemp("absent")
    for name in ABSENT:
        words = f"No module named {name!r}"
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError({words!r}, name={name!r})\n")
    return folder


def run(*arguments, absent=None):
    """A command in a process of its own, with TensorFlow unless it is absent."""
    paths = [*([absent] if absent else []), ROOT]
    tail = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*paths, *tail]))}
    command = [sys.executable, "-m", "scperformer", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def picks_in(path):
    with path.open() as file:
        return {row["public_id"]: float(row["probability"]) for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    write_mseed(folder / "a.mseed", earthquakes(12_000, [30.0, 70.0]))
    return folder


def test_scan_and_stream_pick_with_the_default_model(archive, absent, tmp_path):
    scanned = run("scan", archive, "--jobs", "2", "-o", tmp_path / "a.csv", absent=absent)
    assert scanned.returncode == 0, scanned.stderr
    live = tmp_path / "b.jsonl"
    state = ("--state", tmp_path / "state", "--speed", "max")
    streamed = run("stream", archive, "-o", live, *state, absent=absent)
    assert streamed.returncode == 0, streamed.stderr
    ids = {json.loads(line)["public_id"] for line in live.read_text().splitlines()}
    assert ids == set(picks_in(tmp_path / "a.csv"))
    assert len(ids) >= 2


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("scan", "{archive}", "--model-name", "performer", "-o", "{out}"), "models export"),
        (("train", "--config", ROOT / "models/cnn/train.toml", "-o", "{out}"), "not installed"),
        (("models", "export", "performer", "-o", "{out}"), "not installed"),
    ],
)
def test_what_needs_tensorflow_says_so(command, words, archive, absent, tmp_path):
    places = {"archive": archive, "out": tmp_path / "out.csv"}
    done = run(*(str(word).format(**places) for word in command), absent=absent)
    assert done.returncode == 2
    assert "pip install scperformer" in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def peak_mb(tmp_path, absent, *options):
    """Largest resident memory of a stream of a hundred stations."""
    figures = tmp_path / "bench.json"
    amounts = ("-n", "100", "--seconds", "20")
    done = run("bench", "--only", "stream", *amounts, *options, "--json", figures, absent=absent)
    assert done.returncode in (0, 1), done.stderr  # 1: a busy machine does not keep up
    (path,) = json.loads(figures.read_text())["paths"]
    return path["tries"][-1]["peak_mb"]


def test_a_hundred_stations_live_are_light(absent, tmp_path):
    assert peak_mb(tmp_path, absent) < MOST_MB


@pytest.mark.slow
@pytest.mark.shared
def test_an_exported_model_makes_the_picks_that_tensorflow_makes(shared, absent, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    model = tmp_path / "model"
    exported = run("models", "export", "performer", "-o", model)
    assert exported.returncode == 0, exported.stderr
    records = sorted((shared / "data" / "continuous" / "ridgecrest").glob("CI.TOW2.*"))
    theirs = run("scan", *records, "--model-name", "performer", "-o", tmp_path / "theirs.csv")
    ours = run("scan", *records, "--model-name", model, "-o", tmp_path / "ours.csv", absent=absent)
    assert (theirs.returncode, ours.returncode) == (0, 0), theirs.stderr + ours.stderr
    wanted = picks_in(tmp_path / "theirs.csv")
    assert len(wanted) > 5
    assert picks_in(tmp_path / "ours.csv") == pytest.approx(wanted, abs=SAME)
    assert peak_mb(tmp_path, absent, "--model-name", model) < MOST_MB
