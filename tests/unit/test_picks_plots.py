"""Pictures: that they are drawn at all, whatever the data; how they look, people judge."""

import struct
import sys

import numpy as np
import pytest

from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.plots import plot_record, plot_window
from scperformer.types import NS_PER_S, Onset, Phase, Pick, SeedId

pytest.importorskip("matplotlib")

START_NS = 1_700_000_000 * NS_PER_S
RNG = np.random.default_rng(3)


def size(path):
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return struct.unpack(">II", head[16:])


def pick(at_s, phase=Phase.P):
    return Pick(
        START_NS + round(at_s * NS_PER_S), phase, SeedId("X", "Y", "", "HHZ"), 0.9, 0.1, 5.0,
        None, Onset.EMERGENT, 2.0, "m", "", "", 3,
    )  # fmt: skip


def test_a_record_with_everything(tmp_path):
    samples = {letter: RNG.integers(-500, 500, 30_000) for letter in "NEZ"}
    samples["Z"] = samples["Z"].astype(np.float32)
    samples["Z"][7] = np.nan
    times_ns = START_NS + np.arange(1800) * 160_000_000
    picks = [pick(at, phase) for at in range(-10, 320, 10) for phase in Phase]
    path = tmp_path / "record.png"
    plot_record(
        path, samples, start_ns=START_NS, picks=picks, title="X.Y",
        probabilities=(times_ns, RNG.random((1800, 3))), unit="counts", averaged="once",
        thresholds={Phase.P: 0.4, Phase.S: 0.6},
    )  # fmt: skip
    assert size(path) == (1200, 1000)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("samples", [np.zeros(5), np.zeros(1), np.full(200, np.nan)])
def test_poor_records_are_drawn_too(tmp_path, samples):
    plot_record(tmp_path / "a.png", {"Z": samples}, start_ns=START_NS, picks=[pick(0.01)])
    assert size(tmp_path / "a.png") == (1200, 1000)


def test_a_window(tmp_path):
    window = RNG.normal(size=(400, 3))
    plot_window(tmp_path / "w.png", window, title="P 0.99", phase=Phase.P)
    assert size(tmp_path / "w.png") == (800, 600)


def test_faults_are_told(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no samples"):
        plot_record(tmp_path / "a.png", {}, start_ns=START_NS)
    with pytest.raises(ValueError, match=r"\(3, 400\)"):
        plot_window(tmp_path / "a.png", np.zeros((3, 400)))
    with pytest.raises(OutputError, match="nowhere"):
        plot_window(tmp_path / "nowhere" / "a.png", np.zeros((400, 3)))
    with pytest.raises(ConfigurationError, match="tiff"):
        plot_window(tmp_path / "a.tiff9", np.zeros((400, 3)))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigurationError, match=r"pip install scperformer\[plot\]"):
        plot_window(tmp_path / "a.png", np.zeros((400, 3)))
    assert list(tmp_path.iterdir()) == []
