"""The bus over real sockets: a server that goes, comes back, kicks, refuses; a killed sink."""

import logging
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.sync.server import serve

from scperformer.delivery.outbox import Outbox
from scperformer.delivery.store import Store
from scperformer.errors import ConfigurationError, OutputError
from scperformer.messaging.bus import BusSink
from scperformer.messaging.bus_link import Timing
from scperformer.messaging.publisher import Labels
from tests.scmp_broker import BrokerCore, ScmpBroker
from tests.unit.test_delivery_outbox import pick

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
FAST = Timing(
    heartbeat_s=0.1,
    first_pause_s=0.02,
    longest_pause_s=0.1,
    connect_timeout_s=2.0,
    silence_timeout_s=5.0,
    looking_timeout_s=10.0,
    goodbye_timeout_s=0.5,
)


@pytest.fixture
def start():
    """Start brokers; after the test, what clients did wrong fails it."""
    brokers = []

    def start(credentials="", tls=None, **kwargs) -> ScmpBroker:
        core = BrokerCore(**{"ack_after_s": 0.05, **kwargs})
        broker = ScmpBroker(core, credentials=credentials, tls=tls)
        broker.start()
        brokers.append(broker)
        return broker

    yield start
    for broker in brokers:
        broker.stop()
        assert broker.core.violations == []


class OwnSink(BusSink):
    """A sink with which its outbox is closed."""

    def close(self, *args, **kwargs):
        super().close(*args, **kwargs)
        self._outbox.close()


def open_sink(url, folder=None, **kwargs) -> BusSink:
    kwargs = {"timing": FAST, **kwargs}
    outbox = None if folder is None else Outbox(Store(folder))
    return OwnSink(url, outbox=outbox, **kwargs)


def ids(count):
    picks = [pick(i).public_id for i in range(count)]
    return [name for public_id in picks for name in (public_id, f"{public_id}.snr")]


def wait_for(condition, what="it"):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, f"{what} did not happen"
        time.sleep(0.01)


def picks(start, stop):
    return [pick(i) for i in range(start, stop)]


class TestDelivery:
    def test_picks_arrive_in_order(self, start, tmp_path):
        broker = start()
        with open_sink(broker.url, tmp_path) as sink:
            for i in range(0, 60, 6):
                sink.write(picks(i, i + 6))
            assert sink.flush(PATIENCE_S)
            assert sink.is_connected
        assert broker.core.ids == ids(60)
        assert (sink.n_queued, sink.n_kept) == (120, 0)
        assert (sink.counts.sent, sink.counts.acknowledged) == (120, 120)
        assert (sink.counts.connections, sink.counts.repeated) == (1, 0)
        assert broker.core.peers == []

    def test_a_pick_goes_out_at_once(self, start):
        broker = start()
        with open_sink(broker.url, timing=Timing(heartbeat_s=60.0)) as sink:
            wait_for(lambda: sink.is_connected)
            delays = []
            for i in range(10):
                begun = time.monotonic()
                sink.write([pick(i)])
                assert sink.flush(PATIENCE_S)
                delays.append(time.monotonic() - begun)
        assert sorted(delays)[5] < 0.5

    def test_with_user_and_password_and_names(self, start):
        broker = start(credentials="me:p@ss:")
        url = broker.url.replace("//", "//me:p%40ss%3A@")
        labels = Labels(client_name="north", pick_group="LOCATION", amplitude_group="EVENT")
        with open_sink(url, labels=labels) as sink:
            sink.write(picks(0, 2))
            assert sink.flush(PATIENCE_S)
        messages = broker.core.published
        assert [message.group for message in messages] == ["LOCATION", "EVENT"] * 2
        assert {message.sender for message in messages} == {"north"}

    def test_signs_of_life_also_while_there_are_no_picks(self, start):
        broker = start(silence_s=0.8)
        with open_sink(broker.url) as sink:
            sink.write(picks(0, 1))
            time.sleep(2.0)
            assert sink.counts.connections == 1
            sink.write(picks(1, 2))
            assert sink.flush(PATIENCE_S)
        assert broker.core.connections == 1
        assert 5 < len(broker.core.states) < 40
        assert broker.core.states[-1]["programname"] == "scperformer"
        assert broker.core.states[-1]["sentmessages"] == "2"
        assert float(broker.core.states[-1]["cpuusage"]) >= 0.0
        assert int(broker.core.states[-1]["clientmemoryusage"]) > 10_000
        assert int(broker.core.states[-1]["uptime"]) >= 0

    def test_a_client_that_is_silent_is_dropped_and_comes_back(self, start):
        broker = start(silence_s=0.2)
        with open_sink(broker.url, timing=Timing(heartbeat_s=60.0, first_pause_s=0.02)) as sink:
            wait_for(lambda: broker.core.connections >= 2, "coming back")
            sink.write(picks(0, 3))
            assert sink.flush(PATIENCE_S)
        assert broker.core.ids == ids(3)

    def test_after_the_end_nothing_is_taken(self, start):
        sink = open_sink(start().url)
        sink.close()
        sink.close()
        with pytest.raises(OutputError, match="closed"):
            sink.write(picks(0, 1))


class TestAbsence:
    def test_what_waits_is_delivered_when_the_server_returns(self, start, tmp_path, caplog):
        broker = start()
        with caplog.at_level(logging.INFO), open_sink(broker.url, tmp_path) as sink:
            sink.write(picks(0, 5))
            assert sink.flush(PATIENCE_S)
            for i in (5, 10):
                broker.stop()
                wait_for(lambda: not sink.is_connected, "the loss")
                sink.write(picks(i, i + 5))
                assert not sink.flush(0.2)
                broker.core.restart()
                broker.start()
                assert sink.flush(PATIENCE_S)
            assert sink.counts.connections == 3
        assert broker.core.ids == ids(15)
        assert "connected as scperformer" in caplog.text
        assert caplog.text.count("no connection") <= 10

    def test_what_waits_at_the_end_goes_out_with_the_next_sink(self, start, tmp_path, caplog):
        broker = start()
        broker.stop()
        sink = open_sink(broker.url, tmp_path)
        sink.write(picks(0, 4))
        sink.close(timeout_s=0.1)
        assert "8 messages wait in the outbox" in caplog.text
        broker.start()
        with open_sink(broker.url, tmp_path) as sink:
            sink.write(picks(2, 6))
            assert sink.flush(PATIENCE_S)
            assert sink.n_queued == 12
            assert sink.counts.repeated == 0
        assert broker.core.ids == ids(6)

    def test_without_a_disk_the_loss_is_told(self, start, caplog):
        broker = start()
        broker.stop()
        sink = open_sink(broker.url)
        sink.write(picks(0, 1))
        sink.close(timeout_s=0.1)
        assert "no outbox on disk; a crash loses what waits" in caplog.text
        assert "2 messages are lost" in caplog.text

    def test_a_server_that_says_nothing_does_not_hold_up_the_end(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            sink = open_sink(f"scmp://127.0.0.1:{deaf.getsockname()[1]}", tmp_path)
            sink.write(picks(0, 1))
            time.sleep(0.2)
            begun = time.monotonic()
            sink.close(timeout_s=0.1)
            assert time.monotonic() - begun < 5.0

    def test_a_server_that_takes_but_never_acknowledges_holds_everything_back(self, start):
        broker = start(queued=True)
        with open_sink(broker.url) as sink:
            sink.write(picks(0, 30))
            assert not sink.flush(1.0)
            assert sink.n_kept == 60
            assert sink.counts.sent == 20
            while not sink.flush(0.05):
                with broker.locked() as core:
                    core.process(7)
        assert broker.core.ids == ids(30)


class TestBreaks:
    @pytest.mark.parametrize("fault", ["drop_before_relay", "drop_after_relay"])
    def test_around_the_acknowledgement(self, start, tmp_path, fault):
        broker = start()
        getattr(broker.core.faults, fault).update({1, 2, 9, 30})
        with open_sink(broker.url, tmp_path) as sink:
            sink.write(picks(0, 20))
            assert sink.flush(PATIENCE_S)
            assert sink.counts.connections == 5
        assert broker.core.ids == ids(20)

    def test_at_any_time(self, start, tmp_path):
        broker = start()
        chance = random.Random(3)
        with open_sink(broker.url, tmp_path) as sink:
            for i in range(0, 100, 5):
                sink.write(picks(i, i + 5))
                time.sleep(chance.uniform(0, 0.05))
                broker.break_connections()
            assert sink.flush(PATIENCE_S)
            assert sink.counts.connections > 4
        assert broker.core.ids == ids(100)

    def test_a_sink_killed_at_any_time_repeats_and_loses_nothing(self, start, tmp_path):
        """Each process writes all picks again, as after a restart from an older state."""
        broker = start()
        count, lives = 150, 4
        code = (
            "import sys, time; from pathlib import Path\n"
            "from tests.integration.test_bus import open_sink, picks\n"
            f"sink = open_sink({broker.url!r}, Path({str(tmp_path)!r}))\n"
            f"for i in range({count}):\n"
            "    sink.write(picks(i, i + 1)); time.sleep(0.004)\n"
            "sink.close(30.0)\n"
        )
        for life in range(1, lives + 1):
            process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
            if life < lives:
                enough = len(broker.core.ids) + 20
                wait_for(lambda wanted=enough: len(broker.core.ids) > wanted)
                process.send_signal(signal.SIGKILL)
            process.wait(60)
            assert process.returncode == (0 if life == lives else -signal.SIGKILL)
        assert broker.core.ids == ids(count)
        assert broker.core.connections == lives


class TestRefusals:
    def test_bad_credentials_are_told_and_nothing_is_lost(self, start, caplog):
        broker = start(credentials="me:right")
        with open_sink(broker.url.replace("//", "//me:wrong@")) as sink:
            sink.write(picks(0, 1))
            wait_for(lambda: broker.refused > 2)
            assert "HTTP 401, it wants another user and password" in sink.problem
            assert caplog.text.count("HTTP 401") == 1
            assert "wrong" not in caplog.text
            broker._credentials = ""
            assert sink.flush(PATIENCE_S)
            assert sink.problem == ""
        assert broker.core.ids == ids(1)

    @pytest.mark.parametrize(
        ("labels", "path", "said"),
        [
            (Labels(pick_group="PICKS"), "", "the server has no group PICKS; it has STATUS_GROUP"),
            (Labels(), "playback", "HTTP 404, it has no such queue"),
        ],
    )
    def test_what_the_server_does_not_have_is_told(self, start, labels, path, said):
        broker = start()
        with open_sink(broker.url + path, labels=labels) as sink:
            sink.write(picks(0, 1))
            wait_for(lambda: said in sink.problem, said)
            assert sink.n_kept == 2
            sink.close(0.0)

    def test_two_sinks_of_one_name_take_turns(self, start):
        broker = start()
        one, two = open_sink(broker.url), open_sink(broker.url)
        wait_for(lambda: "is in use" in one.problem + two.problem)
        one.write(picks(0, 1))
        two.write(picks(1, 2))
        wait_for(lambda: not (one.n_kept and two.n_kept))
        first, second = (two, one) if one.n_kept else (one, two)
        first.close()
        assert second.flush(PATIENCE_S)
        second.close()
        assert sorted(broker.core.ids) == ids(2)

    def test_a_message_that_the_server_rejects_is_put_aside(self, start, tmp_path):
        broker = start()
        bad = pick(2).public_id
        broker.core.faults.refuse = lambda m: "414 Message not accepted" if bad in m.ids else None
        with open_sink(broker.url, tmp_path) as sink:
            sink.write(picks(0, 6))
            assert sink.flush(PATIENCE_S)
            assert sink.counts.rejected == 1
        assert broker.core.ids == [name for name in ids(6) if name != bad]
        assert "414 Message not accepted" in (tmp_path / "rejected.jsonl").read_text()

    def test_a_server_that_speaks_otherwise_is_told(self, tmp_path):
        with serve(
            lambda connection: connection.send("hello"), "127.0.0.1", 0, subprotocols=["scmp"]
        ) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"scmp://127.0.0.1:{server.socket.getsockname()[1]}"
            sink = open_sink(url, tmp_path)
            wait_for(lambda: "does not speak SCMP" in sink.problem)
            sink.close(0.0)
            server.shutdown()

    def test_a_server_without_an_answer_is_told(self, tmp_path):
        with serve(list, "127.0.0.1", 0, subprotocols=["scmp"]) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"scmp://127.0.0.1:{server.socket.getsockname()[1]}"
            sink = open_sink(url, tmp_path, timing=replace(FAST, connect_timeout_s=0.3))
            wait_for(lambda: "does not answer CONNECT" in sink.problem)
            sink.close(0.0)
            server.shutdown()

    def test_faults_of_the_configuration_come_before_anything_runs(self, tmp_path):
        with pytest.raises(ConfigurationError):
            BusSink("http://host")
        with pytest.raises(ConfigurationError):
            BusSink("scmps://host", ca_file=tmp_path / "no")
        assert "scmp" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
class TestTls:
    @pytest.fixture
    def broker(self, start, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        return start(tls=context)

    def test_a_trusted_certificate_serves(self, broker, certificate):
        assert broker.url.startswith("scmps://")
        with open_sink(broker.url, ca_file=Path(f"{certificate}.crt")) as sink:
            sink.write(picks(0, 3))
            assert sink.flush(PATIENCE_S)
        assert broker.core.ids == ids(3)

    def test_another_certificate_is_refused(self, broker, caplog):
        sink = open_sink(broker.url)
        sink.write(picks(0, 1))
        wait_for(lambda: "certificate verify failed" in sink.problem)
        sink.close(0.0)
        assert broker.core.ids == []

    def test_the_host_name_counts(self, broker, certificate):
        url = broker.url.replace("localhost", "127.0.0.1")
        sink = open_sink(url, ca_file=Path(f"{certificate}.crt"))
        wait_for(lambda: "certificate verify failed" in sink.problem)
        sink.close(0.0)
