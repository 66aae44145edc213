"""Who falls silent, and who is back: once each."""

import numpy as np
import pytest

from scperformer.monitoring.stations import Stations
from scperformer.types import Record, SeedId
from tests.synthetic import START_NS

SILENCE_S = 100.0


class Clock:
    """Stations with records that come as told, and all that was said of them."""

    def __init__(self, expected="") -> None:
        self.stations = Stations(SILENCE_S, 0.0)
        self.stations.expect([("XX", code) for code in expected], 0.0)
        self.said: list[tuple[float, str]] = []
        self.now_s = 0.0

    def run(self, until_s, codes):
        """A record of each station every 5 s, and a look at them as often."""
        while self.now_s < until_s:
            self.now_s += 5.0
            for code in codes:
                seed_id = SeedId("XX", code, "", "HHZ")
                record = Record(seed_id, START_NS, 100.0, np.zeros(100, np.int32))
                self.stations.note(record, self.now_s)
            self.said += [(self.now_s, line) for line in self.stations.check(self.now_s)]
        return self


def test_silence_of_a_station_is_said_once_and_so_is_its_end():
    clock = Clock().run(50, "ABC").run(400, "AB").run(500, "ABC")
    assert clock.said == [
        (150.0, "silent for 100 s: XX.C"),
        (405.0, "data again after 355 s: XX.C"),
    ]
    assert not clock.stations.silent


def test_a_station_that_falls_silent_again_is_told_again():
    clock = Clock().run(50, "AC").run(200, "A").run(250, "AC").run(500, "A")
    assert [line for _, line in clock.said] == [
        "silent for 100 s: XX.C",
        "data again after 155 s: XX.C",
        "silent for 100 s: XX.C",
    ]


def test_stations_of_one_moment_share_a_line():
    codes = [f"S{i:02d}" for i in range(14)]
    clock = Clock().run(50, ["A", *codes]).run(200, "A")
    [(_, line)] = clock.said
    assert line.startswith("silent for 100 s: XX.S00, XX.S01")
    assert line.endswith("XX.S09 and 4 more")


def test_silence_of_all_is_one_line_and_not_one_a_station():
    clock = Clock().run(50, "ABC").run(600, "").run(1000, "ABC")
    assert clock.said == [
        (150.0, "silent: nothing from any of 3 stations for 100 s"),
        (605.0, "data again after 555 s, from XX.C"),
    ]


def test_stations_that_stay_away_when_the_others_are_back_are_told():
    clock = Clock().run(50, "ABC").run(600, "").run(1000, "AB")
    assert clock.said[2:] == [(705.0, "silent for 100 s: XX.C")]
    assert clock.stations.n_silent == 1


def test_stations_that_fall_silent_a_little_before_the_others_are_not_told_alone():
    clock = Clock().run(50, "ABC").run(58, "AB").run(64, "A").run(600, "")
    assert [line for _, line in clock.said] == ["silent: nothing from any of 3 stations for 100 s"]
    assert clock.stations.n_silent == 3


def test_an_expected_station_of_which_nothing_ever_comes():
    clock = Clock(expected="AD").run(300, "A").run(400, "AD")
    assert clock.said == [
        (100.0, "silent for 100 s: XX.D"),
        (305.0, "data again after 305 s: XX.D"),
    ]


@pytest.mark.parametrize(("expected", "whose"), [("", "any station"), ("AB", "any of 2 stations")])
def test_nothing_comes_at_all(expected, whose):
    clock = Clock(expected=expected).run(1000, "")
    assert clock.said == [(100.0, f"silent: nothing from {whose} for 100 s")]
