"""What `scperformer bench` sends, and what it makes of settings and of processes."""

import io
import sys
from pathlib import Path

import numpy as np
import obspy
import pytest

from scperformer.cli import bench
from scperformer.cli.bench_records import LETTERS, RECORD_BYTES, Network, synthetic_trace
from scperformer.cli.bench_session import _measure, _rounded, take_settings
from scperformer.cli.bench_subjects import BenchError, Module, Running, Stream
from scperformer.cli.main import main
from scperformer.cli.options import settings_from_options
from scperformer.cli.parser import Parser
from scperformer.errors import ConfigurationError
from scperformer.types import NS_PER_S

START_NS = (1_704_067_190 + 366 * 86_400) * NS_PER_S  # ten seconds before a year ends


def parsed(*words):
    parser = Parser()
    bench.add_arguments(parser)
    return parser.parse_args(words)


def test_stations_play_the_trace_on_without_a_gap_over_its_end_and_over_the_year_s():
    trace = synthetic_trace()[:, :6000]
    network = Network(3, START_NS, trace)
    data = b"".join(network.seconds(first, first + 7.5) for first in np.arange(0.0, 150.0, 7.5))
    stream = obspy.read(io.BytesIO(data))
    assert len(data) % RECORD_BYTES == 0
    # ObsPy joins what follows on without a gap.
    assert sorted(one.id for one in stream) == [
        f"XX.{number:05}..HH{letter}" for number in range(3) for letter in LETTERS
    ]
    for one in stream:
        place, number = LETTERS.index(one.stats.channel[-1]), int(one.stats.station)
        first = round((one.stats.starttime.ns - START_NS) / 1e7) + 377 * number
        assert np.array_equal(
            one.data, np.take(trace[place], range(first, first + one.stats.npts), mode="wrap")
        )
        assert one.stats.endtime.ns - START_NS > 140 * NS_PER_S


def test_records_come_when_they_are_complete():
    network = Network(4, START_NS, synthetic_trace()[:, :6000])
    data = network.seconds(20.0, 25.0)
    ends_s = []
    for first in range(0, len(data), RECORD_BYTES):
        [one] = obspy.read(io.BytesIO(data[first : first + RECORD_BYTES]))
        ends_s.append((one.stats.endtime.ns - START_NS) / NS_PER_S + 0.01)
    assert ends_s == sorted(ends_s)
    assert 20.0 < ends_s[0] < ends_s[-1] <= 25.0 + 1e-6


def test_settings_of_a_file_reach_both_paths_and_options_prevail(tmp_path):
    path = tmp_path / "scperformer.cfg"
    path.write_text(
        "# ours\nthresholds.P = 0.8\nthresholds.S = 0.7\nmodel = performer\nshift = 20 # coarse\n"
        'detecFilter = "x"\nfilter = "BW(4,2,20)"\nleadTime = 60\nconnection.server = production\n'
    )
    options = parsed("--shift", "10")
    others = take_settings(options, path)
    assert others == {"leadTime": "60"}
    settings = settings_from_options(options)
    assert Stream(options, settings).words == [
        "--model-name", "performer", "--threshold", "p: 0.8, s: 0.7", "--shift=10",
        "--filter=BW(4,2,20)",
    ]  # fmt: skip
    module = Module(options, settings, others)
    assert module.keys == {
        "leadTime": "60", "thresholds.P": "0.8", "thresholds.S": "0.7", "shift": "10",
        "filter": "BW(4,2,20)", "model": "performer",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shift = many\n", "shift"),
        ("refineOnset = false\n", "refineOnset: the stream has no option for it"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path, capsys, text, said):
    path = tmp_path / "scperformer.cfg"
    path.write_text(text)
    assert main(["bench", "--only", "stream", "--settings", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_the_module_has_named_models_only():
    options = parsed("--cnn")
    with pytest.raises(ConfigurationError, match="--cnn: the module has only --model-name"):
        Module(options, settings_from_options(options), {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--stations", "0"], "--stations: got 0; wanted 1 to 99999"),
        (["--seconds", "1"], "--seconds: got 1; wanted 5 or more"),
        (["--only", "module"], "no SeisComP"),
    ],
)
def test_what_cannot_be_measured_ends_with_status_2(words, said, capsys, monkeypatch):
    monkeypatch.delenv("SEISCOMP_ROOT", raising=False)
    assert main(["bench", *words]) == 2
    assert said in capsys.readouterr().err


class Swallow:
    """A path that takes records at some speed, and makes no picks."""

    name = told = "swallow"

    def __init__(self, code):
        self.code = code

    def start(self, folder: Path) -> Running:
        return Running([sys.executable, "-S", "-c", self.code], folder)


WORKS = "import sys\nsum(range(40_000_000))\nwhile sys.stdin.buffer.read(1 << 14): "


def test_a_path_that_takes_all_keeps_up():
    measured = _measure(Swallow(WORKS + "sum(range(2_000_000))"), 50, 2.0, synthetic_trace())
    assert measured.most_stations is None
    [one] = measured.tries
    assert (one.stations, one.keeps_up, one.delay_s) == (50, True, None)
    assert one.cpu_s_per_station_hour > 0.0


def test_a_path_that_is_too_slow_falls_behind_and_says_so():
    measured = _measure(Swallow(WORKS + "sum(range(20_000_000))"), 500, 3.0, synthetic_trace())
    [one] = measured.tries
    assert not one.keeps_up
    assert one.late_s > 2.0


def test_a_path_that_ends_too_early_is_quoted(tmp_path):
    running = Swallow("raise SystemExit('no such model')").start(tmp_path)
    with pytest.raises(BenchError, match="no such model"):
        running.send(bytes(1 << 24))
    running.close()


@pytest.mark.parametrize(("value", "wanted"), [(3656.0, 3600), (95.9, 95), (0.2, 1), (120.0, 120)])
def test_numbers_of_stations_have_two_digits(value, wanted):
    assert _rounded(value) == wanted
