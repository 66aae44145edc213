"""A whole training, through the command line in a process of its own."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scperformer.cli.main import main
from scperformer.networks.manifest import check_weights_file, read_manifest
from scperformer.networks.weights import read_weights
from tests.conftest import ROOT
from tests.unit.training_fakes import write_folder

CONFIG = """
[model]
name = "tiny"
title = "a test"

[[data]]
folder = "records"
picks = ["picks.csv"]
hold_out = "event"

[windows]
per_epoch = 256
near_picks = 0.7
near_phases = 0.0
noise = 0.2

[training]
epochs = 2
batch_size = 64
warmup_epochs = 0.5
threads = 2

[validation]
share = 0.2
windows = 128
"""


KEEPING_THE_FIRST_CHECKPOINT = """
import shutil, sys
from pathlib import Path
from scperformer.cli.main import main
from scperformer.training import checkpoint

save = checkpoint.save

def save_and_copy(state, path):
    save(state, path)
    if len(state.history) == 1:
        Path("again").mkdir()
        shutil.copy(path, "again")

checkpoint.save = save_and_copy
sys.exit(main(sys.argv[1:]))
"""


def run_python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def train(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run_python(folder, "-m", "scperformer", "train", *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    write_folder(folder / "records")
    (folder / "train.toml").write_text(CONFIG)
    options = ("train", "--config", "train.toml", "-o", "model")
    done = run_python(folder, "-c", KEEPING_THE_FIRST_CHECKPOINT, *options)
    assert done.returncode == 0, done.stderr
    assert "epoch 2" in done.stderr
    assert done.stdout == "model\n"
    return folder


def test_it_ends_with_a_model_folder(trained):
    folder = trained / "model"
    manifest = read_manifest(folder)
    weights = read_weights(check_weights_file(manifest, folder), "performer")
    assert manifest.name == "tiny"
    assert manifest.thresholds[3] == (0.6, 0.6)
    assert all(np.isfinite(array).all() for array in weights.values())
    assert not (folder / "checkpoint.npz").exists()
    with (folder / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])


def test_the_card_tells_how_it_was_made(trained):
    card = json.loads((trained / "model" / "model.json").read_text())
    told = card["training"]
    assert told["command"] == "scperformer train --config train.toml --out model"
    assert told["configuration"]["windows"]["per_epoch"] == 256
    (counts,) = told["data"]
    assert counts["folder"].endswith("records")
    assert counts["training_records"] + counts["validation_records"] == 8
    assert counts["validation_records"] >= 1
    assert told["seed"] == 1
    assert told["init"] == {}
    assert told["machine"]["cores"] >= 1
    assert set(card["scores"]["held_out"]) == {"NEZ", "NE", "NZ", "EZ", "N", "E", "Z"}
    n_p = int(told["picks"]["validation"].split(" P")[0])
    picks = card["scores"]["held_out_picks"]
    assert set(picks) == {"three", "two", "one"}
    assert picks["three"]["P"]["n"] == n_p > 0


def test_equal_batches_give_equal_weights_also_when_resumed(trained):
    """The second training goes on from the first one's checkpoint after an epoch."""
    done = train(trained, "--config", "train.toml", "-o", "again", "--resume")
    assert done.returncode == 0, done.stderr
    assert "resumed after epoch 1" in done.stderr
    first, second = (
        read_weights(trained / name / "weights.h5", "performer") for name in ("model", "again")
    )
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])


def test_bad_configurations_are_refused_before_anything_runs(tmp_path, capsys):
    path = tmp_path / "train.toml"
    path.write_text('[model]\nname = "x"\n[training]\nepochs = "two"\n')
    assert main(["train", "--config", str(path)]) == 2
    assert "training.epochs: got 'two'; wanted a whole number" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [path]


def test_help_does_not_load_tensorflow():
    words = "import sys; from scperformer.cli import train; print('tensorflow' in sys.modules)"
    done = run_python(ROOT, "-c", words)
    assert done.stdout == "False\n"
