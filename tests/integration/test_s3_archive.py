"""Pieces of public archives in buckets: what is fetched, and what is made of faults."""

import logging
import pickle
import sys
import urllib.request
from dataclasses import replace

import numpy as np
import pytest

from scperformer.errors import ConfigurationError, InputError
from scperformer.types import SeedId, SensorId, parse_time
from scperformer.waveforms import s3
from scperformer.waveforms.contents import Span
from scperformer.waveforms.epochs import Epoch, gathered
from scperformer.waveforms.layouts import LAYOUTS
from scperformer.waveforms.pieces import DAY_NS
from scperformer.waveforms.s3_client import Bucket
from scperformer.waveforms.selection import EVERYTHING, Selection, parse_stations
from scperformer.waveforms.sources import find_pieces
from scperformer.waveforms.times import Times
from tests.distant import MIDNIGHT, QUICK, assert_equal, mseed, read_pieces
from tests.faulty_proxy import FaultyProxy
from tests.fdsn_service import Fault, records_of

s3fs = pytest.importorskip("s3fs", reason="needs s3fs, of the extra s3")
moto_server = pytest.importorskip("moto.server", reason="needs moto[server], of the extra dev")

SENSOR = SensorId("XX", "A", "", "HH")
CODES = tuple(f"XX.A..HH{letter}" for letter in "ENZ")
DAYS = Times(MIDNIGHT - DAY_NS, MIDNIGHT + DAY_NS)
SCEDC = "continuous_waveforms/2024/2024_{day:03d}/XXA____HH{letter}___2024{day:03d}.ms"
NCEDC = "continuous_waveforms/XX/2024/2024.{day:03d}/A.XX.HH{letter}..D.2024.{day:03d}"
GEONET = "waveforms/miniseed/2024/2024.{day:03d}/A.XX/2024.{day:03d}.A.-HH{letter}.XX.D"
EARTHSCOPE = "miniseed/XX/2024/{day:03d}/A.XX.2024.{day:03d}"
EPOCHS = gathered((SeedId.parse(code), [Epoch(Span(0, None), 100.0)]) for code in CODES)


@pytest.fixture(scope="module")
def moto():
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture
def archive(moto):
    """Puts objects into buckets, and the server that they are read from."""
    address = f"http://127.0.0.1:{moto}"
    urllib.request.urlopen(f"{address}/moto-api/reset", b"").close()
    writer = s3fs.S3FileSystem(
        key="any",
        secret="any",
        endpoint_url=address,
        client_kwargs={"region_name": "us-east-1"},
        skip_instance_cache=True,
    )
    with FaultyProxy(moto) as proxy:
        yield Archive(writer, proxy)


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    """As small as half an hour of data is beside a day."""
    monkeypatch.setattr(s3, "SMALLEST_RANGE_BYTES", 1 << 15)


class Archive:
    """Buckets that are written to directly and read through the proxy."""

    def __init__(self, writer, proxy):
        self.proxy = proxy
        self._writer = writer
        self._buckets = set()

    def put(self, name, key, body):
        bucket = LAYOUTS[name].bucket
        if bucket not in self._buckets:
            self._buckets.add(bucket)
            self._writer.call_s3("create_bucket", Bucket=bucket, ACL="public-read")
        self._writer.call_s3("put_object", Bucket=bucket, Key=key, Body=body, ACL="public-read")

    def put_days(self, name, pattern, days):
        """Put each day's channels; where the pattern has no letter, all into one object."""
        for number, body in days.items():
            if "{letter}" not in pattern:
                self.put(name, pattern.format(day=number), body)
                continue
            for code, own in by_channel(body).items():
                self.put(name, pattern.format(day=number, letter=code[-1]), own)

    def bucket(self, name, patience=QUICK):
        return Bucket(LAYOUTS[name].bucket, endpoint=self.proxy.address, patience=patience)

    def pieces(self, name, *, selection=EVERYTHING, asked=DAYS, epochs=None, patience=QUICK):
        layout = LAYOUTS[name]
        found = s3.find_pieces(
            self.bucket(name, patience),
            layout,
            layout.prefix,
            selection=selection,
            asked=asked,
            epochs=epochs,
        )
        return list(found)


def by_channel(body):
    found = {}
    for one in records_of(body):
        found.setdefault(str(one.seed_id), []).append(one.data)
    return {code: b"".join(own) for code, own in found.items()}


def by_day(body):
    """Cut miniSEED into days by the times at which records begin; days of 2024, from 1."""
    found = {}
    for one in records_of(body):
        found.setdefault((one.start_ns - MIDNIGHT) // DAY_NS + 62, []).append(one.data)
    return {day: b"".join(own) for day, own in found.items()}


@pytest.fixture(scope="module")
def data():
    return mseed()


@pytest.fixture(scope="module")
def days(data):
    return by_day(data)


@pytest.fixture(scope="module")
def local(data, tmp_path_factory):
    """What is read of the same data in a file."""
    path = tmp_path_factory.mktemp("archive") / "all.mseed"
    path.write_bytes(data)
    read, _ = read_pieces(find_pieces(str(path)))
    return [read[key] for key in sorted(read)]


def assert_as_local(read, local):
    assert len(read) == len(local)
    for one, other in zip(read.values(), local, strict=True):
        assert_equal({SENSOR: one}, {SENSOR: other})


@pytest.mark.parametrize(
    ("name", "pattern"), [("scedc", SCEDC), ("ncedc", NCEDC), ("geonet", GEONET)]
)
def test_channel_days_are_read_as_files_are_and_edges_are_ranges(
    archive, days, local, name, pattern
):
    archive.put_days(name, pattern, days)
    pieces = archive.pieces(name)
    read, problems = read_pieces(pickle.loads(pickle.dumps(pieces)))
    assert problems == []
    assert_as_local(read, local)
    assert [piece.order for piece in pieces] == sorted(piece.order for piece in pieces)
    whole = sum(map(len, days.values()))
    assert whole < sum(archive.proxy.sizes) < 1.5 * whole
    assert len(archive.proxy.objects) == 12


def test_a_station_day_is_fetched_once_for_all_its_sensors(archive, days, local):
    near = Times(MIDNIGHT - DAY_NS, MIDNIGHT + DAY_NS)
    other = mseed(["XX.A..HNZ"])
    parts = by_day(other)
    archive.put_days("earthscope", EARTHSCOPE, {day: days[day] + parts[day] for day in days})
    alive = [SeedId.parse("XX.A..HNZ"), [Epoch(Span(0, None), 100.0)]]
    dead = [SeedId.parse("XX.A..EHZ"), [Epoch(Span(0, MIDNIGHT - 2 * DAY_NS), 100.0)]]
    epochs = gathered([*EPOCHS.by_channel.items(), alive, dead])
    pieces = archive.pieces("earthscope", asked=near, epochs=epochs)
    assert [piece.sensor_id.band_instrument for piece in pieces] == ["HH", "HN", "HH", "HN"]
    read, problems = read_pieces(pieces)
    assert problems == []
    assert_as_local({k: v for k, v in read.items() if k[0] == SENSOR}, local)
    assert len(archive.proxy.objects) == 2, archive.proxy.errors
    fetched = [piece.material.versions() for piece in pieces]
    assert all(len(versions) == 2 for versions in fetched)


def test_a_station_day_is_not_fetched_again_for_its_edges(archive, days, local, monkeypatch):
    """A cache that holds a single object: each comes at most twice, its edges stay."""
    monkeypatch.setenv("SCPERFORMER_CACHE_MIB", "0")
    body = {**days, 63: mseed(start_ns=MIDNIGHT + DAY_NS, hours=0.2)}
    archive.put_days("earthscope", EARTHSCOPE, body)
    long = Times(DAYS.start_ns, DAYS.end_ns + DAY_NS)
    _, problems = read_pieces(archive.pieces("earthscope", asked=long, epochs=EPOCHS))
    assert problems == []
    paths = [path for path, _ in archive.proxy.objects]
    counts = {path[-3:]: paths.count(path) for path in paths}
    assert set(counts) == {"061", "062", "063"}
    assert counts["061"] == 1
    assert max(counts.values()) <= 2


def test_the_newest_version_of_a_station_day_counts(archive, days, local):
    archive.put("earthscope", EARTHSCOPE.format(day=61) + "#9", days[61][:512])
    archive.put("earthscope", EARTHSCOPE.format(day=61) + "#10", days[61])
    asked = Times(DAYS.start_ns, MIDNIGHT)
    (piece,) = archive.pieces("earthscope", asked=asked, epochs=EPOCHS)
    assert [one.listed.key[-3:] for one in piece.material.objects] == ["#10"]
    read, _ = read_pieces([piece])
    assert len(next(iter(read.values()))[SeedId.parse(CODES[0])]) == 180_000


def test_which_channels_a_station_day_holds_must_be_told(archive):
    with pytest.raises(ConfigurationError, match="--stations-xml"):
        archive.pieces("earthscope")


def test_a_day_out_of_order_is_fetched_as_a_whole(archive, days, local):
    records = [one.data for one in records_of(by_channel(days[61])[CODES[2]])]
    jumbled = b"".join(records[-1:] + records[:-1])
    archive.put_days("scedc", SCEDC, days)
    archive.put("scedc", SCEDC.format(day=61, letter="Z"), jumbled)
    read, problems = read_pieces(archive.pieces("scedc"))
    assert problems == []
    assert_as_local(read, local)


def test_an_edge_that_does_not_reach_far_enough_is_fetched_further(
    archive, days, local, monkeypatch
):
    monkeypatch.setattr(s3, "SMALLEST_RANGE_BYTES", 4096)
    archive.put_days("scedc", SCEDC, days)
    read, problems = read_pieces(archive.pieces("scedc"))
    assert problems == []
    assert_as_local(read, local)
    assert len(archive.proxy.objects) > 12


def test_stations_are_listed_by_name_and_dead_epochs_not_fetched(archive, days):
    archive.put_days("scedc", SCEDC, days)
    for name in ("XXAB___HHZ___2024062.ms", "YYA____HHZ___2024062.ms", "XXA____VM1___2024062.ms"):
        archive.put("scedc", f"continuous_waveforms/2024/2024_062/{name}", b"never fetched")
    archive.put("scedc", "continuous_waveforms/2024/2024_062/readme.txt", b"never fetched")
    asked = Times(MIDNIGHT, MIDNIGHT + DAY_NS)
    selection = Selection(parse_stations("XX.A..HH?"))
    epochs = gathered([(SeedId.parse(CODES[0]), [Epoch(Span(0, MIDNIGHT - DAY_NS), 100.0)])])
    assert archive.pieces("scedc", asked=asked, selection=selection, epochs=epochs) == []
    assert all("prefix=continuous_waveforms/2024/2024_" in path for path in archive.proxy.lists)
    assert all("/XXA____&" in path for path in archive.proxy.lists)
    (piece,) = archive.pieces("scedc", asked=asked, selection=selection)
    assert piece.sensor_id == SENSOR
    names = {str(one.sensor_id) for one in archive.pieces("scedc", asked=asked)}
    assert names == {"XX.A..HH", "XX.AB..HH", "YY.A..HH"}


def test_networks_are_found_where_they_have_folders(archive, days):
    archive.put_days("ncedc", NCEDC, days)
    archive.put("ncedc", "continuous_waveforms/YY/2024/2024.062/B.YY.EHZ.10.D.2024.062", b"any")
    asked = Times(MIDNIGHT, MIDNIGHT + DAY_NS)
    found = archive.pieces("ncedc", asked=asked)
    assert [str(piece.sensor_id) for piece in found] == ["XX.A..HH", "YY.B.10.EH"]
    chosen = archive.pieces("ncedc", asked=asked, selection=Selection(parse_stations("Y?.*")))
    assert [str(piece.sensor_id) for piece in chosen] == ["YY.B.10.EH"]


def test_lists_go_on_over_pages(archive, monkeypatch):
    call = Bucket._call

    def in_small_pages(self, method, *arguments, **options):
        small = {"MaxKeys": 3} if method == "call_s3" else {}
        return call(self, method, *arguments, **options, **small)

    monkeypatch.setattr(Bucket, "_call", in_small_pages)
    for number in range(8):
        archive.put("scedc", f"continuous_waveforms/2024/2024_062/{number}", b"x")
    found = list(archive.bucket("scedc").objects("continuous_waveforms/"))
    assert [listed.key[-1] for listed in found] == list("01234567")
    assert len(archive.proxy.lists) == 3


def test_versions_are_sizes_and_tags(archive, days):
    archive.put_days("scedc", SCEDC, days)
    before = archive.pieces("scedc")[1].material.versions()
    archive.put("scedc", SCEDC.format(day=62, letter="E"), days[62][:-512])
    after = archive.pieces("scedc")[1].material.versions()
    assert len(before) == len(after) == 6
    (old,) = set(before) - set(after)
    (new,) = set(after) - set(before)
    assert old.name == new.name == "s3://scedc-pds/" + SCEDC.format(day=62, letter="E")
    assert old.size != new.size
    assert old.changed != new.changed


@pytest.mark.parametrize(
    "fault",
    [Fault(status=500), Fault(status=503), Fault(keep=0.5), Fault(wait_s=60.0)],
    ids=["500", "503", "cut off", "silent"],
)
def test_a_server_that_falters_is_asked_again(archive, days, local, fault):
    archive.put_days("scedc", SCEDC, days)
    patience = replace(QUICK, silence_s=5.0) if fault.wait_s else QUICK
    pieces = archive.pieces("scedc", patience=patience)
    archive.proxy.faults.append(fault)
    read, problems = read_pieces(pieces)
    assert problems == []
    assert_as_local(read, local)
    assert len(archive.proxy.objects) == 13


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=500), "500|Internal"),
        (Fault(status=403), "refused to the public.*signed=yes"),
        (Fault(status=404), "no such object"),
        (Fault(keep=0.5), "."),
    ],
    ids=["500", "403", "404", "cut off"],
)
def test_a_server_that_never_answers_fails_the_piece(archive, days, fault, said):
    archive.put_days("scedc", SCEDC, days)
    pieces = archive.pieces("scedc")
    archive.proxy.for_good = fault
    with pytest.raises(InputError, match=rf"scedc-pds/continuous_waveforms/.*{said}"):
        read_pieces(pieces)


def test_a_bucket_that_is_not_there(archive):
    with pytest.raises(InputError, match="no such object, or bucket"):
        archive.pieces("scedc")
    gone = replace(archive.bucket("scedc"), endpoint="http://127.0.0.1:9")
    with pytest.raises(InputError, match="connect"):
        list(gone.objects(""))


def test_wrong_bytes_are_told_and_the_rest_is_used(archive, days, local):
    archive.put_days("scedc", SCEDC, days)
    bad = bytearray(by_channel(days[62])[CODES[1]])
    bad[512 * 100 : 512 * 102] = b"\xff" * 1024
    archive.put("scedc", SCEDC.format(day=62, letter="N"), bytes(bad))
    archive.put("scedc", SCEDC.format(day=62, letter="Z"), b"<html>Sorry</html>" * 1000)
    read, problems = read_pieces(archive.pieces("scedc")[1:])
    (samples,) = read.values()
    assert {str(problem.path.name): problem.what.split(" ")[0] for problem in problems} == {
        "XXA____HHN___2024062.ms": "1024",
        "XXA____HHZ___2024062.ms": "not",
    }
    np.testing.assert_array_equal(samples[SENSOR.channel("E")], local[1][SENSOR.channel("E")])
    lost = len(local[1][SENSOR.channel("N")]) - len(samples[SENSOR.channel("N")])
    assert 0 < lost < 2000
    assert 15_000 <= len(samples[SENSOR.channel("Z")]) < 15_500  # of the day before


@pytest.mark.shared
def test_records_of_ridgecrest_are_read_as_from_files(archive, shared):
    folder = shared / "data" / "continuous" / "ridgecrest"
    path = folder / "CI.CCC..HHZ.D.2019.185"
    key = "continuous_waveforms/2019/2019_185/CICCC__HHZ___2019185.ms"
    archive.put("scedc", key, path.read_bytes())
    day = Times.of_day(parse_time("2019-07-04") // parse_time("1970-01-02"))
    selection = Selection(parse_stations("CI.CCC..HH?"))
    read, problems = read_pieces(archive.pieces("scedc", asked=day, selection=selection))
    local, _ = read_pieces(find_pieces(str(path)))
    assert problems == []
    assert [len(samples) for samples in read.values()] == [1]
    for one, other in zip(read.values(), local.values(), strict=True):
        assert_equal({SENSOR: one}, {SENSOR: other})


def test_the_source_names_archive_and_endpoint(archive, days, local, monkeypatch):
    archive.put_days("scedc", SCEDC, days)
    monkeypatch.setenv("AWS_ENDPOINT_URL", archive.proxy.address)
    times = {"start_ns": DAYS.start_ns, "end_ns": DAYS.end_ns}
    read, problems = read_pieces(find_pieces("s3://scedc?timeout=5", **times))
    assert problems == []
    assert_as_local(read, local)


def test_without_s3fs_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    pieces = find_pieces("s3://scedc", start_ns=DAYS.start_ns, end_ns=DAYS.end_ns)
    with pytest.raises(ConfigurationError, match=r"pip install 'scperformer\[s3\]'"):
        list(pieces)
