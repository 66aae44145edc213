"""`scperformer evaluate` through the real command line and real files."""

import csv
import io
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import h5py
import numpy as np
import obspy
import pytest

from scperformer.cli.main import main
from scperformer.networks.registry import DEFAULT_MODEL, WINDOW_MODEL
from scperformer.picks.pick_files import open_sink
from scperformer.types import NS_PER_S, Phase, Pick, SeedId, format_time
from tests.synthetic import LETTERS, START_NS, earthquakes
from tests.unit.dataset_fakes import write_seisbench

# P where the vertical rises at the window's centre, S where a horizontal does.
LOADER = """
import numpy as np

class Rise:
    def predict(self, windows):
        energy = (windows.astype(float) ** 2).reshape(len(windows), 8, 50, 3).sum(axis=2) + 1e-6
        rise = np.log(energy[:, 4] / energy[:, 3])
        p = 1 / (1 + np.exp(LIMIT - rise[:, 2]))
        s = (1 - p) / (1 + np.exp(LIMIT - rise[:, :2].max(axis=1)))
        return np.stack([p, s, 1 - p - s], axis=1).astype("f4")

def load_model(limit="3"):
    global LIMIT
    LIMIT = float(limit)
    return Rise()
"""


def evaluate(*arguments, plots=False):
    arguments = [*arguments, *([] if plots else ["--no-plots"])]
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main(["evaluate", *map(str, arguments)])
    except SystemExit as stopped:
        status = stopped.code
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    path = tmp_path_factory.mktemp("loader") / "rise.py"
    path.write_text(LOADER)
    return path


def write_mseed(path, waveform, *, station, start_ns=START_NS, letters=LETTERS):
    stream = obspy.Stream()
    for letter, trace in zip(LETTERS, waveform, strict=True):
        if letter in letters:
            header = {
                "network": "XX",
                "station": station,
                "channel": f"HH{letter}",
                "sampling_rate": 100.0,
                "starttime": obspy.UTCDateTime(ns=start_ns),
            }
            stream.append(obspy.Trace(np.asarray(trace, np.int32), header))
    stream.write(str(path), format="MSEED")


def seconds_in(value_s):
    return format_time(START_NS + round(value_s * NS_PER_S))


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Six records with P at 20 s and S at 25 s; two verticals alone; one P not labelled."""
    folder = tmp_path_factory.mktemp("data") / "records"
    folder.mkdir()
    rows = []
    for number in range(6):
        station = f"R{number}"
        waveform = earthquakes(6000, [20.0], seed=number)
        letters = "Z" if number >= 4 else LETTERS
        write_mseed(folder / f"{station}.mseed", waveform, station=station, letters=letters)
        p = "" if number == 0 else seconds_in(20.0)
        rows.append(f"{station}.mseed,XX,{station},{p},{seconds_in(25.0)},synthetic")
    header = "file,network,station,p_time,s_time,label_origin\n"
    (folder / "picks.csv").write_text(header + "\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def report(records, loader, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    done = evaluate(
        records,
        *("--model", f"rise={loader}", "--loader-argv", "limit=3"),
        *("--draws", 100, "-o", out),
        plots=True,
    )
    assert done.returncode == 0, done.stderr
    return done, out, json.loads((out / "report.json").read_text())


class TestRecords:
    def test_every_labelled_p_is_found_and_the_unlabelled_one_is_unknown(self, report):
        picker = report[2]["pickers"][0]
        best = picker["scores"]["all"]["P"]["best"]
        assert (best["labels"], best["hits"], best["false"], best["unknown"]) == (5, 5, 0, 1)
        assert best["precision"] == best["f1"] == 1.0
        assert best["precision_strict"] == pytest.approx(5 / 6, abs=1e-6)
        assert best["residuals"]["median_absolute_s"] < 0.05
        assert best["intervals_95"]["recall"] == [1.0, 1.0]
        assert best["decision_delay_s"]["median"] > 1.0

    def test_components_are_scored_apart(self, report):
        scores = report[2]["pickers"][0]["scores"]
        assert [scores[name]["S"]["best"]["labels"] for name in ("all", "three", "fewer")] == [
            6,
            4,
            2,
        ]
        assert scores["three"]["S"]["best"]["recall"] == 1.0
        assert scores["fewer"]["S"]["best"]["recall"] == 0.0

    def test_the_folder_holds_everything(self, report):
        done, out, _ = report
        for name in ("precision_recall.png", "residuals.png", "reliability.png"):
            assert (out / name).read_bytes().startswith(b"\x89PNG")
        text = (out / "report.md").read_text()
        assert text.count("![") == 3
        for word in ("# Evaluation of picks", "strict", "rise", "Residuals", "per station-hour"):
            assert word in text
        assert "rise" in done.stdout
        assert "NaN" not in (out / "report.json").read_text()

    def test_the_report_says_whether_probabilities_are_true(self, report):
        _, out, values = report
        own = values["pickers"][0]["scores"]["all"]["P"]
        found, curve = own["reliability"], own["curve"]
        columns = ("picks", "share_right", "mean_probability")
        counted = curve["hits"][0] + curve["false"][0]
        assert sum(found["picks"]) == counted
        tenths = [row for row in zip(*map(found.get, columns), strict=True) if row[0]]
        assert sum(n * share for n, share, _ in tenths) == pytest.approx(curve["hits"][0], abs=1e-3)
        distances = [abs(share - mean) for n, share, mean in tenths if n >= 100]
        worst = found["largest_distance_points"]
        assert worst == pytest.approx(100.0 * max(distances), abs=1e-3)
        text = (out / "report.md").read_text()
        assert "Are the probabilities true?" in text
        assert f"| rise | all | P | {worst:.1f} |" in text
        rows = [line for line in text.splitlines() if line.startswith("| rise | P | ")]
        (last,) = [line for line in rows if "0.9 to 1.0" in line]
        n, share = found["picks"][-1], found["share_right"][-1]
        low, high = (found["share_right_95"][end][-1] for end in ("low", "high"))
        assert f"| {n} |" in last
        assert f"| {share:.3f} ({low:.3f} to {high:.3f}) |" in last
        assert ("fewer than 10" in last) == (n < 10)

    def test_the_picks_score_the_same_when_they_come_back_from_a_file(
        self, records, report, tmp_path
    ):
        out = report[1]
        done = evaluate(
            records, "--no-model", "--picks", f"again={out / 'picks_rise.csv'}", "-o", tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert not list(tmp_path.glob("*.png"))
        assert "![" not in (tmp_path / "report.md").read_text()
        again = json.loads((tmp_path / "report.json").read_text())["pickers"][0]
        for phase in "PS":
            one = report[2]["pickers"][0]["scores"]["all"][phase]
            other = again["scores"]["all"][phase]
            assert other["curve"] == one["curve"]
            for key in ("residuals", "polarities"):
                assert other["best"][key] == one["best"][key]

    def test_the_same_picks_as_a_scan(self, records, report, loader, tmp_path):
        """One record through `scan`, at the floor of the evaluation."""
        path = tmp_path / "scan.csv"
        arguments = ["--model", str(loader), "--loader-argv", "limit=3"]
        arguments += ["--threshold", "0.05", "-o", str(path)]
        assert main(["scan", str(records / "R1.mseed"), *arguments]) == 0
        with path.open() as file:
            scanned = {row["public_id"]: row["probability"] for row in csv.DictReader(file)}
        with (report[1] / "picks_rise.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["file"] == "R1.mseed"]
        assert {row["public_id"]: row["probability"] for row in rows} == scanned
        assert len(scanned) >= 2

    def test_pickers_side_by_side_are_compared_on_the_same_draws(
        self, records, report, loader, tmp_path
    ):
        done = evaluate(
            records,
            "--model",
            loader,
            "--picks",
            f"again={report[1] / 'picks_rise.csv'}",
            "--draws",
            50,
            "-o",
            tmp_path,
        )
        assert done.returncode == 0, done.stderr
        values = json.loads((tmp_path / "report.json").read_text())
        assert [picker["name"] for picker in values["pickers"]] == ["rise", "again"]
        rows = [row for row in values["differences"] if row["at"] == "best"]
        assert {(row["stratum"], row["phase"]) for row in rows} >= {("all", "P"), ("three", "S")}
        row = next(row for row in rows if (row["stratum"], row["phase"]) == ("all", "P"))
        assert row["intervals_95"]["f1"] == {"low": 0.0, "high": 0.0}
        assert "Differences" in (tmp_path / "report.md").read_text()

    def test_thresholds_of_the_command_line_take_the_place_of_the_card_s(
        self, records, loader, tmp_path
    ):
        done = evaluate(
            records, "--model", loader, "--threshold", "p: 0.999999, s: 0.1", "-o", tmp_path
        )
        assert done.returncode == 0, done.stderr
        scores = json.loads((tmp_path / "report.json").read_text())["pickers"][0]["scores"]
        assert scores["all"]["P"]["recommended"]["hits"] == 0
        assert scores["all"]["P"]["best"]["hits"] == 5
        assert scores["three"]["S"]["recommended"]["hits"] == 4

    def test_the_default_model_finds_what_stands_out(self, records, tmp_path):
        done = evaluate(records, "--draws", 0, "-o", tmp_path)
        assert done.returncode == 0, done.stderr
        (picker,) = json.loads((tmp_path / "report.json").read_text())["pickers"]
        assert picker["name"] == DEFAULT_MODEL
        assert picker["scores"]["all"]["P"]["best"]["recall"] >= 0.6

    def test_another_shift_needs_a_model_on_windows(self, records, tmp_path):
        options = ("--shift", 10, "--draws", 0, "-o", tmp_path)
        done = evaluate(records, *options)
        assert done.returncode == 2
        assert "--shift: got 10; streaming works at 16 alone" in done.stderr
        assert evaluate(records, "--model-name", WINDOW_MODEL, *options).returncode == 0

    def test_a_record_that_is_missing_is_told(self, records, loader, tmp_path):
        folder = tmp_path / "records"
        shutil.copytree(records, folder)
        (folder / "R3.mseed").unlink()
        done = evaluate(folder, "--model", loader, "-o", tmp_path / "out")
        assert done.returncode == 1
        assert "R3.mseed: no such file" in done.stderr
        assert json.loads((tmp_path / "out" / "report.json").read_text())["labels_outside"] == 2


DEAD = "bucket0$9,:3,:6000"


def trace_row(number, place, **more):
    """The record R`number` as a trace that lies at a place of the block."""
    return {
        "trace_name": f"bucket0${place},:3,:6000",
        "trace_start_time": seconds_in(0.0),
        "station_network_code": "XX",
        "station_code": f"R{number}",
        "trace_channel": "HH",
        "source_id": "quake",
        "trace_Pg_arrival_sample": "" if number == 0 else 2000,
        "trace_S_arrival_sample": 2500.0,
        "trace_PKP_arrival_sample": 3000,
        "split": ("train", "dev", "test")[number // 2],
        **more,
    }


@pytest.fixture(scope="module")
def data_set(tmp_path_factory):
    """The six records as traces in two chunks, the last two with Z alone; and a lost trace."""
    folder = tmp_path_factory.mktemp("seisbench") / "records"
    block = np.stack([earthquakes(6000, [20.0], seed=number) for number in range(6)])
    block[4:, :2] = 7.0
    for chunk, numbers in (("_a", (0, 2, 4)), ("_b", (5, 3, 1))):
        rows = [trace_row(number, place) for place, number in enumerate(numbers)]
        rows += [trace_row(1, 9)] if chunk == "_b" else []
        blocks = {"bucket0": block[list(numbers)].astype("f4")}
        write_seisbench(folder, rows, blocks, chunk=chunk, order="NEZ", rate=100.0)
    return folder


class TestSeisBench:
    def test_traces_score_as_the_same_records_in_files(self, data_set, report, loader, tmp_path):
        arguments = ("--model", f"rise={loader}", "--loader-argv", "limit=3", "--draws", 0)
        done = evaluate(data_set, *arguments, "--split", "all", "-o", tmp_path)
        assert done.returncode == 1
        assert f"trace {DEAD}: cannot be read" in done.stderr
        assert done.stderr.count("cannot be read") == 1
        values = json.loads((tmp_path / "report.json").read_text())
        (data,) = values["data"]
        assert (data["form"], data["streams"], data["split"]) == ("records", 6, "all")
        assert data["components"] == {"0": 0, "1": 2, "2": 0, "3": 4}
        assert data["labels"] == {"P": 5, "S": 6}
        assert values["labels_outside"] == 2
        own, wanted = values["pickers"][0]["scores"], report[2]["pickers"][0]["scores"]
        for stratum in ("all", "three", "fewer"):
            for phase in "PS":
                assert own[stratum][phase]["curve"] == wanted[stratum][phase]["curve"]
                assert own[stratum][phase]["reliability"] == wanted[stratum][phase]["reliability"]
                for key in ("residuals", "decision_delay_s", "polarities"):
                    assert own[stratum][phase]["best"][key] == wanted[stratum][phase]["best"][key]
        with (tmp_path / "picks_rise.csv").open() as file:
            picks = {row["file"]: row["station"] for row in csv.DictReader(file)}
        assert picks["_b/bucket0$1,:3,:6000"] == "R3"

    def test_the_picks_of_a_file_find_their_traces_again(self, data_set, loader, tmp_path):
        first, again = tmp_path / "first", tmp_path / "again"
        options = ("--split", "all", "--draws", 0)
        evaluate(data_set, "--model", f"rise={loader}", *options, "-o", first)
        table = f"rise={first / 'picks_rise.csv'}"
        evaluate(data_set, "--no-model", "--picks", table, *options, "-o", again)
        one, other = (
            json.loads((out / "report.json").read_text())["pickers"][0]["scores"]["all"]
            for out in (first, again)
        )
        assert one["P"]["curve"] == other["P"]["curve"]
        assert one["P"]["best"]["hits"] == 5

    @pytest.mark.parametrize(("split", "n_p"), [(None, 2), ("validation", 2), ("train", 1)])
    def test_the_test_traces_count_unless_others_are_asked_for(
        self, data_set, loader, tmp_path, split, n_p
    ):
        options = ("--split", split) if split else ()
        done = evaluate(data_set, *options, "--model", loader, "--draws", 0, "-o", tmp_path)
        assert done.returncode == (split == "train"), done.stderr
        assert ("its test traces count; --split all" in done.stderr) == (split is None)
        (data,) = json.loads((tmp_path / "report.json").read_text())["data"]
        assert (data["split"], data["streams"]) == (split or "test", 2)
        assert data["labels"] == {"P": n_p, "S": 2}

    def test_a_data_set_with_neither_splits_nor_times(self, loader, tmp_path):
        block = np.stack([earthquakes(6000, [20.0], seed=number) for number in range(3)])
        rows = [trace_row(1, n, trace_start_time="", source_id="", split="") for n in range(3)]
        folder = write_seisbench(tmp_path / "bare", rows, {"bucket0": block}, order="NEZ", rate=100)
        out = tmp_path / "out"
        done = evaluate(folder, "--model", loader, "--draws", 10, "-o", out)
        assert done.returncode == 0, done.stderr
        values = json.loads((out / "report.json").read_text())
        assert values["bootstrap_groups"] == 3
        best = values["pickers"][0]["scores"]["all"]["P"]["best"]
        assert (best["labels"], best["hits"], best["false"]) == (3, 3, 0)
        done = evaluate(folder, "--model", loader, "--split", "train", "-o", out)
        assert done.returncode == 2
        assert "no train traces in it; say --split all" in done.stderr

    def test_labels_of_a_file_take_the_place_of_the_table_s(self, data_set, loader, tmp_path):
        path, out = tmp_path / "labels.csv", tmp_path / "out"
        path.write_text(f"network,station,phase,time\nXX,R4,P,{seconds_in(20.0)}\n")
        done = evaluate(data_set, "--labels", path, "--model", loader, "--draws", 0, "-o", out)
        assert done.returncode == 0, done.stderr
        values = json.loads((out / "report.json").read_text())
        assert values["data"][0]["labels"] == {"P": 1, "S": 0}
        assert values["pickers"][0]["scores"]["all"]["P"]["best"]["hits"] == 1

    def test_beside_a_folder_of_records(self, data_set, records, loader, tmp_path):
        out = tmp_path / "out"
        done = evaluate(data_set, records, "--model", loader, "--draws", 0, "-o", out)
        assert done.returncode == 0, done.stderr
        data = json.loads((out / "report.json").read_text())["data"]
        assert [(row["split"], row["labels"]["P"]) for row in data] == [("test", 2), ("all", 5)]

    def test_many_traces_that_cannot_be_read_are_counted(self, loader, tmp_path):
        block = earthquakes(6000, [20.0])[None]
        rows = [trace_row(1, place, split="") for place in range(25)]
        folder = write_seisbench(tmp_path / "set", rows, {"bucket0": block}, order="NEZ", rate=100)
        lost = write_seisbench(folder, rows[:3], {"bucket0": block}, chunk="_c", rate=100)
        (lost / "waveforms_c.hdf5").write_bytes(b"nothing")
        out = tmp_path / "out"
        done = evaluate(folder, "--model", loader, "--draws", 0, "-o", out)
        assert done.returncode == 1
        assert done.stderr.count("trace bucket0$") == 10
        assert f"{folder}: 17 more traces cannot be read" in done.stderr
        values = json.loads((out / "report.json").read_text())
        assert (values["data"][0]["streams"], values["labels_outside"]) == (1, 54)

    def test_a_data_set_of_which_nothing_can_be_read(self, loader, tmp_path):
        folder = write_seisbench(tmp_path / "set", [trace_row(1, 0)], {}, rate=100)
        done = evaluate(folder, "--model", loader, "-o", tmp_path / "out")
        assert done.returncode == 2
        assert "none of its traces can be used" in done.stderr


def station_xml(path):
    stations = "".join(
        f'<Station code="{code}"><Latitude>{latitude}</Latitude>'
        "<Longitude>10.0</Longitude></Station>"
        for code, latitude in (("C0", 40.0), ("C1", 40.1), ("C2", 45.0))
    )
    path.write_text(
        '<FDSNStationXML xmlns="http://www.fdsn.org/xml/station/1">'
        f'<Network code="XX">{stations}</Network></FDSNStationXML>'
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two neighbours and a far station; one earthquake at all, one at the first alone."""
    folder = tmp_path_factory.mktemp("continuous") / "archive"
    folder.mkdir()
    times = {"C0": [60.0, 200.0], "C1": [62.0], "C2": [80.0]}
    rows = []
    for seed, (station, p_times) in enumerate(times.items()):
        write_mseed(
            folder / f"{station}.mseed", earthquakes(30000, p_times, seed=seed), station=station
        )
        first = p_times[0]
        rows.append(f"e1,XX,{station},{seconds_in(first)},{seconds_in(first + 5.0)}")
    (folder / "picks_automatic.csv").write_text(
        "event_time,network,station,p_time,s_time\n" + "\n".join(rows) + "\n"
    )
    station_xml(folder / "stations.xml")
    return folder


class TestContinuous:
    def test_support_and_catalogue(self, archive, loader, tmp_path):
        done = evaluate(archive, "--model", loader, "--threshold", "0.7", "-o", tmp_path)
        assert done.returncode == 0, done.stderr
        values = json.loads((tmp_path / "report.json").read_text())
        assert values["data"][0]["form"] == "continuous"
        picker = values["pickers"][0]
        support = picker["support"]["recommended"]
        assert (support["judged"], support["unsupported"]) == (6, 2)
        assert support["stations_left_out"] == ["XX.C2"]
        found = {(row["station"], row["phase"]) for row in picker["catalogue"]}
        assert found == {(f"XX.C{n}", phase) for n in range(3) for phase in "PS"}
        assert all(row["residual_s"] is not None for row in picker["catalogue"])
        counts = picker["scores"]["all"]["P"]["recommended"]
        assert (counts["hits"], counts["false"], counts["unknown"]) == (3, 0, 1)
        text = (tmp_path / "report.md").read_text()
        assert "| e1 | P | 3 of 3 |" in text
        assert "no other station supports" in text

    def test_labels_of_any_format(self, archive, loader, tmp_path):
        path = tmp_path / "labels.scml"
        labels = [
            Pick(
                time_ns=START_NS + 60 * NS_PER_S,
                phase=Phase.P,
                seed_id=SeedId("XX", "C0", "", "HHZ"),
                model="analyst",
            )
        ]
        with open_sink(path) as sink:
            sink.write(labels)
        out = tmp_path / "out"
        done = evaluate(archive, "--labels", path, "--model", loader, "--draws", 0, "-o", out)
        assert done.returncode == 0, done.stderr
        scores = json.loads((out / "report.json").read_text())["pickers"][0]["scores"]
        best = scores["all"]["P"]["best"]
        assert (best["labels"], best["hits"]) == (1, 1)
        assert best["intervals_95"] == {}


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """Windows with a rise on Z (P), on N (S) or none."""
    rng = np.random.default_rng(0)
    truth = np.arange(300) % 3
    samples = rng.normal(size=(300, 400, 3))
    samples[truth == 0, 200:, 2] *= 20
    samples[truth == 1, 200:, 0] *= 20
    path = tmp_path_factory.mktemp("windows") / "data.h5"
    with h5py.File(path, "w") as file:
        file["X"] = samples.astype("f4")
        file["Y"] = truth
    return path, truth


class TestWindows:
    def test_scores_and_the_original_s_table(self, windows, loader, tmp_path):
        path, truth = windows
        done = evaluate(
            path,
            *("--model", f"rise={loader}", "--batch-size", 64, "--draws", 50, "-o", tmp_path),
            plots=True,
        )
        assert done.returncode == 0, done.stderr
        values = json.loads((tmp_path / "report.json").read_text())
        (model,) = values["models"]
        with (tmp_path / "windows_rise.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0]) == ["Y_true", "Y_pred", "Y_score"]
        assert [int(row["Y_true"]) for row in rows] == truth.tolist()
        right = np.mean([row["Y_true"] == row["Y_pred"] for row in rows])
        assert model["accuracy"] == pytest.approx(right)
        assert right > 0.95
        assert all(1 / 3 <= float(row["Y_score"]) <= 1 for row in rows)
        assert np.sum(model["confusion"]) == 300
        assert model["classes"]["P"]["average_precision"] > 0.99
        for name in ("precision_recall.png", "reliability.png", "confusion.png"):
            assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert "Brier" in (tmp_path / "report.md").read_text()

    def test_models_side_by_side(self, windows, loader, tmp_path):
        done = evaluate(
            windows[0], "--model", f"a={loader}", "--model", f"b={loader}", "-o", tmp_path
        )
        assert done.returncode == 0, done.stderr
        values = json.loads((tmp_path / "report.json").read_text())
        assert values["differences"] == [
            {"models": ["a", "b"], "accuracy": [0.0, 0.0], "macro_f1": [0.0, 0.0]}
        ]

    def test_the_default_is_a_model_on_windows(self, windows, tmp_path):
        options = (windows[0], "--draws", 0, "-o", tmp_path)
        assert evaluate(*options).returncode == 0
        (model,) = json.loads((tmp_path / "report.json").read_text())["models"]
        assert model["name"] == WINDOW_MODEL
        done = evaluate(*options, "--model-name", DEFAULT_MODEL)
        assert done.returncode == 2
        assert "cannot answer windows on their own" in done.stderr

    def test_of_a_file_with_splits_the_test_windows_count(self, windows, loader, tmp_path):
        path = tmp_path / "split.h5"
        shutil.copy(windows[0], path)
        with h5py.File(path, "a") as file:
            file["split"] = np.repeat([0, 1, 2], 100)
        out = tmp_path / "out"
        for options, n in (([], 100), (["--split", "all"], 300), (["--split", "train"], 100)):
            done = evaluate(path, *options, "--model", loader, "--draws", 0, "-o", out)
            assert done.returncode == 0, done.stderr
            report = json.loads((out / "report.json").read_text())
            assert report["models"][0]["windows"] == n


class TestFaults:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nowhere"], "nowhere: no such folder"),
            ([".", "--split", "test"], "no test records in it; say --split all"),
            (["--no-model", "."], "nothing to score"),
            (["a.h5", "."], "cannot be scored at once"),
            (["a.h5", "--picks", "b.csv"], "--picks: no meaning"),
            (["a.h5"], "a.h5: no HDF5 file"),
            ([".", "--tolerance", "0"], "--tolerance: got 0"),
            ([".", "--cnn"], "no meaning without --weights"),
            ([".", "--floor", "1"], "--floor: got 1"),
            ([".", "--shift", "0"], "--shift: got 0; wanted a whole number"),
            ([".", "--loader-argv", "a=1"], "no meaning without --model"),
        ],
    )
    def test_what_cannot_be_done_is_said(self, arguments, said, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        done = evaluate(*arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert not (tmp_path / "evaluation").exists()

    def test_a_folder_without_labels(self, records, tmp_path):
        folder = tmp_path / "bare"
        folder.mkdir()
        shutil.copy(records / "R1.mseed", folder)
        done = evaluate(folder, "-o", tmp_path / "out")
        assert done.returncode == 2
        assert "no labels there; wanted picks.csv" in done.stderr

    def test_a_model_that_is_none(self, records, tmp_path):
        done = evaluate(records, "--model-name", "nosuchmodel", "-o", tmp_path)
        assert done.returncode == 2
        assert "no model 'nosuchmodel'" in done.stderr

    def test_options_mean_what_they_mean_in_scan(self, records, tmp_path):
        done = evaluate(records, "--model", "performer", "-o", tmp_path)
        assert done.returncode == 2
        assert "Say --model-name performer" in done.stderr


def test_help_imports_no_framework():
    code = (
        "import sys\n"
        "from scperformer.cli.main import main\n"
        "try: main(['evaluate', '--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', *(m for m in ('tensorflow', 'matplotlib', 'obspy') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"
    assert "--picks" in done.stdout


@pytest.mark.shared
def test_a_slice_of_the_development_records(shared, tmp_path):
    """The shipped model on eight real records, three of them with one component."""
    source = shared / "data" / "labelled" / "ncedc"
    folder = tmp_path / "ncedc"
    folder.mkdir()
    lines = (source / "picks.csv").read_text().splitlines()
    chosen = lines[1:60:8]
    for line in chosen:
        shutil.copy(source / line.split(",")[0], folder)
    (folder / "picks.csv").write_text("\n".join([lines[0], *chosen]) + "\n")
    done = evaluate(folder, "--draws", 50, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "out" / "report.json").read_text())
    scores = values["pickers"][0]["scores"]
    best = scores["all"]["P"]["best"]
    assert best["labels"] == len(chosen)
    assert best["f1"] >= 0.6
    assert best["residuals"]["median_absolute_s"] <= 0.1
    recalls = [recall for recall in scores["all"]["P"]["curve"]["recall"] if recall is not None]
    assert recalls[0] == max(recalls)
