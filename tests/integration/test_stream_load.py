"""A machine that cannot keep up for a while, and outputs that are away: it is said, nothing is
lost, and all is made good."""

import logging
import re
import ssl
import threading
import time

import pytest

from scperformer.waveforms.feed import Feed
from tests.fakes import RiseClassifier
from tests.scmp_broker import BrokerCore, ScmpBroker
from tests.seedlink_server import SeedLinkServer
from tests.streaming import (
    LONG_AGO,
    WatchedFeed,
    ids,
    ids_in,
    run_stream,
    stream_from,
)


class SlowClassifier(RiseClassifier):
    """Takes its time for the first calls, as on a machine that is busy with something else."""

    def __init__(self, n_slow: int, each_s: float) -> None:
        super().__init__()
        self._n_slow = n_slow
        self._each_s = each_s

    def classify(self, batch):
        if len(self.batch_sizes) < self._n_slow:
            time.sleep(self._each_s)
        return super().classify(batch)


class TestFallingBehind:
    @pytest.mark.parametrize("n_slow", [6, 15])
    def test_it_is_said_nothing_is_lost_and_it_catches_up(
        self, packets, plain, tmp_path, caplog, n_slow
    ):
        with (
            SeedLinkServer(packets) as server,
            caplog.at_level(logging.INFO),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(Feed.__init__, "__kwdefaults__", {"size": 40})
            patch.setattr("scperformer.cli.stream_session._CHORES_S", 0.0)
            code = stream_from(
                server,
                tmp_path / "picks.jsonl",
                "--status-interval",
                "0.2",
                until=server.has_served_all.is_set,
                classifier=SlowClassifier(n_slow, 0.1),
            )
        assert code == 0
        assert server.n_connections == 1
        assert WatchedFeed.n_records == len(packets)
        assert ids_in(tmp_path / "picks.jsonl") == ids(plain)
        said = [text for text in caplog.messages if text.startswith(("behind: ", "caught up"))]
        assert said[0].startswith("behind: ")
        assert said[0].endswith("the sources wait, nothing is dropped")
        assert said[-1] == "caught up"
        kinds = [text.partition(" ")[0] for text in said]
        assert kinds == ["behind:", "caught"] * (len(kinds) // 2)

    def test_the_status_line_says_so_too(self, packets, tmp_path, caplog):
        with caplog.at_level(logging.INFO), pytest.MonkeyPatch.context() as patch:
            patch.setattr(Feed.__init__, "__kwdefaults__", {"size": 40})
            patch.setattr("scperformer.cli.stream_session._CHORES_S", 0.0)
            with SeedLinkServer(packets) as server:
                stream_from(
                    server,
                    tmp_path / "picks.jsonl",
                    "--status-interval",
                    "0.1",
                    until=server.has_served_all.is_set,
                    classifier=SlowClassifier(15, 0.1),
                )
        status = [text for text in caplog.messages if text.startswith("status: ")]
        assert any("behind: " in text for text in status)
        assert "behind: " not in status[-1]


def test_windows_do_not_wait_for_a_station_that_went_silent(packets, plain, tmp_path):
    """The last windows before a silence are answered at once, whatever batches may wait for."""
    out = tmp_path / "picks.jsonl"
    n_final = len(plain)
    decided = []

    def is_done():
        decided.append(len(ids_in(out)))
        return decided[-1] == n_final

    with SeedLinkServer(packets) as server:
        options = ("--max-batch-delay", "60", "--batch-size", "100000")
        stream_from(server, out, *options, until=is_done)
    assert decided[-1] == n_final  # before the stop, which would have flushed them
    assert ids_in(out) == ids(plain)


def test_delays_are_in_the_picks_the_status_and_the_summary(packets, plain, tmp_path, caplog):
    with SeedLinkServer(packets, packets_a_second=400) as server, caplog.at_level(logging.INFO):
        out = tmp_path / "picks.csv"
        stream_from(server, out, "--status-interval", "0.2", until=server.has_served_all.is_set)
    header, *lines = out.read_text().splitlines()
    column = header.split(",").index("decision_delay_s")
    delays = sorted(float(line.split(",")[column]) for line in lines)
    assert delays == pytest.approx(sorted(p.decision_delay_s for p in plain), abs=1e-3)
    p50 = delays[(len(delays) - 1) // 2]
    status = [text for text in caplog.messages if "decision delay p50/p95/p99" in text]
    assert f"p50/p95/p99 {p50:.2f}/{delays[-1]:.2f}/{delays[-1]:.2f} s" in status[-1]
    summary = next(text for text in caplog.messages if text.startswith("decision delay after"))
    assert f"median {p50:.2f} s, 95 % {delays[-1]:.2f} s, 99 % {delays[-1]:.2f} s" in summary


def test_a_bus_with_tls_user_and_password_stops_and_returns(
    packets, plain, certificate, tmp_path, caplog
):
    """While the server is away the status line counts what waits; then all arrives."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    core = BrokerCore(ack_after_s=0.05)
    broker = ScmpBroker(core, credentials="me:p@ss", tls=context)
    broker.start()
    url = broker.url.replace("//", "//me:p%40ss@")
    waited = threading.Event()

    def is_done():
        picks = {name for name in core.ids if not name.endswith(".snr")}
        if not waited.is_set() and picks:
            broker.stop()
            waited.set()
        elif waited.is_set() and said() and not broker_is_back.is_set():
            core.restart()
            broker.start()
            broker_is_back.set()
        return len(picks) == len(plain)

    def said():
        texts = [text for text in caplog.messages if "messages wait in the outbox of" in text]
        return [text for text in texts if "p@ss" not in text and "p%40ss" not in text]

    broker_is_back = threading.Event()
    with SeedLinkServer(packets, packets_a_second=150) as server, caplog.at_level(logging.INFO):
        code = run_stream(
            server.url,
            *("--stations", "XX.*", "--start", LONG_AGO, "--status-interval", "0.1"),
            *("--bus", url, "--bus-ca", f"{certificate}.crt", "--state", tmp_path / "state"),
            until=is_done,
        )
    broker.stop()
    assert code == 0
    assert broker_is_back.is_set()
    assert "p@ss" not in caplog.text
    assert "p%40ss" not in caplog.text
    published = [name for name in core.ids if not name.endswith(".snr")]
    assert sorted(set(published)) == ids(plain)
    # What the broker had taken but not yet acknowledged when it stopped comes again, announced.
    announced = re.findall(r"cannot tell whether (\d+) message", caplog.text)
    assert len(published) - len(plain) <= sum(map(int, announced))
    assert core.violations == []
