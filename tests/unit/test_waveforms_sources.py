"""How a source is named, what must be said beside it, and what StationXML tells."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obspy
import pytest

from scperformer.errors import ConfigurationError, InputError
from scperformer.types import SeedId, parse_time
from scperformer.waveforms import scratch
from scperformer.waveforms.epochs import read_stations
from scperformer.waveforms.fdsn_client import Server
from scperformer.waveforms.layouts import LAYOUTS
from scperformer.waveforms.patience import PassingError, Patience, insist
from scperformer.waveforms.sources import BucketPlace, find_pieces, parse_source

START_NS, END_NS = parse_time("2024-03-01"), parse_time("2024-03-03")


@pytest.fixture(autouse=True)
def no_endpoint(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("data/2024", Path("data/2024")),
        ("sds:///archive/my%20data", Path("/archive/my data")),
        ("fdsnws://earthscope", Server("EARTHSCOPE")),
        ("https://geofon.gfz.de/", Server("https://geofon.gfz.de")),
        ("http://127.0.0.1:8080/fdsnws/dataselect/1/", Server("http://127.0.0.1:8080")),
        ("https://host/sub?parallel=5", Server("https://host/sub", most_parallel=5)),
    ],
)
def test_paths_and_servers(text, place):
    assert parse_source(text) == place


@pytest.mark.parametrize(
    ("text", "bucket", "prefix", "layout", "endpoint"),
    [
        ("s3://scedc", "scedc-pds", "continuous_waveforms/", "scedc", ""),
        ("s3://ncedc-pds/", "ncedc-pds", "continuous_waveforms/", "ncedc", ""),
        ("s3://mine?layout=scedc", "mine", "", "scedc", ""),
        ("s3://mine/a/b?layout=ncedc&endpoint=http://h:1", "mine", "a/b/", "ncedc", "http://h:1"),
    ],
)
def test_buckets(text, bucket, prefix, layout, endpoint):
    place = parse_source(text)
    assert isinstance(place, BucketPlace)
    assert (place.bucket.name, place.prefix, place.layout) == (bucket, prefix, LAYOUTS[layout])
    assert place.bucket.endpoint == endpoint
    assert not place.bucket.is_signed


def test_what_a_bucket_can_be_told(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere")
    place = parse_source("s3://scedc?signed=yes&region=eu-west-1&timeout=5")
    assert place.bucket.endpoint == "https://elsewhere"
    assert (place.bucket.is_signed, place.bucket.region) == (True, "eu-west-1")
    assert place.bucket.patience.silence_s == 5.0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ftp://host/data", "fdsnws://NAME"),
        ("slink://host", "s3://NAME"),
        ("sds://relative/path", "absolute"),
        ("fdsnws://geofon.gfz.de", "https://"),
        ("fdsnws://GFZ?layout=scedc", "none of layout"),
        ("https://host?parallel=0", "parallel=N"),
        ("https://host?timeout=soon", "timeout=SECONDS"),
        ("s3://mine", "layout=NAME"),
        ("s3://mine?layout=sds", "scedc, ncedc, earthscope, geonet"),
        ("s3://scedc?signed=perhaps", "signed=yes"),
        ("s3://scedc?endpoint=host", "https://HOST"),
        ("s3:///key", "s3://BUCKET"),
    ],
)
def test_what_is_no_source_says_what_is(text, wanted):
    with pytest.raises(ConfigurationError) as caught:
        parse_source(text)
    assert str(caught.value).startswith(f"--source: got {text!r}; wanted ")
    assert wanted in str(caught.value)


@pytest.mark.parametrize("text", ["fdsnws://EARTHSCOPE", "s3://scedc", "https://host"])
def test_what_is_far_away_wants_a_time(text):
    with pytest.raises(ConfigurationError, match="--start and --end"):
        find_pieces(text, start_ns=START_NS)


@pytest.mark.parametrize("text", ["fdsnws://NOSUCHNAME", "https://ho st", "http://host:x"])
def test_what_is_no_server_is_told_at_once(text):
    with pytest.raises(ConfigurationError, match="wanted a name as in fdsnws://EARTHSCOPE"):
        list(find_pieces(text, start_ns=START_NS, end_ns=END_NS))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_reads_the_names_that_it_makes(name):
    layout = LAYOUTS[name]
    day = 19_783  # 2024-03-01, day 61 of the year
    rest = {
        "scedc": "CISDD__HHZ10_2024061.ms",
        "ncedc": "SDD.CI.HHZ.10.D.2024.061",
        "earthscope": "SDD.CI.2024.061#3",
        "geonet": "SDD.CI/2024.061.SDD.10-HHZ.CI.D",
    }[name]
    whole = SeedId("CI", "SDD", "10", "HHZ")
    wanted = SeedId("CI", "SDD", "", "") if layout.has_stations else whole
    assert "2024" in layout.day_folder(day, "CI")
    assert "061" in layout.day_folder(day, "CI")
    assert layout.parse(rest, day) == wanted
    assert layout.parse(rest, day + 1) is None
    assert layout.parse("index.csv", day) is None
    assert rest.startswith(layout.stem_of("CI", "SDD"))
    assert rest.startswith(layout.stem_of("CI", ""))
    assert layout.stem_of("", "") == ""


def test_names_of_the_archives_as_their_owners_give_them():
    day = 19_783
    scedc, ncedc = LAYOUTS["scedc"], LAYOUTS["ncedc"]
    assert scedc.day_folder(day, "") == "2024/2024_061/"
    assert scedc.parse("NPPACP_HNE012024061.ms", day) == SeedId("NP", "PACP", "01", "HNE")
    assert scedc.parse("CIADO__BHZ___2024061.ms", day) == SeedId("CI", "ADO", "", "BHZ")
    assert ncedc.day_folder(day, "BK") == "BK/2024/2024.061/"
    assert ncedc.parse("MERC.BK.HNZ.00.D.2024.061", day) == SeedId("BK", "MERC", "00", "HNZ")


def test_epochs_come_from_station_xml(tmp_path):
    known = tmp_path / "known.xml"
    obspy.read_inventory().write(str(known), "STATIONXML")
    epochs = read_stations([known])
    channel = SeedId("BW", "RJOB", "", "EHZ")
    assert epochs.lives(channel, parse_time("2007-12-17"), parse_time("2007-12-18"))
    assert not epochs.lives(channel, parse_time("1999-01-01"), parse_time("1999-01-02"))
    assert not epochs.lives(SeedId("BW", "RJOB", "", "XXX"), START_NS, END_NS)
    assert epochs.sensor_lives(channel.sensor_id, START_NS, END_NS)
    assert read_stations([]) is None


def test_station_xml_that_tells_nothing_is_refused(tmp_path):
    broken, empty = tmp_path / "broken.xml", tmp_path / "empty.xml"
    broken.write_text("<html>")
    obspy.read_inventory().write(str(empty), "STATIONXML", level="network")
    for path, said in ((broken, "StationXML"), (empty, "no channels"), (tmp_path / "none", "none")):
        with pytest.raises(InputError, match=said):
            read_stations([path])


def test_pieces_of_a_path_keep_to_the_epochs(tmp_path):
    obspy.read().write(str(tmp_path / "day.mseed"), "MSEED")  # BW.RJOB..EH?, 2009-08-24
    (piece,) = find_pieces(f"sds://{tmp_path}")
    assert str(piece.sensor_id) == "BW.RJOB..EH"
    xml = tmp_path / "stations.xml"
    stations = obspy.read_inventory()
    stations.write(str(xml), "STATIONXML")
    assert len(list(find_pieces(str(tmp_path / "day.mseed"), stations=[xml]))) == 1
    for station in stations.select(station="RJOB")[0]:
        for channel in station:
            channel.end_date = obspy.UTCDateTime(2008, 1, 1)
    stations.write(str(xml), "STATIONXML")
    assert list(find_pieces(str(tmp_path / "day.mseed"), stations=[xml])) == []


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = "import sys, scperformer.waveforms.sources\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"obspy", "s3fs", "botocore", "lxml"} & set(done.stdout.split())


def test_problems_of_a_path_are_told(tmp_path):
    problems = []
    assert list(find_pieces(str(tmp_path / "none"), report=problems.append)) == []
    assert "no such file" in problems[0].what


def test_pauses_grow_within_bounds_and_keep_to_what_is_asked():
    patience = Patience(first_pause_s=2.0, longest_pause_s=10.0)
    for attempt, due_s in enumerate((2.0, 4.0, 8.0, 10.0, 10.0)):
        pauses = {patience.pause_s(attempt, 0.0) for _ in range(50)}
        assert len(pauses) > 1
        assert due_s / 2.0 <= min(pauses) <= max(pauses) <= due_s
    assert patience.pause_s(0, 30.0) == 30.0
    assert patience.pause_s(0, 1e9) == 300.0


def test_it_is_asked_no_more_often_than_allowed():
    n_asked = []

    def ask():
        n_asked.append(1)
        raise PassingError("no")

    with pytest.raises(PassingError):
        insist(ask, Patience(n_attempts=4, first_pause_s=0.0))
    assert len(n_asked) == 4


class TestCaches:
    def test_threads_share_one(self, monkeypatch):
        monkeypatch.setenv("SCPERFORMER_CACHE_MIB", "7")
        begin = threading.Barrier(8)

        def ask(_):
            begin.wait()
            return scratch.whole_cache()

        with ThreadPoolExecutor(8) as pool:
            assert len(set(map(id, pool.map(ask, range(8))))) == 1

    def test_a_file_is_fetched_once_and_the_oldest_goes(self, tmp_path):
        cache, fetched = scratch.Cache(25), []

        def lend(key, place):
            def fetch(path):
                fetched.append(key)
                path.write_bytes(key.encode() * 10)

            cache.lend(key, tmp_path / place, fetch)
            return (tmp_path / place).read_bytes()

        assert lend("a", "1") == lend("a", "2") == b"a" * 10
        assert lend("b", "3") == b"b" * 10
        assert fetched == ["a", "b"]
        lend("a", "4")
        lend("c", "5")  # no room for b, which was lent the longest ago
        lend("a", "6")
        lend("b", "7")
        assert fetched == ["a", "b", "c", "b"]
        assert (tmp_path / "3").read_bytes() == b"b" * 10

    def test_what_could_not_be_fetched_is_fetched_again(self, tmp_path):
        def fail(path):
            path.write_bytes(b"half")
            raise InputError("cut off")

        cache = scratch.Cache(100)
        with pytest.raises(InputError):
            cache.lend("a", tmp_path / "1", fail)
        assert list(cache.folder.iterdir()) == []
        cache.lend("a", tmp_path / "1", lambda path: path.write_bytes(b"whole"))
        assert (tmp_path / "1").read_bytes() == b"whole"

    def test_its_size_is_a_number(self, monkeypatch):
        monkeypatch.setenv("SCPERFORMER_CACHE_MIB", "much")
        with pytest.raises(ConfigurationError, match="SCPERFORMER_CACHE_MIB"):
            scratch.whole_cache()


USES_SCRATCH = """
import multiprocessing, os, signal, sys
from scperformer.waveforms import scratch

def use(end):
    with scratch.scratch_folder() as folder:
        (folder / "file").write_text("any")
        scratch.edge_cache().lend("a", folder / "lent", lambda path: path.write_text("b"))
        if end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)

for method in sys.argv[2:]:
    child = multiprocessing.get_context(method).Process(target=use, args=(sys.argv[1],))
    child.start()
    child.join()
use(sys.argv[1])
"""


def test_nothing_is_left_behind_and_what_a_killed_process_left_is_swept(tmp_path):
    def run(end, *methods):
        command = [sys.executable, "-c", USES_SCRATCH, end, *methods]
        subprocess.run(command, env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
        return list(tmp_path.glob("scperformer-*"))

    assert run("ended", "fork") == []
    left = run("killed", "fork")
    assert left
    assert (left[0] / "lock").is_file()
    assert run("ended") == []
