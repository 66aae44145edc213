"""Files, folders and pipes as sources; what the command says and how it ends."""

import json
import logging
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from scperformer.errors import ConfigurationError, InputError
from scperformer.types import Record, SeedId
from scperformer.waveforms.feed import Feed
from scperformer.waveforms.replay import ArchiveSource, Pace, PipeSource
from tests.scmp_broker import BrokerCore, ScmpBroker
from tests.streaming import ids, ids_in, run_stream

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def archive(packets, tmp_path):
    """A file a channel, and one that is no waveform at all."""
    folder = tmp_path / "archive"
    folder.mkdir()
    for packet in packets:
        name = packet[8:20].decode().replace(" ", "")
        with (folder / name).open("ab") as file:
            file.write(packet)
    (folder / "notes").write_text("nothing")
    return folder


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_folder_gives_the_plain_pipelines_picks(archive, plain, tmp_path, prefix):
    assert run_stream(f"{prefix}{archive}", "-o", tmp_path / "p.jsonl") == 1  # the notes
    assert ids_in(tmp_path / "p.jsonl") == ids(plain)


def test_records_come_in_the_order_of_time_over_all_stations(archive):
    source = ArchiveSource([archive])
    starts = [record.start_ns for record in source.records(threading.Event())]
    assert starts == sorted(starts)
    assert len({record.seed_id for record in source.records(threading.Event())}) == 6


def test_a_second_run_with_the_state_adds_nothing(archive, plain, tmp_path):
    for _ in range(2):
        run_stream(archive, "-o", tmp_path / "p.jsonl", "--state", tmp_path / "state")
    assert ids_in(tmp_path / "p.jsonl") == ids(plain)


def test_an_output_that_is_new_gets_what_is_new(archive, tmp_path):
    """An output that was not there in the first run begins where the second run does."""
    state = ("--state", tmp_path / "state")
    run_stream(archive, "-o", tmp_path / "p.jsonl", *state)
    run_stream(archive, "-o", tmp_path / "p.jsonl", "-o", tmp_path / "new.csv", *state)
    assert (tmp_path / "new.csv").read_text().count("\n") == 1


def test_a_start_time_leaves_out_what_is_before(archive, plain, tmp_path):
    middle = "2020-09-13T12:28:00"
    run_stream(archive, "-o", tmp_path / "p.jsonl", "--start", middle)
    assert ids_in(tmp_path / "p.jsonl") == [p for p in ids(plain) if p > "20200913.122800"]


def test_a_replay_keeps_to_the_clock():
    record = Record(SeedId("XX", "A", "", "HHZ"), 10**18, 100.0, np.zeros(100, "i4"))
    stop = threading.Event()
    pace = Pace(4.0)
    begun_s = time.monotonic()
    assert pace.wait(record, stop)
    assert 0.2 < time.monotonic() - begun_s < 1.5
    assert Pace(math.inf).wait(record, stop)
    stop.set()
    assert not pace.wait(record, stop)


def test_a_paced_replay_gives_the_same_picks(archive, plain, tmp_path):
    begun_s = time.monotonic()
    run_stream(archive, "-o", tmp_path / "p.jsonl", "--speed", "60")
    assert time.monotonic() - begun_s > 2.0
    assert ids_in(tmp_path / "p.jsonl") == ids(plain)


def as_strain(packet):
    """The packet under the channel code of a strainmeter."""
    return packet[:16] + b"V" + packet[17:]


class TestChannels:
    """What is no seismometer, or not asked for, is not picked, from whatever source."""

    def test_files(self, archive, packets, plain, tmp_path, caplog):
        with (archive / "strain").open("wb") as file:
            file.writelines(map(as_strain, packets))
        with caplog.at_level(logging.INFO):
            run_stream(archive, "-o", tmp_path / "p.jsonl")
        assert ids_in(tmp_path / "p.jsonl") == ids(plain)
        left_out = [text for text in caplog.messages if text.startswith("left out: 6 channels")]
        assert len(left_out) == 1
        assert "volumetric strain" in left_out[0]

    def test_pipes(self, packets, plain, tmp_path, caplog):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        mixed = b"".join(one for packet in packets for one in (packet, as_strain(packet)))
        threading.Thread(target=pipe.write_bytes, args=(mixed,), daemon=True).start()
        with caplog.at_level(logging.INFO):
            run_stream(pipe, "-o", tmp_path / "p.jsonl")
        assert ids_in(tmp_path / "p.jsonl") == ids(plain)
        assert any(text.startswith("left out: 6 channels") for text in caplog.messages)

    def test_who_names_them_gets_them(self, packets, plain, tmp_path):
        path = tmp_path / "strain"
        path.write_bytes(b"".join(map(as_strain, packets)))
        assert run_stream(path, "--channels", "HV?", "-o", tmp_path / "p.jsonl") == 0
        assert len(ids_in(tmp_path / "p.jsonl")) == len(plain)

    @pytest.mark.parametrize("selection", [["--stations", "XX.A"], ["--stations", "*.A:HH?"]])
    def test_stations_are_selected_in_files_too(self, archive, plain, tmp_path, selection):
        run_stream(archive, *selection, "-o", tmp_path / "p.jsonl")
        own = [pick for pick in plain if pick.seed_id.station == "A"]
        assert ids_in(tmp_path / "p.jsonl") == ids(own)


class TestPipes:
    def run(self, data, *, chunk=700):
        """Send bytes through a pipe, a few at a time."""
        reading, writing = os.pipe()
        said = []

        def send():
            with os.fdopen(writing, "wb", buffering=0) as pipe:
                for at in range(0, len(data), chunk):
                    pipe.write(data[at : at + chunk])

        threading.Thread(target=send).start()
        source = PipeSource(Path(f"/dev/fd/{reading}"), report=said.append)
        found = list(source.records(threading.Event()))
        os.close(reading)
        return found, said

    def test_records_of_any_chunks(self, packets):
        for chunk in (1, 511, 100_000):
            found, said = self.run(b"".join(packets[:20]), chunk=chunk)
            assert len(found) == 20
            assert not said

    def test_garbage_between_records_is_skipped_and_told(self, packets):
        random = np.random.default_rng(0)
        data, n_junk = b"", 0
        for n, packet in enumerate(packets[:40]):
            junk = random.bytes(int(random.integers(0, 900))) if n % 3 == 0 else b""
            n_junk += len(junk)
            data += junk + packet
        found, said = self.run(data + packets[0][:300])
        assert len(found) == 40
        assert any(f"{n_junk + 300} bytes were no records" in text for text in said)

    def test_a_header_with_a_damaged_length_costs_one_record(self, packets):
        broken = bytearray(packets[5])
        broken[broken.index((1000).to_bytes(2, "big"), 48) + 6] = 19  # half a megabyte
        found, _ = self.run(b"".join([*packets[:5], bytes(broken), *packets[6:20]]))
        assert len(found) == 19

    def test_a_record_is_there_before_the_next_one_comes(self, packets):
        reading, writing = os.pipe()
        source = PipeSource(Path(f"/dev/fd/{reading}"))
        records = source.records(threading.Event())
        for packet in packets[:5]:
            os.write(writing, packet)
            assert next(records).seed_id.station in "AB"
        os.close(writing)
        assert list(records) == []
        os.close(reading)

    def test_standard_input_to_standard_output(self, packets, plain):
        command = [sys.executable, "-m", "tests.stream_worker", "-"]
        done = subprocess.run(
            command, input=b"".join(packets), capture_output=True, check=True, cwd=ROOT
        )
        lines = done.stdout.decode().splitlines()
        assert sorted(json.loads(line)["public_id"] for line in lines) == ids(plain)
        assert b"decision delay after the onset: median" in done.stderr


def test_a_messaging_server_gets_every_pick_once(archive, plain, tmp_path):
    """Two runs on one state: the first without a server, the second delivers."""
    broker = ScmpBroker(BrokerCore(ack_after_s=0.05))
    broker.start()
    broker.stop()
    state = ("--bus", broker.url, "--state", tmp_path / "state", "--agency", "TEST")
    run_stream(archive, *state)
    broker.start()
    for _ in range(2):
        run_stream(archive, *state)
    broker.stop()
    published = [name for name in broker.core.ids if not name.endswith(".snr")]
    without_recipe = [[name.rpartition("-")[0] for name in own] for own in (published, ids(plain))]
    assert sorted(without_recipe[0]) == sorted(without_recipe[1])
    assert broker.core.violations == []


class TestFeed:
    def record(self, n):
        return Record(SeedId("XX", "A", "", "HHZ"), n * 10**9, 100.0, np.zeros(1, "i4"))

    def source(self, n, name="a", error=None):
        class Source:
            is_paced = True

            def records(source, stop):
                for k in range(n):
                    yield self.record(k)
                if error is not None:
                    raise error

        Source.name = name
        return Source()

    def test_nothing_is_dropped_when_the_queue_is_full(self):
        feed = Feed([self.source(500), self.source(300)], threading.Event(), size=4)
        got, fullest = [], 0.0
        for record in feed:
            if record is not None:
                got.append(record)
                time.sleep(0.0005)
                fullest = max(fullest, feed.fill)
        assert len(got) == 800
        assert fullest == 1.0

    def test_a_source_that_fails_ends_alone(self, caplog):
        feed = Feed(
            [self.source(5, "bad", InputError("broken")), self.source(50)], threading.Event()
        )
        assert len([record for record in feed if record is not None]) == 55
        assert feed.failed == ["bad"]
        assert "bad: broken" in caplog.messages

    def test_a_stop_gives_out_what_is_in_the_queue(self):
        stop = threading.Event()
        feed = Feed([self.source(50)], stop)
        got = []
        for record in feed:
            got.append(record)
            time.sleep(0.01)
            stop.set()
        assert len([record for record in got if record is not None]) == 50


class TestReport:
    def test_falling_behind_is_said_and_so_is_catching_up(self, archive, tmp_path, caplog):
        with caplog.at_level(logging.INFO), pytest.MonkeyPatch.context() as patch:
            patch.setattr("scperformer.cli.stream_session._CHORES_S", 0.0)
            patch.setattr(Feed.__init__, "__kwdefaults__", {"size": 4})
            run_stream(
                archive, "-o", tmp_path / "p.jsonl", "--speed", "2000", "--status-interval", "0.1"
            )
        assert any(text.startswith("behind: ") for text in caplog.messages)
        status = [text for text in caplog.messages if text.startswith("status: 2 stations")]
        assert status
        assert any("decision delay p50/p95/p99" in text for text in status)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["slink://localhost"], "need --stations"),
        (["-", "-"], "standard input is named twice"),
        (["-", "-o", "a.csv", "-o", "a.csv"], "named twice"),
        (["-", "--speed", "fast"], "--speed"),
        (["-", "--speed", "0"], "--speed"),
        (["-", "--status-interval", "0"], "--status-interval"),
        (["-", "--refresh-stations", "-1"], "--refresh-stations"),
        (["-", "-o", "picks.doc"], "unknown suffix"),
        (["http://host/x"], "unknown kind of source"),
        (["slink://h", "--stations", "CI"], "NET.STA"),
        (["-", "--start", "yesterday"], "--start"),
        (["-", "--bus", "http://x"], "--bus: got 'http://x'; wanted a messaging server"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(arguments, fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=fault):
        run_stream(*arguments)


def test_nothing_in_the_files(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no waveforms found"):
        run_stream(tmp_path / "empty", "-o", tmp_path / "p.csv")
