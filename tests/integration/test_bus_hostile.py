"""Messaging servers that are broken or mean harm: no message is lost, nothing grows or spins."""

import logging
import threading
import time
import tracemalloc
from dataclasses import replace

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from scperformer.delivery.outbox import Outbox
from scperformer.messaging import bus_link
from scperformer.messaging.bus import BusSink
from scperformer.messaging.publisher import Labels, Publisher
from scperformer.messaging.scmp import (
    MAX_FRAME_BYTES,
    Frame,
    ProtocolError,
    Refusal,
    Session,
    parse_server_frame,
)
from tests.integration.test_bus import FAST, wait_for
from tests.scripted_server import ScriptedServer
from tests.unit.test_delivery_outbox import pick

GROUPS = ("Groups", "PICK,AMPLITUDE")


def welcome(**more):
    headers = {"Client-Name": "scperformer", "Groups": "PICK,AMPLITUDE", **more}
    return Frame("CONNECTED", tuple(headers.items())).encode()


@pytest.fixture
def serving():
    """Serve a script over WebSockets; return the URL and the list of connections."""
    servers = []

    def start(script):
        connections = []

        def handle(connection):
            connections.append(connection)
            try:
                script(connection)
            except (ConnectionClosed, TimeoutError):
                return

        server = serve(handle, "127.0.0.1", 0, subprotocols=["scmp"], max_size=None)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"scmp://127.0.0.1:{server.socket.getsockname()[1]}/production", connections

    yield start
    for server in servers:
        server.shutdown()


def sink_of(url, **timing):
    sink = BusSink(url, timing=replace(FAST, **timing))
    sink.write([pick(0)])
    return sink


def swallow(connection):
    connection.recv()
    connection.send(welcome())
    while True:
        connection.recv()


class TestConnections:
    def test_a_server_that_takes_messages_and_says_nothing(self, serving, caplog):
        """It answers pings: it is alive, and yet nothing ever arrives."""
        url, connections = serving(swallow)
        with caplog.at_level(logging.WARNING):
            sink = sink_of(url, acknowledgement_timeout_s=0.3)
            wait_for(lambda: len(connections) >= 3)
            left = sink.n_kept
            sink.close(timeout_s=0.1)
        assert left == 2
        told = [text for text in caplog.messages if "acknowledges no message" in text]
        assert len(told) == 1

    def test_a_slow_acknowledgement_is_waited_for(self, serving):
        def script(connection):
            connection.recv()
            connection.send(welcome())
            for n in (1, 2):
                connection.recv()
                time.sleep(0.2)
                connection.send(Frame("ACK", (("N", str(n)),)).encode())
            connection.recv()

        url, connections = serving(script)
        sink = sink_of(url, acknowledgement_timeout_s=1.0, heartbeat_s=30.0)
        assert sink.flush(10.0)
        sink.close()
        assert len(connections) == 1

    @pytest.mark.parametrize(
        "frame",
        [
            b"CONNECTED\n" + b"Header:x\n" * 20_000 + b"\n",
            b"CONNECTED\nClient-Name:scperformer\nGroups:PICK",
            b"CONNECTED\nL:7\nClient-Name:scperformer\nGroups:PICK\n\n",
            b"CONNECTED\nL:" + b"9" * 5000 + b"\nClient-Name:scperformer\nGroups:PICK\n\n",
            b"CONNECTED\nClient-Name:" + b"x" * 10_000 + b"\nGroups:PICK,AMPLITUDE\n\n",
            b"\x00\xff" * 1000,
            b"",
        ],
        ids=["headers", "no end", "length", "digits", "name", "binary", "empty"],
    )
    def test_frames_that_are_none(self, serving, frame, caplog):
        def script(connection):
            connection.recv()
            connection.send(frame)
            connection.recv()

        url, connections = serving(script)
        with caplog.at_level(logging.WARNING):
            sink = sink_of(url)
            wait_for(lambda: len(connections) >= 3)
            assert sink.n_kept == 2
            sink.close(timeout_s=0.1)
        told = [text for text in caplog.messages if "does not speak SCMP" in text]
        assert len(told) == 1
        assert len(told[0]) < 700

    def test_a_frame_that_is_too_large(self, serving, monkeypatch):
        monkeypatch.setattr(bus_link, "MAX_RECEIVED_BYTES", 10_000)

        def script(connection):
            connection.recv()
            connection.send(welcome(Queue="x" * 20_000))
            connection.recv()

        url, connections = serving(script)
        sink = sink_of(url)
        wait_for(lambda: len(connections) >= 2)
        sink.close(timeout_s=0.1)

    @pytest.mark.parametrize("piece", [b"H", b"HTTP/1.1 101 Switching Protocols\r\nX: y\r\n"])
    def test_an_answer_without_end_to_the_handshake(self, piece):
        def script(visit):
            visit.send_for_ever(piece, pause_s=0.02)

        with ScriptedServer(script) as server:
            sink = sink_of(f"scmp://127.0.0.1:{server.port}/production", connect_timeout_s=0.3)
            wait_for(lambda: len(server.visits) >= 2)
            assert sink.n_kept == 2
            sink.close(timeout_s=0.1)

    def test_a_server_that_never_answers(self):
        with ScriptedServer(lambda visit: visit.is_over.wait(30.0)) as server:
            sink = sink_of(f"scmp://127.0.0.1:{server.port}/production", connect_timeout_s=0.2)
            wait_for(lambda: len(server.visits) >= 2)
            sink.close(timeout_s=0.1)


class TestFrames:
    def test_headers_without_end_cost_no_memory(self):
        data = b"CONNECTED\n" + b"a:b\n" * 5_000_000 + b"\n"
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="no empty line"):
                parse_server_frame(data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1_000_000

    @pytest.mark.parametrize("digits", [18, 19, 5000])
    def test_counts_of_any_length(self, digits):
        data = Frame("ACK", (("N", "9" * digits),)).encode()
        if digits == 18:
            assert parse_server_frame(data).count == int("9" * 18)
        else:
            with pytest.raises(ProtocolError, match="wanted a count"):
                parse_server_frame(data)

    def test_what_a_server_says_is_shortened(self):
        frame = parse_server_frame(Frame("ERROR", (), b"400 " + b"x" * 100_000).encode())
        assert isinstance(frame, Refusal)
        assert frame.code == 400
        assert len(frame.text) < 400

    def test_groups_that_nobody_joined_are_not_kept(self):
        session = Session("me", subscriptions=("PICK",))
        session.connect()
        session.receive(welcome(**{"Client-Name": "me"}))
        for n in range(100):
            session.receive(Frame("ENTER", (("D", f"GROUP{n}"), ("C", "me"))).encode())
        session.receive(Frame("ENTER", (("D", "PICK"), ("C", "me"))).encode())
        assert session.members == {"PICK"}

    def test_messages_larger_than_any_of_ours_are_not_parsed(self, monkeypatch):
        publisher = Publisher(Outbox(), Labels())
        publisher.open()
        publisher.receive(welcome())
        seen = []
        monkeypatch.setattr(
            "scperformer.messaging.notifier.public_ids", lambda data: seen.append(data) or ()
        )
        headers = (("C", "scperformer"), ("D", "PICK"), ("T", "application/x-sc-xml"))
        for size in (10, MAX_FRAME_BYTES + 1):
            head = b"RECV\n" + b"".join(f"{k}:{v}\n".encode() for k, v in headers)
            publisher.receive(head + b"\n" + b" " * size)
        assert [len(data) for data in seen] == [10]
