"""Windows from files: opening, splitting, drawing in bounded memory."""

import itertools
import subprocess
import sys

import h5py
import numpy as np
import pytest

from scperformer.datasets import window_dataset as dataset_module
from scperformer.datasets.splits import NO_SPLIT, TRAIN, VALIDATION, stretches
from scperformer.datasets.window_dataset import WindowDataset
from scperformer.datasets.window_file import Use, WindowFile
from scperformer.errors import InputError
from scperformer.training.config import TrainingConfig
from scperformer.training.data import load_data
from tests.conftest import ROOT
from tests.unit.dataset_fakes import write_windows


def numbered(n):
    """Windows that tell their number in every sample; labels P, S, noise in turn."""
    windows = np.broadcast_to(np.arange(1, n + 1)[:, None, None], (n, 400, 3)).astype(np.float32)
    return windows, np.arange(n) % 3


def open_numbered(tmp_path, n, *, split=None, name="w.h5", **options):
    return WindowFile.open(write_windows(tmp_path / name, *numbered(n), split=split, **options))


def windows_of(file, use=TRAIN, share=0.1):
    return WindowDataset([file], [file.uses(Use.SPLIT, share=share, seed=1)], use)


def numbers(batches, count):
    drawn = list(itertools.islice(batches, count))
    for batch in drawn:
        found = batch.windows[:, 0, 0].astype(int) - 1
        np.testing.assert_array_equal(batch.labels, found % 3)
    return np.concatenate([batch.windows[:, 0, 0].astype(int) - 1 for batch in drawn])


def test_a_file_that_cannot_be_used_is_left_out_and_the_rest_is_learned_from(tmp_path, caplog):
    split = np.arange(90) % 3 // 2
    write_windows(tmp_path / "good.h5", *numbered(90), split=split)
    (tmp_path / "bad.h5").write_text("no windows")
    path = tmp_path / "train.toml"
    path.write_text(
        '[model]\nname = "m"\n[windows]\nnear_phases = 0.0\n'
        '[[windows_file]]\npath = "bad.h5"\n[[windows_file]]\npath = "good.h5"\n'
    )
    data = load_data(TrainingConfig.read(path), lambda line: None)
    assert data.training.dataset.count == 60
    assert [entry["file"] for entry in data.counts] == ["good.h5"]
    assert "bad.h5: no HDF5 file" in caplog.text


@pytest.fixture
def small_groups(monkeypatch):
    monkeypatch.setattr(dataset_module, "BLOCK_WINDOWS", 8)
    monkeypatch.setattr(dataset_module, "GROUP_WINDOWS", 40)


@pytest.mark.parametrize("options", [{}, {"chunks": (5, 400, 3)}, {"chunks": (7, 100, 1)}])
def test_every_window_comes_once_before_any_comes_again(tmp_path, small_groups, options):
    split = np.arange(300) % 3 // 2  # two of three for training, one for validation
    file = open_numbered(tmp_path, 300, split=split, **options)
    mine = windows_of(file)
    assert mine.count == 200
    assert mine.class_counts == (100, 100, 0)
    drawn = numbers(mine.batches(20, seed=1), 20)
    for part in (drawn[:200], drawn[200:]):
        np.testing.assert_array_equal(np.sort(part), np.flatnonzero(split == 0))
    assert (drawn[:200] != drawn[200:]).any()
    # Neighbours in the file are not neighbours in a batch.
    assert np.median(np.abs(np.diff(drawn))) > 10
    validation = windows_of(file, VALIDATION)
    assert set(numbers(validation.batches(10, seed=1), 10)) == set(np.flatnonzero(split == 1))


@pytest.mark.parametrize("start", [0, 13, 64, 250])
def test_the_order_can_be_taken_up_anywhere(tmp_path, small_groups, start):
    mine = windows_of(open_numbered(tmp_path, 100), share=0.0)
    whole = numbers(mine.batches(1, seed=3), 300)
    later = numbers(mine.batches(1, seed=3, start=start), 40)
    np.testing.assert_array_equal(later, whole[start : start + 40])
    assert (numbers(mine.batches(1, seed=4), 300) != whole).any()


def test_balance_repeats_what_is_rare(tmp_path):
    windows, _ = numbered(300)
    labels = np.where(np.arange(300) < 200, 0, np.where(np.arange(300) < 290, 1, 2))
    file = WindowFile.open(write_windows(tmp_path / "w.h5", windows, labels))
    mine = windows_of(file, share=0.0)
    batches = list(itertools.islice(mine.batches(100, seed=1, balance=True), 6))
    counts = np.bincount(np.concatenate([batch.labels for batch in batches]), minlength=3)
    np.testing.assert_allclose(counts, 200, atol=2)


def test_several_files_are_mixed(tmp_path, small_groups):
    files = [open_numbered(tmp_path, n, name=f"{n}.h5") for n in (30, 90)]
    mine = WindowDataset(files, [np.zeros(len(f), np.int8) for f in files], TRAIN)
    drawn = numbers(mine.batches(40, seed=1), 3)
    assert mine.count == 120
    assert np.bincount(drawn).tolist() == [2] * 30 + [1] * 60


def test_a_sample_comes_from_all_over_the_file(tmp_path):
    mine = windows_of(open_numbered(tmp_path, 5000), share=0.0)
    found = mine.sample(1000, np.random.default_rng(0))
    drawn = found.windows[:, 0, 0].astype(int) - 1
    np.testing.assert_array_equal(found.labels, drawn % 3)
    assert len(drawn) == 1000
    assert np.histogram(drawn, 10, (0, 5000))[0].min() > 15
    few = windows_of(open_numbered(tmp_path, 10, name="few.h5"), share=0.0)
    some = few.sample(105, np.random.default_rng(0)).windows[:, 0, 0].astype(int)
    assert np.bincount(some)[1:].tolist() == [11] * 5 + [10] * 5


def test_the_files_own_split_is_kept(tmp_path):
    words = np.array(["train", "dev", "TEST", "fold 3"], dtype=object)
    file = open_numbered(tmp_path, 4, split=words)
    assert file.split.tolist() == [0, 1, 2, NO_SPLIT]
    assert file.uses(Use.SPLIT, share=0.5, seed=1).tolist() == [0, 1, 2, NO_SPLIT]
    assert (file.uses(Use.TRAINING, share=0.5, seed=1) == TRAIN).all()
    assert (file.uses(Use.VALIDATION, share=0.5, seed=1) == VALIDATION).all()


@pytest.mark.parametrize("n", [3, 200, 9827, 1_000_000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_stretches_are_contiguous_and_guarded(n, share):
    uses = stretches(n, share=share, seed=1)
    held = uses == VALIDATION
    assert held.mean() == pytest.approx(share, abs=0.5 / min(n, 20) + 0.01)
    begins = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(int)])) == 1)
    assert len(begins) <= 20
    if n > 1000 and share == 0.1:
        # Beside a stretch that is held out nothing is trained on.
        for begin in begins[begins > 0]:
            assert uses[begin - 1] == NO_SPLIT
        assert (uses == NO_SPLIT).mean() < 0.08
        assert (uses == TRAIN).mean() > 0.8


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 3)])
@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float32])
def test_labels_of_any_make(tmp_path, shape, kind):
    windows, labels = numbered(6)
    stored = np.eye(3)[labels] if shape[-1] == 3 else labels.reshape(shape)
    file = WindowFile.open(write_windows(tmp_path / "w.h5", windows, stored.astype(kind)))
    np.testing.assert_array_equal(file.labels, labels)


def test_whatever_is_not_a_number_is_noise(tmp_path):
    windows, labels = numbered(6)
    windows[0, 5, 1] = np.nan
    windows[3] = 0.0
    file = WindowFile.open(write_windows(tmp_path / "w.h5", windows.astype(np.float64), labels))
    (batch,) = itertools.islice(windows_of(file, share=0.0).batches(6, seed=1), 1)
    silent = ~batch.windows.any(axis=(1, 2))
    assert silent.sum() == 2
    assert (batch.labels[silent] == 2).all()
    assert batch.present.all(axis=1).sum() == 4
    assert batch.targets.dtype == np.float32


def broken(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name] = value
    return path


@pytest.mark.parametrize(
    ("datasets", "words"),
    [
        ({"Y": [0]}, "no dataset X"),
        ({"X": np.zeros((2, 400, 3))}, "no dataset Y"),
        ({"X": np.zeros((2, 300, 3)), "Y": [0, 1]}, "wanted N x 400 x 3"),
        ({"X": np.zeros((0, 400, 3)), "Y": []}, "no windows in it"),
        ({"X": np.zeros((2, 400, 3)), "Y": [0]}, r"Y has the shape \(1,\)"),
        ({"X": np.zeros((2, 400, 3)), "Y": [0, 3]}, "other values"),
        ({"X": np.zeros((2, 400, 3)), "Y": [0, 1], "split": [0]}, "split has the shape"),
        ({"X": [b"x"], "Y": [0]}, "shape"),
    ],
)
def test_files_of_another_kind_are_named(tmp_path, datasets, words):
    with pytest.raises(InputError, match=words):
        WindowFile.open(broken(tmp_path / "w.h5", **datasets))


def test_no_file_and_a_file_cut_short(tmp_path):
    with pytest.raises(InputError, match="no HDF5 file"):
        WindowFile.open(tmp_path / "none.h5")
    path = write_windows(tmp_path / "w.h5", *numbered(50))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="no HDF5 file"):
        WindowFile.open(path)
    file = open_numbered(tmp_path, 20, split=np.full(20, 2))
    with pytest.raises(InputError, match="check their split and use"):
        windows_of(file)


MEMORY = """
import sys
import h5py, numpy as np
from pathlib import Path
from scperformer.training.config import TrainingConfig
from scperformer.training.data import load_data
from scperformer.datasets.window_dataset import WindowDataset
from scperformer.datasets.window_file import WindowFile, Use
file = WindowFile.open(Path(sys.argv[1]))
uses = file.uses(Use.SPLIT, share=0.1, seed=1)
mine = WindowDataset([file], [uses], 0)
for batch, _ in zip(mine.batches(256, seed=1), range(100)):
    assert len(batch) == 256
mine.sample(2000, np.random.default_rng(1))
status = Path("/proc/self/status").read_text()
peak_kib = int(status.split("VmHWM:")[1].split()[0])
print(mine.count, peak_kib // 1024)
"""


def test_a_file_of_74_gigabytes_is_read_in_bounded_memory(tmp_path):
    """The file is sparse: nothing of it is on the disk, but all of it is drawn from."""
    n = 15_400_000
    with h5py.File(tmp_path / "large.h5", "w") as file:
        windows = file.create_dataset("X", (n, 400, 3), np.float32, fillvalue=1.0)
        file.create_dataset("Y", data=np.ones(n, np.int8))
        assert windows.dtype.itemsize * windows.size > 73e9
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "large.h5")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    count, memory_mib = map(int, done.stdout.split())
    # Labels, split and the like take 100 MiB, Python with its libraries another 100.
    assert count > 0.85 * n
    assert memory_mib < 500
