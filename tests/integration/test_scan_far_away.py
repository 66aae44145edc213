"""`scperformer scan --source`: what lies on servers and in buckets gives the picks of files."""

import csv
import os
import subprocess
import sys

import obspy
import pytest

from tests.conftest import ROOT
from tests.fdsn_service import Fault, FdsnService
from tests.streaming_network import streaming_folder
from tests.synthetic import LETTERS, earthquakes

MIDNIGHT = obspy.UTCDateTime("2024-03-02")
HALF_S = 400


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Waveforms around a midnight, in a file for each day and channel, and a small network."""
    folder = tmp_path_factory.mktemp("far")
    (folder / "archive").mkdir()
    ground = earthquakes(2 * HALF_S * 100, [60.0, 250.0, 396.0, 403.0, 600.0])
    for letter, samples in zip(LETTERS, ground, strict=True):
        header = {"network": "XX", "station": "A", "channel": f"HH{letter}"}
        header |= {"sampling_rate": 100.0, "starttime": MIDNIGHT - HALF_S}
        trace = obspy.Trace(samples.astype("i4"), header)
        for day, own in ((61, trace.slice(endtime=MIDNIGHT - 0.01)), (62, trace.slice(MIDNIGHT))):
            own.write(str(folder / "archive" / f"{letter}.{day}"), format="MSEED")
    streaming_folder(folder / "model", seed=9, decisive=4.0)
    return folder


def scan(place, *arguments, **environment):
    (place / "p.csv").unlink(missing_ok=True)
    times = ("--start", "2024-03-01", "--end", "2024-03-03")
    options = ("--model-name", "model", "-o", "p.csv", *times)
    done = subprocess.run(
        [sys.executable, "-m", "scperformer", "scan", *arguments, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        timeout=300,
    )
    table = place / "p.csv"
    return done, table.read_bytes() if table.exists() else None


@pytest.fixture(scope="module")
def local(place):
    done, table = scan(place, "archive")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(table.decode().splitlines()))
    assert len({row["time"][:10] for row in rows}) == 2
    return table


def whole(place):
    return b"".join(path.read_bytes() for path in sorted((place / "archive").iterdir()))


def test_an_fdsn_server_that_falters_gives_the_picks_of_files(place, local):
    with FdsnService(whole(place)) as service:
        service.faults["dataselect"].extend([Fault(status=500), Fault(status=503)])
        done, table = scan(
            place, "--source", service.address, "--report", "far.html", "--stations", "XX.A..HH?"
        )
    assert done.returncode == 0, done.stderr
    assert table == local
    assert b"XX.A..HH" in (place / "far.html").read_bytes()


def test_a_server_that_is_not_there_is_told_and_files_are_scanned(place, local):
    done, table = scan(place, "archive", "--source", "http://127.0.0.1:65001")
    assert done.returncode == 1
    assert "http://127.0.0.1:65001" in done.stderr
    assert "Traceback" not in done.stderr
    assert table == local


def test_a_bucket_gives_the_picks_of_files(place, local):
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs, of the extra s3")
    moto = pytest.importorskip("moto.server", reason="needs moto[server], of the extra dev")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        writer = s3fs.S3FileSystem(
            key="any",
            secret="any",
            endpoint_url=address,
            client_kwargs={"region_name": "us-east-1"},
            skip_instance_cache=True,
        )
        writer.call_s3("create_bucket", Bucket="scedc-pds", ACL="public-read")
        for path in (place / "archive").iterdir():
            letter, day = path.name.split(".")
            key = f"continuous_waveforms/2024/2024_0{day}/XXA____HH{letter}___20240{day}.ms"
            body = path.read_bytes()
            writer.call_s3("put_object", Bucket="scedc-pds", Key=key, Body=body, ACL="public-read")
        done, table = scan(
            place, "--source", "s3://scedc", "--jobs", "2", AWS_ENDPOINT_URL_S3=address
        )
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    assert table == local


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to scan: wanted an INPUT, or --source"),
        (("--source", "gopher://x"), "--source: got 'gopher://x'; wanted a path, sds:///PATH"),
    ],
)
def test_what_is_no_source_is_refused(place, arguments, words):
    done, table = scan(place, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert table is None
