"""Data sets built from archives with picks and from SeisBench's layout."""

import h5py
import numpy as np
import obspy
import pytest

from scperformer.datasets import window_file
from scperformer.datasets.builders import build_from_records, build_from_seisbench
from scperformer.datasets.cutting import CutOptions, first_samples, take_windows
from scperformer.datasets.records import load_folder
from scperformer.datasets.seisbench_files import SeisBenchData, find_data_set
from scperformer.datasets.splits import SplitBy
from scperformer.datasets.window_file import LabelledWindow, SplitWriter, WindowWriter
from scperformer.errors import InputError, OutputError
from scperformer.types import Record, SeedId
from tests.unit.dataset_fakes import seisbench_rows, write_seisbench
from tests.unit.training_fakes import T0, trace, write_folder

ALL_TRAINING = CutOptions(shares=(1.0, 0.0, 0.0))


def quiet(line):
    del line


def build(inputs, picks, options=ALL_TRAINING, least_probability=0.3):
    windows = []
    account = build_from_records(
        inputs,
        picks,
        options,
        write=windows.append,
        report=quiet,
        least_probability=least_probability,
    )
    return windows, account


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """Eight earthquakes a minute apart, each at one of three stations."""
    folder = tmp_path_factory.mktemp("events") / "records"
    write_folder(folder, records=8, seconds=30)
    return folder


def test_windows_are_those_that_training_on_records_sees(events):
    """Same filter, same order of components, same samples; divided by the peak."""
    windows, account = build([events], [events / "picks.csv"])
    assert account.cut[0] == account.cut[1] == 8
    records = load_folder(events)
    for window in windows:
        (record,) = (
            r
            for r in records
            if r.station == window.station and r.start_ns <= window.time_ns < r.end_ns
        )
        centre = round((window.time_ns - record.start_ns) / 1e7)
        wanted = record.samples[centre - 200 : centre + 200]
        np.testing.assert_allclose(window.samples, wanted / np.abs(wanted).max(), atol=1e-5)
        assert np.abs(window.samples).max() == 1.0
        assert window.samples.dtype == np.float32
        assert window.n_components == 3


def test_classes_lie_at_the_centre_and_noise_away_from_picks(events):
    windows, account = build([events], [events / "picks.csv"])
    arrivals = np.array([w.time_ns for w in windows if w.label < 2])
    for window in windows:
        before, after = window.samples[150:195], window.samples[205:250]
        rise = (after**2).mean() / (before**2).mean()
        if window.label < 2:
            assert rise > 3.0
            strong = (window.samples[200:260] ** 2).mean(axis=0).argmax()
            assert (strong == 2) == (window.label == 0)
        else:
            assert np.abs(arrivals - window.time_ns).min() >= 4e9
    assert account.cut[2] == account.noise_wanted == 8
    assert not account.lines()
    assert {w.split for w in windows} == {0}
    assert len({w.event for w in windows}) == 8
    assert {w.trace for w in windows} == {f"XX.ST{n}..HH" for n in range(3)}


def test_the_seed_decides_and_the_order_of_stations_does_not(events, tmp_path):
    options = CutOptions(jitter_s=0.2, per_pick=2, seed=5)
    first, _ = build([events], [events / "picks.csv"], options)
    again, _ = build([events], [events / "picks.csv"], options)
    assert [w.time_ns for w in first] == [w.time_ns for w in again]
    other, _ = build([events], [events / "picks.csv"], CutOptions(jitter_s=0.2, per_pick=2, seed=6))
    assert [w.time_ns for w in first] != [w.time_ns for w in other]
    alone, _ = build(sorted(events.glob("*.mseed"))[::-1], [events / "picks.csv"], options)
    assert [w.time_ns for w in first] == [w.time_ns for w in alone]
    shifts = np.array([w.shift_samples for w in first if w.label < 2])
    assert 0 < np.abs(shifts).max() <= 20


@pytest.mark.parametrize("by", [SplitBy.EVENT, SplitBy.STATION])
def test_earthquakes_and_stations_are_not_divided(tmp_path, by):
    folder = tmp_path / "records"
    write_folder(folder, records=12, seconds=30)
    options = CutOptions(split_by=by, shares=(0.5, 0.25, 0.25))
    windows, _ = build([folder], [folder / "picks.csv"], options)
    assert {w.split for w in windows} == {0, 1, 2}
    units = {}
    for window in windows:
        unit = window.event if by is SplitBy.EVENT else window.station
        assert units.setdefault(unit, window.split) == window.split


def test_both_leaves_out_what_disagrees(tmp_path):
    folder = tmp_path / "records"
    write_folder(folder, records=12, seconds=30)
    options = CutOptions(split_by=SplitBy.BOTH, shares=(0.4, 0.3, 0.3))
    windows, account = build([folder], [folder / "picks.csv"], options)
    assert account.undivided > 0
    assert len(windows) + account.undivided == 12 * 3
    assert "different splits" in account.lines()[0]


@pytest.mark.filterwarnings("ignore:Format .SC3ML")
def test_catalogues_of_any_format_and_their_event_names(events, tmp_path):
    catalogue = obspy.core.event.Catalog()
    for number in range(8):
        start = T0 + 60 * number
        event = obspy.core.event.Event(resource_id=f"smi:local/quake{number}")
        origin = obspy.core.event.Origin(time=start)
        for phase, hint, second in (("P", "Pg", 13.5), ("S", None, 16.5)):
            pick = obspy.core.event.Pick(
                time=start + second,
                phase_hint=hint,
                waveform_id=obspy.core.event.WaveformStreamID("XX", f"ST{number % 3}", "", "HHZ"),
            )
            event.picks.append(pick)
            origin.arrivals.append(obspy.core.event.Arrival(pick_id=pick.resource_id, phase=phase))
        event.origins.append(origin)
        catalogue.append(event)
    catalogue.write(str(tmp_path / "events.qml"), format="QUAKEML")
    catalogue.write(str(tmp_path / "events.scml"), format="SC3ML")
    by_csv, _ = build([events], [events / "picks.csv"])
    names = {f"smi:local/quake{number}" for number in range(8)}
    for name in ("events.qml", "events.scml"):
        found, _ = build([events], [tmp_path / name])
        assert [(w.time_ns, w.label) for w in found] == [(w.time_ns, w.label) for w in by_csv]
        assert {w.event for w in found if w.label < 2} == names
    # The same arrivals a little later in a second file add nothing.
    late = tmp_path / "late.csv"
    rows = ["network,station,phase,time,probability"]
    rows += [f"XX,ST{n % 3},P,{T0 + 60 * n + 13.7},0.9" for n in range(8)]
    rows += [f"XX,ST0,P,{T0 + 5},0.1"]
    late.write_text("\n".join(rows) + "\n")
    both, _ = build([events], [events / "picks.csv", late])
    assert [w.time_ns for w in both] == [w.time_ns for w in by_csv]


def test_gaps_and_missing_components(tmp_path):
    rng = np.random.default_rng(0)
    n = 4000
    samples = 100 * rng.standard_normal((3, n))
    vertical = trace(samples[2], "AAA.HHZ", T0)
    north = trace(samples[0][:2000], "AAA.HHN", T0)
    obspy.Stream([vertical, north]).write(str(tmp_path / "a.mseed"), format="MSEED")
    gappy = trace(samples[1][:1000], "BBB.HHZ", T0), trace(samples[1][1100:], "BBB.HHZ", T0 + 11)
    obspy.Stream(list(gappy)).write(str(tmp_path / "b.mseed"), format="MSEED")
    rows = ["network,station,phase,time"]
    rows += [f"XX,AAA,P,{T0 + s}" for s in (10, 30)]
    rows += [f"XX,BBB,S,{T0 + s}" for s in (5, 9.5, 20)]
    (tmp_path / "picks.csv").write_text("\n".join(rows) + "\n")
    options = CutOptions(shares=(1.0, 0.0, 0.0), noise_per_pick=0.0)
    windows, account = build([tmp_path], [tmp_path / "picks.csv"], options)
    found = [(w.station, (w.time_ns - T0.ns) / 1e9, w.n_components) for w in windows]
    assert found == [("XX.AAA", 10, 2), ("XX.AAA", 30, 1), ("XX.BBB", 5, 1), ("XX.BBB", 20, 1)]
    assert not windows[0].samples[:, 1].any()
    assert not windows[1].samples[:, :2].any()
    assert "1 windows not cut" in account.lines()[0]
    options = CutOptions(shares=(1.0, 0.0, 0.0), noise_per_pick=0.0, all_components=True)
    _, account = build([tmp_path], [tmp_path / "picks.csv"], options)
    assert account.incomplete == 4


def test_picks_without_waveforms_are_an_error_that_names_both(events, tmp_path):
    other = tmp_path / "picks.csv"
    other.write_text("network,station,phase,time\nYY,ELSE,P,2024-01-01T00:00:13Z\n")
    with pytest.raises(InputError, match=r"YY\.ELSE.*XX\.ST0"):
        build([events], [other])
    other.write_text("network,station,phase,time,probability\nXX,ST0,P,2024-01-01,0.5\n")
    with pytest.raises(InputError, match=r"probability 0\.9 or more"):
        build([events], [other], least_probability=0.9)
    with pytest.raises(InputError, match="no waveforms"):
        build([tmp_path / "none"], [events / "picks.csv"])


def test_windows_over_many_records_are_those_of_the_whole_stream():
    """An hour in records of 10 s; most windows lie across two of them or across a block."""
    rng = np.random.default_rng(0)
    seed_id = SeedId("XX", "AAA", "", "HHZ")
    held = []

    def records():
        for number in range(360):
            held.append(Record(seed_id, number * 10**10, 100.0, rng.standard_normal(1000)))
            yield held[-1]

    times = np.arange(5, 3595, 7) * 10**9
    taken = list(take_windows(records(), [seed_id], first_samples(times), filter_text=""))
    assert [item.number for item in taken] == list(range(len(times)))
    whole = np.concatenate([record.samples for record in held])
    for item in taken[::50]:
        first = round(times[item.number] / 1e7) - 200
        wanted = whole[first : first + 400]
        np.testing.assert_allclose(item.samples[:, 2], wanted / np.abs(wanted).max(), atol=1e-6)


# --- SeisBench


def from_seisbench(folder, options=ALL_TRAINING):
    windows = []
    account = build_from_seisbench(folder, options, write=windows.append, report=quiet)
    return windows, account


@pytest.mark.parametrize("rate_hz", [100.0, 40.0, 200.0])
def test_a_seisbench_data_set_keeps_its_splits(tmp_path, rate_hz):
    rows, block = seisbench_rows(18, rate_hz)
    write_seisbench(tmp_path / "data", rows, {"bucket0": block})
    windows, account = from_seisbench(tmp_path / "data")
    assert not account.unusable
    # 12 earthquakes with P, S and a window of noise each, 6 traces of noise.
    assert np.bincount([w.label for w in windows]).tolist() == [12, 12, 18]
    for window in windows:
        number = int(window.trace.split("$")[1].split(",")[0])
        assert window.split == number % 6 // 2
        assert window.station == f"XX.S{number % 4}"
        assert window.n_components == 3
        if window.label < 2:
            assert window.event == f"quake{number // 6}"
            second = (window.time_ns - round(number * 60e9) - 500_000_000) / 1e9 % 86400
            assert second == pytest.approx((20, 26)[window.label], abs=0.006)
            strong = (window.samples[200:240] ** 2).mean(axis=0).argmax()
            assert (strong == 2) == (window.label == 0)


def test_names_orders_and_rates_of_all_kinds(tmp_path):
    """No blocks, samples first, numbered horizontals, rate in the file, several chunks."""
    rows, block = seisbench_rows(6)
    for row in rows:
        del row["trace_sampling_rate_hz"]
    for chunk, chosen in (("_a", range(3)), ("_b", range(3, 6))):
        arrays = {f"t{number}": block[number].T for number in chosen}
        own = [{**rows[number], "trace_name": f"t{number}"} for number in chosen]
        write_seisbench(
            tmp_path / "data", own, arrays, chunk=chunk, order="Z12", dimensions="WC", rate=100.0
        )
    (tmp_path / "data" / "chunks").write_text("_b\n_a\n")
    windows, account = from_seisbench(tmp_path / "data")
    assert not account.unusable
    assert windows[0].trace == "t3"
    plain = tmp_path / "plain"
    write_seisbench(plain, seisbench_rows(6)[0], {"bucket0": block})
    wanted, _ = from_seisbench(plain)
    key = {(w.time_ns, w.label): w.samples for w in wanted if w.label < 2}
    for window in windows:
        if window.label < 2:
            np.testing.assert_array_equal(window.samples, key[window.time_ns, window.label])


def test_a_byte_order_mark_changes_nothing(tmp_path):
    rows, block = seisbench_rows(6)
    folder = write_seisbench(tmp_path / "data", rows, {"bucket0": block})
    plain, _ = from_seisbench(folder)
    table = folder / "metadata.csv"
    table.write_text(table.read_text(encoding="utf-8"), encoding="utf-8-sig")
    (folder / "chunks").write_text("\n", encoding="utf-8-sig")
    marked, account = from_seisbench(folder)
    assert not account.unusable
    assert [(w.trace, w.label) for w in marked] == [(w.trace, w.label) for w in plain]


def test_a_data_set_without_splits_is_divided(tmp_path):
    rows, block = seisbench_rows(48, split=False)
    folder = write_seisbench(tmp_path / "data", rows, {"bucket0": block})
    windows, _ = from_seisbench(folder, CutOptions(shares=(0.5, 0.25, 0.25)))
    assert {w.split for w in windows} == {0, 1, 2}
    splits = {}
    for window in windows:
        if window.label < 2:
            assert splits.setdefault(window.event, window.split) == window.split


def test_what_cannot_be_used_of_a_data_set_is_told(tmp_path):
    rows, block = seisbench_rows(6)
    rows[0]["trace_name"] = "bucket7$0,:3,:6000"
    rows[1]["trace_sampling_rate_hz"] = 1.0
    rows[3]["trace_name"] = "bucket0$99,:3,:6000"
    rows[4]["trace_component_order"] = "ABC"
    block[5, 1:] = np.nan
    folder = write_seisbench(tmp_path / "data", rows, {"bucket0": block})
    windows, account = from_seisbench(folder)
    assert account.n_unusable == 4
    assert "1 Hz; wanted 20 to 500 Hz" in "".join(account.unusable)
    assert {w.trace for w in windows} == {rows[2]["trace_name"], rows[5]["trace_name"]}
    assert {w.n_components for w in windows} == {3, 1}


def test_where_data_sets_are_looked_for(tmp_path, monkeypatch):
    rows, block = seisbench_rows(3)
    monkeypatch.setenv("SEISBENCH_CACHE_ROOT", str(tmp_path))
    folder = write_seisbench(tmp_path / "datasets" / "ethz", rows, {"bucket0": block})
    assert find_data_set("ETHZ") == folder
    assert find_data_set(str(folder)) == folder
    with pytest.raises(InputError, match="no metadata"):
        SeisBenchData(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "seisbench.data", None)
    with pytest.raises(InputError, match=r"pip install 'scperformer\[seisbench\]'"):
        find_data_set("STEAD")


def test_a_name_is_downloaded_by_seisbench_if_it_is_there(tmp_path, monkeypatch):
    class Tiny:
        path = tmp_path

    class Module:
        STEAD = Tiny

    monkeypatch.setenv("SEISBENCH_CACHE_ROOT", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "seisbench", Module)
    monkeypatch.setitem(__import__("sys").modules, "seisbench.data", Module)
    assert find_data_set("STEAD") == tmp_path
    with pytest.raises(InputError, match="SeisBench has no data set of that name"):
        find_data_set("SATED")


# --- writing


def window(number, split=0):
    return LabelledWindow(
        samples=np.full((400, 3), number, np.float32),
        label=number % 3,
        split=split,
        event=f"e{number}",
        station="XX.Ä",
        trace="t",
        n_components=3,
        time_ns=number,
        shift_samples=-number % 7,
    )


def test_files_grow_and_appear_when_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(window_file, "_WAITING_WINDOWS", 10)
    path = tmp_path / "w.h5"
    with WindowWriter(path, {"seed": 1}) as writer:
        for number in range(35):
            writer.write(window(number))
        assert not path.exists()
    assert list(tmp_path.iterdir()) == [path]
    with h5py.File(path) as file:
        assert file["X"].shape == (35, 400, 3)
        assert file["X"].chunks[0] == 128
        np.testing.assert_array_equal(file["X"][:, 0, 0], np.arange(35))
        np.testing.assert_array_equal(file["Y"], np.arange(35) % 3)
        np.testing.assert_array_equal(file["time_ns"], np.arange(35))
        assert file["event"].asstr()[34] == "e34"
        assert file["station"].asstr()[0] == "XX.Ä"
        assert file["shift_samples"][3] == -3 % 7
        assert '"seed": 1' in file.attrs["made"]


def test_a_failure_leaves_nothing(tmp_path):
    writer = WindowWriter(tmp_path / "w.h5", {})
    writer.write(window(1))
    writer.__exit__(KeyError, KeyError("stop"), None)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match="cannot be written"):
        WindowWriter(tmp_path / "none" / "w.h5", {})


def test_a_file_for_each_split(tmp_path):
    with SplitWriter(tmp_path / "w.h5", {}, apart=True) as writer:
        for number in range(10):
            writer.write(window(number, split=number % 2 * 2))
        assert writer.counts[0, 0] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w_test.h5", "w_train.h5"]
    with h5py.File(tmp_path / "w_test.h5") as file:
        assert file["X"].shape[0] == 5
