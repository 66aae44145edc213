"""Outputs that grow: lines, documents by the hour, standard output; and who gets what again."""

import csv
import json
import logging
import math
import os
import time
from dataclasses import replace

import obspy
import pytest
from obspy.io.seiscomp.core import validate

from scperformer.delivery.delivery import Delivery, Emitted, Journal
from scperformer.delivery.live_sinks import StandardOutput, open_live_sink
from scperformer.delivery.store import Store
from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.pick_files import open_sink, read_pick_file
from scperformer.picks.style import Style
from scperformer.types import NS_PER_S, Phase, PickSink, SeedId, SensorId
from scperformer.waveforms.problems import LimitedLog
from tests.picks import PICK

HOUR_NS = 3600 * NS_PER_S
BASE_NS = 1_600_000_000 * NS_PER_S


def make_pick(seconds=0.0, *, phase=Phase.P, station="A", **other):
    values = {
        "time_ns": BASE_NS + round(seconds * NS_PER_S),
        "phase": phase,
        "seed_id": SeedId("XX", station, "", "HHZ"),
        "snr": 12.5,
    }
    return replace(PICK, **(values | other))


PICKS = [make_pick(k * 10.0, station=s) for k in range(5) for s in "AB"]


class TestLines:
    @pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".txt"])
    def test_the_same_lines_as_a_file_written_at_once(self, tmp_path, suffix):
        live, whole = tmp_path / f"live{suffix}", tmp_path / f"whole{suffix}"
        with open_sink(whole) as sink:
            sink.write(PICKS)
        sink = open_live_sink(str(live))
        for pick in PICKS:
            sink.write([pick])
        sink.close()
        assert live.read_bytes() == whole.read_bytes()

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".txt"])
    def test_each_pick_can_be_read_at_once_and_what_is_there_is_kept(self, tmp_path, suffix):
        path = tmp_path / f"live{suffix}"
        for n, pick in enumerate(PICKS):
            sink = open_live_sink(str(path))
            sink.write([pick])
            assert path.read_bytes().count(b"\n") == n + 1 + (suffix == ".csv")
            sink.close()
        if suffix != ".txt":
            assert read_pick_file(path)[-1].public_id == PICKS[-1].public_id

    @pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".txt"])
    def test_a_partial_line_is_repaired(self, tmp_path, suffix):
        path = tmp_path / f"live{suffix}"
        sink = open_live_sink(str(path))
        sink.write(PICKS[:3])
        sink.close()
        whole = path.read_bytes()
        path.write_bytes(whole[:-7])
        sink = open_live_sink(str(path))
        assert sink.missing(PICKS[:4]) == PICKS[2:4]
        sink.write(sink.missing(PICKS[:3]))
        sink.close()
        assert path.read_bytes() == whole

    def test_equal_lines_of_different_picks_are_counted(self, tmp_path):
        """Text lines do not tell networks apart."""
        twins = [make_pick(), make_pick(seed_id=SeedId("YY", "A", "", "HHZ"))]
        sink = open_live_sink(str(tmp_path / "p.txt"))
        sink.write(twins[:1])
        assert sink.missing(twins) == twins[1:]
        sink.write(twins[1:])
        assert sink.missing(twins) == []

    def test_a_file_moved_away_is_begun_anew(self, tmp_path):
        path = tmp_path / "p.csv"
        sink = open_live_sink(str(path))
        sink.write(PICKS[:2])
        path.rename(tmp_path / "p.csv.1")
        sink.write(PICKS[2:4])
        sink.close()
        for name in ("p.csv", "p.csv.1"):
            with (tmp_path / name).open(newline="") as file:
                assert len(list(csv.DictReader(file))) == 2

    def test_a_table_with_other_columns_is_not_touched(self, tmp_path):
        path = tmp_path / "p.csv"
        path.write_text("a,b\n1,2\n")
        with pytest.raises(OutputError, match="other columns"):
            open_live_sink(str(path))
        assert path.read_text() == "a,b\n1,2\n"

    def test_standard_output_is_json_lines(self):
        read, write = os.pipe()
        sink = StandardOutput(open_live_sink("-")._render, handle=write)
        sink.write(PICKS[:2])
        sink.close()
        os.close(write)
        with os.fdopen(read) as printed:
            lines = printed.read().splitlines()
        assert [json.loads(line)["public_id"] for line in lines] == [p.public_id for p in PICKS[:2]]

    def test_no_folder(self, tmp_path):
        with pytest.raises(OutputError, match="folder that exists"):
            open_live_sink(str(tmp_path / "no" / "p.csv"))


class TestDocuments:
    def fill(self, path, picks, style=None, **options):
        sink = open_live_sink(str(path), style, **options)
        for pick in picks:
            sink.write([pick])
            assert sink.settle(at_once=True)
        return sink

    def test_a_document_an_hour_valid_scml(self, tmp_path):
        picks = [make_pick(s) for s in (0.0, 10.0, 3600.0, 7200.0)]
        self.fill(tmp_path / "p.scml", picks, Style(agency="TEST"))
        documents = sorted((tmp_path / "p.scml").iterdir())
        assert [path.name for path in documents] == [
            "2020-09-13T12.scml",
            "2020-09-13T13.scml",
            "2020-09-13T14.scml",
        ]
        assert all(validate(str(path)) for path in documents)

    def test_a_document_a_day_of_quakeml(self, tmp_path):
        picks = [make_pick(s) for s in (0.0, 10.0, 3600.0, 86_400.0)]
        self.fill(tmp_path / "p.qml", picks, roll="day")
        first, second = sorted((tmp_path / "p.qml").iterdir())
        assert first.name == "2020-09-13.qml"
        assert [len(obspy.read_events(str(p))[0].picks) for p in (first, second)] == [3, 1]

    @pytest.mark.parametrize("suffix", [".scml", ".qml"])
    def test_the_same_pick_again_changes_nothing(self, tmp_path, suffix):
        folder = tmp_path / f"p{suffix}"
        self.fill(folder, PICKS)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        again = self.fill(folder, PICKS)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        assert again.missing([*PICKS, make_pick(99.0)]) == [make_pick(99.0)]

    def test_a_pick_of_an_earlier_hour_finds_its_document(self, tmp_path):
        self.fill(tmp_path / "p.scml", [make_pick(0.0), make_pick(7200.0), make_pick(20.0)])
        text = (tmp_path / "p.scml" / "2020-09-13T12.scml").read_text()
        assert text.count("<pick ") == 2
        assert text.count("<amplitude ") == 2

    def test_a_pick_without_snr_has_no_amplitude(self, tmp_path):
        self.fill(tmp_path / "p.scml", [make_pick(0.0), make_pick(9.0, snr=math.nan)])
        text = (tmp_path / "p.scml" / "2020-09-13T12.scml").read_text()
        assert (text.count("<pick "), text.count("<amplitude ")) == (2, 1)

    def test_what_is_no_document_of_ours_is_set_aside(self, tmp_path, caplog):
        self.fill(tmp_path / "p.scml", PICKS[:2])
        (path,) = (tmp_path / "p.scml").iterdir()
        path.write_bytes(path.read_bytes()[:-5])
        self.fill(tmp_path / "p.scml", PICKS[2:4])
        assert path.read_text().count("<pick ") == 2
        assert len(list(path.parent.glob("*.damaged-*"))) == 1
        assert any("set aside" in text for text in caplog.messages)

    def test_what_a_crash_left_is_cleared_away(self, tmp_path):
        self.fill(tmp_path / "p.scml", PICKS[:2])
        left = tmp_path / "p.scml" / ".2020-09-13T12.scml.0123abcd.part"
        left.write_text("half")
        open_live_sink(str(tmp_path / "p.scml"))
        assert not left.exists()

    def test_large_documents_wait_their_turn(self, tmp_path, monkeypatch):
        sink = open_live_sink(str(tmp_path / "p.scml"))
        sink.write(PICKS[:1])
        assert sink.settle()
        sink._due_s = math.inf
        sink.write(PICKS[1:3])
        assert not sink.settle()
        sink.close()
        assert sink.missing(PICKS[:3]) == []

    def test_a_file_where_the_folder_should_be(self, tmp_path):
        (tmp_path / "p.scml").write_text("a file of the scan")
        with pytest.raises(OutputError, match="documents roll in a folder"):
            open_live_sink(str(tmp_path / "p.scml"))

    def test_options_that_cannot_be(self, tmp_path):
        with pytest.raises(ConfigurationError):
            open_live_sink(str(tmp_path / "p.scml"), Style(scml_version="9"))
        with pytest.raises(ConfigurationError):
            open_live_sink(str(tmp_path / "p.qml"), roll="week")


class TestEmitted:
    def test_the_same_id_is_given_out_once(self):
        emitted = Emitted()
        assert emitted.take_new([PICKS[0], PICKS[0], PICKS[1]]) == PICKS[:2]
        assert emitted.take_new(PICKS[:3]) == PICKS[2:3]

    def test_what_was_given_out_before_the_restart_is_known_within_half_a_second(self):
        emitted = Emitted([make_pick(10.0)])
        near, far = make_pick(10.4), make_pick(10.6)
        other = make_pick(10.1, phase=Phase.S)
        assert emitted.take_new([near, other, far]) == [other, far]

    def test_two_picks_of_one_run_may_be_close(self):
        emitted = Emitted()
        assert len(emitted.take_new([make_pick(10.0), make_pick(10.3)])) == 2

    def test_what_was_decided_before_the_restart_stays_decided(self):
        sensor_id = SensorId("XX", "A", "", "HH")
        emitted = Emitted((), {sensor_id: BASE_NS + 10 * NS_PER_S})
        assert emitted.take_new([make_pick(9.9), make_pick(10.1)]) == [make_pick(10.1)]
        assert emitted.take_new([make_pick(9.9, station="B")])
        shifted = Emitted((), {sensor_id: BASE_NS}, time_correction_ns=-5 * NS_PER_S)
        assert shifted.take_new([make_pick(-4.0)])


class FailingSink(PickSink):
    name = "failing"

    def __init__(self):
        self.fails = True
        self.got = []

    def missing(self, picks):
        return [pick for pick in picks if pick not in self.got]

    def write(self, picks):
        if self.fails:
            raise OutputError("failing: cannot be written")
        self.got += picks

    def close(self):
        pass


class TestDelivery:
    def test_an_output_that_fails_keeps_no_other_and_loses_nothing(self, tmp_path, caplog):
        failing = FailingSink()
        good = open_live_sink(str(tmp_path / "p.jsonl"))
        delivery = Delivery([failing, good])
        for pick in PICKS:
            delivery.emit([pick])
        assert (tmp_path / "p.jsonl").read_bytes().count(b"\n") == len(PICKS)
        assert delivery.n_waiting == len(PICKS)
        assert len([m for m in caplog.messages if "failing" in m]) == 1
        failing.fails = False
        assert delivery.close() == 0
        assert failing.got == PICKS

    def test_how_its_outputs_are_doing(self, tmp_path):
        failing, good = FailingSink(), open_live_sink(str(tmp_path / "p.jsonl"))
        delivery = Delivery([failing, good])
        assert [output.delivered_ns for output in delivery.outputs] == [0, 0]
        begun_ns = time.time_ns()
        delivery.emit(PICKS)
        bad, well = delivery.outputs
        assert (bad.n_waiting, bad.delivered_ns) == (len(PICKS), 0)
        assert bad.problem == "failing: cannot be written"
        assert (well.n_waiting, well.problem) == (0, "")
        assert well.delivered_ns >= begun_ns
        failing.fails = False
        delivery.push(at_once=True)
        assert (delivery.outputs[0].n_waiting, delivery.outputs[0].problem) == (0, "")
        assert delivery.outputs[0].delivered_ns >= well.delivered_ns
        delivery.close()

    def test_what_an_output_lacks_follows_after_a_restart(self, tmp_path):
        failing = FailingSink()
        store = Store(tmp_path)
        delivery = Delivery([failing], journal=Journal(store))
        delivery.emit(PICKS[:4])
        assert delivery.close() == 4
        store.close()
        failing.fails = False
        delivery = Delivery([failing], journal=Journal(Store(tmp_path)))
        delivery.emit(PICKS[4:])
        assert failing.got == PICKS

    def test_what_waits_is_never_pruned(self, tmp_path):
        failing = FailingSink()
        store = Store(tmp_path)
        journal = Journal(store)
        delivery = Delivery([failing], journal=journal)
        delivery.emit(PICKS)
        delivery.prune(lambda pick: False)
        assert list(journal.picks.values()) == PICKS
        failing.fails = False
        delivery.push(at_once=True)
        delivery.prune(lambda pick: False)
        assert journal.picks == {}
        store.close()
        assert Journal(Store(tmp_path)).last_serial == len(PICKS)

    def test_the_stream_waits_while_the_journal_cannot_be_written(self, tmp_path, monkeypatch):
        journal = Journal(Store(tmp_path))
        delivery = Delivery([], journal=journal)
        monkeypatch.setattr("scperformer.delivery.delivery._JOURNAL_PAUSE_S", 0.01)
        failures = iter([True, True, True, False])
        append = journal.append

        def sometimes(picks):
            if next(failures):
                raise OutputError("journal: no room")
            return append(picks)

        monkeypatch.setattr(journal, "append", sometimes)
        assert delivery.emit(PICKS[:2]) == PICKS[:2]
        assert len(journal.picks) == 2

    def test_a_stop_ends_the_waiting(self, tmp_path, monkeypatch):
        journal = Journal(Store(tmp_path))
        delivery = Delivery([], journal=journal, is_stopping=lambda: True)

        def never(picks):
            raise OutputError("journal: no room")

        monkeypatch.setattr(journal, "append", never)
        with pytest.raises(OutputError, match="no room"):
            delivery.emit(PICKS[:1])


def test_a_problem_is_told_once_and_then_counted(caplog, monkeypatch):
    now = 0.0
    monkeypatch.setattr("scperformer.waveforms.problems.time.monotonic", lambda: now)
    log = LimitedLog(logging.getLogger("test"), interval_s=60.0)
    for _ in range(5):
        log.warning(("XX.A", "gap"), "XX.A: gap")
    log.warning(("XX.B", "gap"), "XX.B: gap")
    now = 61.0
    log.warning(("XX.A", "gap"), "XX.A: gap")
    assert caplog.messages == ["XX.A: gap", "XX.B: gap", "XX.A: gap (4 more since the last line)"]
    assert log.n_warnings == 7


def test_a_pick_is_the_same_after_a_journal(tmp_path):
    store = Store(tmp_path)
    odd = replace(PICKS[0], snr=math.inf, probability=0.1 + 0.2)
    Journal(store).append([odd])
    store.close()
    assert Journal(Store(tmp_path)).picks[1] == odd
