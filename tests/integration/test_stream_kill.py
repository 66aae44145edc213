"""The plug is pulled: readable files, and after the restarts every pick exactly once."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree

from scperformer.picks.pick_files import read_pick_file
from tests.seedlink_server import Faults, SeedLinkServer
from tests.streaming import LONG_AGO, ids, ids_in, network

SEEDS = [int(seed) for seed in os.environ.get("SCPERFORMER_KILL_SEEDS", "1").split()]
ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = ("picks.jsonl", "picks.csv", "picks.txt", "picks.scml", "picks.qml")


@pytest.fixture(scope="module")
def packets():
    return network(280)


def start(server, folder, *more):
    command = [sys.executable, "-m", "tests.stream_worker", server.url, "--stations", "XX.*"]
    command += ["--start", LONG_AGO, "--state", str(folder / "state"), *more]
    for name in OUTPUTS:
        command += ["-o", str(folder / name)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_until(is_true, at_most_s=40.0):
    deadline_s = time.monotonic() + at_most_s
    while not is_true():
        assert time.monotonic() < deadline_s, "waited too long"
        time.sleep(0.05)


def check_readable(folder):
    """Every file can be read at this moment, but for a last line that has no end yet."""
    for line in _lines(folder / "picks.jsonl"):
        json.loads(line)
    for name in ("picks.scml", "picks.qml"):
        for path in (folder / name).glob("[0-9]*"):
            etree.parse(path)


def _lines(path):
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def document_ids(folder):
    found = Counter()
    for path in folder.glob("[0-9]*"):
        found.update(pick.get("publicID") for pick in etree.parse(path).getroot().iter("{*}pick"))
    return found


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments(packets, plain, tmp_path, seed, version):
    chance = random.Random(seed)
    faults = Faults(drop_after=[60, 200, 90], cut_packet=True, repeat=0.05)
    with SeedLinkServer(packets, faults=faults, packets_a_second=60, version=version) as server:
        for _ in range(3):
            n_before = server.n_connections
            process = start(server, tmp_path)
            wait_until(lambda n=n_before: server.n_connections > n)
            time.sleep(chance.uniform(0.0, 2.0))
            process.kill()
            process.communicate()
            check_readable(tmp_path)
        n_before = server.n_connections
        process = start(server, tmp_path)
        wait_until(lambda: server.n_connections > n_before)
        wait_until(lambda: len(ids_in(tmp_path / "picks.jsonl")) >= len(plain))
        wait_until(server.has_served_all.is_set)
        time.sleep(0.5)
        begun_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=15)
    assert process.returncode == 0, log
    assert time.monotonic() - begun_s < 5.0
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain), log
    assert ids(read_pick_file(tmp_path / "picks.csv")) == ids(plain)
    assert len(_lines(tmp_path / "picks.txt")) == len(plain)
    assert document_ids(tmp_path / "picks.scml") == Counter(ids(plain))
    assert set(document_ids(tmp_path / "picks.qml").values()) == {1}
    assert len(document_ids(tmp_path / "picks.qml")) == len(plain)


@pytest.mark.parametrize("version", [3, 4])
def test_a_stop_in_between_is_no_seam(packets, plain, tmp_path, version):
    """SIGTERM and SIGINT while data flow: exit status 0, and the next run goes on."""
    with SeedLinkServer(packets, packets_a_second=120, version=version) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            n_before = server.n_connections
            process = start(server, tmp_path)
            wait_until(lambda n=n_before: server.n_connections > n)
            time.sleep(1.0)
            process.send_signal(number)
            _, log = process.communicate(timeout=15)
            assert process.returncode == 0, log
        n_before = server.n_connections
        process = start(server, tmp_path)
        wait_until(lambda: server.n_connections > n_before)
        wait_until(lambda: len(ids_in(tmp_path / "picks.jsonl")) >= len(plain))
        wait_until(server.has_served_all.is_set)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)
        asked = [line for line in server.commands if line.startswith(("TIME", "DATA ALL"))]
    assert ids_in(tmp_path / "picks.jsonl") == ids(plain)
    assert len(set(asked)) > 1, "the later runs begin where the first had come to"
