"""Where streams begin again after a stop."""

import logging
from contextlib import closing

import numpy as np
import pytest

from scperformer.delivery.state import WARM_UP_S, Positions, StreamState
from scperformer.delivery.store import Store
from scperformer.errors import ConfigurationError
from scperformer.types import NS_PER_S, Record, SeedId, SensorId

T0 = 1_600_000_000 * NS_PER_S
WARM_UP = 60 * NS_PER_S
A, B = SensorId("XX", "A", "", "HH"), SensorId("XX", "A", "10", "HN")


def record(sensor_id, seconds, *, letter="Z", n=100):
    start_ns = T0 + round(seconds * NS_PER_S)
    return Record(sensor_id.channel(letter), start_ns, 100.0, np.zeros(n, "i4"))


def saved(path, notes, decided, *, now_ns=T0 + 10**13, before=None):
    positions = Positions(warm_up_ns=WARM_UP)
    if before is not None:
        with closing(Store(before)) as store:
            positions.load(store, now_ns=now_ns)
    for item in notes:
        positions.note(item)
    positions.decide(decided)
    with closing(Store(path)) as store:
        positions.save(store)
    again = Positions(warm_up_ns=WARM_UP)
    with closing(Store(path)) as store:
        again.load(store, now_ns=now_ns)
    return again


def test_a_stream_begins_a_warm_up_before_what_was_decided(tmp_path):
    again = saved(tmp_path / "p", [record(A, 0), record(A, 500)], {A: T0 + 490 * NS_PER_S})
    assert again.resume_ns(A) == T0 + 430 * NS_PER_S
    assert again.resume_ns(B) is None
    assert list(again.channels()) == [SeedId("XX", "A", "", "HHZ")]


def test_stations_that_were_heard_lately_are_remembered(tmp_path):
    own = SensorId("YY", "B", "", "HH")
    again = saved(tmp_path / "p", [record(A, 0), record(B, 50), record(own, 900)], {})
    assert again.stations(since_ns=T0) == {("XX", "A"), ("YY", "B")}
    assert again.stations(since_ns=T0 + 100 * NS_PER_S) == {("YY", "B")}


def test_a_sensor_without_decisions_is_read_again_from_its_beginning(tmp_path):
    again = saved(tmp_path / "p", [record(A, 0), record(A, 100)], {})
    assert again.resume_ns(A) == T0 - WARM_UP
    again = saved(tmp_path / "q", [record(A, 0), record(A, 1000)], {})
    assert again.resume_ns(A) == T0 + (1001 - 300 - 60) * NS_PER_S


def test_a_restart_never_falls_back_behind_the_old_position(tmp_path):
    path = tmp_path / "p"
    saved(path, [record(A, 0), record(A, 500)], {A: T0 + 490 * NS_PER_S})
    again = saved(path, [record(A, 431)], {A: T0 + 435 * NS_PER_S}, before=path)
    assert again.restored[A].decided_until_ns == T0 + 490 * NS_PER_S
    again = saved(path, [record(A, 431), record(A, 600)], {A: T0 + 595 * NS_PER_S}, before=path)
    assert again.restored[A].decided_until_ns == T0 + 595 * NS_PER_S


def test_what_is_not_heard_of_any_more_keeps_its_position(tmp_path):
    path = tmp_path / "p"
    saved(path, [record(A, 500)], {A: T0 + 490 * NS_PER_S})
    again = saved(path, [record(B, 900)], {B: T0 + 890 * NS_PER_S}, before=path)
    assert again.restored[A].decided_until_ns == T0 + 490 * NS_PER_S


def test_a_station_begins_where_its_slowest_sensor_does_unless_that_died_long_ago(tmp_path):
    notes = [record(A, 5000), record(B, 4900)]
    decided = {A: T0 + 4990 * NS_PER_S, B: T0 + 4890 * NS_PER_S}
    again = saved(tmp_path / "p", notes, decided)
    assert again.station_resume_ns() == {("XX", "A"): T0 + 4830 * NS_PER_S}
    notes[1] = record(B, 100)
    decided[B] = T0 + 90 * NS_PER_S
    again = saved(tmp_path / "q", notes, decided)
    assert again.station_resume_ns() == {("XX", "A"): T0 + 4930 * NS_PER_S}


def test_a_clock_that_was_ahead_is_not_believed(tmp_path, caplog):
    again = saved(tmp_path / "p", [record(A, 500)], {A: T0}, now_ns=T0 + 100 * NS_PER_S)
    assert again.resume_ns(A) is None
    assert "its clock was ahead" in caplog.text


def test_a_clock_that_stepped_back_by_days_is_followed(tmp_path):
    ahead = record(A, 3 * 86_400)
    again = saved(tmp_path / "p", [ahead, record(A, 500)], {A: T0}, now_ns=T0 + 10**12)
    assert again.resume_ns(A) == T0 - WARM_UP


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 9}', '{"version": 1}', "null"])
def test_a_position_that_cannot_be_understood_counts_as_none(tmp_path, text, caplog):
    saved(tmp_path, [record(A, 500), record(B, 500)], {})
    with closing(Store(tmp_path)) as store:
        with store.writing() as connection:
            update = "UPDATE sensors SET position = ? WHERE name = 'XX.A..HH'"
            connection.execute(update, (text.encode(),))
        positions = Positions(warm_up_ns=WARM_UP)
        with caplog.at_level(logging.ERROR):
            positions.load(store, now_ns=T0 + 10**13)
    assert list(positions.restored) == [B]
    assert "XX.A..HH: no position of ours" in caplog.text
    assert "begins anew" in caplog.text


class TestState:
    def test_records_before_the_position_are_skipped(self, tmp_path):
        state = StreamState(tmp_path / "state")
        assert state.wants(record(A, 500))
        state.save({A: T0 + 490 * NS_PER_S}, None)
        state.close()
        again = StreamState(tmp_path / "state")
        first_s = 490 - WARM_UP_S - 1
        assert not again.wants(record(A, first_s - 1.5))
        assert again.wants(record(A, first_s - 0.5))
        assert again.wants(record(B, 0))
        assert again.skipped[A] == 1
        again.close()

    def test_one_process_a_folder(self, tmp_path):
        state = StreamState(tmp_path / "state")
        with pytest.raises(ConfigurationError, match="another process uses it"):
            StreamState(tmp_path / "state")
        state.close()
        StreamState(tmp_path / "state").close()


def test_a_component_that_goes_on_under_another_name_is_not_expected_again(tmp_path):
    notes = [record(A, 0, letter=letter) for letter in "NEZ"]
    notes += [record(A, 500, letter=letter) for letter in "12Z"]
    again = saved(tmp_path / "p", notes, {A: T0 + 490 * NS_PER_S})
    assert sorted(c.component for c in again.channels()) == ["1", "2", "Z"]
    again = saved(tmp_path / "q", [*notes, record(A, 501, letter="E")], {A: T0 + 490 * NS_PER_S})
    assert sorted(c.component for c in again.channels()) == ["1", "2", "E", "Z"]
