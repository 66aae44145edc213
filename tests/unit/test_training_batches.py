"""Batches of records, of windows from files and of both, with all of the augmentation."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from scperformer.errors import ConfigurationError
from scperformer.training.batches import BatchMaker, find_places
from scperformer.training.config import TrainingConfig
from scperformer.training.data import load_data
from tests.unit.dataset_fakes import examples, write_windows
from tests.unit.training_fakes import write_folder

RECORDS = '[[data]]\nfolder = "records"\npicks = ["picks.csv"]\n'
FILE = '[[windows_file]]\npath = "windows.h5"\n'
EVERYTHING = """
[augmentation]
superposed = 0.3
filtered = 0.3
resampled = 0.3
clipped = 0.3
synthetic = 0.25
"""
COMMON = """
[model]
name = "tiny"
[windows]
per_epoch = 256
near_picks = 0.5
near_phases = 0.0
noise = 0.25
{windows}
[training]
batch_size = 64
[validation]
share = 0.2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    write_folder(folder / "records", records=8, seconds=30)
    windows, labels = examples(600)
    write_windows(folder / "windows.h5", windows, labels, split=np.arange(600) % 5 // 4)
    write_windows(folder / "plain.h5", windows.astype(np.float64), labels)
    return folder


def load(folder, data, *, windows="", more=""):
    path = folder / "train.toml"
    path.write_text(COMMON.format(windows=windows) + more + data)
    config = TrainingConfig.read(path)
    told = []
    loaded = load_data(config, told.append)
    places = find_places(loaded.training, loaded.training_picks, None, config)
    return loaded, BatchMaker(loaded.training, places, config), told


def epoch(maker, number):
    """The four batches of an epoch."""
    return list(itertools.islice(maker.batches(4 * (number - 1)), 4))


def test_files_alone(folder):
    loaded, maker, told = load(folder, FILE)
    (counts,) = loaded.counts
    assert counts["training_windows"] == 480
    assert counts["validation_windows"] == 120
    assert counts["training_P"] == counts["training_noise"] == 160
    assert counts["split"] == "the file's own"
    assert any("480 windows for training" in line for line in told)
    batches = epoch(maker, 1)
    assert [len(batch.windows) for batch in batches] == [64] * 4
    labels = np.concatenate([batch.labels for batch in batches])
    assert set(labels.max(axis=1)) == {1.0}
    assert labels.sum(axis=0).min() > 60
    assert all(batch.present.all() for batch in batches)
    assert not all(batch.keep.all() for batch in batches)


def test_files_and_records_share_a_batch(folder):
    loaded, maker, _ = load(folder, RECORDS + FILE, windows="from_files = 0.25")
    assert [name for counts in loaded.counts for name in ("folder", "file") if name in counts] == [
        "folder",
        "file",
    ]
    (batch, *_) = epoch(maker, 1)
    # Windows of files are normalised, those of records are in counts.
    peaks = np.abs(batch.windows).max(axis=(1, 2))
    assert (peaks[:48] > 50).all()
    assert (peaks[48:] < 50).all()


@pytest.mark.parametrize("data", [RECORDS, FILE, RECORDS + FILE], ids=["records", "file", "both"])
@pytest.mark.parametrize("more", ["", EVERYTHING], ids=["little", "everything"])
def test_a_batch_depends_on_seed_epoch_and_number_alone(folder, data, more):
    _, maker, _ = load(folder, data, more=more)
    _, again, _ = load(folder, data, more=more)
    first = epoch(maker, 1) + epoch(maker, 2)
    second = epoch(again, 2)
    for batch, same in zip(first[4:], second, strict=True):
        for name in ("windows", "present", "keep", "labels"):
            np.testing.assert_array_equal(getattr(batch, name), getattr(same, name))
    assert (first[0].windows != first[4].windows).any()


@pytest.mark.parametrize("data", [RECORDS, FILE], ids=["records", "file"])
def test_all_of_the_augmentation_at_once(folder, data):
    _, maker, _ = load(folder, data, more=EVERYTHING)
    for batch in epoch(maker, 1):
        assert batch.windows.shape == (64, 400, 3)
        assert batch.windows.dtype == np.float32
        assert np.isfinite(batch.windows).all()
        np.testing.assert_allclose(batch.labels.sum(axis=1), 1.0, atol=1e-6)
        assert (batch.keep <= batch.present).all()


@pytest.mark.parametrize("spliced", [0.0, 1.0])
@pytest.mark.parametrize("data", [RECORDS, FILE], ids=["records", "file"])
def test_synthetic_events_take_their_share(folder, data, spliced):
    """P and S of synthetic windows have a label; those of noise in the file have none."""
    more = f"[augmentation]\nsynthetic = 0.5\nsynthetic_spliced = {spliced}\nmixing = 0.0\n"
    more += "rotation = 0.0\npolarity = 0.0\ngain_db = 0.0\n"
    _, maker, _ = load(folder, data, windows="pick_shift_s = 0.0", more=more)
    batches = epoch(maker, 1)
    synthetic = np.concatenate([batch.windows[32:] for batch in batches])
    labels = np.concatenate([batch.labels[32:] for batch in batches])
    assert len(synthetic) == 128
    assert labels[:, 0].mean() > 0.2
    assert labels[:, 1].mean() > 0.2
    for phase in (0, 1):
        own = synthetic[labels[:, phase] > 0.99]
        # The strongest of a quarter of a second before and after the onset.
        rise = np.abs(own[:, 200:225]).max(axis=(1, 2)) / np.abs(own[:, 170:195]).max(axis=(1, 2))
        assert np.median(rise) > 1.5


def test_a_second_earthquake_keeps_away_from_the_centre(folder):
    more = "[augmentation]\nsuperposed = 1.0\nsuperposed_db = [20, 20]\nmixing = 0.0\n"
    more += "rotation = 0.0\npolarity = 0.0\ngain_db = 0.0\n"
    _, maker, _ = load(folder, FILE, more=more)
    _, plain, _ = load(folder, FILE, more=more.replace("superposed = 1.0", "superposed = 0.0"))
    for both, alone in zip(epoch(maker, 1), epoch(plain, 1), strict=True):
        np.testing.assert_array_equal(both.labels, alone.labels)
        added = np.abs(both.windows - alone.windows).max(axis=2)
        peak = np.abs(alone.windows).max(axis=(1, 2))
        onset = (added > 3.0 * peak[:, None]).argmax(axis=1)
        assert np.median(added.max(axis=1) / peak) == pytest.approx(10.0, rel=0.01)
        assert (np.abs(onset - 200) >= 70).all()


def test_a_file_without_split_is_divided_by_stretches(folder):
    data = FILE.replace("windows.h5", "plain.h5")
    loaded, maker, _ = load(folder, data)
    (counts,) = loaded.counts
    assert counts["split"].startswith("none in the file; contiguous stretches")
    assert 90 < counts["validation_windows"] < 150
    assert counts["unused_windows"] > 0
    batch = maker.unchanged(700, np.random.default_rng(1))
    assert len(batch.windows) == 700


def test_files_may_be_for_one_thing_each(folder):
    other = FILE.replace("windows.h5", "plain.h5")
    both = FILE + 'use = "training"\n' + other + 'use = "validation"\n'
    loaded, _, _ = load(folder, both)
    assert loaded.counts[0]["training_windows"] == 600
    assert loaded.counts[1]["validation_windows"] == 600
    with pytest.raises(ConfigurationError, match="nothing is left for validation"):
        load(folder, FILE + 'use = "training"\n')


def test_balance_is_asked_for(folder):
    windows, labels = examples(600)
    rare = np.where(np.arange(600) < 30, labels, 2)
    write_windows(folder / "rare.h5", windows, rare, split=np.arange(600) % 5 // 4)
    data = FILE.replace("windows.h5", "rare.h5")
    shares = []
    for text in ("balance = false", "balance = true"):
        _, maker, _ = load(folder, data, windows=text)
        shares.append(np.mean([batch.labels.mean(axis=0) for batch in epoch(maker, 1)], axis=0))
    assert shares[0][0] < 0.05
    np.testing.assert_allclose(shares[1], 1 / 3, atol=0.08)
