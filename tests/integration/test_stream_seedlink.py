"""Picks from a stream over TCP equal the pipeline's on the same data."""

import logging
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from scperformer.errors import ConfigurationError
from scperformer.waveforms import seedlink, seedlink_client
from scperformer.waveforms.seedlink import SeedLinkSource
from scperformer.waveforms.selection import ALL_DATA, parse_address, parse_stations
from tests.seedlink_server import Faults, SeedLinkServer
from tests.streaming import LONG_AGO, ids, ids_in, network, plain_picks, run_stream, stream_from


@pytest.fixture(params=[3, 4], ids=["SeedLink 3", "SeedLink 4"])
def version(request):
    return request.param


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(seedlink, "SHORTEST_WAIT_S", 0.05)


def resumed(server):
    """The packets' numbers that were asked for."""
    numbers = [re.match(r"DATA ([0-9A-F]+)( |$)", line) for line in server.commands]
    return [int(n[1], 10 if server.version == 4 else 16) for n in numbers if n]


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
        pytest.param(
            Faults(drop_after=[80, 50], shift_sequence_at=1, shift_sequence_by=-0x5000),
            id="counts anew",
        ),
        pytest.param(Faults(drop_after=[80, 50], no_info=True), id="wildcards at the server"),
    ],
)
def test_picks_equal_the_plain_pipelines(packets, plain, faults, version, tmp_path):
    options = ("--late-wait", "60") if faults.late else ()
    first = 10**12 if version == 4 else 0
    with SeedLinkServer(packets, faults=faults, first_sequence=first, version=version) as server:
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


def test_numbers_of_64_bits(packets, plain, tmp_path):
    first = (1 << 64) - 1 - len(packets)
    faults = Faults(drop_after=[100, 3])
    with SeedLinkServer(packets, faults=faults, first_sequence=first, version=4) as server:
        stream_from(server, tmp_path / "picks.jsonl")
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)
    assert len(resumed(server)) == 4
    assert min(resumed(server)) > first


def test_a_server_that_counts_anew_and_has_nearly_caught_up(packets, plain, tmp_path):
    faults = Faults(drop_after=[80, 50], shift_sequence_at=1, shift_sequence_by=-5)
    with SeedLinkServer(packets, faults=faults, first_sequence=100, version=4) as server:
        stream_from(server, tmp_path / "picks.jsonl")
    assert len(resumed(server)) == 2
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)


def test_numbers_mean_nothing_in_another_version(packets, plain, tmp_path):
    class ChangingServer(SeedLinkServer):
        def _handshake(self, client):
            self.version = (3, 4, 3)[self.n_connections]
            return super()._handshake(client)

    with ChangingServer(packets, faults=Faults(drop_after=[50, 40])) as server:
        stream_from(server, tmp_path / "picks.jsonl")
        begun = [line for line in server.commands if line.startswith(("DATA", "TIME"))]
    assert [line.partition(" 20")[0] for line in begun] == ["TIME"] * 2 + ["DATA ALL"] * 2 + [
        "TIME"
    ] * 2
    assert len(set(begun)) == 5
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)


def test_a_server_that_says_it_is_4_and_is_not(packets, plain, tmp_path):
    class HalfServer(SeedLinkServer):
        def _lines(self, client):
            return (line.replace("SLPROTO", "UNKNOWN") for line in super()._lines(client))

    with HalfServer(packets, version=4) as server:
        stream_from(server, tmp_path / "picks.jsonl")
        assert "STATION A XX" in server.commands
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)


def test_a_reconnection_goes_on_behind_the_last_packet(packets, version, tmp_path):
    with SeedLinkServer(packets, faults=Faults(drop_after=[30]), version=version) as server:
        stream_from(server, tmp_path / "picks.jsonl")
    assert sum(resumed(server)) == 30


def test_a_live_server_without_a_start(version, tmp_path):
    """What comes while the connection is down is fetched, also of a station new by then."""
    packets = network(start_ns=time.time_ns())
    faults = Faults(drop_after=[1, 1, 9])
    with SeedLinkServer(packets, faults=faults, packets_a_second=200, version=version) as server:
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


def test_a_server_that_does_not_serve_times(version, tmp_path, caplog):
    packets = network()
    faults = Faults(drop_after=[20, 9], no_times=True)
    with SeedLinkServer(packets, faults=faults, packets_a_second=200, version=version) as server:
        stream_from(server, tmp_path / "picks.jsonl")
        assert 0 not in resumed(server)
        assert "DATA" in server.commands
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain_picks(packets))
    assert any("XX.A: the past is not served" in text for text in caplog.messages)


class TestNewStations:
    """Wildcards mean stations that a server gets later, too."""

    def of(self, packets, station):
        return [p for p in packets if p[8:13].strip() == station]

    def test_they_are_found_while_the_stream_runs(self, packets, plain, version, tmp_path):
        """The connection is made anew: nothing of the others is lost, nothing comes twice."""
        out = tmp_path / "picks.jsonl"
        own = self.of(packets, b"A")
        with SeedLinkServer(own, packets_a_second=150, version=version) as server:

            def is_done():
                if server.is_complete and not server.packets_of("XX", "B"):
                    for packet in self.of(packets, b"B"):
                        server.publish(packet)
                return len(ids_in(out)) >= len(plain)

            assert stream_from(server, out, "--refresh-stations", "0.2", until=is_done) == 0
            assert server.n_connections == 2
        assert len(resumed(server)) == 1
        assert ids_in(out) == ids(plain)

    def test_one_that_appears_in_the_middle_of_the_others(
        self, packets, plain, version, tmp_path, caplog
    ):
        out = tmp_path / "picks.jsonl"
        own, other = self.of(packets, b"A"), self.of(packets, b"B")
        with SeedLinkServer(own, packets_a_second=150, version=version) as server:

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

    def test_what_was_refused_is_no_news(self, packets, version, tmp_path):
        with SeedLinkServer(packets, faults=Faults(refuse=["B"]), version=version) as server:
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


def test_only_the_stations_and_channels_that_are_wanted(packets, version, tmp_path):
    with SeedLinkServer(packets, version=version) as server:
        stream_from(server, tmp_path / "one.jsonl", stations="XX.?:HHZ")
        commands = list(server.commands)
    assert commands.count("SELECT *_H_H_Z" if version == 4 else "SELECT HHZ") == 2
    channels = {line.split(".")[-1].partition("-")[0] for line in ids_in(tmp_path / "one.jsonl")}
    assert channels <= {"HHZ"}


def test_a_refused_station_does_not_keep_the_others(packets, version, tmp_path, caplog):
    with SeedLinkServer(packets, faults=Faults(refuse=["B"]), version=version) as server:
        stream_from(server, tmp_path / "picks.jsonl", stations="XX.A,XX.B,YY.*")
    assert {line.split("-")[2].split(".")[1] for line in ids_in(tmp_path / "picks.jsonl")} == {"A"}
    reason = ": b'ARGUMENTS none'" if version == 4 else ""
    assert any(f"XX.B: refused{reason} (by slink://" in text for text in caplog.messages)
    assert any("YY.*: no such station" in text for text in caplog.messages)


def test_damaged_records_are_told_once_and_survived(packets, plain, version, tmp_path, caplog):
    server = SeedLinkServer(packets, version=version)
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

    def test_a_keepalive_is_sent_to_a_silent_server(self, packets, version, monkeypatch):
        monkeypatch.setattr(seedlink_client, "KEEPALIVE_S", 0.3)
        with SeedLinkServer(packets[:5], version=version) as server:
            source = SeedLinkSource(server.url, parse_stations("XX.*"), start_ns=0)
            stop = threading.Event()
            stop_when(lambda: server.commands.count("INFO ID") >= 2, stop)
            assert len(list(source.records(stop))) == 5
            assert server.commands.count("INFO ID") >= 2
        assert source.n_connections == 1

    def test_a_dead_connection_is_given_up(self, packets, version, monkeypatch):
        monkeypatch.setattr(seedlink_client, "SILENCE_S", 0.5)
        with SeedLinkServer(packets[:5], version=version) as server:
            source = SeedLinkSource(server.url, parse_stations("XX.*"), start_ns=0)
            stop = threading.Event()
            stop_when(lambda: source.n_connections >= 2, stop)
            assert len(list(source.records(stop))) == 5
        assert source.n_connections >= 2

    def test_samples_keep_their_type_and_time(self, packets, version):
        with SeedLinkServer(packets, version=version) as server:
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
    assert parse_address("slink://host") == ("host", 18000, False)
    assert parse_address("slink://[::1]:18001/") == ("::1", 18001, False)
    assert parse_address("slinks://host") == ("host", 18500, True)
    for wrong in ("slink://", "slink://host:x", "slink://host/path", "http://host"):
        with pytest.raises(ConfigurationError, match="slink://HOST"):
            parse_address(wrong)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that is signed by itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += f" -subj /CN=localhost -addext subjectAltName=DNS:localhost -out {files[0]}"
    subprocess.run([*command.split(), "-keyout", files[1]], check=True, capture_output=True)
    return files


class TestEncrypted:
    def test_picks_are_the_same(self, packets, plain, certificate, version, tmp_path):
        faults = Faults(drop_after=[50], cut_packet=True)
        with (
            SeedLinkServer(packets, faults=faults, version=version, tls=certificate) as server,
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setenv("SSL_CERT_FILE", str(certificate[0]))
            assert server.url.startswith("slinks://localhost:")
            assert stream_from(server, tmp_path / "picks.jsonl") == 0
        assert ids_in(tmp_path / "picks.jsonl") == ids(plain)

    def test_a_server_that_nobody_vouches_for(self, packets, certificate, caplog):
        with SeedLinkServer(packets, tls=certificate) as server:
            source = SeedLinkSource(server.url, parse_stations("XX.*"), start_ns=0)
            stop = threading.Event()
            stop_when(lambda: "certificate verify failed" in caplog.text, stop)
            assert list(source.records(stop)) == []
        assert "cannot connect: [SSL: CERTIFICATE_VERIFY_FAILED]" in caplog.text
