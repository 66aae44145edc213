"""From waveforms and picks to a trained model, through the command line."""

import contextlib
import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from scperformer.cli.main import main
from tests.conftest import ROOT
from tests.unit.dataset_fakes import write_seisbench
from tests.unit.training_fakes import write_folder

CONFIG = """
[model]
name = "from-windows"
[[windows_file]]
path = "windows.h5"
[windows]
per_epoch = 64
balance = true
[augmentation]
superposed = 0.2
filtered = 0.2
resampled = 0.2
clipped = 0.2
synthetic = 0.25
[training]
epochs = 1
batch_size = 32
warmup_epochs = 0.5
[validation]
windows = 64
"""


@dataclass
class Done:
    """What a command said; the attributes are those of a finished process."""

    returncode: int
    stdout: str
    stderr: str


def run(folder: Path, *words: str) -> Done:
    """Run a command as if from a shell, in this process: TensorFlow is loaded once."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), redirect_stdout(out), redirect_stderr(err):
        status = main(list(words))
    return Done(status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Done]:
    folder = tmp_path_factory.mktemp("dataset")
    write_folder(folder / "records", records=12, seconds=30)
    picks = ("--picks", "records/picks.csv")
    done = run(folder, "dataset", "records", "records", *picks, "-o", "windows.h5", "--seed", "3")
    return folder, done


def test_records_become_windows(built):
    folder, done = built
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "windows.h5"
    assert "24 picks, 12 earthquakes, 3 sensors" in done.stderr
    with h5py.File(folder / "windows.h5") as file:
        assert file["X"].shape == (36, 400, 3)
        assert np.bincount(file["Y"][()]).tolist() == [12, 12, 12]
        assert set(file["split"][()]) == {0, 1, 2}
        made = json.loads(file.attrs["made"])
    assert made["options"]["seed"] == 3
    assert made["options"]["filter"] == "BW_HP(4,2)"
    shown = run(folder, "dataset", "show", "windows.h5").stdout
    assert shown.startswith("windows.h5: 36 windows, float32, chunks of 128")
    assert shown.count("\n") == 5


def test_windows_train_a_model_whose_card_tells_of_them(built):
    folder, _ = built
    (folder / "train.toml").write_text(CONFIG)
    done = run(folder, "train", "--config", "train.toml", "-o", "model")
    assert done.returncode == 0, done.stderr
    card = json.loads((folder / "model" / "model.json").read_text())
    (counts,) = card["training"]["data"]
    assert counts["file"] == "windows.h5"
    assert counts["split"] == "the file's own"
    assert counts["training_windows"] + counts["validation_windows"] < 36
    assert card["training"]["configuration"]["windows_file"] == [
        {"path": "windows.h5", "use": "split"}
    ]
    assert card["training"]["configuration"]["augmentation"]["synthetic"] == 0.25
    assert card["thresholds"]["three"] == {"P": 0.6, "S": 0.6}
    assert card["scores"]["held_out"]["NEZ"]["windows"] > 0


def test_a_file_for_each_split_and_nothing_left_behind(built):
    folder, _ = built
    options = ("--picks", "records/picks.csv", "-o", "apart.h5", "--split-files", "-q")
    done = run(folder, "dataset", "records", "records", *options)
    assert done.returncode == 0
    assert not done.stderr
    names = [f"apart_{split}.h5" for split in ("train", "validation", "test")]
    assert done.stdout.splitlines()[-3:] == names
    assert sorted(path.name for path in folder.glob("apart*")) == sorted(names)
    assert not list(folder.glob(".*.part"))


def test_an_input_that_cannot_be_read_is_named_and_the_rest_goes_on(built):
    folder, _ = built
    options = ("--picks", "records/picks.csv", "-o", "rest.h5")
    done = run(folder, "dataset", "records", "records", "nowhere.mseed", *options)
    assert done.returncode == 1
    assert "nowhere.mseed: no such file or folder" in done.stderr
    with h5py.File(folder / "rest.h5") as file:
        assert file["X"].shape == (36, 400, 3)


def test_a_seisbench_data_set_of_noise(tmp_path):
    rows = [
        {"trace_name": f"b$0,:3,{n}:{n + 2000}", "split": "train", "trace_category": "noise"}
        for n in (0, 2000)
    ]
    block = np.random.default_rng(0).standard_normal((1, 3, 4000))
    write_seisbench(tmp_path / "noise", rows, {"b": block}, rate=100.0)
    options = ("-o", "noise.h5", "--noise-per-trace", "5")
    done = run(tmp_path, "dataset", "seisbench", "noise", *options)
    assert done.returncode == 0, done.stderr
    with h5py.File(tmp_path / "noise.h5") as file:
        assert file["Y"][()].tolist() == [2] * 10
    assert "2 traces, its own splits" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-o", "w.npz"), "unknown suffix '.npz'"),
        (("-o", "w.h5", "--split", "0.5", "0.2", "0.2"), "together 1"),
        (("-o", "w.h5", "--filter", "XX(1)"), "XX"),
        (("-o", "none/w.h5"), "cannot be written"),
        (("-o", "w.h5", "--per-pick", "0", "--jitter", "9"), "--jitter: got 9"),
    ],
)
def test_faults_are_told_before_anything_is_read(built, options, words):
    folder, _ = built
    picks = ("--picks", "records/picks.csv")
    done = run(folder, "dataset", "records", "records", *picks, *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(folder.glob("w.*"))


def test_help_loads_no_framework():
    words = "import sys; from scperformer.cli import dataset, models; "
    words += "print({'tensorflow', 'obspy', 'h5py', 'numpy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
