"""Records for training from data sets in SeisBench's layout."""

import numpy as np
import obspy
import pytest

from scperformer.datasets.records import load_folder
from scperformer.datasets.seisbench_records import load_data_set
from scperformer.errors import ConfigurationError, InputError
from scperformer.training.config import DataFolder, TrainingConfig
from scperformer.training.data import load_records
from scperformer.training.streaming_config import StreamingConfig
from scperformer.types import NS_PER_S, parse_time
from tests.unit.dataset_fakes import seisbench_rows, write_seisbench
from tests.unit.training_fakes import trace

START_NS = parse_time("2020-01-01T00:00:00.5")


@pytest.fixture
def data_set(tmp_path):
    rows, block = seisbench_rows(18)
    return write_seisbench(tmp_path / "etna" / "set", rows, {"bucket0": block})


def load(folder, lines=None, **settings):
    folders = [DataFolder(folder=folder, **settings)]
    report = (lines if lines is not None else []).append
    return load_records(folders, share=0.4, seed=1, report=report)


@pytest.mark.parametrize("rate_hz", [100.0, 40.0])
def test_a_trace_becomes_the_record_that_a_file_of_it_becomes(tmp_path, rate_hz):
    rows, block = seisbench_rows(3, rate_hz)
    folder = write_seisbench(tmp_path / "set", rows, {"bucket0": block})
    found = load_data_set(folder, filter_id="BW_HP(4,1)")
    files = tmp_path / "files"
    files.mkdir()
    for row, samples in zip(rows, block, strict=True):
        start = obspy.UTCDateTime(row["trace_start_time"])
        stream = obspy.Stream(
            trace(own, f"{row['station_code']}.HH{letter}", start, rate_hz)
            for letter, own in zip("ZNE", samples, strict=True)
        )
        stream.write(str(files / f"{row['station_code']}.mseed"), format="MSEED")
    for own, wanted in zip(found.records, load_folder(files, filter_id="BW_HP(4,1)"), strict=True):
        assert (own.sensor_id, own.start_ns) == (wanted.sensor_id, wanted.start_ns)
        assert own.present == wanted.present == (True, True, True)
        np.testing.assert_array_equal(own.samples, wanted.samples)
    assert [(r.event, r.split) for r in found.records] == [
        ("quake0", "train"),
        ("quake0", "train"),
        ("", "dev"),
    ]
    assert [(p.station, p.phase, p.time_ns - START_NS) for p in found.picks] == [
        (f"XX.S{n}", phase, (60 * n + at) * NS_PER_S)
        for n in range(2)
        for phase, at in (("P", 20), ("S", 26))
    ]


def test_the_arrivals_of_the_table_are_the_labels(data_set):
    lines = []
    found = load(data_set, lines, hold_out="none")
    assert lines == ["etna/set: 18 records, 0.3 h, 12 P, 12 S, 0 doubtful"]
    assert len(found.training) == 18
    for item in found.training:
        quiet = not item.record.event
        assert item.marks.sample.tolist() == ([] if quiet else [2000.0, 2600.0])


def test_further_picks_count_neither_for_nor_against(data_set):
    (data_set / "picks.csv").write_text(
        "network,station,phase,time\nXX,S0,P,2020-01-01T00:00:40\nXX,S0,P,2020-01-01T00:00:20.6\n"
    )
    found = load(data_set, hold_out="none", picks=("picks.csv",))
    first = min((r for r in found.training if r.record.station == "XX.S0"), key=_start)
    assert first.marks.sample.tolist() == [2000.0, 2600.0, 3950.0]
    assert first.marks.sure.tolist() == [True, True, False]


def _start(item):
    return item.record.start_ns


def test_whole_earthquakes_of_the_table_are_held_out(data_set):
    found = load(data_set)
    held = {item.record.event for item in found.validation}
    assert held
    assert not held & {item.record.event for item in found.training if item.record.event}


def test_the_data_set_s_own_split_is_kept(data_set):
    found = load(data_set, hold_out="split")
    assert {item.record.split for item in found.training} == {"train"}
    assert {item.record.split for item in found.validation} == {"dev"}
    (counts,) = found.counts
    assert [counts[f"{use}_records"] for use in ("training", "validation", "unused")] == [6, 6, 6]


def test_traces_of_unknown_time_are_nobody_else_s(tmp_path):
    rows, block = seisbench_rows(6, split=False)
    for row in rows:
        row["trace_start_time"] = ""
        row["source_id"] = ""
        row["station_code"] = "S0"
    rows[1]["trace_S_arrival_sample"] = ""
    folder = write_seisbench(tmp_path / "set", rows, {"bucket0": block})
    found = load(folder)
    marks = sorted(item.marks.sample.tolist() for item in (*found.training, *found.validation))
    assert marks == [[], [], [2000.0], *([[2000.0, 2600.0]] * 3)]
    assert 0 < len(found.validation) < 4


def test_what_cannot_be_used_is_named_and_left_out(tmp_path, caplog):
    rows, block = seisbench_rows(6)
    rows[0]["trace_name"] = "bucket7$0,:3,:6000"
    rows[1]["trace_sampling_rate_hz"] = 1.0
    block[2] = np.nan
    folder = write_seisbench(tmp_path / "set", rows, {"bucket0": block})
    write_seisbench(folder, rows, {"bucket0": block}, chunk="_lost")
    (folder / "waveforms_lost.hdf5").write_bytes(b"nothing")
    found = load_data_set(folder)
    assert len(found.records) == 3
    assert len(found.picks) == 4
    assert "bucket7$0,:3,:6000: cannot be read" in caplog.text
    assert "1 Hz; wanted 20 to 500 Hz" in caplog.text
    assert caplog.text.count("waveforms_lost.hdf5") == 1
    for row in rows:
        row["trace_name"] = "none"
    with pytest.raises(InputError, match="no usable trace"):
        load_data_set(write_seisbench(tmp_path / "bad", rows, {"bucket0": block}))


WINDOWS = """
[model]
name = "tiny"
[[data]]
folder = "set"
hold_out = "split"
[windows]
near_phases = 0.0
"""
STREAMING = """
[model]
name = "tiny"
network = "streaming"
[[data]]
folder = "set"
hold_out = "split"
[streaming]
"""


@pytest.mark.parametrize(
    ("kind", "text"), [(TrainingConfig, WINDOWS), (StreamingConfig, STREAMING)]
)
def test_a_configuration_may_name_a_data_set_without_picks(tmp_path, kind, text):
    rows, block = seisbench_rows(6)
    folder = write_seisbench(tmp_path / "set", rows, {"bucket0": block})
    (tmp_path / "train.toml").write_text(text)
    config = kind.read(tmp_path / "train.toml")
    assert config.data[0].folder == folder
    for row in rows:
        del row["split"]
    write_seisbench(tmp_path / "set", rows, {"bucket0": block})
    with pytest.raises(ConfigurationError, match="column split"):
        kind.read(tmp_path / "train.toml")
