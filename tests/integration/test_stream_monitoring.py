"""A real stream tells how it is doing: file, page, log, exit status of a plugin, systemd."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress

import pytest

from scperformer.cli.main import main
from scperformer.errors import ConfigurationError
from tests.conftest import ROOT
from tests.fakes import RiseClassifier
from tests.seedlink_server import SeedLinkServer
from tests.seiscomp_system import free_port
from tests.streaming import LONG_AGO, ids, ids_in, network, run_stream, stream_from
from tests.unit.test_monitoring_metrics import parsed


@pytest.fixture
def systemd(tmp_path):
    """The environment of a watched service, and what was heard since it was asked last."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.setblocking(False)

        def read():
            found = []
            with suppress(BlockingIOError):
                while True:
                    found.append(server.recv(4096).decode())
            return found

        yield {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}, read


def counted(values, name, **labels):
    """The sum of a metric over what is not named."""
    wanted = set(labels.items())
    return sum(v for (own, *its), v in values.items() if own == name and wanted <= set(its))


def values_in(path):
    return parsed(path.read_text())


def test_file_and_page_tell_what_came_of_the_records(packets, plain, tmp_path):
    path, port, pages = tmp_path / "metrics.prom", free_port(), []
    with SeedLinkServer(packets, packets_a_second=400) as server:

        def is_done():
            with suppress(OSError):
                page = f"http://127.0.0.1:{port}/metrics"
                pages.append(urllib.request.urlopen(page, timeout=5).read().decode())
            return server.has_served_all.is_set()

        options = ("--metrics-file", path, "--metrics", port, "--metrics-interval", "0.1")
        assert stream_from(server, tmp_path / "picks.jsonl", *options, until=is_done) == 0
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)

    values = values_in(path)
    assert values["scperformer_running",] == 0
    assert values["scperformer_records_total",] == len(packets)
    for station in "AB":
        own = {"network": "XX", "station": station}
        for phase in "PS":
            n = sum(p.phase == phase and p.seed_id.station == station for p in plain)
            assert counted(values, "scperformer_station_picks_total", phase=phase, **own) == n
        assert counted(values, "scperformer_station_windows_total", **own) > 500
    n_windows = counted(values, "scperformer_station_windows_total")
    assert values["scperformer_batch_windows_sum",] == n_windows
    assert values["scperformer_inference_seconds_sum",] > 0.0
    assert values["scperformer_model_info", ("model", "rise"), ("sha256", "0" * 64)] == 1
    assert counted(values, "scperformer_last_delivery_timestamp_seconds") > time.time() - 60

    scraped = parsed(pages[-1])
    assert set(scraped) == set(values)
    assert scraped["scperformer_running",] == 1
    assert scraped["scperformer_records_total",] > 0
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))


def test_a_server_that_is_killed_is_critical_and_told_once(tmp_path, caplog, capsys):
    """The stations are silent, and one that never was heard is so from the start."""
    path, packets = tmp_path / "metrics.prom", network(start_ns=time.time_ns() - 140 * 10**9)
    said = []
    server = SeedLinkServer(packets)

    def ask():
        capsys.readouterr()
        code = main(["status", str(path), "--silence", "1.5", "--stale", "20,30"])
        return code, capsys.readouterr().out.splitlines()[0]

    def is_done():
        if not path.exists():
            return False
        code, line = ask()
        if not said and server.has_served_all.is_set():
            said.append((code, line))
            server.__exit__()
        if said and code == 2:
            said.append((code, line))
        return len(said) > 3 and len(silent()) == 1

    def silent():
        return [text for text in caplog.messages if text.startswith("silent: ")]

    with server:
        run_stream(
            server.url,
            *("--stations", "XX.A,XX.B", "--start", LONG_AGO, "-o", tmp_path / "picks.jsonl"),
            *("--metrics-file", path, "--metrics-interval", "0.1", "--silence", "1.5"),
            until=is_done,
        )
    assert said[0][0] == 0, said
    assert "2 of 2 stations silent (all of them)" in said[1][1]
    assert silent() == ["silent: nothing from any of 2 stations for 2 s"]
    assert ask()[1].startswith("SCPERFORMER CRITICAL - the picker ended")


class HangingClassifier(RiseClassifier):
    """Hangs in the middle until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs, self.go_on = threading.Event(), threading.Event()

    def classify(self, batch):
        if len(self.batch_sizes) == 20:
            self.hangs.set()
            self.go_on.wait(30.0)
        return super().classify(batch)


def test_a_loop_that_hangs_gives_no_sign_of_life(packets, tmp_path, systemd, monkeypatch):
    environment, read = systemd
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    classifier, heard = HangingClassifier(), []

    def watch():
        classifier.hangs.wait(20.0)
        time.sleep(0.2)
        heard.append(read())
        time.sleep(2.5)
        heard.append(read())
        classifier.go_on.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    with SeedLinkServer(packets, packets_a_second=200) as server:
        stream_from(
            server,
            tmp_path / "picks.jsonl",
            until=lambda: classifier.go_on.is_set() and server.has_served_all.is_set(),
            classifier=classifier,
        )
    watcher.join()
    before, while_it_hung, after = *heard, read()
    assert before[0] == "READY=1"
    assert "WATCHDOG=1" in before
    assert while_it_hung == []
    assert "WATCHDOG=1" in after
    assert after[-1] == "STOPPING=1"


def test_a_service_from_its_start_to_sigterm(packets, tmp_path, systemd):
    environment, read = systemd
    heard = []

    def wait_for(text):
        deadline_s = time.monotonic() + 60.0
        while text not in "\n".join(heard):
            assert time.monotonic() < deadline_s, heard
            heard.extend(read())
            time.sleep(0.1)

    with SeedLinkServer(packets, packets_a_second=50) as server:
        command = [sys.executable, "-m", "tests.stream_worker", server.url, "--stations", "XX.*"]
        command += ["--start", LONG_AGO, "-o", str(tmp_path / "p.csv"), "--status-interval", "0.5"]
        with subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.DEVNULL
        ) as process:
            wait_for("STATUS=2 stations")
            wait_for("WATCHDOG=1")
            assert heard[0] == "READY=1"
            process.send_signal(signal.SIGTERM)
            wait_for("STOPPING=1")
            assert process.wait(20.0) == 0


def test_a_full_disk_is_no_hang(packets, tmp_path, systemd, monkeypatch):
    """What waits for the journal goes on giving signs of life."""
    environment, read = systemd
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    from scperformer.delivery.delivery import Journal  # noqa: PLC0415
    from scperformer.errors import OutputError  # noqa: PLC0415

    append, failing, heard = Journal.append, threading.Event(), []

    def fail_for_a_while(journal, picks):
        if not failing.is_set():
            begun_s = time.monotonic()
            failing.set()
            fail_for_a_while.until_s = begun_s + 3.0
            read()
        if time.monotonic() < fail_for_a_while.until_s:
            raise OutputError("disk full")
        if not heard:
            heard.append(read())
        append(journal, picks)

    monkeypatch.setattr(Journal, "append", fail_for_a_while)
    with SeedLinkServer(packets, packets_a_second=200) as server:
        out = tmp_path / "picks.jsonl"
        stream_from(server, out, "--state", tmp_path / "state")
    assert heard[0].count("WATCHDOG=1") >= 4


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--metrics", "host"), "--metrics: got 'host'; wanted PORT"),
        (("--metrics-interval", "0"), "--metrics-interval: got 0; wanted"),
        (("--silence", "-5"), "--silence: got -5; wanted"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(options, fault, tmp_path):
    with pytest.raises(ConfigurationError, match=re.escape(fault)):
        run_stream("-", "-o", tmp_path / "p.csv", *options)
