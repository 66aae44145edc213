"""Pieces of an FDSN server: what is asked for, and what is made of servers that falter."""

import pickle
import threading
from dataclasses import replace
from itertools import islice

import obspy
import pytest
from obspy.core.inventory import Channel, Inventory, Network, Station

from scperformer.errors import InputError
from scperformer.types import SeedId, SensorId, parse_time
from scperformer.waveforms import fdsn, fdsn_client
from scperformer.waveforms.epochs import read_stations
from scperformer.waveforms.fdsn_client import Server
from scperformer.waveforms.pieces import DAY_NS
from scperformer.waveforms.selection import EVERYTHING, Selection, parse_stations
from scperformer.waveforms.sources import find_pieces
from scperformer.waveforms.times import Times
from tests.distant import CODES, MIDNIGHT, QUICK, assert_equal, mseed, read_pieces
from tests.fdsn_service import Fault, FdsnService

SENSOR = SensorId("XX", "A", "", "HH")
DAYS = Times(MIDNIGHT - DAY_NS, MIDNIGHT + DAY_NS)
EPOCHS = tuple((code, "2020-01-01T00:00:00", "") for code in CODES)
CHANNELS = [SeedId.parse(code) for code in CODES]


@pytest.fixture(scope="module")
def data():
    return mseed()


@pytest.fixture
def folder(data, tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "all.mseed").write_bytes(data)
    return tmp_path / "archive"


def pieces_of(service, *, selection=EVERYTHING, asked=DAYS, epochs=None, patience=QUICK):
    server = Server(service.address, patience)
    return list(fdsn.find_pieces(server, selection=selection, asked=asked, epochs=epochs))


def station_xml(path, epochs):
    """A StationXML file of XX.A's channels."""
    place = {"latitude": 35.0, "longitude": -117.0, "elevation": 0.0}
    channels = [
        Channel(
            text.split(".")[3],
            text.split(".")[2],
            **place,
            depth=0.0,
            sample_rate=100.0,
            start_date=obspy.UTCDateTime(start),
            end_date=obspy.UTCDateTime(end) if end else None,
        )
        for text, start, end in epochs
    ]
    station = Station("A", **place, channels=channels)
    Inventory([Network("XX", [station])]).write(str(path), "STATIONXML")
    return path


def test_pieces_are_read_as_the_same_data_from_files_are(data, folder):
    local, _ = read_pieces(find_pieces(str(folder)))
    with FdsnService(data) as service:
        pieces = pieces_of(service)
        read, problems = read_pieces(pickle.loads(pickle.dumps(pieces)))
        asked = service.requests("dataselect")
    assert problems == []
    for one, other in zip(read.values(), local.values(), strict=True):
        assert_equal({SENSOR: one}, {SENSOR: other})
    assert [len(one) for one in read.values()] == [3, 3]
    assert [piece.order for piece in pieces] == sorted(piece.order for piece in pieces)
    assert [piece.sensor_id for piece in pieces] == [SENSOR, SENSOR]
    assert len(asked) == 2
    assert asked[1]["starttime"] == "2024-03-01T23:57:30.000000"
    assert asked[0]["endtime"] == "2024-03-02T00:01:00.000000"
    assert (asked[0]["location"], asked[0]["channel"]) == ("--", "HHE,HHN,HHZ")


@pytest.mark.shared
def test_records_of_ridgecrest_are_read_as_from_files(shared):
    folder = shared / "data" / "continuous" / "ridgecrest"
    body = (folder / "CI.CCC..HHZ.D.2019.185").read_bytes()
    times = {"start_ns": parse_time("2019-07-04"), "end_ns": parse_time("2019-07-05")}
    selection = Selection(parse_stations("CI.*..HH?"))
    with FdsnService(body) as service:
        source = f"{service.address}/fdsnws/dataselect/1/?timeout=20"
        read, problems = read_pieces(find_pieces(source, selection=selection, **times))
    local, _ = read_pieces(find_pieces(str(folder / "CI.CCC..HHZ.D.2019.185")))
    assert problems == []
    assert [len(samples) for samples in read.values()] == [1]
    for one, other in zip(read.values(), local.values(), strict=True):
        assert_equal({SENSOR: one}, {SENSOR: other})


def test_nothing_outside_the_time_of_interest_is_asked_for(data):
    asked = Times(MIDNIGHT - 60_000_000_000, MIDNIGHT + 60_000_000_000)
    with FdsnService(data) as service:
        read, _ = read_pieces(pieces_of(service, asked=asked))
        times = {(r["starttime"], r["endtime"]) for r in service.requests("dataselect")}
    assert times == {("2024-03-01T23:59:00.000000", "2024-03-02T00:01:00.000000")}
    assert [len(one[CHANNELS[0]]) for one in read.values()] == [12000, 12000]


def test_the_selection_goes_with_the_request(data):
    selection = Selection(parse_stations("XX.*..HHZ,YY.B"))
    with FdsnService(data) as service:
        (first, _) = pieces_of(service, selection=selection)
        asked = service.requests("availability")
    assert first.material.channels == (SeedId.parse("XX.A..HHZ"),)
    assert [(one["network"], one["station"], one["channel"]) for one in asked] == [
        ("XX", "*", "HHZ"),
        ("YY", "B", "*"),
    ]


def test_years_are_asked_for_month_by_month(data):
    ten_years = Times(parse_time("2018-01-01"), parse_time("2028-01-01"))
    with FdsnService(data) as service:
        pieces = fdsn.find_pieces(
            Server(service.address, QUICK), selection=EVERYTHING, asked=ten_years, epochs=None
        )
        (first,) = islice(pieces, 1)
        n_asked = len(service.requests("availability"))
        assert n_asked == 76  # 30 days each, up to the first data
        assert len(list(pieces)) == 1
        assert len(service.requests("availability")) == 122
    assert first.start_ns == MIDNIGHT - DAY_NS


def test_without_availability_the_stations_tell_and_dead_epochs_are_not_asked_for(data):
    epochs = [
        (CODES[0], "2020-01-01T00:00:00", "2024-03-01T23:00:00"),
        (CODES[0], "2025-01-01T00:00:00", ""),
        (CODES[1], "2020-01-01T00:00:00", ""),
        ("XX.A..VM1", "2020-01-01T00:00:00", ""),
        ("XX.B..HHZ", "2010-01-01T00:00:00", "2011-01-01T00:00:00"),
    ]
    with FdsnService(data, epochs=epochs, has_availability=False) as service:
        pieces = pieces_of(service)
        read_pieces(pieces)
        asked = service.requests("dataselect")
        assert len(service.requests("station")) == 1
    assert [piece.sensor_id for piece in pieces] == [SENSOR, SENSOR]
    assert [one["channel"] for one in asked] == ["HHE,HHN", "HHN"]


def test_station_xml_narrows_what_is_available_and_stands_in_for_services(data, tmp_path):
    epochs = [(CODES[2], "2024-03-02T00:00:00", ""), (CODES[1], "2010-01-01", "2011-01-01")]
    known = read_stations([station_xml(tmp_path / "stations.xml", epochs)])
    with FdsnService(data) as service:
        pieces = pieces_of(service, epochs=known)
    assert [(piece.start_ns, piece.material.channels) for piece in pieces] == [
        (MIDNIGHT, (SeedId.parse(CODES[2]),))
    ]
    with FdsnService(data, has_availability=False, has_stations=False) as service:
        assert [piece.start_ns for piece in pieces_of(service, epochs=known)] == [MIDNIGHT]
        with pytest.raises(InputError, match="--stations-xml"):
            pieces_of(service)


def test_a_page_in_place_of_an_availability_service_is_none(data):
    with FdsnService(data, epochs=EPOCHS) as service:
        service.for_good["availability"] = Fault(body=b"<html>Welcome</html>")
        assert len(pieces_of(service)) == 2
        assert len(service.requests("availability")) == 1


def test_a_simple_availability_service_serves(data):
    with FdsnService(data) as service:
        service.knows_merging = False
        assert len(pieces_of(service)) == 2
        assert [len(one) for one in service.requests("availability")] == [10, 8]


def test_what_the_server_updates_is_another_version(data):
    with FdsnService(data) as service:
        before, again = (pieces_of(service)[0].material.versions() for _ in range(2))
        service.updated = "2024-04-01T00:00:00Z"
        after = pieces_of(service)[0].material.versions()
    assert len(before) == 3
    assert before == again
    assert not set(before) & set(after)


def read_one(service, *faults, for_good=None, patience=QUICK):
    """The second day: samples of each channel, problems, and how often it was asked for."""
    piece = pieces_of(service)[1]
    server = replace(piece.material.server, patience=patience)
    piece = replace(piece, material=replace(piece.material, server=server))
    service.faults["dataselect"].extend(faults)
    service.for_good["dataselect"] = for_good or Fault()
    read, problems = read_pieces([piece])
    (samples,) = read.values()
    counts = [len(samples.get(channel, ())) for channel in CHANNELS]
    return counts, problems, len(service.requests("dataselect"))


WHOLE = [180_000 + 15_000] * 3


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503),
        Fault(status=429),
        Fault(keep=0.5),
        Fault(keep=0.0),
    ],
    ids=["500", "503", "429", "cut off", "nothing"],
)
def test_a_server_that_falters_is_asked_again(data, fault):
    with FdsnService(data) as service:
        assert read_one(service, fault) == (WHOLE, [], 2)


@pytest.mark.parametrize("fault", [Fault(wait_s=60.0), Fault(drip_s=0.1)], ids=["silent", "slow"])
def test_a_server_that_takes_too_long_is_asked_again(data, fault):
    short = replace(QUICK, silence_s=5.0, answer_s=5.0)
    with FdsnService(data) as service:
        assert read_one(service, fault, patience=short) == (WHOLE, [], 2)


def test_it_is_not_asked_again_before_it_likes(data):
    with FdsnService(data) as service:
        counts, _, n_asked = read_one(service, Fault(status=503, retry_after="1"))
        first, second = service.times[-2:]
    assert (counts, n_asked) == (WHOLE, 2)
    assert second - first >= 1.0


def test_no_data_is_no_failure(data):
    with FdsnService(data) as service:
        assert read_one(service, Fault(status=204)) == ([0, 0, 0], [], 1)
        assert read_one(service, Fault(body=b"")) == ([0, 0, 0], [], 2)


def test_what_is_always_cut_off_is_used_as_far_as_it_came(data):
    with FdsnService(data) as service:
        counts, problems, n_asked = read_one(service, for_good=Fault(keep=0.9))
    assert n_asked == QUICK.n_attempts
    assert counts[:2] == WHOLE[:2]
    assert 0.6 * WHOLE[2] < counts[2] < 0.8 * WHOLE[2]
    told = [str(problem) for problem in problems]
    assert "127.0.0.1" in told[0]
    assert "cut off after" in told[0]
    assert "what came is used" in told[0]
    assert problems[0].is_passing


@pytest.mark.parametrize(
    ("fault", "said", "n_asked"),
    [
        (Fault(status=500), "HTTP 500", QUICK.n_attempts),
        (Fault(status=403), "HTTP 403", 1),
        (Fault(status=404), "HTTP 404", 1),
        (Fault(wait_s=60.0), "Timed Out", QUICK.n_attempts),
    ],
)
def test_a_server_that_never_answers_fails_the_piece(data, fault, said, n_asked):
    patience = replace(QUICK, silence_s=1.0) if fault.wait_s else QUICK
    with FdsnService(data) as service:
        with pytest.raises(InputError, match=rf"127\.0\.0\.1.*XX\.A\.\.HH.*{said}"):
            read_one(service, for_good=fault, patience=patience)
        assert len(service.requests("dataselect")) == n_asked


def test_a_server_that_has_gone_fails_the_piece(data):
    with FdsnService(data) as service:
        (piece, _) = pieces_of(service)
    with pytest.raises(InputError, match="refused"):
        read_pieces([piece])
    with pytest.raises(InputError, match="availability"):
        pieces_of(service)


def test_requests_are_halved_until_they_are_small_enough(data):
    with FdsnService(data, largest_s=DAY_NS / 1e9 / 7) as service:
        counts, problems, n_asked = read_one(service)
        assert (counts, problems) == (WHOLE, [])
        assert n_asked == 7 + 8
    with (
        FdsnService(data, largest_s=500.0) as service,
        pytest.raises(InputError, match="too much for the server"),
    ):
        read_one(service)


def test_an_answer_of_any_size_is_refused_and_asked_for_in_parts(data, monkeypatch):
    monkeypatch.setattr(fdsn_client, "MOST_ANSWER_BYTES", len(data) // 3)
    with FdsnService(data) as service:
        counts, problems, n_asked = read_one(service)
    assert (counts, problems) == (WHOLE, [])
    assert n_asked > 4


def test_wrong_bytes_are_told_and_the_rest_is_used(data):
    with FdsnService(data) as service:
        counts, problems, _ = read_one(service, Fault(body=b"<html>Sorry</html>"))
        assert counts == [0, 0, 0]
        assert [problem.what for problem in problems] == ["not miniSEED"]
        body = bytearray(mseed(start_ns=MIDNIGHT, hours=1.0))
        body[512 * 20 : 512 * 22] = b"\xff" * 1024
        counts, problems, _ = read_one(service, Fault(body=bytes(body)))
        assert counts[1:] == [360_000, 360_000]
        assert 0 < 360_000 - counts[0] < 2000
        assert [(p.byte_offset, p.lost_bytes) for p in problems] == [(512 * 20, 1024)]
        stranger = mseed(["XX.B..HHZ"], start_ns=MIDNIGHT, hours=0.1)
        counts, problems, _ = read_one(service, Fault(body=stranger))
        assert counts == [0, 0, 0]
        assert "XX.B..HHZ and nothing of XX.A..HH" in problems[0].what


def test_few_are_at_a_server_at_a_time():
    with FdsnService(mseed(hours=0.6), rest_s=0.05) as service:
        server = Server(
            service.address, replace(QUICK, silence_s=30.0, answer_s=30.0), most_parallel=2
        )
        (piece, _) = fdsn.find_pieces(server, selection=EVERYTHING, asked=DAYS, epochs=None)
        threads = [threading.Thread(target=read_pieces, args=([piece],)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(service.requests("dataselect")) == 5
        assert service.most_at_once == 2


def test_scratch_files_go_when_the_piece_is_left(data, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with FdsnService(data) as service:
        (piece, _) = pieces_of(service)
        with piece.material.open(piece.reading_span, report=print) as group:
            assert all(path.is_file() for path in group.paths)
        assert not any(path.exists() for path in group.paths)
    assert not list(tmp_path.rglob("*.mseed"))


def test_columns_of_availability_are_read_by_their_names():
    text = (
        "#Network Station Location Channel Earliest Latest\n"
        "XX A  HHZ 2024-03-01T00:00:00.000000Z 2024-03-01T01:00:00.000000Z\n"
        "XX A 10 HHZ 2024-03-01T00:00:00.000000Z 2024-03-01T01:00:00.000000Z\n"
    )
    found = list(fdsn.read_availability(text))
    assert [str(holding.seed_id) for holding, _ in found] == ["XX.A..HHZ", "XX.A.10.HHZ"]
    assert [rate for _, rate in found] == [None, None]
    assert found[0][0].times.duration_s == 3600.0
    with pytest.raises(ValueError, match="no line"):
        list(fdsn.read_availability("<html>"))
