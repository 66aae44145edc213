"""The tools that the benchmarks measure with, and a run of all of it with tiny sizes."""

import json
import sys

import numpy as np
import obspy
import pytest

from benchmarks import classifier, fingerprint, growth, harness, roofline, run, seiscomp, stages
from benchmarks.data import SHIFT_SAMPLES, WindowSet, synthetic_trace, write_archive
from benchmarks.harness import QUICK, Spread, Table, in_turns, spread
from benchmarks.stages import StageTimes, timed_stages
from scperformer.core import inference
from scperformer.core.streaming import StreamingNetwork
from scperformer.types import WindowInput


def test_an_archive_holds_each_day_and_station_once(tmp_path):
    trace = synthetic_trace()[:, :6000]
    folder = write_archive(tmp_path / "days", trace, 48.0)
    names = sorted(path.name for path in folder.iterdir())
    assert names[:2] == ["XX.BENCH..HHE.D.2020.001", "XX.BENCH..HHE.D.2020.002"]
    stream = obspy.Stream()
    for path in folder.glob("*HHZ*"):
        stream += obspy.read(path)
    (merged,) = stream.merge()
    assert merged.stats.npts == 2 * 8_640_000
    assert np.array_equal(merged.data[8_640_000 : 8_640_000 + 6000], trace[2])
    stations = write_archive(tmp_path / "stations", trace, 60.0 / 3600.0, stations=2)
    found = {trace.id for path in stations.iterdir() for trace in obspy.read(path)}
    assert found == {f"XX.S{n:04}..HH{letter}" for n in range(2) for letter in "ENZ"}


def test_an_archive_of_a_day_and_a_half_is_refused(tmp_path):
    with pytest.raises(ValueError, match="whole days"):
        write_archive(tmp_path / "x", synthetic_trace(), 36.0)


def test_the_peak_memory_of_a_command_is_its_own():
    ballast = np.ones(200 * 2**17)  # 200 MiB in this process
    small = harness.run([sys.executable, "-S", "-c", "pass"])
    large = harness.run([sys.executable, "-S", "-c", "x = b'1' * (100 << 20)"])
    assert ballast[-1] == 1.0
    assert small.peak_mb < 60.0
    assert 100.0 < large.peak_mb < 160.0


def test_a_command_that_fails_is_not_timed():
    with pytest.raises(harness.CommandError, match="no good"):
        harness.run([sys.executable, "-c", "raise SystemExit('no good')"])
    assert harness.run([sys.executable, "-c", "raise SystemExit(2)"], status=2).wall_s > 0.0


def test_turns_alternate_and_give_the_ratio_pair_by_pair(monkeypatch):
    now, order = [0.0], []

    def work(name, seconds):
        order.append(name)
        now[0] += seconds

    monkeypatch.setattr(harness.time, "perf_counter", lambda: now[0])
    pair = in_turns(lambda: work("a", 2.0), lambda: work("b", 5.0), 3)
    assert order == list("ab" + "ab" + "ba" + "ab")
    assert pair.ratio == Spread(2.5, 2.5, 2.5, 3)


def test_spread_is_median_and_quartiles():
    assert spread([4.0, 1.0, 2.0, 3.0, 5.0]).as_dict() == {
        "median": 3.0,
        "low": 2.0,
        "high": 4.0,
        "n": 5.0,
    }
    with pytest.raises(ValueError, match="at least one"):
        spread([])


def test_stage_times_are_exclusive_and_follow_generators(monkeypatch):
    now = [0.0]

    def pass_by(seconds):
        now[0] += seconds

    monkeypatch.setattr(stages.time, "perf_counter", lambda: now[0])
    times = StageTimes(["outer", "inner", "items"])
    timed_inner = times.wrap("inner", lambda: pass_by(2.0))

    def outer():
        pass_by(1.0)
        timed_inner()

    def items():
        for n in range(3):
            pass_by(1.0)
            yield n

    times.wrap("outer", outer)()
    consumed = []
    for n in times.wrap("items", items)():
        pass_by(5.0)
        consumed.append(n)
    assert consumed == [0, 1, 2]
    assert times.seconds == {"outer": 1.0, "inner": 2.0, "items": 3.0}
    assert sum(times.shares(10.0).values()) == pytest.approx(1.0)


def test_stages_are_put_back():
    before = inference.gather, StreamingNetwork.predict
    with timed_stages(files=True):
        assert inference.gather is not before[0]
        assert StreamingNetwork.predict is not before[1]
    assert (inference.gather, StreamingNetwork.predict) == before


def test_windows_are_the_same_cut_and_shared():
    samples = np.random.default_rng(0).normal(size=(3, 2000)).astype(np.float32)
    windows = WindowSet(samples, 90)
    cut = windows.cut()
    assert cut.shape == (90, 400, 3)
    assert np.array_equal(cut[7], samples[:, 7 * SHIFT_SAMPLES : 7 * SHIFT_SAMPLES + 400].T)
    batches = list(windows.batches(64, WindowInput.SAMPLES))
    assert [len(batch) for batch in batches] == [64, 26]
    second = batches[1]
    begin = second.starts[3]
    assert np.array_equal(second.rows[begin : begin + 400], cut[67])
    assert second.peak[3] == np.abs(cut[67]).max()


def test_multiply_adds_are_those_of_the_design():
    assert roofline.multiply_adds() == pytest.approx(0.4e6, rel=0.02)
    embedding, block_1 = 11 * 198 * 48, 4 * 12 * 48 * 48 + 2 * 12 * 48 * 96
    assert sum(product.multiply_adds for product in roofline.PRODUCTS[:4]) == embedding + block_1


@pytest.mark.parametrize("power", [1.0, 1.5])
def test_the_exponent_of_growth(power):
    amounts = [1.0, 10.0, 100.0]
    assert growth.exponent(amounts, [3.0 * n**power for n in amounts]) == pytest.approx(power)
    assert np.isnan(growth.exponent([1.0, 1.0], [1.0, 2.0]))


def test_a_table_is_aligned():
    text = str(Table("title", ("what", "s"), (("a", "1.0"), ("long name", "12.5")), ("so",)))
    assert text.splitlines() == [
        "title",
        "what          s",
        "---------  ----",
        "a           1.0",
        "long name  12.5",
        "so",
    ]


def test_networks_that_disagree_fail(tmp_path, monkeypatch):
    class Subject:
        weights = "none"
        compiled = None

        class keras:
            name = "performer"

            @staticmethod
            def predict(windows, **options):
                return np.full((len(windows), 3), 0.5)

    monkeypatch.setattr(classifier, "load_subject", lambda network, folder: Subject)
    monkeypatch.setattr(WindowSet, "classify", lambda self, *_: np.full((self.n_windows, 3), 0.51))
    with pytest.raises(classifier.DisagreementError, match=r"differ by 0\.01"):
        classifier.measure(QUICK, tmp_path)
    report = tmp_path / "bench.json"
    assert run.main(["--quick", "--only", "classifier", "--json", str(report)]) == run.EXIT_FAILED
    assert "differ by" in json.loads(report.read_text())["failed"]["classifier"]


@pytest.mark.parametrize("words", ["nothing", "classifier,nothing", ""])
def test_unknown_parts_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        run.main(["--only", words])
    assert "parts are start-up, station-day" in capsys.readouterr().err


@pytest.mark.slow
def test_everything_runs_with_tiny_sizes(tmp_path, capsys):
    report = tmp_path / "bench.json"
    assert run.main(["--quick", "--json", str(report)]) == run.EXIT_OK
    figures = json.loads(report.read_text())
    assert figures["failed"] == {}
    assert list(figures["parts"]) == list(run.PARTS)
    assert figures["machine"]["processors"] >= 1
    day = figures["parts"]["station-day"]
    assert sum(day["shares"].values()) == pytest.approx(1.0, abs=0.01)
    (batch,) = figures["parts"]["classifier"]["performer"]["batches"]
    assert batch["largest_difference"] < 1e-3
    steps = figures["parts"]["start-up"]["first_window"]["seconds_to"]
    assert list(steps)[-3:] == ["first columns scored", "picks written", "end"]
    times = [step["median"] for step in steps.values()]
    assert times == sorted(times)
    assert figures["parts"]["start-up"]["first_window"]["peak_mb"] > 50
    assert figures["parts"]["roofline"]["network_over_floor"] > 0.0
    assert figures["parts"]["stations"]["stations_sustained"] > 0
    text = capsys.readouterr().out
    for words in ("Start-up", "Station-day", "Real time", "Growth", "Roofline", "Windows per"):
        assert words in text


def test_the_module_is_not_measured_where_seiscomp_is_not(monkeypatch, capsys):
    monkeypatch.delenv("SEISCOMP_ROOT", raising=False)
    assert seiscomp.main([]) == 0
    assert "skipped: no SeisComP" in capsys.readouterr().out


def test_the_ratio_of_the_module_leaves_out_the_start_up():
    figures = seiscomp.summarise({"stream": [(5.0, 44.0)], "--ep": [(10.0, 49.0)]})
    assert figures["stream"]["records"]["median"] == 40.0
    assert figures["ratio"] == {"whole": 1.114, "records": 1.0}
    lines = str(
        seiscomp.table({"records": 9, "picks": {"stream": 3, "--ep": 3}, "cpu_s": figures})
    ).splitlines()
    assert lines[3].split() == ["whole", "command", "44.0", "49.0", "1.11"]
    assert lines[4].split()[-3:] == ["40.0", "40.0", "1.00"]


def test_a_pick_of_one_side_or_another_probability_is_told_from_the_same_picks():
    key = ("CI", "TOW2", "HHZ", "P", "2019-07-04T16:43:14.120000000Z")
    before = fingerprint.Taken({key: 0.9}, [2.0, 4.0])
    assert fingerprint.same(before, fingerprint.Taken({key: 0.900001}, [1.0, 2.0]))
    assert not fingerprint.same(before, fingerprint.Taken({key: 0.90001}, [1.0, 2.0]))
    moved = (*key[:-1], "2019-07-04T16:43:14.120000001Z")
    after = fingerprint.Taken({moved: 0.9}, [1.0, 2.0])
    assert not fingerprint.same(before, after)
    assert not fingerprint.same(fingerprint.Taken(), fingerprint.Taken())
    assert fingerprint.compare(before, after) == ("1", "1", "2", "0.0e+00", "3.0", "0.50")
