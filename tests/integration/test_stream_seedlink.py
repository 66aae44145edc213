"""Picks from a stream over TCP equal the pipeline's on the same data."""

import logging
import socket
import threading
import time

import pytest

from scperformer.errors import ConfigurationError
from scperformer.waveforms import seedlink, seedlink_client
from scperformer.waveforms.seedlink import SeedLinkSource
from scperformer.waveforms.seedlink_stations import parse_address
from scperformer.waveforms.selection import ALL_DATA, parse_stations
from tests.seedlink_server import Faults, SeedLinkServer
from tests.streaming import LONG_AGO, ids, ids_in, network, plain_picks, run_stream


@pytest.fixture(scope="module")
def packets():
    return network()


@pytest.fixture(scope="module")
def plain(packets):
    picks = plain_picks(packets)
    assert len(picks) >= 8
    return picks


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(seedlink, "SHORTEST_WAIT_S", 0.05)


def stream_from(server, path, *more, stations="XX.*", until=None):
    return run_stream(
        server.url,
        "--stations",
        stations,
        "--start",
        LONG_AGO,
        "-o",
        path,
        *more,
        until=until or server.has_served_all.is_set,
    )


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(), id="quiet"),
        pytest.param(Faults(drop_after=[1, 40, 0, 100, 7]), id="dropped"),
        pytest.param(Faults(drop_after=[50, 40, 30], cut_packet=True), id="cut in a packet"),
        pytest.param(Faults(repeat=0.2), id="repeated"),
        pytest.param(Faults(swap=0.2), id="swapped"),
        pytest.param(Faults(late=0.1), id="late"),
        pytest.param(Faults(drop_after=[70, 60], late=0.1, repeat=0.1), id="late and twice"),
        pytest.param(Faults(drop_after=[50, 90, 10], repeat=0.1, swap=0.1), id="all at once"),
        pytest.param(Faults(drop_after=[80, 50], shift_sequence_at=1), id="lost count"),
        pytest.param(Faults(drop_after=[80, 50], no_info=True), id="wildcards at the server"),
    ],
)
def test_picks_equal_the_plain_pipelines(packets, plain, faults, tmp_path):
    options = ("--late-wait", "60") if faults.late else ()
    with SeedLinkServer(packets, faults=faults) as server:
        assert stream_from(server, tmp_path / "picks.jsonl", *options) == 0
        assert server.n_connections == len(faults.drop_after) + 1
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)


def test_sequence_numbers_wrap(packets, plain, tmp_path):
    faults = Faults(drop_after=[100, 3, 3, 3])
    with SeedLinkServer(packets, faults=faults, first_sequence=0xFFFFFF - 50) as server:
        stream_from(server, tmp_path / "picks.jsonl")
        resumed = [line for line in server.commands if line.startswith("DATA ")]
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)
    assert {len(line.split()[1]) for line in resumed} == {6}


def test_a_reconnection_goes_on_behind_the_last_packet(packets, tmp_path):
    with SeedLinkServer(packets, faults=Faults(drop_after=[30])) as server:
        stream_from(server, tmp_path / "picks.jsonl")
        asked = [line.split()[0:2] for line in server.commands if line.startswith("DATA ")]
    n_by_station = sum(int(sequence, 16) for _, sequence in asked)
    assert n_by_station == 30


def test_a_live_server_without_a_start(tmp_path):
    """What comes while the connection is down is fetched, also of a station new by then."""
    packets = network(start_ns=time.time_ns())
    faults = Faults(drop_after=[1, 1, 9])
    with SeedLinkServer(packets, faults=faults, packets_a_second=200) as server:
        code = run_stream(
            server.url,
            "--stations",
            "XX.A,XX.B",
            "-o",
            tmp_path / "picks.jsonl",
            until=server.has_served_all.is_set,
        )
    assert code == 0
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain_picks(packets))


def test_a_server_that_does_not_serve_times(tmp_path, caplog):
    packets = network()
    faults = Faults(drop_after=[20, 9], no_times=True)
    with SeedLinkServer(packets, faults=faults, packets_a_second=200) as server:
        stream_from(server, tmp_path / "picks.jsonl")
        assert "DATA 000000" not in server.commands
        assert "DATA" in server.commands
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain_picks(packets))
    assert any("XX.A: the past is not served" in text for text in caplog.messages)


class TestNewStations:
    """Wildcards mean stations that a server gets later, too."""

    def of(self, packets, station):
        return [p for p in packets if p[8:13].strip() == station]

    def test_they_are_found_while_the_stream_runs(self, packets, plain, tmp_path):
        """The connection is made anew: nothing of the others is lost, nothing comes twice."""
        out = tmp_path / "picks.jsonl"
        with SeedLinkServer(self.of(packets, b"A"), packets_a_second=150) as server:

            def is_done():
                if server.is_complete and not server.packets_of("XX", "B"):
                    for packet in self.of(packets, b"B"):
                        server.publish(packet)
                return len(ids_in(out)) >= len(plain)

            assert stream_from(server, out, "--refresh-stations", "0.2", until=is_done) == 0
            assert server.n_connections == 2
            resumed = [line for line in server.commands if line.startswith("DATA ")]
        assert len(resumed) == 1
        assert ids_in(out) == ids(plain)

    def test_one_that_appears_in_the_middle_of_the_others(self, packets, plain, tmp_path, caplog):
        out = tmp_path / "picks.jsonl"
        own, other = self.of(packets, b"A"), self.of(packets, b"B")
        with SeedLinkServer(own, packets_a_second=150) as server:

            def come_later():
                time.sleep(0.5)
                for packet in other:
                    server.publish(packet)

            threading.Thread(target=come_later).start()
            with caplog.at_level(logging.INFO):
                stream_from(
                    server,
                    out,
                    "--refresh-stations",
                    "0.1",
                    until=lambda: len(ids_in(out)) >= len(plain),
                )
            assert server.n_connections == 2
        assert ids_in(out) == ids(plain)
        assert any(text.endswith("new stations: XX.B") for text in caplog.messages)

    def test_what_was_refused_is_no_news(self, packets, tmp_path):
        with SeedLinkServer(packets, faults=Faults(refuse=["B"])) as server:
            stream_from(
                server,
                tmp_path / "picks.jsonl",
                "--refresh-stations",
                "0.05",
                until=lambda: server.commands.count("INFO STATIONS") > 4,
            )
            assert server.n_connections == 1

    @pytest.mark.parametrize(("seconds", "stations"), [("0", "XX.*"), ("0.05", "XX.A,XX.B")])
    def test_nobody_is_asked_without_need(self, packets, tmp_path, seconds, stations):
        with SeedLinkServer(packets) as server:
            out = tmp_path / "picks.jsonl"
            stream_from(server, out, "--refresh-stations", seconds, stations=stations)
            assert server.commands.count("INFO STATIONS") == 1

    def test_a_server_that_refuses_a_second_connection_serves_on(self, packets, plain, tmp_path):
        with SeedLinkServer(packets, packets_a_second=300) as server:

            def refuse(self, done):
                raise seedlink.LinkError("too many connections")

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(SeedLinkSource, "_new_stations", refuse)
                stream_from(server, tmp_path / "picks.jsonl", "--refresh-stations", "0.05")
            assert server.n_connections == 1
        assert ids_in(tmp_path / "picks.jsonl") == ids(plain)


def test_several_servers_at_once(tmp_path, packets, plain):
    half = [[p for p in packets if p[8:13].strip() == station] for station in (b"A", b"B")]
    with SeedLinkServer(half[0]) as first, SeedLinkServer(half[1]) as second:
        code = run_stream(
            first.url,
            second.url,
            "--stations",
            "XX.*",
            "--start",
            LONG_AGO,
            "-o",
            tmp_path / "picks.jsonl",
            until=lambda: first.has_served_all.is_set() and second.has_served_all.is_set(),
        )
    assert code == 0
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)


def test_only_the_stations_and_channels_that_are_wanted(packets, tmp_path):
    with SeedLinkServer(packets) as server:
        stream_from(server, tmp_path / "one.jsonl", stations="XX.?:HHZ")
        commands = list(server.commands)
    assert commands.count("SELECT HHZ") == 2
    channels = {line.split(".")[-1].partition("-")[0] for line in ids_in(tmp_path / "one.jsonl")}
    assert channels <= {"HHZ"}


def test_a_refused_station_does_not_keep_the_others(packets, tmp_path, caplog):
    with SeedLinkServer(packets, faults=Faults(refuse=["B"])) as server:
        stream_from(server, tmp_path / "picks.jsonl", stations="XX.A,XX.B,YY.*")
    assert {line.split("-")[2].split(".")[1] for line in ids_in(tmp_path / "picks.jsonl")} == {"A"}
    assert any("XX.B: refused (by slink://" in text for text in caplog.messages)
    assert any("YY.*: no such station" in text for text in caplog.messages)


def test_damaged_records_are_told_once_and_survived(packets, plain, tmp_path, caplog):
    server = SeedLinkServer(packets)
    for packet in server.packets_of("XX", "B")[-12:]:
        packet[200:210] = bytes(10)
    with caplog.at_level(logging.WARNING), server:
        stream_from(server, tmp_path / "picks.jsonl")
    told = [message for message in caplog.messages if message.startswith("XX.B..")]
    assert 1 <= len([message for message in told if "contradict" in message]) <= 3
    got, whole = ids_in(tmp_path / "picks.jsonl"), ids(plain)
    assert [p for p in got if "XX.A" in p] == [p for p in whole if "XX.A" in p]


def test_a_server_that_comes_late_is_waited_for(packets, plain, tmp_path):
    reserved = socket.create_server(("127.0.0.1", 0))
    port = reserved.getsockname()[1]
    reserved.close()
    done = threading.Event()
    started: list[SeedLinkServer] = []

    def start_later():
        time.sleep(0.4)
        started.append(SeedLinkServer(packets, port=port).__enter__())
        started[0].has_served_all.wait(20)
        done.set()

    thread = threading.Thread(target=start_later)
    thread.start()
    code = run_stream(
        f"slink://127.0.0.1:{port}",
        "--stations",
        "XX.*",
        "--start",
        LONG_AGO,
        "-o",
        tmp_path / "picks.jsonl",
        until=done.is_set,
    )
    thread.join()
    started[0].__exit__()
    assert code == 0
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)


def stop_when(is_true, stop, *, at_most_s=15.0):
    def watch():
        deadline_s = time.monotonic() + at_most_s
        while not is_true() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        stop.set()

    threading.Thread(target=watch, daemon=True).start()


class TestTheSourceAlone:
    def collected(self, source, n):
        stop = threading.Event()
        found = []
        for record in source.records(stop):
            found.append(record)
            if len(found) == n:
                stop.set()
        return found

    def test_it_ends_at_once_when_told(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"slink://127.0.0.1:{silent.getsockname()[1]}"
            source = SeedLinkSource(url, parse_stations("XX.A"))
            stop = threading.Event()
            threading.Timer(0.3, stop.set).start()
            begun = time.monotonic()
            assert list(source.records(stop)) == []
            assert time.monotonic() - begun < 2.0

    def test_a_keepalive_is_sent_to_a_silent_server(self, packets, monkeypatch):
        monkeypatch.setattr(seedlink_client, "KEEPALIVE_S", 0.3)
        with SeedLinkServer(packets[:5]) as server:
            source = SeedLinkSource(server.url, parse_stations("XX.*"), start_ns=0)
            stop = threading.Event()
            stop_when(lambda: server.commands.count("INFO ID") >= 2, stop)
            assert len(list(source.records(stop))) == 5
            assert server.commands.count("INFO ID") >= 2
        assert source.n_connections == 1

    def test_a_dead_connection_is_given_up(self, packets, monkeypatch):
        monkeypatch.setattr(seedlink_client, "SILENCE_S", 0.5)
        with SeedLinkServer(packets[:5]) as server:
            source = SeedLinkSource(server.url, parse_stations("XX.*"), start_ns=0)
            stop = threading.Event()
            stop_when(lambda: source.n_connections >= 2, stop)
            assert len(list(source.records(stop))) == 5
        assert source.n_connections >= 2

    def test_samples_keep_their_type_and_time(self, packets):
        with SeedLinkServer(packets) as server:
            source = SeedLinkSource(server.url, parse_stations("XX.*"), start_ns=0)
            found = self.collected(source, len(packets))
        assert {record.samples.dtype.str for record in found} == {"<i4"}


@pytest.mark.parametrize("text", ["", "CI", "CI.*.x", "C I.A", "CI.A:", "CI.A:HHZZZZ", "CI.A:HH*"])
def test_stations_that_cannot_be_understood(text):
    if text == "CI.A:":
        assert parse_stations(text)[0].selectors == (ALL_DATA,)
        return
    with pytest.raises(ConfigurationError, match="--stations"):
        parse_stations(text)


def test_stations_with_selectors():
    first, second = parse_stations("CI.TOW2:??HH? !??HHE, PB.B91?")
    assert first.selectors == ("??HH?", "!??HHE")
    assert second.is_wild
    assert second.matches(("PB", "B918"))
    assert not second.matches(("PB", "B9180"))


def test_addresses():
    assert parse_address("slink://host") == ("host", 18000)
    assert parse_address("slink://[::1]:18001/") == ("::1", 18001)
    for wrong in ("slink://", "slink://host:x", "slink://host/path"):
        with pytest.raises(ConfigurationError, match="slink://HOST"):
            parse_address(wrong)
