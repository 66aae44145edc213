import numpy as np
import obspy
import pytest

from scperformer.datasets.labels import (
    away_from,
    label_targets,
    place_labels,
    read_labels,
)
from scperformer.datasets.records import load_folder
from scperformer.datasets.windows import Centres, WindowBank, anywhere, around, grid
from scperformer.errors import InputError
from scperformer.training.config import DataFolder
from scperformer.training.data import load_records
from scperformer.types import NS_PER_S, Phase, Pick, SeedId
from tests.unit.training_fakes import T0, record, trace


def write(folder, name, *traces):
    obspy.Stream(list(traces)).write(str(folder / name), format="MSEED")


def label(station, phase, time_ns, probability=1.0):
    return Pick(time_ns, phase, SeedId("XX", station, "", ""), probability)


def noise(n, seed=0, offset=0.0):
    return 100 * np.random.default_rng(seed).standard_normal(n) + offset


def test_one_file_a_record_comes_in_the_networks_order(tmp_path):
    parts = {c: noise(1000, i) for i, c in enumerate("ZNE")}
    write(tmp_path, "a.mseed", *(trace(x, f"AAA.HH{c}", T0) for c, x in parts.items()))
    (tmp_path / "picks.csv").write_text("not a waveform")
    (found,) = load_folder(tmp_path)
    assert found.station == "XX.AAA"
    assert found.start_ns == T0.ns
    assert found.samples.shape == (1000, 3)
    assert found.samples.dtype == np.float32
    assert found.present == (True, True, True)
    for column, letter in enumerate("NEZ"):
        # Away from the start the 2 Hz high-pass keeps most of white noise.
        similarity = np.corrcoef(found.samples[200:, column], parts[letter][200:])[0, 1]
        assert similarity > 0.8


def test_the_filter_is_primed_on_the_first_sample(tmp_path):
    write(tmp_path, "a.mseed", trace(noise(1000, offset=1e6), "AAA.HHZ", T0))
    (found,) = load_folder(tmp_path)
    assert np.abs(found.samples[:100, 2]).max() < 1000


def test_single_component_files_of_one_sensor_are_brought_together(tmp_path):
    for i, letter in enumerate("Z12"):
        write(tmp_path, f"{letter}.mseed", trace(noise(2000, i), f"AAA.EH{letter}", T0 + i))
    write(tmp_path, "other.mseed", trace(noise(900), "BBB.HHZ", T0))
    both, lone = load_folder(tmp_path)
    assert both.present == (True, True, True)
    assert both.start_ns == (T0 + 2).ns
    assert len(both.samples) == 1800
    assert lone.present == (False, False, True)
    assert not lone.samples[:, :2].any()


def test_dead_components_count_as_missing(tmp_path):
    write(
        tmp_path,
        "a.mseed",
        trace(noise(1000), "AAA.HHZ", T0),
        trace(np.full(1000, 7.0), "AAA.HHN", T0),
        trace(noise(1000, 2), "AAA.HHE", T0),
    )
    (found,) = load_folder(tmp_path)
    assert found.present == (False, True, True)


def test_gaps_split_records(tmp_path):
    write(
        tmp_path,
        "a.mseed",
        *(trace(noise(1000), f"AAA.HH{c}", T0) for c in "NEZ"),
        *(trace(noise(1000), f"AAA.HH{c}", T0 + 11) for c in "NEZ"),
    )
    assert [len(found.samples) for found in load_folder(tmp_path)] == [1000, 1000]


def test_other_rates_are_resampled_without_aliases(tmp_path):
    time_s = np.arange(4000) / 200.0
    low, high = np.sin(2 * np.pi * 10 * time_s), np.sin(2 * np.pi * 90 * time_s)
    write(tmp_path, "a.mseed", trace(1000 * (low + high), "AAA.HHZ", T0, 200.0))
    (found,) = load_folder(tmp_path)
    assert len(found.samples) == pytest.approx(2000, abs=2)
    spectrum = np.abs(np.fft.rfft(found.samples[500:1500, 2]))
    assert spectrum.argmax() == 100
    # 90 Hz would come back as 10 Hz at full height: the amplitude tells them apart.
    assert found.samples[500:1500, 2].max() == pytest.approx(1000, rel=0.05)


def test_useless_files_are_left_out_and_an_empty_folder_is_an_error(tmp_path, caplog):
    (tmp_path / "broken.mseed").write_bytes(b"nothing")
    bad = noise(1000)
    bad[5] = np.nan
    write(tmp_path, "nan.mseed", trace(bad, "BAD.HHZ", T0))
    write(tmp_path, "slow.mseed", trace(noise(1000), "AAA.LHZ", T0, 1.0))
    write(tmp_path, "short.mseed", trace(noise(399), "CUT.HHZ", T0))
    with pytest.raises(InputError, match="no usable record"):
        load_folder(tmp_path)
    assert "broken.mseed" in caplog.text
    with pytest.raises(InputError, match="no such folder"):
        load_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("letters", ["Z", "NEZ"])
def test_a_change_of_rate_within_a_file_splits_the_record(tmp_path, letters):
    write(
        tmp_path,
        "a.mseed",
        *(trace(noise(1000, i), f"AAA.HH{c}", T0) for i, c in enumerate(letters)),
        *(trace(noise(3000, i), f"AAA.HH{c}", T0 + 10, 200.0) for i, c in enumerate(letters)),
    )
    write(tmp_path, "b.mseed", trace(noise(700), "BBB.HHZ", T0))
    first, second, other = load_folder(tmp_path)
    assert len(first.samples) == 1000
    assert len(second.samples) == pytest.approx(1500, abs=2)
    assert second.start_ns >= first.end_ns
    assert first.present == second.present == (len(letters) > 1, len(letters) > 1, True)
    assert other.station == "XX.BBB"


@pytest.mark.filterwarnings("ignore:File will be written with more than one")
def test_text_beside_samples_is_named_and_left_out(tmp_path, caplog):
    text = obspy.Trace(np.frombuffer(b"clock locked" * 40, dtype="|S1"))
    text.stats.update({"network": "XX", "station": "AAA", "channel": "LOG"})
    obspy.Stream([trace(noise(1000), "AAA.HHZ", T0), text]).write(
        str(tmp_path / "a.mseed"), format="MSEED"
    )
    (found,) = load_folder(tmp_path)
    assert len(found.samples) == 1000
    assert "XX.AAA..LOG left out" in caplog.text


def test_windows_are_cut_around_their_centres():
    bank = WindowBank([record(n=500), record("BBB", n=600, seed=1)])
    windows = bank.cut(Centres(np.array([1, 0]), np.array([250, 200])))
    assert np.array_equal(windows[0], bank.records[1].samples[50:450])
    assert np.array_equal(windows[1], bank.records[0].samples[:400])
    with pytest.raises(IndexError):
        bank.cut(Centres(np.array([0]), np.array([301])))


def test_centres_stay_inside_their_records():
    bank = WindowBank([record(n=400), record("BBB", n=1000)])
    rng = np.random.default_rng(0)
    everywhere = grid(bank, step_samples=50)
    assert len(everywhere) == 1 + 13
    drawn = anywhere(bank, 5000, rng)
    near = around(bank, everywhere, 5000, rng, shift_samples=300)
    for centres in (everywhere, drawn, near):
        assert bank.contains(centres).all()
    assert np.bincount(drawn.record)[0] == pytest.approx(5000 / 602, abs=15)
    assert set(drawn.sample[drawn.record == 1]) == set(range(200, 801))


def test_weighted_drawing_follows_the_weights():
    bank = WindowBank([record(n=1000)])
    centres = Centres(np.zeros(2, int), np.array([300, 600]))
    drawn = around(
        bank,
        centres,
        4000,
        np.random.default_rng(0),
        shift_samples=10,
        weights=np.array([1.0, 3.0]),
    )
    assert np.mean(drawn.sample > 450) == pytest.approx(0.75, abs=0.03)
    assert np.abs(drawn.sample - np.where(drawn.sample > 450, 600, 300)).max() == 10


def test_too_short_or_no_records_are_refused():
    with pytest.raises(InputError, match="399 samples"):
        WindowBank([record(n=399)])
    with pytest.raises(InputError, match="no records"):
        WindowBank([])


def test_both_layouts_of_picks_are_read(tmp_path):
    one, other = tmp_path / "picks.csv", tmp_path / "eqcct.csv"
    one.write_text(
        "file,network,station,p_time,s_time,label_origin\n"
        "a,XX,AAA,2024-01-01T00:00:05.5Z,,automatic\n"
        "a,XX,BBB,2024-01-01T00:00:05Z,2024-01-01T00:00:07Z,automatic\n"
    )
    other.write_text(
        "file,network,station,phase,time,probability\n"
        "a,XX,AAA,S,2024-01-01T00:00:09Z,0.4\na,XX,AAA,P,2024-01-01T00:00:08Z,0.2\n"
    )
    assert [(x.station, x.phase) for x in read_labels(one)] == [
        ("XX.AAA", "P"),
        ("XX.BBB", "P"),
        ("XX.BBB", "S"),
    ]
    assert read_labels(one)[0].time_ns == (T0 + 5.5).ns
    (kept,) = read_labels(other, threshold=0.3)
    assert (kept.station, kept.phase) == ("XX.AAA", Phase.S)
    assert (kept.time_ns, kept.probability) == ((T0 + 9).ns, 0.4)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a,b\n1,2\n", "columns found: a, b; wanted CSV"),
        ("network,station,phase,time\nXX,A,P,yesterday\n", "line 2"),
    ],
)
def test_bad_tables_are_named_with_their_line(tmp_path, text, fault):
    path = tmp_path / "picks.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=fault):
        read_labels(path)


def test_crustal_phases_count_by_their_first_letter_and_others_are_counted(tmp_path, caplog):
    path = tmp_path / "picks.csv"
    names = ["Pg", "Pn", "Sn", "Sg", "P*", "PmP", "iP", "s", "PKP", "PKP", "pP", "ScS", ""]
    rows = "".join(f"XX,AAA,{name},2024-01-01T00:00:0{i % 10}Z\n" for i, name in enumerate(names))
    path.write_text("network,station,phase,time\n" + rows, encoding="utf-8-sig")
    assert [label.phase for label in read_labels(path)] == list("PPSSPPPS")
    assert "5 picks of other phases than P and S left out: PKP 2, pP 1, ScS 1, unnamed 1" in (
        caplog.text
    )


def load(folder):
    return load_records([folder], share=0.0, seed=1, report=lambda line: None)


def test_a_folder_with_a_bad_table_is_named_and_left_out(tmp_path, caplog):
    write(tmp_path, "a.mseed", trace(noise(1000), "AAA.HHZ", T0))
    (tmp_path / "good.csv").write_text("network,station,phase,time\nXX,AAA,Pg,2024-01-01\n")
    (tmp_path / "bad.csv").write_text("network,station,phase,time\nXX,AAA,P,yesterday\n")
    good = DataFolder(folder=tmp_path, picks=("good.csv",))
    found = load(good)
    assert (len(found.training), len(found.labels)) == (1, 1)
    bad = DataFolder(folder=tmp_path, picks=("good.csv", "bad.csv"))
    found = load(bad)
    assert (found.training, found.labels) == ((), ())
    assert f"{tmp_path.name}: the folder is left out" in caplog.text
    assert "bad.csv, line 2" in caplog.text


def test_labels_find_their_records_by_station_and_time():
    bank = WindowBank([record("AAA"), record("AAA", start_s=20.0), record("BBB")])
    inside = label("AAA", Phase.S, T0.ns + round(25.004 * NS_PER_S))
    at_the_edge = label("BBB", Phase.P, T0.ns + NS_PER_S)
    found = place_labels(bank, [inside, at_the_edge])
    assert found.centres.record.tolist() == [0, 1]
    assert found.centres.sample.tolist() == [2500, 500]
    assert found.classes.tolist() == [1, 1]


def test_targets_from_labels_by_hand():
    bank = WindowBank([record(n=3000)])
    labels = [
        label("AAA", phase, T0.ns + at * NS_PER_S) for phase, at in ((Phase.P, 10), (Phase.S, 12))
    ]
    arrivals = place_labels(bank, labels)
    centres = Centres(np.zeros(4, int), np.array([1000, 1010, 1200, 2000]))
    targets = label_targets(bank, centres, arrivals, width_s=0.1)
    half = np.exp(-0.5)
    wanted = [[1, 0, 0], [half, 0, 1 - half], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(targets, wanted, atol=1e-6)
    far = away_from(bank, centres, arrivals, distance_s=4.0)
    assert far.tolist() == [False, False, False, True]


def test_close_labels_share_the_target():
    bank = WindowBank([record(n=3000)])
    labels = [label("AAA", phase, T0.ns + 10 * NS_PER_S) for phase in Phase]
    arrivals = place_labels(bank, labels)
    centres = Centres(np.zeros(1, int), np.array([1000]))
    targets = label_targets(bank, centres, arrivals, width_s=0.1)
    np.testing.assert_allclose(targets, [[0.5, 0.5, 0.0]], atol=1e-6)
