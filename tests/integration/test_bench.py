"""`scperformer bench` as operators run it: whole processes, real time."""

import json

import pytest

from scperformer.cli import bench_subjects
from scperformer.cli.main import main


def figures_of(tmp_path, path):
    out = tmp_path / "bench.json"
    assert main(["bench", "--only", path, "-n", "200", "--seconds", "10", "--json", str(out)]) == 0
    [figures] = json.loads(out.read_text())["paths"]
    assert figures["path"] == path
    return figures["tries"][-1]


def assert_keeps_up(one):
    assert one["keeps_up"]
    assert one["picks"] > 5
    middle, most = one["delay_s"]
    assert 2.0 < middle <= most < 10.0
    assert 0.0 < one["cpu_s_per_station_hour"] < 60.0
    assert one["peak_mb"] > 100.0


@pytest.mark.slow
def test_the_stream_is_measured(tmp_path, capsys):
    assert_keeps_up(figures_of(tmp_path, "stream"))
    out = capsys.readouterr().out
    assert "Sent: synthetic stations" in out
    assert "This machine keeps up with about 200 stations; " in out


@pytest.mark.slow
@pytest.mark.seiscomp
def test_the_module_is_measured_beside_a_real_messaging(tmp_path, capsys):
    if lack := bench_subjects.missing():
        pytest.skip(lack)
    one = figures_of(tmp_path, "module")
    assert_keeps_up(one)
    assert one["helpers_cpu_s_per_station_hour"] > 0.0
    assert "which sends to an scmaster" in capsys.readouterr().out
