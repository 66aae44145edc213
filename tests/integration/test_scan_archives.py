"""`scperformer scan` on archives as they are: what it takes, what it says, and how it ends."""

import csv
import errno
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import obspy
import pytest
from lxml import etree

from scperformer.cli.main import build_parser
from scperformer.cli.scan import read_request
from scperformer.cli.scan_session import Scan
from scperformer.core.triggers import Thresholds
from scperformer.errors import ConfigurationError, OutputError
from scperformer.networks.loading import LoadedModel
from scperformer.picks import growing
from scperformer.scanning import ledger, work
from scperformer.types import parse_time
from scperformer.waveforms import mseed, years
from scperformer.waveforms.pieces import DAY_NS
from scperformer.waveforms.selection import EVERYTHING
from scperformer.waveforms.years import Years
from tests.fakes import RiseClassifier
from tests.synthetic import LETTERS, START_NS, earthquakes

QUAKES = earthquakes(6000, (15.0, 38.0)).astype("i4")


class SignallingClassifier(RiseClassifier):
    """Sends a signal to this process while it answers the n-th batch."""

    def __init__(self, number, batch):
        super().__init__()
        self._number = number
        self._batch = batch

    def classify(self, batch):
        answer = super().classify(batch)
        if len(self.batch_sizes) == self._batch:
            os.kill(os.getpid(), self._number)
        return answer


def run(*arguments, classifier=None, load=None):
    """The subcommand with a network of a few lines; status, standard output and error."""
    options = build_parser("scan").parse_args(["scan", *map(str, arguments)])
    model = LoadedModel(classifier or RiseClassifier(), Thresholds.constant(0.5, 0.5))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = Scan(read_request(options), load=load or (lambda: model)).run()
    return status, out.getvalue(), err.getvalue()


def write(path, samples=QUAKES, *, station="A", codes=tuple(f"HH{c}" for c in LETTERS), start=0.0):
    stream = obspy.Stream()
    for channel, trace in zip(codes, samples, strict=False):
        header = {
            "network": "XX",
            "station": station,
            "channel": channel,
            "sampling_rate": 100.0,
            "starttime": obspy.UTCDateTime(ns=START_NS) + start,
        }
        stream.append(obspy.Trace(np.ascontiguousarray(trace), header))
    path.parent.mkdir(parents=True, exist_ok=True)
    stream.write(str(path), format="MSEED")
    return path


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def stations(tmp_path):
    folder = tmp_path / "data"
    for number in range(6):
        write(folder / f"S{number}.mseed", station=f"S{number}")
    return folder


def sds_file(root, day, station, samples=QUAKES, *, begin_s=0.0, code="HH"):
    """A day file of an SDS archive; `day` counts from that of START_NS."""
    midnight = obspy.UTCDateTime(ns=START_NS // DAY_NS * DAY_NS) + 86_400 * day
    for letter, trace in zip(LETTERS, samples, strict=True):
        header = {"network": "XX", "station": station, "channel": f"{code}{letter}"}
        header |= {"sampling_rate": 100.0, "starttime": midnight + begin_s}
        name = f"XX.{station}..{code}{letter}.D.{midnight.year}.{midnight.julday:03d}"
        path = root / str(midnight.year) / "XX" / station / f"{code}{letter}.D" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        obspy.Trace(np.ascontiguousarray(trace), header).write(str(path), format="MSEED")


class TestYears:
    """An SDS archive of more than two months is looked into a month at a time."""

    @pytest.fixture
    def archive(self, tmp_path):
        root = tmp_path / "sds"
        for day in (0, 1, 29, 30, 31, 32, 63, 64, 120):
            sds_file(root, day, "A", begin_s=86_400 - 60.0 if day in (30, 31) else 10.0)
        for day in (0, 31, 64, 120):
            sds_file(root, day, "B")
        sds_file(root, 31, "A", begin_s=0.0, code="HN")
        sds_file(root, 64, "A", QUAKES * 0 + 1, code="VM")
        (root / "2020" / "XX" / "A" / "HHZ.D" / "stray.mseed").write_bytes(b"no waveforms" * 99)
        return root

    @pytest.mark.parametrize(
        "options", [(), ("--start", "2020-10-14T12:00:00"), ("--stations", "XX.B")]
    )
    def test_it_gives_what_an_index_of_all_gives(self, archive, tmp_path, monkeypatch, options):
        looked = []
        plain = years.index_inputs
        monkeypatch.setattr(
            years, "index_inputs", lambda *a, **k: (looked.append(k), plain(*a, **k))[1]
        )
        status, out, err = run(archive, "-o", tmp_path / "months.csv", *options)
        assert len(looked) >= 3
        monkeypatch.setattr(Years, "of", lambda *_, **__: None)
        got, whole_out, whole_err = run(archive, "-o", tmp_path / "whole.csv", *options)
        assert got == status
        assert (tmp_path / "months.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
        assert len(rows(tmp_path / "months.csv")) > 10
        kept = re.compile("windows|left out|problem|by station")
        told, whole_told = (
            [line for line in text.splitlines() if kept.search(line)] for text in (out, whole_out)
        )
        assert told == whole_told
        assert sorted(err.splitlines()) == sorted(whole_err.splitlines())

    def test_it_knows_how_many_pieces_there_are(self, archive):
        found = Years.of(archive, selection=EVERYTHING, start_ns=None, end_ns=None)
        assert found.n_pieces == 9 + 4 + 1
        assert Years.of(archive / "2020", selection=EVERYTHING, start_ns=None, end_ns=None) is None

    def test_two_months_are_looked_into_at_once(self, archive):
        end_ns = START_NS + 40 * DAY_NS
        assert Years.of(archive, selection=EVERYTHING, start_ns=None, end_ns=end_ns) is None


class TestSignals:
    @pytest.mark.parametrize(
        ("number", "status", "name"),
        [(signal.SIGINT, 130, "SIGINT"), (signal.SIGTERM, 143, "SIGTERM")],
    )
    def test_the_picks_decided_so_far_are_written(self, stations, tmp_path, number, status, name):
        whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
        outputs = [part, tmp_path / "part.jsonl", tmp_path / "part.qml", tmp_path / "part.scml"]
        batches = ("--batch-size", 100)
        assert run(stations, "-o", whole, *batches)[0] == 0
        before = signal.getsignal(number)
        got, out, err = run(
            stations,
            *(word for path in outputs for word in ("-o", path)),
            *batches,
            classifier=SignallingClassifier(number, 10),
        )
        assert got == status
        assert signal.getsignal(number) is before
        expected = [r["public_id"] for r in rows(whole)]
        written = [r["public_id"] for r in rows(part)]
        assert 0 < len(written) < len(expected)
        assert set(written) < set(expected)
        finished = [i for i in expected if "XX.S0." in i or "XX.S1." in i]
        assert set(finished) <= set(written)
        lines = (tmp_path / "part.jsonl").read_text().splitlines()
        assert [json.loads(line)["public_id"] for line in lines] == written
        for path in outputs[2:]:
            assert len(etree.parse(path).findall(".//{*}pick")) == len(written)
        assert f"ended by {name} after " in err
        assert "of 6 station-days, in XX.S" in err
        assert "picks decided so far are written" in err
        for path in outputs:
            assert f"written: {path}, {len(written)} picks" in out

    def test_before_anything_was_scanned_nothing_is_written(self, stations, tmp_path):
        output = tmp_path / "p.csv"
        output.write_text("an older scan's picks")

        def load():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1.0)
            pytest.fail("the signal was not heard")

        with pytest.raises(SystemExit) as ended:
            run(stations, "-o", output, load=load)
        assert ended.value.code == 143
        assert output.read_text() == "an older scan's picks"
        assert not list(tmp_path.glob(".p.csv*"))


class TestClocks:
    """Ten minutes in the middle of half an hour have another time."""

    GROUND = earthquakes(180_000, (100.0, 500.0, 900.0, 1200.0, 1500.0)).astype("i4")
    BEGIN = obspy.UTCDateTime("2020-09-13T10:00:00")

    def write(self, root, middle, *, name):
        for letter, trace in zip(LETTERS, self.GROUND, strict=True):
            stream = obspy.Stream()
            for number, start in enumerate((self.BEGIN, middle, self.BEGIN + 1200)):
                header = {"network": "XX", "station": "A", "channel": f"HH{letter}"}
                header |= {"sampling_rate": 100.0, "starttime": start}
                part = trace[60_000 * number : 60_000 * (number + 1)]
                stream.append(obspy.Trace(np.ascontiguousarray(part), header))
            path = root / name.format(letter)
            path.parent.mkdir(parents=True, exist_ok=True)
            stream.write(str(path), format="MSEED", reclen=512)

    @pytest.mark.parametrize("year", [1970, 2019, 2021, 2070])
    def test_a_day_file_of_other_years_costs_them_alone(self, tmp_path, year):
        middle = obspy.UTCDateTime(year, 9, 13, 10, 10)
        day = "2020/XX/A/HH{0}.D/XX.A..HH{0}.D.2020.257"
        self.write(tmp_path / "a", middle, name=day)
        status, out, err = run(tmp_path / "a", "-o", tmp_path / "p.csv")
        assert status == 1
        assert "3 problems with inputs" in out
        for letter in LETTERS:
            words = f"XX.A..HH{letter} from {year}-09-13T10:10:00.000000Z to "
            assert f"{words}{year}-09-13T10:20:00.000000Z left out" in err
        picked = rows(tmp_path / "p.csv")
        assert len(picked) >= 6
        assert {row["time"][:10] for row in picked} == {"2020-09-13"}

    def test_other_files_may_have_samples_of_any_years(self, tmp_path):
        middle = obspy.UTCDateTime(1970, 1, 1, 0, 10)
        self.write(tmp_path / "a", middle, name="{}.mseed")
        status, out, err = run(tmp_path / "a", "-o", tmp_path / "p.csv")
        assert status == 0
        assert "scanned 0.50 station-hours" in out
        assert err.count("from 1970-01-01T00:20:00.000000Z to 2020-09-13T10:00:00") == 3
        days = [row["time"][:10] for row in rows(tmp_path / "p.csv")]
        assert days == sorted(days)
        assert set(days) == {"1970-01-01", "2020-09-13"}

    def test_an_hour_back_is_put_in_its_place(self, tmp_path):
        for name, middle in (("back", self.BEGIN - 3000), ("right", self.BEGIN + 600)):
            self.write(tmp_path / name, middle, name="{}.mseed")
            assert run(tmp_path / name, "-o", tmp_path / f"{name}.csv")[0] == 0
        hours = [row["time"][11:13] for row in rows(tmp_path / "back.csv")]
        assert set(hours) == {"09", "10"}
        assert len(hours) >= len(rows(tmp_path / "right.csv")) - 2

    def test_what_is_there_twice_with_other_samples_is_counted(self, tmp_path):
        self.write(tmp_path / "a", self.BEGIN + 300, name="{}.mseed")
        _, out, _ = run(tmp_path / "a", "-o", tmp_path / "p.csv")
        assert "89,998 samples unlike samples of the same time that came before" in out
        assert len(rows(tmp_path / "p.csv")) >= 6

    def test_stray_records_amid_a_large_file_are_told(self, tmp_path):
        """Of a large file only a few places are looked at before it is read."""
        noise = np.random.default_rng(0).normal(0, 1e6, (3, 900_000)).astype("i4")
        path = write(tmp_path / "a.mseed", noise[2:], codes=("HHZ",))
        data = bytearray(path.read_bytes())
        assert len(data) > mseed.BLOCK_BYTES
        at = len(data) // 4096 // 40 * 4096
        data[at + 20 : at + 22] = (2070).to_bytes(2, "big")
        path.write_bytes(data)
        status, _, err = run(path, "-o", tmp_path / "p.csv")
        assert status == 1
        assert "records left out, of 2070-09-14T" in err


class TestUnreadable:
    def test_one_dangling_link_costs_itself_alone(self, stations, tmp_path):
        (stations / "S2a.mseed").symlink_to("nowhere")
        status, _, err = run(stations, "-o", tmp_path / "p.csv")
        assert status == 1
        assert {r["station"] for r in rows(tmp_path / "p.csv")} == {f"S{n}" for n in range(6)}
        (line,) = err.splitlines()
        assert f"{stations / 'S2a.mseed'}: a link to nowhere" in line


class TestArchivesThatGo:
    def test_what_was_found_stays_until_there_is_something_to_write(self, stations, tmp_path):
        names = ("p.csv", "p.scml/2020-09-13.scml", "p.qml/2020-09-13.qml")
        outputs = [word for name in names for word in ("-o", tmp_path / name.split("/")[0])]
        options = ("--resume", tmp_path / "done", "--roll", "day", *outputs)
        assert run(stations, *options)[0] == 0
        whole = {name: (tmp_path / name).read_bytes() for name in names}
        stations.rename(tmp_path / "away")
        with pytest.raises(ConfigurationError, match="nothing to scan"):
            run(stations, *options)
        assert {name: (tmp_path / name).read_bytes() for name in names} == whole
        (tmp_path / "away" / "S1.mseed").rename(tmp_path / "S1.mseed")
        assert run(tmp_path / "away", *options)[0] == 0
        assert {r["station"] for r in rows(tmp_path / "p.csv")} == {"S0", "S2", "S3", "S4", "S5"}
        (tmp_path / "S1.mseed").rename(tmp_path / "away" / "S1.mseed")
        (tmp_path / "away").rename(stations)
        assert run(stations, *options)[0] == 0
        assert {name: (tmp_path / name).read_bytes() for name in names} == whole


class TestFullDisks:
    def test_a_resume_folder_that_is_full_costs_no_pick(self, stations, tmp_path, monkeypatch):
        assert run(stations, "-o", tmp_path / "whole.csv")[0] == 0
        full = f"{ledger._SCHEMA}PRAGMA max_page_count = 4;"
        options = (stations, "--resume", tmp_path / "done", "-o", tmp_path / "p.csv")
        with monkeypatch.context() as patch:
            patch.setattr(ledger, "_SCHEMA", full)
            status, _, err = run(*options)
        assert status == 1
        (left,) = re.findall(r"(\d+) station-days? (?:is|are) left; the same command", err)
        assert 0 < int(left) <= 6
        assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
        assert run(*options)[0] == 0
        assert (tmp_path / "p.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()

    @pytest.mark.parametrize("resume", [True, False])
    def test_an_output_that_is_full_ends_with_a_whole_line(
        self, stations, tmp_path, monkeypatch, resume
    ):
        """Without a folder that keeps what is found, a scan that cannot write it ends."""
        assert run(stations, "-o", tmp_path / "whole.csv")[0] == 0
        options = [stations, "-o", tmp_path / "p.csv"]
        options += ["--resume", tmp_path / "done"] if resume else []
        plain, n_calls = growing._Shape.add, itertools.count()

        def add(self, body):
            if next(n_calls) >= 3:
                plain(self, body[:100])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            plain(self, body)

        with monkeypatch.context() as patch:
            patch.setattr(growing._Shape, "add", add)
            status, _, err = run(*options)
        assert status == 2
        assert err.count("p.csv: cannot be written (No space left on device)") == 1
        whole = rows(tmp_path / "whole.csv")
        assert rows(tmp_path / "p.csv") == [r for r in whole if r["station"] < "S3"]
        assert ("nothing can be written any more" in err) != resume
        if resume:
            monkeypatch.setattr(work.Worker, "scan", None)  # all is known
            assert run(*options)[0] == 0
            assert rows(tmp_path / "p.csv") == whole

    def test_a_report_that_is_full(self, stations, tmp_path, monkeypatch):
        def write_bytes(*_):
            raise OutputError("report.html: cannot be written (No space left on device)")

        monkeypatch.setattr("scperformer.reporting.scan_report.write_bytes", write_bytes)
        options = ("-o", tmp_path / "p.csv", "--report", tmp_path / "report.html")
        status, _, err = run(stations, *options)
        assert status == 1
        assert "report.html: cannot be written" in err
        assert {r["station"] for r in rows(tmp_path / "p.csv")} == {f"S{n}" for n in range(6)}


class TestChannels:
    def test_channels_for_other_things_are_told_in_a_line_and_no_failure(self, stations, tmp_path):
        write(stations / "soh", codes=("VM1", "ACE", "HV1"))
        status, out, err = run(stations, "-o", tmp_path / "p.csv")
        assert (status, err) == (0, "")
        (line,) = [line for line in out.splitlines() if line.startswith("left out")]
        assert line.startswith("left out: 3 channels not for picking")
        for words in ("administrative channel (ACE)", "mass position (VM1)", "strain (HV1)"):
            assert words in line
        assert {r["channel"][:2] for r in rows(tmp_path / "p.csv")} == {"HH"}

    def test_who_names_one_gets_it(self, stations, tmp_path):
        write(stations / "strain", station="B", codes=("HV1", "HV2", "HV3"))
        run(stations, "--channels", "HV?", "-o", tmp_path / "p.csv")
        assert {r["station"] for r in rows(tmp_path / "p.csv")} == {"B"}

    @pytest.mark.parametrize(
        ("options", "found"),
        [
            (["--stations", "XX.S1,XX.S[3]"], None),
            (["--stations", "XX.S1,XX.S3"], {"S1", "S3"}),
            (["--stations", "*"], {f"S{n}" for n in range(6)}),
            (["--stations", "XX.S1:HN?"], set()),
            (["--network", "YY"], set()),
            (["--network", "X?", "--location", "", "--channels", "HH?", "--stations", "*.S4"],
             {"S4"}),
        ],
    )  # fmt: skip
    def test_selections(self, stations, tmp_path, options, found):
        arguments = [stations, "-o", tmp_path / "p.csv", *options]
        if not found:
            words = "--stations" if found is None else "none is asked for"
            with pytest.raises(ConfigurationError, match=words):
                run(*arguments)
            return
        assert run(*arguments)[0] == 0
        assert {r["station"] for r in rows(tmp_path / "p.csv")} == found


class TestWords:
    def test_times_beyond_the_data_are_answered_with_theirs(self, stations, tmp_path):
        with pytest.raises(ConfigurationError) as error:
            run(stations, "--start", "2030-01-01", "-o", tmp_path / "p.csv")
        assert "from 2030-01-01T00:00:00" in str(error.value)
        assert "the data cover 2020-09-13T12:26:40.003217Z to 2020-09-13T12:27:40" in str(
            error.value
        )

    @pytest.mark.parametrize(
        ("samples", "words"),
        [
            (QUAKES[:, :400], "it has 4.00 s; a window is 4 s and begins at a multiple of 0.16 s"),
            (QUAKES[:, :30], "it has 0.30 s"),
            (np.full((3, 3000), 7, "i4"), "its samples are constant"),
            (np.full((3, 3000), np.nan, "f4"), "9000 samples NaN"),
        ],
    )
    def test_the_reason_for_no_window_is_the_true_one(self, tmp_path, samples, words):
        path = write(tmp_path / "a.mseed", samples, start=0.05)
        status, _, err = run(path, "-o", tmp_path / "p.csv")
        assert status == 2
        assert words in err

    def test_as_much_as_it_says_is_enough_wherever_it_begins(self, tmp_path):
        for n in range(0, 17, 3):
            path = write(tmp_path / f"{n}.mseed", QUAKES[:, :415], start=n / 100)
            assert run(path, "-o", tmp_path / "p.csv")[0] == 0, n

    def test_gaps_are_no_constant_data(self, tmp_path):
        for number in range(10):
            part = QUAKES[:, 500 * number : 500 * number + 300]
            write(tmp_path / "data" / str(number), part, start=5.0 * number)
        _, _, err = run(tmp_path / "data", "-o", tmp_path / "p.csv")
        assert "the longest of its 10 stretches without a gap has 3.00 s" in err
        assert "constant" not in err

    def test_missing_components_are_named(self, tmp_path):
        path = write(tmp_path / "a.mseed", codes=("HHZ",))
        _, _, err = run(path, "--components", "all", "-o", tmp_path / "p.csv")
        assert "of its components there is Z, and --components all wants three" in err

    def test_what_was_written_where_is_listed(self, stations, tmp_path):
        outputs = [tmp_path / "p.csv", tmp_path / "p.txt"]
        _, out, _ = run(stations, *(word for path in outputs for word in ("-o", path)))
        n = len(rows(tmp_path / "p.csv"))
        assert n > 6
        for path in outputs:
            assert f"written: {path}, {n} picks" in out.splitlines()


@pytest.mark.shared
def test_steim_records_without_their_last_word_give_the_same_picks(shared, tmp_path):
    """The case of the shared folder, through the real command line and network."""
    for name in ("base", "08_steim_xn0"):
        shutil.copy(shared / "cases" / f"{name}.mseed", tmp_path)
    found = {}
    for name in ("base", "08_steim_xn0"):
        command = [sys.executable, "-m", "scperformer", "scan", f"{name}.mseed", "-o", "p.csv"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stderr
        found[name] = rows(tmp_path / "p.csv")
    assert "119 records without their last Steim integrity word; all used" in done.stderr
    assert found["base"] == found["08_steim_xn0"]
    for phase, moment in (
        ("P", "11:57.997"),
        ("S", "12:07.267"),
        ("P", "13:48.567"),
        ("S", "13:53.127"),
    ):
        true_ns = parse_time(f"2019-07-04T16:{moment}")
        times_ns = [parse_time(row["time"]) for row in found["base"] if row["phase"] == phase]
        assert min(abs(time_ns - true_ns) for time_ns in times_ns) <= 0.1e9
