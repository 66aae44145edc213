"""The command itself on real records: what the scan finds, over TCP."""

import json
import signal
import subprocess
import sys
import time

import pytest

from scperformer.types import parse_time
from tests.seedlink_server import Faults, SeedLinkServer, start_of

COMMAND = (
    "import sys; from scperformer.cli import main; "
    "main.SUBCOMMANDS.setdefault('stream', 'pick phases in real time'); "
    "sys.exit(main.main(sys.argv[1:]))"
)

pytestmark = [pytest.mark.shared, pytest.mark.slow]


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


@pytest.fixture(scope="module")
def packets(shared):
    """The last half hour of a station, with a magnitude 4.5."""
    folder = shared / "data" / "continuous" / "ridgecrest"
    records = [path.read_bytes() for path in sorted(folder.glob("CI.TOW2.*"))]
    found = [data[at : at + 512] for data in records for at in range(0, len(data), 512)]
    first_ns = parse_time("2019-07-04T16:40:00")
    return sorted((p for p in found if start_of(p) >= first_ns), key=start_of)


def test_the_streams_picks_are_the_scans(packets, weights, tmp_path):
    (tmp_path / "TOW2.mseed").write_bytes(b"".join(packets))
    scanning = start("scan", tmp_path / "TOW2.mseed", "-o", tmp_path / "scan.jsonl", *weights)
    faults = Faults(drop_after=[300, 500], cut_packet=True, repeat=0.03, swap=0.03)
    arguments = ["--stations", "CI.*:HH?", "--start", "2019-07-04", *weights]
    arguments += ["-o", tmp_path / "live.jsonl", "--status-interval", "10"]
    with SeedLinkServer(packets, faults=faults) as server:
        streaming = start("stream", server.url, *arguments)
        _, log = scanning.communicate(timeout=120)
        assert scanning.returncode == 0, log
        expected, n_expected = picks_in(tmp_path / "scan.jsonl")
        assert server.has_served_all.wait(60)
        deadline_s = time.monotonic() + 90
        while picks_in(tmp_path / "live.jsonl")[1] < n_expected and time.monotonic() < deadline_s:
            time.sleep(0.5)
        time.sleep(2.0)
        begun_s = time.monotonic()
        streaming.send_signal(signal.SIGTERM)
        _, log = streaming.communicate(timeout=30)
    assert streaming.returncode == 0, log
    assert time.monotonic() - begun_s < 5.0
    got, n_got = picks_in(tmp_path / "live.jsonl")
    assert n_expected > 10
    assert n_got == n_expected, log
    assert got.keys() == expected.keys(), log
    for public_id, pick in got.items():
        assert pick["probability"] == pytest.approx(expected[public_id]["probability"], abs=1e-4)
        assert pick["decision_delay_s"] <= 4.0
