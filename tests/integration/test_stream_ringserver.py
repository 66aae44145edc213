"""Picks by way of EarthScope's ringserver, where it is installed, equal the pipeline's."""

import shutil
import socket
import subprocess
import time

import pytest

from scperformer.waveforms import seedlink, seedlink_client
from scperformer.waveforms.mseed_stream import decode_record
from tests.streaming import LONG_AGO, ids, ids_in, plain_picks, run_stream

PROGRAM = shutil.which("ringserver")

pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="no ringserver"),
    pytest.mark.slow,
]


@pytest.fixture(params=[3, 4], ids=["SeedLink 3", "SeedLink 4"])
def _version(request, monkeypatch):
    # An empty ringserver leaves out what comes between END and its first look.
    monkeypatch.setattr(seedlink, "SHORTEST_WAIT_S", 1.0)
    if request.param == 3:
        never = seedlink_client.re.compile(b"(?!)")
        monkeypatch.setattr(seedlink_client, "_OFFERS_4", never)


class RingServer:
    """The program on a free port; it keeps its packets in a folder."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._folder = folder
        self.start()

    def start(self):
        self._folder.mkdir(exist_ok=True)
        command = [PROGRAM, "-Rd", self._folder, "-Rs", "10M", "-L", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(100):
            time.sleep(0.1)
            try:
                return socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                continue
        raise AssertionError("ringserver does not come up")

    def stop(self):
        self._process.terminate()
        self._process.wait(20)

    def lose_everything(self):
        self.stop()
        shutil.rmtree(self._folder)
        self.start()

    def write(self, packets):
        """Send packets by DataLink: a header, counted by a byte, before each."""
        with socket.create_connection(("127.0.0.1", self.port)) as link:
            for data in packets:
                record = decode_record(data)
                code = record.seed_id
                stream = "_".join((code.network, code.station, code.location, *code.channel))
                times = f"{record.start_ns // 1000} {record.end_ns // 1000}"
                head = f"WRITE FDSN:{stream}/MSEED {times} A {len(data)}".encode()
                link.sendall(b"DL" + bytes([len(head)]) + head + data)
                assert link.recv(1000)[3:5] == b"OK"


@pytest.fixture
def server(tmp_path):
    found = RingServer(tmp_path / "ring")
    yield found
    found.stop()


def stream_from(server, path, *, until, stations="XX.*"):
    url = f"slink://127.0.0.1:{server.port}"
    options = ("--stations", stations, "--start", LONG_AGO, "-o", path, "--refresh-stations", "1")
    return run_stream(url, *options, until=until)


@pytest.mark.usefixtures("_version")
@pytest.mark.parametrize("stations", ["XX.*", "XX.A:HH?,XX.B:--HH? !BHZ"])
@pytest.mark.parametrize("break_it", [None, "stop", "lose_everything"])
def test_picks_equal_the_plain_pipelines(server, packets, stations, break_it, tmp_path):
    out = tmp_path / "picks.jsonl"
    plain = plain_picks(packets)
    parts = [packets[: len(packets) * 2 // 3], packets[len(packets) * 2 // 3 :]]
    server.write(parts.pop(0))

    def is_done():
        if parts and len(ids_in(out)) >= 5:
            if break_it == "stop":
                server.stop()
                server.start()
            elif break_it:
                server.lose_everything()
            server.write(parts.pop(0))
        return len(ids_in(out)) >= len(plain)

    assert stream_from(server, out, until=is_done, stations=stations) == 0
    assert ids_in(out) == ids(plain)


@pytest.mark.usefixtures("_version")
def test_a_station_that_comes_later(server, packets, tmp_path):
    out = tmp_path / "picks.jsonl"
    plain = plain_picks(packets)
    parts = [[p for p in packets if p[8:9] == station] for station in (b"A", b"B")]
    server.write(parts.pop(0))

    def is_done():
        if parts and len(ids_in(out)) > 1:
            server.write(parts.pop(0))
        return len(ids_in(out)) >= len(plain)

    assert stream_from(server, out, until=is_done) == 0
    assert ids_in(out) == ids(plain)
