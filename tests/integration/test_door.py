"""The Python door gives the picks of the command line, to the nanosecond and the last digit."""

import io
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
import obspy
import pytest

import scperformer
from scperformer.cli.main import main
from scperformer.delivery.delivery import Delivery
from scperformer.picks.pick_files import in_order
from scperformer.scanning.tally import Tally
from scperformer.types import NS_PER_S, Phase, parse_time
from scperformer.waveforms import seedlink
from tests.seedlink_server import SeedLinkServer
from tests.streaming import network

pytestmark = pytest.mark.shared

TIMES = ("2019-07-04T16:05:00.5", "2019-07-04T16:20")
STATIONS = "CI.CCC,CI.WNM,PB.B916"


@contextmanager
def kept_by(owner, method):
    """Keep what a method returns or is given, in a list: picks before anything rounds them."""
    found, plain = [], getattr(owner, method)

    def keep(self, *arguments, **options):
        returned = plain(self, *arguments, **options)
        found.extend(arguments[0] if returned is None else returned)
        return returned

    with patch.object(owner, method, keep):
        yield found


def command(*words):
    """Run the command line; return its picks with all their digits."""
    owner = (Tally, "take") if words[0] == "scan" else (Delivery, "emit")
    with kept_by(*owner) as found:
        assert main([str(word) for word in words]) == 0
    return in_order(found)


@pytest.fixture(scope="module")
def folder(shared, tmp_path_factory):
    """Three stations: broadband, accelerometer, geophone; their clocks are off the grid."""
    folder = tmp_path_factory.mktemp("records")
    source = shared / "data" / "continuous" / "ridgecrest"
    for pattern in STATIONS.split(","):
        for path in source.glob(f"{pattern}.*"):
            stream = obspy.read(str(path))
            start, end = (obspy.UTCDateTime(time) for time in ("2019-07-04T16:03", TIMES[1]))
            stream.slice(start, end + 30).write(str(folder / path.name), format="MSEED")
    return folder


@pytest.fixture(scope="module")
def stream(folder):
    found = obspy.Stream()
    for path in sorted(folder.iterdir()):
        found += obspy.read(str(path))
    return found


@pytest.fixture(scope="module")
def scanned(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("scan") / "picks.csv"
    picks = command("scan", folder, "--start", TIMES[0], "--end", TIMES[1], "-o", out)
    assert len(picks) > 10
    assert {pick.phase for pick in picks} == set(Phase)
    return picks, out


@pytest.fixture(scope="module")
def picker():
    return scperformer.load()


ASKED = {"start": TIMES[0], "end": TIMES[1]}


def test_names_give_the_picks_of_scan(picker, folder, scanned, tmp_path):
    picks = picker.classify(folder, **ASKED)
    assert list(picks) == scanned[0]
    picks.write(tmp_path / "picks.csv")
    lines, theirs = (path.read_text().splitlines() for path in (tmp_path / "picks.csv", scanned[1]))
    assert sorted(lines) == sorted(theirs)


def test_a_list_of_names_and_a_selection_too(picker, folder, scanned):
    paths = [str(path) for path in folder.iterdir()]
    picks = picker.classify(paths, stations="CI.*", channels="HH?", **ASKED)
    assert list(picks) == [pick for pick in scanned[0] if pick.seed_id.station == "CCC"]


def test_a_stream_in_memory_too(picker, stream, scanned):
    assert list(picker.classify(stream, **ASKED)) == scanned[0]
    assert list(picker.classify(list(stream)[::-1], **ASKED)) == scanned[0]


def test_settings_and_owner_are_those_of_the_options(folder, tmp_path):
    options = ("--threshold", "p: 0.3, s: 0.4", "--filter", "BW(4,2,20)", "--dead-time", "3")
    owner = ("--agency", "AB", "--author", "cd@host")
    theirs = command("scan", folder, *options, *owner, "-o", tmp_path / "p.csv")
    own = {"threshold": {"P": 0.3, "S": 0.4}, "filter": "BW(4,2,20)", "dead_time": 3.0}
    picker = scperformer.load(**own, agency="AB", author="cd@host")
    assert list(picker.classify(folder)) == theirs


def test_windows_are_picked_as_the_command_line_picks_them(folder, stream, tmp_path):
    pytest.importorskip("tensorflow")
    name = ("--model-name", "performer", "--shift", "40")
    theirs = command("scan", folder / "CI.CCC..HHZ.D.2019.185", *name, "-o", tmp_path / "p.csv")
    picker = scperformer.load("performer", shift=40)
    assert list(picker.classify(stream.select(id="CI.CCC..HHZ"))) == theirs


@pytest.fixture(scope="module")
def streamed(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("stream") / "picks.jsonl"
    return command("stream", folder, "-o", out)


def test_stream_gives_the_picks_of_stream(picker, folder, streamed):
    assert in_order(picker.stream(folder)) == streamed


@pytest.mark.parametrize("kind", ["traces", "bytes", "arrays"])
def test_a_session_gives_the_picks_of_stream(picker, stream, folder, streamed, kind):
    told = []
    with picker.session(on_pick=told.append) as live:
        returned = [pick for data in pushed(stream, kind) for pick in live.feed(data)]
        returned += live.close()
    assert told == returned
    assert in_order(returned) == streamed


def pushed(stream, kind):
    """The records of a stream, ten seconds each, in turns."""
    for part in stream.slide(10.0, 10.0, include_partial_windows=True):
        for trace in part:
            own = trace.stats
            if kind == "traces":
                yield trace
            elif kind == "arrays":
                yield trace.id, own.starttime, own.sampling_rate, trace.data
            else:
                packed = io.BytesIO()
                trace.write(packed, format="MSEED", reclen=512)
                yield packed.getvalue()[:300]
                yield packed.getvalue()[300:]


def test_an_iterator_is_picked_as_it_comes(picker, stream, streamed):
    read = 0

    def traces():
        nonlocal read
        for trace in pushed(stream, "traces"):
            read += 1
            yield trace

    live = picker.stream(traces())
    first = next(live)
    assert read < len(list(pushed(stream, "traces"))) / 2
    assert in_order([first, *live]) == streamed
    assert list(picker.classify(pushed(stream, "traces"))) == streamed


def test_probabilities_rise_where_picks_are(picker, stream, scanned):
    answers = picker.annotate(stream, **ASKED)
    for pick in scanned[0]:
        (trace,) = answers.select(station=pick.seed_id.station, channel=f"*_{pick.phase}")
        times_ns = trace.stats.starttime.ns + np.arange(len(trace)) * 160_000_000
        near = np.abs(times_ns - pick.time_ns) < 0.4 * NS_PER_S
        assert trace.data[near].max() > 0.4


def test_probabilities_have_true_times_of_columns(picker, stream):
    for trace in stream.select(channel="??Z"):
        p = picker.annotate(stream.select(station=trace.stats.station)).select(channel="*_P")[0]
        first_ns, period_ns = trace.stats.starttime.ns, NS_PER_S // 100
        into_ns = (p.stats.starttime.ns - first_ns) % period_ns
        assert into_ns in (0, period_ns), "a column's middle is a sample's time"
        grid_ns = p.stats.starttime.ns - round(p.stats.starttime.ns / period_ns) * period_ns
        assert abs(grid_ns) <= period_ns // 2
        assert p.stats.sampling_rate == 6.25


def test_probabilities_do_not_depend_on_how_they_are_asked_for(picker, folder, stream):
    whole = picker.annotate(stream)
    pieces, live = obspy.Stream(), obspy.Stream()
    for part in picker.annotate(folder):
        pieces += part
    for part in picker.annotate(pushed(stream, "traces")):
        live += part
    live.merge()
    for trace in whole:
        (same,) = pieces.select(id=trace.id)
        assert same.stats.starttime.ns == trace.stats.starttime.ns
        assert np.array_equal(same.data, trace.data)
        (same,) = live.select(id=trace.id)
        common = min(len(same), len(trace))
        assert common > 0.99 * len(trace)
        assert same.stats.starttime.ns == trace.stats.starttime.ns
        assert np.abs(same.data[:common] - trace.data[:common]).max() < 1e-5


def test_a_server_is_followed(monkeypatch):
    monkeypatch.setattr(seedlink, "SHORTEST_WAIT_S", 0.05)
    picker = scperformer.load(threshold=0.1)
    packets = network()
    with picker.session() as session:
        plain = [pick for packet in packets for pick in session.feed(packet)]
    with SeedLinkServer(packets) as server:
        live = picker.stream(server.url, stations="XX.*", start="2020-01-01")
        found = [next(live) for _ in range(len(plain))]
        live.close()
    assert in_order(found) == in_order(plain)
    assert parse_time("2020-01-01") < found[0].time_ns
