"""`scperformer status` on files with faults: words, numbers and exit status."""

import re
import time

import pytest

from scperformer.cli.main import main
from scperformer.core.statistics import DropReason, Statistics
from scperformer.monitoring.publishing import Publisher
from scperformer.monitoring.settings import MonitoringSettings
from scperformer.monitoring.stations import Heard, Stations
from scperformer.monitoring.vitals import Vitals
from scperformer.types import NS_PER_S, OutputState, SensorId
from tests.picks import PICK

OK, WARNING, CRITICAL, UNKNOWN = range(4)


class Picker:
    """A picker whose metrics say what a test wants."""

    def __init__(self, folder):
        self.path = folder / "metrics.prom"
        self.settings = {"metrics_file": str(self.path)}
        self.vitals = {"statistics": Statistics(), "n_batches": 1, "n_pending_windows": 0}
        self.queue = None
        self.stations = Stations(300.0, time.monotonic())
        for code in "ABCD":
            self.hear(code)

    def hear(self, code, *, ago_s=1.0, latency_s=2.0):
        end_ns = time.time_ns() - round((ago_s + latency_s) * NS_PER_S)
        self.stations.heard["XX", code] = Heard(end_ns, time.monotonic() - ago_s)

    def write(self, **how):
        own = Publisher(
            MonitoringSettings(**self.settings),
            "",
            models={},
            stations=self.stations,
            is_live=True,
        )
        own.publish(Vitals(**self.vitals), self.queue, **how)
        return self

    def age(self, age_s):
        """Let the file be so old."""
        text = self.path.read_text()
        name = "scperformer_updated_timestamp_seconds"
        updated_s = float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])
        self.path.write_text(re.sub(rf"(?m)^{name} \S+$", f"{name} {updated_s - age_s}", text))


@pytest.fixture
def picker(tmp_path):
    return Picker(tmp_path)


@pytest.fixture
def status(capsys):
    def ask(path, *options):
        code = main(["status", str(path), *map(str, options)])
        return code, capsys.readouterr().out.splitlines()

    return ask


def test_all_is_well(picker, status):
    picker.vitals["statistics"].count_pick(PICK)
    code, (first, blank, titles, *rows) = status(picker.write().path)
    assert code == OK
    assert first.startswith("SCPERFORMER OK - 4 stations, 1 picks | ")
    assert not blank
    assert titles.split()[:4] == ["station", "state", "heard", "latency"]
    assert [row.split()[:2] for row in rows] == [[f"XX.{code}", "ok"] for code in "ABCD"]


def test_the_first_line_is_a_plugins(picker, status):
    """label=value[unit];[warning];[critical];[least];[most], after one bar."""
    picker.queue = type("Queue", (), {"n_waiting": 5, "fill": 0.25, "waiting_s": 1.0})
    picker.vitals["outputs"] = [OutputState("a|b", 7, problem="x")]
    _, (first, *_) = status(picker.write().path)
    said, performance = first.split(" | ")
    assert "a/b" in said
    values = {}
    for word in performance.split():
        number = r"-?[\d.]+"
        found = re.fullmatch(rf"([a-z_0-9]+)=({number})(s|%|c)?((;({number})?){{1,4}})", word)
        assert found, word
        values[found[1]] = float(found[2]), found[4].split(";")[1:3]
    assert values["backlog"] == (25.0, ["50", "90"])
    assert values["outbox"] == (7.0, ["1000", "10000"])
    assert values["stations"][0] == 4
    assert values["latency"][0] == pytest.approx(2.0, abs=0.2)


class TestStations:
    def test_one_silent_station_warns_and_stands_on_top(self, picker, status):
        picker.hear("C", ago_s=301.0)
        code, (first, problem, _, _, *rows) = status(picker.write().path)
        assert code == WARNING
        assert first.startswith("SCPERFORMER WARNING - 1 of 4 stations silent (XX.C) | ")
        assert problem == "WARNING: 1 of 4 stations silent (XX.C)"
        assert rows[0].split()[:5] == ["XX.C", "silent", "5", "min", "ago"]

    def test_most_stations_silent_is_critical(self, picker, status):
        for code in "ABC":
            picker.hear(code, ago_s=1000.0)
        assert status(picker.write().path)[0] == CRITICAL
        assert status(picker.path, "--silent-share", "0,80")[0] == WARNING
        assert status(picker.path, "--silent-share", "75")[0] == OK
        assert status(picker.path, "--silence", 1100)[0] == OK

    def test_a_station_of_which_nothing_ever_came(self, picker, status):
        picker.stations.expect([("XX", "NEW")], 0.0)
        picker.write()
        assert status(picker.path)[0] == OK  # it has 300 s
        assert status(picker.path, "--silence", "0")[0] == CRITICAL
        _, lines = status(picker.path, "--silence", "-1", "--ignore", "XX.?")
        assert "1 of 1 stations silent" in lines[0]
        assert lines[-1].split()[:3] == ["XX.NEW", "silent", "never"]

    def test_stations_to_leave_out(self, picker, status):
        picker.hear("C", ago_s=400.0)
        picker.hear("D", latency_s=1000.0)
        code, lines = status(picker.write().path, "--ignore", "XX.C, YY.*,XX.D")
        assert code == OK
        assert not any("XX.C" in line or "XX.D" in line for line in lines)

    def test_late_data_of_one_warn_and_of_half_are_critical(self, picker, status):
        picker.hear("B", latency_s=100.0)
        code, (first, *_) = status(picker.write().path)
        assert (code, "(XX.B)" in first) == (WARNING, True)
        for station in "ABC":
            picker.hear(station, latency_s=400.0)
        code, (first, *_) = status(picker.write().path)
        assert code == CRITICAL
        assert "half of the data" in first
        assert status(picker.path, "--latency", "500,900")[0] == OK

    def test_nothing_has_come_yet_at_all(self, picker, status):
        picker.stations.heard.clear()
        code, lines = status(picker.write().path)
        assert code == WARNING
        assert "no station has been heard" in lines[0]

    def test_counts_of_a_station(self, picker, status):
        counts = picker.vitals["statistics"].of(SensorId("XX", "A", "", "HH"))
        counts.windows, counts.gaps = 500, 3
        counts.picks.update(P=5, S=4)
        counts.dropped_samples.update({DropReason.LATE: 60, DropReason.DUPLICATE: 40})
        _, lines = status(picker.write().path)
        row = next(line for line in lines if line.startswith("XX.A"))
        assert row.split()[-6:] == ["5", "4", "500", "3", "60", "100"]


class TestTheRun:
    def test_a_file_that_is_not_written_any_more(self, picker, status):
        picker.write().age(40)
        assert status(picker.path)[0] == WARNING
        picker.age(3600)
        code, (first, *_) = status(picker.path)
        assert code == CRITICAL
        assert "not updated for 61 min: the picker hangs or was killed" in first
        assert "silent" not in first.partition(" | ")[0]  # nothing is known of that
        assert status(picker.path, "--stale", "9999")[0] == OK

    def test_a_file_that_is_written_seldom(self, picker, status):
        picker.settings["metrics_interval_s"] = 60.0
        picker.write().age(150)
        assert status(picker.path)[0] == OK
        picker.age(40)
        assert status(picker.path)[0] == CRITICAL

    def test_a_picker_that_has_ended(self, picker, status):
        code, (first, *_) = status(picker.write(is_running=False).path)
        assert code == CRITICAL
        assert "the picker ended" in first

    def test_a_source_that_was_given_up(self, picker, status):
        picker.vitals["failed_sources"] = ["slink://x"]
        code, (first, *_) = status(picker.write().path)
        assert code == CRITICAL
        assert "1 sources given up" in first

    @pytest.mark.parametrize(("fill", "wanted"), [(0.5, OK), (0.6, WARNING), (0.95, CRITICAL)])
    def test_a_backlog(self, picker, status, fill, wanted):
        picker.queue = type("Queue", (), {"n_waiting": 5000, "fill": fill, "waiting_s": 9.0})
        assert status(picker.write().path)[0] == wanted


class TestOutputs:
    @pytest.mark.parametrize(
        ("n_kept", "options", "wanted"),
        [
            (900, (), OK),
            (1001, (), WARNING),
            (10001, (), CRITICAL),
            (5, ("--outbox", "4"), WARNING),
        ],
    )
    def test_an_outbox_that_grows(self, picker, status, n_kept, options, wanted):
        picker.vitals["outputs"] = [OutputState("scmp://h", 0, n_kept, 0)]
        code, (first, *_) = status(picker.write().path, *options)
        assert code == wanted
        assert (f"{n_kept} wait for scmp://h" in first) == (wanted != OK)

    @pytest.mark.parametrize(("stuck_s", "wanted"), [(50, OK), (70, WARNING), (700, CRITICAL)])
    def test_one_message_that_does_not_go(self, picker, status, stuck_s, wanted):
        picker.vitals["outputs"] = [OutputState("scmp://h", 0, 1, 0)]
        text = picker.write().path.read_text()
        name = 'scperformer_outbox_stuck_seconds{output="scmp://h"}'
        assert f"{name} 0.0" in text
        picker.path.write_text(text.replace(f"{name} 0.0", f"{name} {stuck_s}"))
        code, (first, *_) = status(picker.path)
        assert code == wanted
        assert ("none delivered for" in first) == (wanted != OK)

    def test_an_output_that_is_away_before_anything_waits(self, picker, status):
        picker.vitals["outputs"] = [OutputState("scmp://h", problem="no connection")]
        code, (first, *_) = status(picker.write().path)
        assert code == WARNING
        assert "scmp://h cannot be reached" in first


def test_the_worst_comes_first_and_decides(picker, status):
    picker.hear("A", ago_s=400.0)
    picker.vitals["outputs"] = [OutputState("scmp://h", 0, 20000, 0)]
    code, (first, *problems) = status(picker.write().path)
    assert code == CRITICAL
    assert first.startswith("SCPERFORMER CRITICAL - 20000 wait for scmp://h; 1 of 4 stations")
    assert [line.partition(":")[0] for line in problems[:2]] == ["CRITICAL", "WARNING"]
    [brief] = status(picker.path, "--brief")[1]
    assert brief.partition(" | ")[0] == first.partition(" | ")[0]


@pytest.mark.parametrize(
    "content", [None, b"", b"\xff\x00", b"# HELP x y\nx 1\n", b"scperformer_running{ 1\n",
                b"scperformer_updated_timestamp_seconds NaN\n"]
)  # fmt: skip
def test_what_is_no_file_of_metrics_is_unknown(content, tmp_path, status):
    path = tmp_path / "metrics.prom"
    if content is not None:
        path.write_bytes(content)
    code, lines = status(path)
    assert code == UNKNOWN
    assert len(lines) == 1
    assert lines[0].startswith(f"SCPERFORMER UNKNOWN - {path}: ")


def test_an_option_that_is_none_is_unknown_too(picker):
    with pytest.raises(SystemExit) as ended:
        main(["status", str(picker.write().path), "--silent", "3", "--nonsense"])
    assert ended.value.code == UNKNOWN


def test_thresholds_that_are_none_are_unknown_and_not_critical(picker, status):
    code, (line,) = status(picker.write().path, "--stale", "x", "--outbox", "5,1")
    assert code == UNKNOWN
    assert "--stale: got 'x'" in line
    assert "--outbox: got '5,1'" in line
