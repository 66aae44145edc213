"""The command itself on real records: what the scan finds, over TCP."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.seedlink_server import Faults, SeedLinkServer, start_of

STATIONS = ("CI.TOW2", "CI.WBM")
COMMAND = (
    "import sys; from scperformer.cli import main; "
    "main.SUBCOMMANDS.setdefault('stream', 'pick phases in real time'); "
    "sys.exit(main.main(sys.argv[1:]))"
)

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@pytest.fixture(scope="module")
def files(shared):
    folder = shared / "data" / "continuous" / "ridgecrest"
    return sorted(path for station in STATIONS for path in folder.glob(f"{station}.*"))


@pytest.fixture(scope="module")
def weights(shared):
    return ["--weights", str(shared / "weights" / "w_model_performer_v2.0.h5")]


def start(*arguments):
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def picks_in(path):
    lines = path.read_text().splitlines() if path.exists() else []
    picks = [json.loads(line) for line in lines]
    return {pick["public_id"]: pick for pick in picks}, len(picks)


def test_the_streams_picks_are_the_scans(files, weights, tmp_path):
    scanning = start("scan", *files, "-o", tmp_path / "scan.jsonl", *weights)
    records = [path.read_bytes() for path in files]
    packets = [data[at : at + 512] for data in records for at in range(0, len(data), 512)]
    packets.sort(key=start_of)
    faults = Faults(drop_after=[700, 1500], cut_packet=True, repeat=0.03, swap=0.03)
    arguments = ["--stations", "CI.*:HH?", "--start", "2019-07-04", *weights]
    arguments += ["-o", tmp_path / "live.jsonl", "--status-interval", "2"]
    with SeedLinkServer(packets, faults=faults) as server:
        streaming = start("stream", server.url, *arguments)
        _, log = scanning.communicate(timeout=120)
        assert scanning.returncode == 0, log
        assert server.has_served_all.wait(60)
        n_seen, deadline_s = -1, time.monotonic() + 60
        while picks_in(tmp_path / "live.jsonl")[1] != n_seen and time.monotonic() < deadline_s:
            n_seen = picks_in(tmp_path / "live.jsonl")[1]
            time.sleep(2.0)
        begun_s = time.monotonic()
        streaming.send_signal(signal.SIGTERM)
        _, log = streaming.communicate(timeout=30)
    assert streaming.returncode == 0, log
    assert time.monotonic() - begun_s < 5.0
    expected, n_expected = picks_in(tmp_path / "scan.jsonl")
    got, n_got = picks_in(tmp_path / "live.jsonl")
    assert n_expected > 20
    assert n_got == n_expected, log
    assert got.keys() == expected.keys(), log
    for public_id, pick in got.items():
        assert pick["probability"] == pytest.approx(expected[public_id]["probability"], abs=1e-4)
        assert pick["decision_delay_s"] <= 4.0
