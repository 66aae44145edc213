"""SeedLink servers that are broken or mean harm: bounded memory, bounded time, no endless loops."""

import json
import logging
import struct
import threading
import time

import pytest

from scperformer.types import SeedId
from scperformer.waveforms import seedlink, seedlink_client, seedlink_versions
from scperformer.waveforms.mseed_stream import decode_record
from scperformer.waveforms.seedlink import SeedLinkSource
from scperformer.waveforms.seedlink_client import LinkError, SeedLinkClient
from scperformer.waveforms.seedlink_versions import StationRequest
from scperformer.waveforms.selection import Address, all_select, parse_stations
from tests.scripted_server import ScriptedServer
from tests.seedlink_server import Faults, SeedLinkServer, _log_record, packet_4
from tests.streaming import network

HELLO = {
    3: b"SeedLink v3.1 (2020.075)\r\nA test\r\n",
    4: b"SeedLink v4.0 (x/1) :: SLPROTO:4.0 SLPROTO:3.1\r\nA test\r\n",
}


@pytest.fixture(scope="module")
def packets():
    return network(40)


@pytest.fixture(params=[3, 4], ids=["SeedLink 3", "SeedLink 4"])
def version(request):
    return request.param


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(seedlink, "SHORTEST_WAIT_S", 0.02)
    monkeypatch.setattr(seedlink, "LONGEST_WAIT_S", 0.1)


_CLIENTS = []


@pytest.fixture(autouse=True)
def _closed():
    """Close the clients of a test, whose connections no garbage collection shall find."""
    yield
    while _CLIENTS:
        _CLIENTS.pop().close()


def client_of(server):
    client = SeedLinkClient(Address("127.0.0.1", server.port), threading.Event())
    _CLIENTS.append(client)
    return client


def opened(server):
    client = client_of(server)
    client.open()
    return client


def greet(visit, version):
    visit.line()
    visit.send(HELLO[version])
    for command in ("SLPROTO 4.0", "USERAGENT scperformer/") if version == 4 else ():
        assert visit.line().startswith(command)
        visit.send(b"OK\r\n")


def greeting(then, version=3):
    """Make a script that greets, and goes on when the next command has come."""

    def script(visit):
        greet(visit, version)
        visit.line()
        then(visit)

    return script


def collect(source, *, until, at_most_s=15.0):
    """Take records until a condition holds; return them."""
    stop = threading.Event()
    found = []

    def watch():
        deadline_s = time.monotonic() + at_most_s
        while not until(found) and time.monotonic() < deadline_s:
            time.sleep(0.02)
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    for record in source.records(stop):
        found.append(record)
    return found


class TestGreetings:
    def test_a_web_server(self):
        def script(visit):
            visit.line()
            visit.send(b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n<html>")

        with ScriptedServer(script) as server, pytest.raises(LinkError) as caught:
            opened(server)
        assert "no SeedLink server: it greets with b'HTTP/1.1 400 Bad Request'" in str(caught.value)

    @pytest.mark.parametrize("pause_s", [0.0, 0.01])
    def test_a_line_without_end(self, pause_s, monkeypatch):
        monkeypatch.setattr(seedlink_client, "ANSWER_S", 1.0)
        piece = b"SeedLink v3.1 " * (1000 if not pause_s else 1)
        with ScriptedServer(lambda visit: visit.send_for_ever(piece, pause_s=pause_s)) as server:
            client = client_of(server)
            with pytest.raises(LinkError, match=r"line without end|no answer to 'HELLO'") as caught:
                client.open()
        assert len(str(caught.value)) < 200
        limit = seedlink_client.LONGEST_LINE_BYTES + seedlink_client._READ_BYTES
        assert len(client._buffer) <= limit

    @pytest.mark.parametrize(
        ("greets", "version"),
        [
            (b"SeedLink", 0.0),
            (b"seedlink v3.1", 3.1),
            (b"SeedLink v" + b"9" * 4000, 0.0),
            (b"SeedLink vnan (x)", 0.0),
            (b"SeedLink v-1 \xff\xfe", 0.0),
            (b"SeedLink v3.1.4 :: SLPROTO:3.1", 3.1),
        ],
    )
    def test_odd_versions(self, greets, version):
        def script(visit):
            visit.line()
            visit.send(greets + b"\r\n\xff\r\n")
            visit.line()

        with ScriptedServer(script) as server:
            assert opened(server).version.release == version

    @pytest.mark.parametrize("greets", [b"", b"OK", b"SeedLinked v3.1", b"\x00" * 100])
    def test_what_is_none(self, greets):
        def script(visit):
            visit.line()
            visit.send(greets + b"\r\n\r\n")

        with ScriptedServer(script) as server, pytest.raises(LinkError, match="no SeedLink server"):
            opened(server)


def info_4(text, kind=b"JI"):
    return packet_4(kind, 0, "", text)


class TestInfo4:
    """Of version 4: one packet of JSON."""

    def stations(self, answer):
        with ScriptedServer(greeting(lambda visit: visit.send(answer), 4)) as server:
            return opened(server).stations()

    def test_stations_and_their_numbers(self):
        entries = [{"id": "XX_A", "start_seq": 5, "end_seq": 1 << 63, "x": [[]]}, {"id": "Y_B_C"}]
        answer = info_4(json.dumps({"station": entries}).encode())
        assert self.stations(answer) == {
            ("XX", "A"): range(5, (1 << 63) + 1),
            ("Y", "B_C"): None,
        }

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"{",
            b"\xff\xfe\x00",
            b"[" * 1_000_000,
            b'{"station":' * 200_000,
            b"[1" + b"0" * 100_000 + b"]",
            b'{"station": {"id": "XX_A"}}',
            b'{"station": [null, [], 7, "XX_A", {"id": 7}, {"id": "XX"}, {"id": "_"}, {}]}',
            b'{"station": [{"id": "XX_A\\rDATA"}, {"id": "XX_toolongcode"}, {"id": "X_*"}]}',
        ],
    )
    def test_what_is_no_list_of_stations(self, text):
        assert not self.stations(info_4(text))

    @pytest.mark.parametrize("numbers", [{"start_seq": "1", "end_seq": 2}, {"end_seq": 1e9}])
    def test_numbers_that_are_none(self, numbers):
        text = json.dumps({"station": [{"id": "XX_A", **numbers}]}).encode()
        assert self.stations(info_4(text)) == {("XX", "A"): None}

    def test_an_error(self):
        assert self.stations(info_4(b'{"error": {"code": "LIMIT"}}', b"JE")) is None
        assert self.stations(b"ERROR UNSUPPORTED INFO\r\n") is None

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (b"SEJI\x01\x00\x00\x01" + bytes(9), "answered 16777217 bytes to INFO"),
            (b"SEJI\xff\xff\xff\xff" + bytes(9), "answered 4294967295 bytes to INFO"),
            (packet_4(b"2D", 1, "XX_A", b"record"), "answered b'record' to INFO"),
            (b"HTTP/1.1 400 Bad Request\r\n", "answered b'HTTP"),
        ],
    )
    def test_what_is_no_answer(self, answer, told):
        with pytest.raises(LinkError) as caught:
            self.stations(answer)
        assert told in str(caught.value)

    def test_an_answer_without_end_is_bounded_in_time(self, monkeypatch):
        monkeypatch.setattr(seedlink_client, "INFO_S", 0.5)
        head = b"SEJI" + struct.pack("<IQB", 1 << 24, 0, 0)
        script = greeting(lambda visit: visit.send_for_ever(head, pause_s=0.02), 4)
        with ScriptedServer(script) as server, pytest.raises(LinkError, match="no whole answer"):
            opened(server).stations()


class TestInfo:
    def test_an_answer_without_end_is_bounded_in_bytes(self, monkeypatch):
        monkeypatch.setattr(seedlink_client, "LARGEST_INFO_BYTES", 100_000)
        record = b"SLINFO *" + _log_record("<station " * 40)
        script = greeting(lambda visit: visit.send_for_ever(record))
        with ScriptedServer(script) as server, pytest.raises(LinkError, match="more than 100000"):
            opened(server).stations()

    @pytest.mark.parametrize("piece", [b"S", b"SLINFO *" + _log_record("<station ")])
    def test_an_answer_without_end_is_bounded_in_time(self, piece, monkeypatch):
        monkeypatch.setattr(seedlink_client, "INFO_S", 0.5)
        script = greeting(lambda visit: visit.send_for_ever(piece, pause_s=0.02))
        begun_s = time.monotonic()
        with ScriptedServer(script) as server, pytest.raises(LinkError, match="INFO"):
            opened(server).stations()
        assert time.monotonic() - begun_s < 5.0

    def test_codes_that_are_none_are_left_out(self):
        names = ["A", "B\rDATA", "", "é", "toolongcode", "*", "C"]
        text = "".join(f'<station name="{name}" network="XX"/>' for name in names)
        answer = b"SLINFO *" + _log_record(text[:150]) + b"SLINFO  " + _log_record(text[150:])
        script = greeting(lambda visit: visit.send(answer))
        with ScriptedServer(script) as server:
            assert list(opened(server).stations()) == [("XX", "A"), ("XX", "C")]

    @pytest.mark.parametrize("unit", ["<station ", "<station x", "a", "a=", "<station a='", " ="])
    def test_texts_are_gone_through_once(self, unit, monkeypatch):
        """Megabytes that made the patterns begin again at every byte: hours, not seconds."""
        text = ("<station " + unit * (1_000_000 // len(unit))) + ">"
        monkeypatch.setattr(SeedLinkClient, "_info", lambda self: text.encode())
        with ScriptedServer(greeting(lambda visit: None)) as server:
            assert opened(server).stations() is None

    def test_an_answer_that_is_none(self):
        script = greeting(lambda visit: visit.send(b"HTTP/1.1 " * 100))
        with ScriptedServer(script) as server, pytest.raises(LinkError, match=r"to INFO"):
            opened(server).stations()


def flowing(then, version=3):
    """Make a script that accepts whatever is asked, and goes on behind END."""

    def script(visit):
        greet(visit, version)
        while (line := visit.line()) != "END":
            visit.send(b"ERROR\r\n" if line.startswith("INFO") else b"OK\r\n")
        then(visit)

    return script


def test_the_negotiation_comes_to_an_end(version, monkeypatch):
    monkeypatch.setattr(seedlink_client, "NEGOTIATION_S", 0.3)

    def script(visit):
        greet(visit, version)
        while visit.line() and not visit.is_over.wait(0.02):
            visit.send(b"OK\r\n")

    requests = [StationRequest("XX", f"S{n}", ("???",)) for n in range(10_000)]
    with ScriptedServer(script) as server, pytest.raises(LinkError, match="of 10000 stations"):
        opened(server).subscribe(requests)


def packets_of(server):
    client = opened(server)
    client.subscribe([StationRequest("XX", "A", ("???",))])
    return client.packets()


class TestSilence:
    """What counts is whole packets."""

    @pytest.mark.parametrize("piece", [b"S", b"\x00", b"SL000001", b"SE2D\x00\x00\x0f\x00"])
    def test_bytes_that_trickle_are_silence(self, piece, version, monkeypatch):
        monkeypatch.setattr(seedlink_client, "SILENCE_S", 0.6)
        script = flowing(lambda visit: visit.send_for_ever(piece, pause_s=0.05), version)
        with ScriptedServer(script) as server, pytest.raises(LinkError, match="no packet for"):
            next(packets_of(server))

    def test_signs_of_life_are_none(self, version, monkeypatch):
        monkeypatch.setattr(seedlink_client, "SILENCE_S", 0.6)
        monkeypatch.setattr(seedlink_client, "KEEPALIVE_S", 0.2)
        begun_s = time.monotonic()

        def answer(visit):
            for _ in range(4):
                assert visit.line() == "INFO ID"
                visit.send(alive)

        alive = info_4(b"{}") if version == 4 else b"SLINFO  " + _log_record("<seedlink/>")
        with (
            ScriptedServer(flowing(answer, version)) as server,
            pytest.raises(LinkError, match=r"closed|no packet"),
        ):
            next(packets_of(server))
        assert time.monotonic() - begun_s > 0.8

    @pytest.mark.parametrize("garbage", [b"SL12 garbage" * 500, b"SE", b"SEJI" + b"\xff" * 30])
    def test_garbage_without_end(self, garbage, version):
        script = flowing(lambda visit: visit.send_for_ever(garbage), version)
        with (
            ScriptedServer(script) as server,
            pytest.raises(LinkError, match="no SeedLink packets"),
        ):
            next(packets_of(server))


class TestPackets4:
    """Of version 4: lengths, formats and stations are what the server says they are."""

    def collected(self, sent, *, n, stations="XX.A"):
        """What a source takes of bytes that come on every connection, and what it asked for."""
        asked = []

        def script(visit):
            greet(visit, 4)
            while (line := visit.line()) != "END":
                asked.append(line)
                visit.send(b"ERROR\r\n" if line.startswith("INFO") else b"OK\r\n")
            visit.send(sent)
            visit.is_over.wait(5.0)

        with ScriptedServer(script) as server:
            url = f"slink://127.0.0.1:{server.port}"
            source = SeedLinkSource(url, parse_stations(stations), start_ns=0)
            found = collect(source, until=lambda found: len(found) >= n)
        return source, found, [line for line in asked if line.startswith("DATA")]

    def test_a_length_that_is_a_lie_costs_one_packet(self, packets, caplog):
        own = [p for p in packets if p[8:13] == b"A    "][:4]
        sent = [packet_4(b"2D", n, "XX_A", p) for n, p in enumerate(own)]
        sent[1] = sent[1][:4] + b"\xff\xff\xff\xff" + sent[1][8:]
        source, found, asked = self.collected(b"".join(sent), n=3)
        assert [r.start_ns for r in found] == [
            decode_record(p).start_ns for n, p in enumerate(own) if n != 1
        ]
        assert source.n_damaged == 1
        assert len(asked) == 1
        assert any("XX.A: a packet that is empty or too long" in text for text in caplog.messages)

    def test_a_packet_that_is_too_long_is_passed(self, packets):
        """The connection is given up, and the next one begins behind it."""
        own = next(p for p in packets if p[8:13] == b"A    ")
        sent = packet_4(b"2D", 7, "XX_A", bytes(seedlink_versions.LARGEST_DATA_BYTES + 1))
        source, found, asked = self.collected(sent + packet_4(b"2D", 8, "XX_A", own), n=1)
        assert found == []
        assert source.n_connections > 1
        assert set(asked[1:]) == {"DATA 8"}

    def test_formats_that_cannot_be_read_are_counted(self, packets):
        own = next(p for p in packets if p[8:13] == b"A    ")
        sent = packet_4(b"3D", 1, "XX_A", b"MS\x03" + bytes(100))
        sent += packet_4(b"XX", 2, "XX_A", b"<xml/>") + packet_4(b"JD", 3, "XX_A", b"{}")
        source, found, _ = self.collected(sent + packet_4(b"2D", 4, "XX_A", own), n=1)
        assert (len(found), source.n_damaged) == (1, 3)

    @pytest.mark.parametrize("code", ["", "XX", "XX_", "XX_B", "XX_A ", "\x00_\n", "X" * 255])
    def test_stations_that_are_none_or_others(self, packets, code):
        own = next(p for p in packets if p[8:13] == b"A    ")
        sent = packet_4(b"2D", 4, code, own) + packet_4(b"2D", 5, "XX_A", own)
        source, found, _ = self.collected(sent, n=1)
        is_known = code.strip() == "XX_A"
        assert (len(found), source.n_unasked) == (1 + is_known, 1 - is_known)

    def test_an_error_behind_end(self, caplog):
        self.collected(b"ERROR AUTH not for you\r\n", n=1)
        assert any("ended the stream: b'ERROR AUTH not for you" in t for t in caplog.messages)


class TestWhatNobodyAskedFor:
    @pytest.mark.parametrize(
        ("stations", "kept"),
        [
            ("XX.A", lambda p: p[8:13] == b"A    "),
            ("XX.A:HHZ", lambda p: (p[8:13], p[15:18]) == (b"A    ", b"HHZ")),
            ("XX.*:HH?,XX.B:!HHZ", lambda p: (p[8:13], p[15:18]) != (b"B    ", b"HHZ")),
            ("X?.?:--HHN.D", lambda p: p[15:18] == b"HHN"),
        ],
    )
    def test_it_is_dropped_and_counted(self, packets, stations, kept, version, caplog):
        n_kept = sum(map(kept, packets))
        with SeedLinkServer(packets, faults=Faults(sends_all=True), version=version) as server:
            source = SeedLinkSource(server.url, parse_stations(stations), start_ns=0)
            with caplog.at_level(logging.WARNING):
                found = collect(
                    source, until=lambda found: len(found) + source.n_unasked >= len(packets)
                )
        assert len(found) == n_kept
        assert source.n_unasked == len(packets) - n_kept
        told = [text for text in caplog.messages if "nobody asked for" in text]
        assert len(told) == (n_kept < len(packets))

    def test_stations_without_end_are_bounded(self, packets, version, monkeypatch):
        monkeypatch.setattr(seedlink, "_MOST_STATIONS", 3)
        many = [packets[0][:8] + f"S{n:<4}".encode() + packets[0][13:] for n in range(20)]
        faults = Faults(sends_all=True, no_info=True)
        with SeedLinkServer(many, faults=faults, version=version) as server:
            source = SeedLinkSource(server.url, parse_stations("XX.*"), start_ns=0)
            found = collect(source, until=lambda found: len(found) + source.n_unasked >= 20)
        assert (len(found), source.n_unasked, len(source._progress)) == (3, 17, 3)

    @pytest.mark.parametrize(
        ("selectors", "code", "takes"),
        [
            (("???.D",), "..HHZ", True),
            (("HHZ",), ".00.HHZ", True),
            (("HHZ",), ".00.BHZ", False),
            (("00HH?",), ".00.HHN", True),
            (("00HH?",), "..HHN", False),
            (("--HH?", "BHZ"), "..HHN", True),
            (("!BH?",), "..HHN", True),
            (("HH?", "!HHN"), "..HHN", False),
            (("D",), "..HHN", True),
            (("HHZ",), "..HHZZ", False),
        ],
    )
    def test_selectors(self, selectors, code, takes):
        _, location, channel = code.split(".")
        assert all_select(selectors, SeedId("XX", "A", location, channel)) == takes


class TestPoison:
    """A packet that cannot be used comes once."""

    def starts(self, records):
        return sorted((str(r.seed_id), r.start_ns) for r in records)

    def test_a_first_packet_that_cannot_be_used_and_takes_the_connection_along(
        self, packets, version
    ):
        """Without its sequence number, every new connection would begin with it again."""
        faults = Faults(drop_after=[1, 1, 1])
        server = SeedLinkServer(packets, faults=faults, version=version)
        bad = server.packets_of("XX", "A")
        bad[0][100:500] = bytes(400)
        with server:
            source = SeedLinkSource(server.url, parse_stations("XX.A"), start_ns=0)
            found = collect(source, until=lambda found: len(found) == len(bad) - 1)
            asked = [line.split()[1] for line in server.commands if line.startswith("DATA ")]
        whole = {3: ["000001", "000002", "000003"], 4: ["ALL", "1", "2", "3"]}
        assert asked == whole[version]
        assert source.n_damaged == 1
        whole = [decode_record(bytes(packet)) for packet in bad[1:]]
        assert self.starts(found) == self.starts(whole)

    def test_a_packet_that_the_reader_falls_over(self, packets, version, monkeypatch, caplog):
        own = [p for p in packets if p[8:13] == b"A    "]
        decode = seedlink.decode_record

        def fall(raw):
            if raw == own[2]:
                raise ZeroDivisionError("never thought of")
            return decode(raw)

        with SeedLinkServer(packets, version=version) as server:
            monkeypatch.setattr(seedlink, "decode_record", fall)
            source = SeedLinkSource(server.url, parse_stations("XX.A"), start_ns=0)
            found = collect(source, until=lambda found: len(found) == len(own) - 1)
            assert server.n_connections == 1
        assert len(found) == len(own) - 1
        assert sum("never thought of" in text for text in caplog.messages) == 1

    def test_garbled_headers_cost_their_packets_only(self, packets, version, caplog):
        own = [p for p in packets if p[8:13] == b"A    "]
        faults = Faults(bad_heads=[0, 3, 4])
        with SeedLinkServer(packets, faults=faults, version=version) as server:
            source = SeedLinkSource(server.url, parse_stations("XX.A"), start_ns=0)
            found = collect(source, until=lambda found: len(found) == len(own) - 3)
            assert server.n_connections == 1
        assert len(found) == len(own) - 3
        assert sum("no SeedLink packets are left out" in text for text in caplog.messages) == 1

    def test_a_server_that_greets_and_hangs_up_is_told_once(self, caplog):
        def script(visit):
            visit.line()
            visit.send(b"SeedLink v3.1 %d\r\nx\r\n" % visit.number)

        with ScriptedServer(script) as server:
            url = f"slink://127.0.0.1:{server.port}"
            source = SeedLinkSource(url, parse_stations("XX.A"), start_ns=0)
            collect(source, until=lambda found: len(server.visits) >= 5)
        assert len([text for text in caplog.messages if "next attempt" in text]) <= 2
