"""`scperformer drift` on the picks of the real records of Ridgecrest."""

import json
from dataclasses import replace

import pytest

from scperformer.cli.main import main
from scperformer.picks.pick_files import open_sink, read_pick_file
from scperformer.types import NS_PER_S

pytestmark = [pytest.mark.slow, pytest.mark.shared]


def test_a_clock_that_is_off_is_named_and_no_other_station(shared, tmp_path, capsys):
    folder = shared / "data" / "continuous" / "ridgecrest"
    picks, off = tmp_path / "picks.csv", tmp_path / "off.csv"
    assert main(["scan", str(folder), "-o", str(picks)]) == 0
    command = ["drift", "--stations", str(folder / "stations.xml"), "--json"]
    assert main([*command, str(tmp_path / "sound.json"), str(picks)]) == 0
    capsys.readouterr()
    with open_sink(off) as sink:
        sink.write(
            [
                replace(pick, time_ns=pick.time_ns + 4 * NS_PER_S * (pick.station == "PB.B918"))
                for pick in read_pick_file(picks)
            ]
        )
    assert main([*command, str(tmp_path / "off.json"), str(off)]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("PB.B918: its P and S say ")
    stations = json.loads((tmp_path / "off.json").read_text())["stations"]
    assert len(stations) == 22
    assert [one["station"] for one in stations if one["findings"]] == ["PB.B918"]
    assert stations[0]["origin_s"] == pytest.approx(4.0, abs=0.3)
