"""`scperformer scan` through the real command line and real files."""

import csv
import functools
import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import obspy
import pytest
from lxml import etree
from obspy.io.seiscomp.core import validate

from scperformer.cli import loading
from scperformer.cli.main import main
from scperformer.networks.manifest import read_manifest
from scperformer.networks.registry import DEFAULT_MODEL, WINDOW_MODEL, find_model
from scperformer.types import parse_time
from tests.conftest import ROOT
from tests.mseed3 import pack3
from tests.synthetic import LETTERS, START_NS, earthquakes

TEXT_LINE = re.compile(r"\S+ [PS] \d\.\d{4} \d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d\.\d{1,6}")


def scan_process(*arguments, cwd):
    """The command in a process of its own, as a user runs it."""
    command = [sys.executable, "-m", "scperformer", "scan", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, check=False, env=environment
    )


@pytest.fixture(scope="module", autouse=True)
def models_are_loaded_once():
    """Compiling takes seconds; the tests of one process share what is compiled."""
    plain = loading.load_folder
    loading.load_folder = functools.cache(plain)
    yield
    loading.load_folder = plain


def scan(*arguments, cwd):
    """The command in this process: quicker, and otherwise the same."""
    out, err, here = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(cwd)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main(["scan", *map(str, arguments)])
    except SystemExit as stopped:
        status = stopped.code
    finally:
        os.chdir(here)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def write_mseed(path: Path, waveform, *, station="A", start_ns=START_NS, rate_hz=100.0, **options):
    stream = obspy.Stream()
    for letter, trace in zip(LETTERS, waveform, strict=True):
        header = {
            "network": "XX",
            "station": station,
            "channel": f"HH{letter}",
            "sampling_rate": rate_hz,
            "starttime": obspy.UTCDateTime(ns=start_ns),
        }
        stream.append(obspy.Trace(np.asarray(trace), header))
    stream.write(str(path), format="MSEED", **options)


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The earthquake record that obspy carries, as one miniSEED file."""
    path = tmp_path_factory.mktemp("example") / "rjob.mseed"
    stream = obspy.read()
    for trace in stream:
        trace.data = trace.data.astype(np.float32)
    stream.write(str(path), format="MSEED")
    return path


@pytest.fixture(scope="module")
def scanned(example):
    """One scan into all formats."""
    folder = example.parent
    outputs = [folder / f"picks.{s}" for s in ("txt", "csv", "jsonl", "scml", "qml")]
    options = [word for path in outputs for word in ("-o", path)]
    done = scan_process(example, *options, "--time", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done, {path.suffix: path for path in outputs}


@pytest.mark.parametrize("reclen", [512, 4096])
def test_miniseed_3_gives_the_picks_of_miniseed_2(tmp_path, reclen):
    waveform = np.rint(earthquakes(60 * 100, [20.0, 40.0]) * 1000).astype(np.int32)
    write_mseed(tmp_path / "2.mseed", waveform, encoding="STEIM2", reclen=512)
    packed = [
        b"".join(pack3(trace, f"FDSN:XX_A__H_H_{letter}", start_ns=START_NS, reclen=reclen))
        for letter, trace in zip(LETTERS, waveform, strict=True)
    ]
    (tmp_path / "3.mseed").write_bytes(b"".join(packed))
    for name in "23":
        done = scan(f"{name}.mseed", "-o", f"{name}.csv", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    rows = read_csv(tmp_path / "3.csv")
    assert rows
    assert rows == read_csv(tmp_path / "2.csv")


class TestOutputs:
    def test_the_earthquake_is_found(self, scanned):
        rows = read_csv(scanned[1][".csv"])
        for phase, seconds in (("P", 7.6), ("S", 8.8)):
            true_ns = parse_time("2009-08-24T00:20:00") + round(seconds * 1e9)
            times = [parse_time(r["time"]) for r in rows if r["phase"] == phase]
            assert min(abs(t - true_ns) for t in times) < 300_000_000, phase

    def test_every_format_holds_every_pick(self, scanned):
        paths = scanned[1]
        rows = read_csv(paths[".csv"])
        lines = paths[".txt"].read_text().splitlines()
        assert len(lines) == len(rows) > 0
        assert all(TEXT_LINE.fullmatch(line) for line in lines)
        records = [json.loads(line) for line in paths[".jsonl"].read_text().splitlines()]
        assert [r["public_id"] for r in records] == [r["public_id"] for r in rows]
        (event,) = obspy.read_events(str(paths[".qml"]))
        assert len(event.picks) == len(rows)
        root = etree.parse(str(paths[".scml"]))
        assert len(root.findall("./{*}EventParameters/{*}pick")) == len(rows)
        n_p = sum(row["phase"] == "P" for row in rows)
        assert len(root.findall("./{*}EventParameters/{*}amplitude")) == n_p > 0

    def test_scml_validates(self, scanned):
        assert validate(str(scanned[1][".scml"]), version="0.12")

    def test_the_summary_says_what_was_done(self, scanned):
        out = scanned[0].stdout
        for word in ("station-hours", "windows", "picks (P ", "gaps", "times real time"):
            assert word in out
        assert re.search(r"Total model prediction time: [\d.]+ seconds", out)

    def test_no_progress_bar_where_there_is_no_terminal(self, scanned):
        assert scanned[0].stderr == ""


class TestOptions:
    def test_shift_threshold_and_precision(self, example, tmp_path):
        done = scan(
            example, "--model-name", WINDOW_MODEL, "-o", "a.txt", "--shift", 10,
            "--threshold", "p: 0.5, s: 1.0", "--print-precision", 10, "--batch-size", 7,
            "--trace-size", 10, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = (tmp_path / "a.txt").read_text().splitlines()
        assert {line.split()[1] for line in lines} == {"P"}
        assert all(len(line.split()[2]) == 12 for line in lines)

    def test_the_models_own_filter_is_the_default(self, example, tmp_path):
        for name, filter_id in (("none", ()), ("word", ("--filter", "model"))):
            done = scan(example, *filter_id, "-o", f"{name}.csv", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
        rows = read_csv(tmp_path / "none.csv")
        assert rows == read_csv(tmp_path / "word.csv")
        assert {r["filter"] for r in rows} == {read_manifest(find_model(DEFAULT_MODEL)).filter_id}

    def test_predictions_txt_is_the_default(self, example, tmp_path):
        assert scan(example, cwd=tmp_path).returncode == 0
        assert (tmp_path / "predictions.txt").is_file()

    def test_start_and_end_cut_the_data(self, example, tmp_path):
        done = scan(example, "--start", "2009-08-24T00:20:12", "-o", "p.csv", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        first = parse_time("2009-08-24T00:20:12")
        assert all(parse_time(r["time"]) >= first for r in read_csv(tmp_path / "p.csv"))

    @pytest.mark.parametrize(
        ("model", "kind"), [(DEFAULT_MODEL, "column"), (WINDOW_MODEL, "window")]
    )
    def test_scores_and_drawings(self, example, model, kind, tmp_path):
        done = scan(
            example, "--model-name", model, "-o", "p.txt", "--print-scores", "--plot-positives",
            "--plot-positives-original", cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        scores = np.concatenate(
            [np.load(p) for p in sorted((tmp_path / "p_scores").glob("*.scores.npy"))]
        )
        n_scores = {"window": (3000 - 400) // 16 + 1, "column": (3000 - 64) // 16 + 1}
        assert scores.shape == (n_scores[kind], 3)
        np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-5)
        n_picks = len((tmp_path / "p.txt").read_text().splitlines())
        drawings = list((tmp_path / "p_positives").glob("*.png"))
        assert len(drawings) == 2 * n_picks

    @pytest.mark.parametrize(
        ("option", "words"),
        [
            (["--threshold", "p 0.9"], "wanted a number or"),
            (["--threshold", "q: 0.9"], "wanted a number or"),
            (["--threshold", "1.5"], "--threshold: got 1.5; wanted a number from 0 to 1"),
            (["--filter", "BW_HP(4,99)"], "Nyquist"),
            (["--filter", "XX(1)"], "--filter 'XX(1)': unknown stage XX"),
            (["--model", "performer"], "Say --model-name performer"),
            (["--model-name", "mine.py"], "named by --model mine.py"),
            (["--no-filter", "--filter", "BW_HP(4,2)"], "exclude each other"),
            (["--shift", "0"], "--shift: got 0; wanted a whole number from 1 to 400"),
            (["--shift", "10"], "--shift: got 10; streaming works at 16 alone"),
            (["--trace-normalization"], "--trace-normalization: streaming follows the level"),
            (["--start", "yesterday"], "--start: got 'yesterday'; wanted a UTC time"),
            (["--start", "2020-01-02", "--end", "2020-01-01"], "is not before"),
            (["-o", "picks.doc"], "picks.doc"),
            (["-o", "no/such/folder/picks.txt"], "no/such/folder"),
            (["--model-name", "nobody"], "nobody"),
            (["--weights", "nowhere.h5"], "nowhere.h5"),
            (["--model", "no.such.module"], "no.such.module"),
            (["--components", "some"], "invalid choice"),
        ],
    )
    def test_unknown_values_are_named_and_nothing_is_written(
        self, example, tmp_path, option, words
    ):
        done = scan(example, *option, cwd=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert list(tmp_path.iterdir()) == []


class TestBadInput:
    def test_the_rest_is_scanned_and_written(self, example, tmp_path):
        (tmp_path / "empty.mseed").touch()
        (tmp_path / "text.mseed").write_text("this is not a seismogram\n" * 100)
        (tmp_path / "cut.mseed").write_bytes(example.read_bytes()[:-300])
        write_mseed(tmp_path / "nan.mseed", np.full((3, 3000), np.nan, "f4"), station="NAN")
        write_mseed(tmp_path / "flat.mseed", np.full((3, 3000), 7, "i4"), station="FLAT")
        write_mseed(tmp_path / "short.mseed", np.zeros((3, 30), "i4"), station="BRIEF")
        write_mseed(tmp_path / "slow.mseed", np.zeros((3, 300), "i4"), station="SLOW", rate_hz=1.0)
        names = ["missing", "empty", "text", "cut", "nan", "flat", "short", "slow"]
        done = scan(*[f"{n}.mseed" for n in names], example, "-o", "p.csv", cwd=tmp_path)
        assert done.returncode == 1
        for name in ("missing", "empty", "text", "cut"):
            assert f"{name}.mseed" in done.stderr
        for station in ("NAN", "FLAT", "BRIEF", "SLOW"):
            assert f"XX.{station}" in done.stderr
        assert "Traceback" not in done.stderr
        assert {r["station"] for r in read_csv(tmp_path / "p.csv")} == {"RJOB"}

    def test_nothing_to_do_is_status_2_and_no_file(self, tmp_path):
        done = scan_process("nowhere.mseed", "-o", "p.csv", cwd=tmp_path)
        assert done.returncode == 2
        assert "nowhere.mseed" in done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_components_of_a_line_that_do_not_overlap(self, tmp_path):
        quake = earthquakes(3000, (12.0,)).astype("i4")
        for place, letter in enumerate(LETTERS):
            trace = np.zeros_like(quake)
            trace[place] = quake[place]
            start_ns = START_NS + place * 3_600 * 10**9
            write_mseed(tmp_path / f"{letter}.mseed", trace, start_ns=start_ns)
            stream = obspy.read(str(tmp_path / f"{letter}.mseed")).select(component=letter)
            stream.write(str(tmp_path / f"{letter}.mseed"), format="MSEED")
        (tmp_path / "list.txt").write_text("N.mseed E.mseed Z.mseed\n")
        done = scan("list.txt", "-o", "p.csv", cwd=tmp_path)
        assert done.returncode == 2
        assert "list.txt" in done.stderr
        assert "do not overlap" in done.stderr


class TestPackaging:
    def test_record_lengths_encodings_and_splits_change_nothing(self, tmp_path):
        quake = earthquakes(12_000, (30.0, 70.0)).astype("i4")
        write_mseed(tmp_path / "a.mseed", quake, reclen=4096, encoding="STEIM2")
        folder = tmp_path / "b"
        folder.mkdir()
        for number, (first, end) in enumerate([(0, 4000), (3500, 4700), (4700, 12_000)]):
            write_mseed(
                folder / f"{number}.mseed",
                quake[:, first:end],
                start_ns=START_NS + first * 10**7,
                reclen=256,
                encoding="INT32",
            )
        one = scan("a.mseed", "-o", "a.csv", "--threshold", 0.3, cwd=tmp_path)
        two = scan(
            "b", "-o", "b.csv", "--threshold", 0.3, "--batch-size", 33, "--trace-size", 17,
            cwd=tmp_path,
        )  # fmt: skip
        assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
        first, second = read_csv(tmp_path / "a.csv"), read_csv(tmp_path / "b.csv")
        assert [r["public_id"] for r in first] == [r["public_id"] for r in second]
        for a, b in zip(first, second, strict=True):
            assert float(a["probability"]) == pytest.approx(float(b["probability"]), abs=1e-5)

    def test_one_component_is_served_unless_all_are_required(self, example, tmp_path):
        stream = obspy.read(str(example)).select(component="Z")
        stream.write(str(tmp_path / "z.mseed"), format="MSEED")
        assert scan("z.mseed", "-o", "any.csv", cwd=tmp_path).returncode == 0
        assert read_csv(tmp_path / "any.csv")
        done = scan("z.mseed", "--components", "all", "-o", "all.csv", cwd=tmp_path)
        assert done.returncode == 2
        assert "BW.RJOB" in done.stderr


@pytest.mark.shared
class TestRidgecrest:
    def test_tow2_with_the_authors_weights(self, shared, tmp_path):
        folder = shared / "data/continuous/ridgecrest"
        files = [folder / f"CI.TOW2..HH{c}.D.2019.185" for c in "NEZ"]
        (tmp_path / "list.txt").write_text(" ".join(map(str, files)) + "\n")
        weights = shared / "weights/w_model_performer_v2.0.h5"
        done = scan_process(
            "list.txt", "-w", weights, "--threshold", 0.95, "-o", "p.csv", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        found = [(r["phase"], parse_time(r["time"])) for r in read_csv(tmp_path / "p.csv")]
        expected = [*golden_picks(shared), *catalogued(folder, "TOW2")]
        assert len(expected) == 10 + 8
        for phase, time_ns in expected:
            nearest = min(abs(t - time_ns) for p, t in found if p == phase)
            assert nearest <= 300_000_000, (phase, time_ns)


def golden_picks(shared):
    for line in (shared / "golden/archive_scan_TOW2.txt").read_text().splitlines():
        words = line.split()
        if len(words) == 5:
            moment = datetime.strptime(" ".join(words[3:]), "%d.%m.%Y %H:%M:%S.%f")
            yield words[1], parse_time(moment.replace(tzinfo=UTC).isoformat())


def catalogued(folder, station):
    for row in read_csv(folder / "picks_automatic.csv"):
        if row["station"] == station:
            yield "P", parse_time(row["p_time"])
            yield "S", parse_time(row["s_time"])
