"""`scperformer predict`: files of windows in, probabilities out."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from scperformer.cli.main import main
from scperformer.core.inference import classify_windows
from scperformer.datasets import prediction_files
from scperformer.networks.classifier import CompiledClassifier
from scperformer.networks.contract import Network
from scperformer.networks.weights import write_weights

from .network_fakes import manifest, model_folder, random_weights, windows

ROOT = Path(__file__).resolve().parents[2]
CONSTANT = "load_model = lambda: lambda w: __import__('numpy').tile([0.2, 0.3, 0.5], (len(w), 1))"


@pytest.fixture(scope="module")
def some():
    return windows(70, seed=4)


@pytest.fixture(scope="module")
def answers(some):
    return classify_windows(CompiledClassifier(manifest(), random_weights(Network.PERFORMER)), some)


@pytest.fixture
def constant(tmp_path):
    (tmp_path / "constant.py").write_text(CONSTANT)
    return str(tmp_path / "constant.py")


def write_windows(path, data, name="windows"):
    if path.suffix == ".npz":
        np.savez(path, **{name: data})
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset(name, data=data, chunks=True, compression="gzip")


def read_answers(path):
    if path.suffix == ".npz":
        with np.load(path) as file:
            return file["probabilities"]
    with h5py.File(path) as file:
        return file["probabilities"][()]


@pytest.mark.parametrize("files", [("w.npz", "windows", "p.h5"), ("w.h5", "X", "p.npz")])
def test_the_command(files, some, answers, tmp_path):
    source, name, target = files
    model_folder(tmp_path / "models" / "performer")
    write_windows(tmp_path / source, some, name)
    command = [sys.executable, "-m", "scperformer", "predict", source, "-o", target]
    command += ["--batch-size", "40", "--model-name", "models/performer"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "70 windows" in done.stdout
    np.testing.assert_allclose(read_answers(tmp_path / target), answers, atol=1e-5)


def test_a_weights_file_and_its_network(some, tmp_path):
    write_weights(tmp_path / "w.h5", "cnn", random_weights(Network.CNN))
    write_windows(tmp_path / "x.npz", some)
    arguments = ["predict", str(tmp_path / "x.npz"), "-o", str(tmp_path / "p.npz")]
    weights = ["--weights", str(tmp_path / "w.h5")]
    assert main([*arguments, *weights, "--cnn"]) == 0
    assert read_answers(tmp_path / "p.npz").shape == (70, 3)
    assert main([*arguments, "--model-name", "performer", "--cnn"]) == 2
    assert main([*arguments, *weights]) == 2
    assert main([*arguments, *weights, "--model-name", "performer"]) == 2


def test_windows_are_answered_by_a_model_on_windows(some, tmp_path, capsys):
    write_windows(tmp_path / "x.npz", some[:5])
    arguments = ["predict", str(tmp_path / "x.npz"), "-o", str(tmp_path / "p.npz")]
    assert main([*arguments, "--model-name", "streaming"]) == 2
    assert "streaming: a network that follows a stream" in capsys.readouterr().err
    assert not (tmp_path / "p.npz").exists()
    assert main(arguments) == 0
    assert "5 windows, model performer" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", ">f4"])
def test_custom_models_and_kinds_of_numbers(suffix, dtype, constant, tmp_path):
    source, target = tmp_path / f"w{suffix}", tmp_path / f"p{suffix}"
    write_windows(source, (1e3 * windows(5)).astype(dtype))
    assert main(["predict", str(source), "-o", str(target), "--model", constant]) == 0
    np.testing.assert_allclose(read_answers(target), np.tile([0.2, 0.3, 0.5], (5, 1)), rtol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["constant.py", source.name, target.name]
    )


def test_no_windows_give_no_probabilities(constant, tmp_path):
    write_windows(tmp_path / "w.npz", np.zeros((0, 400, 3), np.float32))
    target = tmp_path / "p.npz"
    assert main(["predict", str(tmp_path / "w.npz"), "-o", str(target), "--model", constant]) == 0
    assert read_answers(target).shape == (0, 3)


def spoilt(kind, folder):
    """Write an input that cannot be used; return its path and words of the complaint."""
    good = windows(6)
    nan = good.copy()
    nan[4, 7, 1] = np.nan
    cases = {
        "shape": ("w.npz", good[:, :399], "shape (6, 399, 3); wanted N x 400 x 3"),
        "flat": ("w.h5", good[0], "shape (400, 3)"),
        "nan": ("w.h5", nan, "window 4 has values that are not finite"),
        "huge": ("w.npz", np.full((1, 400, 3), 1e300), "window 0 has values that are not finite"),
        "text": ("w.npz", np.full((1, 400, 3), "a"), "the dataset holds <U1"),
        "object": ("w.npz", np.full((1, 400, 3), None), "cannot be read"),
    }
    name, data, words = cases[kind]
    write_windows(folder / name, data)
    return folder / name, words


@pytest.mark.parametrize("kind", ["shape", "flat", "nan", "huge", "text", "object"])
@pytest.mark.parametrize("target", ["p.npz", "p.h5"])
def test_windows_that_are_none(kind, target, constant, tmp_path, capsys):
    source, words = spoilt(kind, tmp_path)
    (tmp_path / target).write_text("old")
    out = str(tmp_path / target)
    status = main(["predict", str(source), "-o", out, "--model", constant, "--batch-size", "2"])
    assert status == 2
    text = capsys.readouterr().err
    assert words in text
    assert str(source) in text
    assert (tmp_path / target).read_text() == "old"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (("none.npz", None), "no such file"),
        (("w.txt", b"text"), "unknown suffix '.txt'"),
        (("w.npz", b"not a zip file at all"), "not a readable .npz file"),
        (("w.npz", b""), "not a readable .npz file"),
        (("w.h5", b"not an HDF5 file at all"), "not a readable .h5 file"),
    ],
)
def test_files_that_are_none(file, words, constant, tmp_path, capsys):
    name, content = file
    if content is not None:
        (tmp_path / name).write_bytes(content)
    arguments = [str(tmp_path / name), "-o", str(tmp_path / "p.npz"), "--model", constant]
    assert main(["predict", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_missing_dataset_and_a_file_cut_short(suffix, constant, tmp_path, capsys):
    path = tmp_path / f"w{suffix}"
    arguments = ["predict", str(path), "-o", str(tmp_path / "p.npz"), "--model", constant]
    write_windows(path, windows(3), "waves")
    assert main(arguments) == 2
    assert "datasets found: waves; wanted" in capsys.readouterr().err
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert main(arguments) == 2
    assert "cut short" in capsys.readouterr().err


def test_outputs_that_cannot_be(constant, tmp_path, capsys):
    write_windows(tmp_path / "w.npz", windows(3))
    for target, words in [
        ("p.txt", "unknown suffix '.txt'"),
        ("none/p.npz", "in a folder that exists"),
        ("", "unknown suffix ''"),
    ]:
        out = str(tmp_path / target)
        assert main(["predict", str(tmp_path / "w.npz"), "-o", out, "--model", constant]) == 2
        assert words in capsys.readouterr().err


def test_a_failing_write_leaves_nothing(tmp_path, monkeypatch, constant, capsys):
    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prediction_files.np, "savez", full)
    write_windows(tmp_path / "w.h5", windows(3))
    out = tmp_path / "p.npz"
    assert main(["predict", str(tmp_path / "w.h5"), "-o", str(out), "--model", constant]) == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["constant.py", "w.h5"]
