"""Pictures: that they are drawn at all, whatever the data; how they look, people judge."""

import struct
import sys

import numpy as np
import pytest

from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.plots import plot_window, record_figure, save_figure
from scperformer.picks.sections import Row, section_figure
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
    figure = record_figure(
        samples, start_ns=START_NS, picks=picks, title="X.Y",
        probabilities=(times_ns, RNG.random((1800, 3))), unit="counts", averaged="once",
        thresholds={Phase.P: 0.4, Phase.S: 0.6},
    )  # fmt: skip
    save_figure(figure, path)
    assert size(path) == (1200, 1000)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("samples", [np.zeros(5), np.zeros(1), np.full(200, np.nan)])
def test_poor_records_are_drawn_too(tmp_path, samples):
    figure = record_figure({"Z": samples}, start_ns=START_NS, picks=[pick(0.01)])
    save_figure(figure, tmp_path / "a.png")
    assert size(tmp_path / "a.png") == (1200, 1000)


def texts(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_picks_are_labelled_as_fully_as_there_is_room_for():
    samples = {"Z": np.arange(6000.0)}
    few, more, many = (
        texts(record_figure(samples, start_ns=START_NS, picks=[pick(s) for s in times]))
        for times in ([20, 40], [20, 25], [20, 21])
    )
    assert few == ["P 0.90 \u00b10.10 s"] * 2
    assert more == ["P 0.90"] * 2
    assert many == ["P"] * 2


def test_an_uncertainty_is_a_band_of_its_width():
    figure = record_figure({"Z": np.arange(600.0)}, start_ns=START_NS, picks=[pick(2.0)])
    (band,) = figure.axes[0].patches
    assert band.get_width() * 86_400 == pytest.approx(0.2)


def row(label, distance_km, at_s=(5.0, 9.0)):
    picks = [pick(s, phase) for s, phase in zip(at_s, Phase, strict=True)]
    return Row(label, RNG.normal(size=3000), START_NS, picks, distance_km)


@pytest.mark.parametrize("distances", [(3.0, 3.1, 90.0), (np.nan, 1.0, 2.0), (5.0, 5.0, 5.0)])
def test_a_section_has_every_station_and_its_labels_stand_apart(tmp_path, distances):
    rows = [row(name, distance) for name, distance in zip("ABC", distances, strict=True)]
    span = {"start_ns": START_NS, "end_ns": START_NS + 30 * NS_PER_S}
    figure = section_figure(rows, **span, origin_ns=START_NS - NS_PER_S)
    axis = figure.axes[0]
    assert sorted(texts(figure)) == list("ABC")
    heights = sorted(text.xyann[1] for text in axis.texts)
    low, high = axis.get_ylim()
    assert np.diff(heights).min() > 0.02 * (high - low)
    at_s = {line.get_xdata()[0] for line in axis.lines if len(line.get_xdata()) == 2}
    assert at_s == {6.0, 10.0}, "seconds after the origin"
    assert ("distance" in axis.get_ylabel()) == bool(np.isfinite(distances).all())
    save_figure(figure, tmp_path / "s.png")
    assert size(tmp_path / "s.png")[0] == 1100


def test_a_dead_station_is_a_line(tmp_path):
    dead = Row("D", np.full(500, np.nan), START_NS, [])
    save_figure(
        section_figure([dead], start_ns=START_NS, end_ns=START_NS + 5 * NS_PER_S),
        tmp_path / "s.png",
    )
    assert size(tmp_path / "s.png")[0] == 1100


def test_a_window(tmp_path):
    window = RNG.normal(size=(400, 3))
    plot_window(tmp_path / "w.png", window, title="P 0.99", phase=Phase.P)
    assert size(tmp_path / "w.png") == (800, 600)


def test_faults_are_told(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no samples"):
        record_figure({}, start_ns=START_NS)
    with pytest.raises(ValueError, match="no station"):
        section_figure([], start_ns=START_NS, end_ns=START_NS + NS_PER_S)
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
