"""What systemd hears, over a real socket."""

import configparser
import os
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scperformer.core.statistics import Statistics
from scperformer.monitoring import watch
from scperformer.monitoring.settings import MonitoringSettings
from scperformer.monitoring.systemd import Notifier
from scperformer.monitoring.vitals import Vitals
from tests.conftest import ROOT
from tests.streaming import options_of


@pytest.fixture(params=["a file", "abstract"])
def heard(request, tmp_path):
    """The environment of a watched service, and what systemd has heard of it so far."""
    name = str(tmp_path / "notify") if request.param == "a file" else f"@scperformer-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(name.replace("@", "\0", 1))
        server.setblocking(False)

        def read():
            found = []
            while True:
                try:
                    found.append(server.recv(4096).decode())
                except BlockingIOError:
                    return found

        yield {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000000"}, read


def test_ready_status_and_stopping(heard):
    environment, read = heard
    notifier = Notifier(environment)
    notifier.ready()
    notifier.status("22 stations,\n3 silent")
    notifier.stopping()
    assert read() == ["READY=1", "STATUS=22 stations, 3 silent", "STOPPING=1"]


def test_signs_of_life_twice_in_the_time_that_systemd_waits(heard):
    environment, read = heard
    notifier = Notifier(environment)
    for now_s in range(31):
        notifier.alive(float(now_s))
    assert read() == ["WATCHDOG=1"] * 4


@pytest.mark.parametrize("change", [{"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}])
def test_a_watchdog_of_another_process_or_none(heard, change):
    environment, read = heard
    notifier = Notifier(environment | change)
    notifier.alive(1e9)
    notifier.ready()
    assert read() == ["READY=1"]


def test_nobody_listens(tmp_path):
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1"}):
        notifier = Notifier(environment)
        notifier.ready()
        notifier.alive(1.0)


def test_signs_of_life_come_only_while_the_loop_turns(heard, monkeypatch):
    """They come from `check`, which the main loop calls, and from no thread or timer."""
    environment, read = heard
    monkeypatch.setattr(watch, "Notifier", lambda: Notifier(environment))
    now_s = [1000.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now_s[0])
    vitals = Vitals(statistics=Statistics(), n_batches=0, n_pending_windows=0)
    one = watch.Watch(MonitoringSettings(), lambda: vitals, models={}, is_live=True)
    one.begin()
    for _ in range(100):
        now_s[0] += 0.5
        one.check()
    said = read()
    assert said[0] == "READY=1"
    assert said.count("WATCHDOG=1") == 5
    now_s[0] += 3600.0
    assert read() == []
    one.stopping()
    assert read() == ["STOPPING=1"]


def test_the_unit_that_is_shipped_is_one_and_its_options_are_there(tmp_path):
    text = (ROOT / "config" / "scperformer.service").read_text()
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read_string(text.replace("\\\n", " "))
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert float(service["WatchdogSec"]) > 60
    program, command, *arguments = shlex.split(service["ExecStart"])
    assert (Path(program).name, command) == ("scperformer", "stream")
    options = options_of(*arguments)
    assert options.state
    assert options.metrics_file
    if shutil.which("systemd-analyze"):
        path = tmp_path / "scperformer.service"
        path.write_text(text.replace(program, sys.executable))
        verify = ["systemd-analyze", "verify", "--man=no", path]
        done = subprocess.run(verify, capture_output=True, text=True, check=False)
        assert str(path.name) not in done.stderr, done.stderr
