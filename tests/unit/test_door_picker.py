"""The Python door with a classifier of the tests: what it takes, refuses and says."""

import datetime

import numpy as np
import obspy
import pytest

from scperformer.config import Settings
from scperformer.core.triggers import Thresholds
from scperformer.door.asked import time_ns
from scperformer.door.loading import load, read_settings
from scperformer.door.picker import Picker
from scperformer.errors import ConfigurationError, InputError
from scperformer.networks.loading import LoadedModel
from scperformer.setting import settings_of
from scperformer.types import NS_PER_S, Record, SeedId
from tests.fakes import RiseClassifier
from tests.synthetic import LETTERS, START_NS, earthquakes

START = obspy.UTCDateTime(ns=START_NS)
GROUND = earthquakes(12_000, [20.0, 60.0, 95.0]).astype("i4")


def traces(ground=GROUND, *, station="A", letters=LETTERS, rate_hz=100.0, start=START, band="HH"):
    found = obspy.Stream()
    for letter, samples in zip(letters, ground, strict=False):
        header = {"network": "XX", "station": station, "channel": f"{band}{letter}"}
        header |= {"sampling_rate": rate_hz, "starttime": start}
        found.append(obspy.Trace(np.array(samples), header))
    return found


@pytest.fixture
def picker():
    return Picker(LoadedModel(RiseClassifier(), Thresholds.constant(0.5, 0.5)), {})


@pytest.fixture(scope="module")
def plain():
    model = LoadedModel(RiseClassifier(), Thresholds.constant(0.5, 0.5))
    picks = list(Picker(model, {}).classify(traces()))
    assert len(picks) >= 5
    return picks


def test_the_stream_is_left_as_it_is(picker, plain):
    stream = traces()
    before = stream.copy()
    assert list(picker.classify(stream)) == plain
    assert stream == before


def test_overlaps_repetitions_and_order_change_nothing(picker, plain):
    cut = obspy.Stream()
    for trace in traces():
        cut += trace.slice(START + 50, None).copy()
        cut += trace.slice(None, START + 70).copy()
    assert list(picker.classify(cut + traces()[:1])) == plain


def test_masked_samples_are_gaps_as_between_traces(picker):
    split = obspy.Stream()
    for trace in traces():
        split += trace.slice(None, START + 40).copy()
        split += trace.slice(START + 47, None).copy()
    masked = split.copy().merge()
    assert np.ma.isMaskedArray(masked[0].data)
    assert list(picker.classify(masked)) == list(picker.classify(split))
    answers = picker.annotate(masked).select(channel="RISE_P")
    assert [trace.stats.starttime < START + 40 for trace in answers] == [True, False]
    assert answers[0].stats.endtime <= START + 40
    assert answers[1].stats.starttime >= START + 47


@pytest.mark.parametrize("dtype", ["i2", "i8", "f4", "f8", ">i4"])
def test_samples_of_any_type(picker, plain, dtype):
    found = picker.classify(traces(GROUND.astype(dtype)))
    assert [pick.public_id for pick in found] == [pick.public_id for pick in plain]


def test_a_trace_of_a_window_network_speaks_of_the_windows_middles(picker):
    trace = picker.annotate(traces())[0]
    assert trace.id == "XX.A..RISE_P"
    assert trace.stats.instrument == "HH"
    assert trace.stats.sampling_rate == 6.25
    into_ns = trace.stats.starttime.ns - START_NS - 2 * NS_PER_S
    assert 0 <= into_ns < 160_000_000
    assert into_ns % 10_000_000 == 0


def test_picks_are_where_the_curves_are_high(picker, plain):
    stream = picker.annotate(traces())
    for pick in plain:
        trace = stream.select(channel=f"RISE_{pick.phase}")[0]
        at = round((pick.time_ns - trace.stats.starttime.ns) / 160_000_000)
        assert trace.data[at - 2 : at + 3].max() > 0.5


NOTHING = {
    "no traces at all": obspy.Stream(),
    "sampled below 20 Hz": traces(rate_hz=1.0, band="LH"),
    "outside 20 to 500 Hz": traces(rate_hz=1000.0),
    "component that is no part of a triple": traces(letters=("V", "W", "Q")),
    "samples are constant": traces(np.full((3, 3000), 7)),
    "it has 2.00 s": traces(GROUND[:, :200]),
    "without station or channel code": traces(station=""),
    "got samples of shape": traces(GROUND[:, :900].astype(complex)),
}


@pytest.mark.parametrize("why", NOTHING)
def test_who_has_nothing_to_look_at_is_told_why(picker, why):
    for ask in (picker.classify, picker.annotate, picker.plot):
        with pytest.raises(InputError, match=why):
            ask(NOTHING[why])


def test_what_is_not_asked_for_is_told(picker):
    with pytest.raises(InputError, match="of 3 channels none is asked for"):
        picker.classify(traces(), stations="YY.*")
    with pytest.raises(InputError, match="the data cover 2020-09-13"):
        picker.classify(traces(), start="2021-01-01")
    with pytest.raises(InputError, match="channels takes them by name"):
        picker.classify(traces(band="HV"))
    with pytest.raises(ConfigurationError, match=r"^stations: got"):
        picker.classify(traces(), stations="?*/")
    with pytest.raises(ConfigurationError, match="not before"):
        picker.classify(traces(), start="2021-01-01", end="2020-01-01")
    with pytest.raises(TypeError, match="station"):
        picker.classify(traces(), station="A")


def test_a_bad_station_does_not_spoil_the_others(picker, plain, caplog):
    picks = picker.classify(traces() + traces(np.zeros((3, 5000)), station="B"))
    assert list(picks) == plain
    assert picks.problems == ("no window to look at: XX.B..HH: its samples are constant",)
    assert "XX.B..HH" in caplog.text


@pytest.mark.parametrize("given", [7, None, {"a": 1}, [7], [traces(), "file"], "/no/such/file"])
def test_what_is_no_waveform_is_refused(picker, given):
    with pytest.raises(InputError, match=r"wanted|nothing to scan"):
        picker.classify(given)


def test_iterators_and_lists_are_told_apart(picker, plain):
    assert list(picker.classify(list(traces()))) == plain
    assert list(picker.classify(iter([traces()]))) == plain
    fed = []
    seconds = (fed.append(one) or one for one in traces().slide(1.0, 1.0))
    behind = [fed[-1][0].stats.endtime.ns - pick.time_ns for pick in picker.stream(seconds)]
    assert len(behind) == len(plain)
    assert max(behind) < 10 * NS_PER_S, "who follows a stream waits for no batch"
    with pytest.raises(InputError, match="no window to look at: no records"):
        picker.classify(iter([]))


TIME = "2020-09-13T12:26:40.5"
TIME_NS = 1_600_000_000_500_000_000


@pytest.mark.parametrize(
    "time",
    [
        TIME,
        obspy.UTCDateTime(TIME),
        datetime.datetime.fromisoformat(TIME),
        datetime.datetime.fromisoformat(f"{TIME}+00:00"),
        datetime.datetime.fromisoformat("2020-09-13T14:26:40.5+02:00"),
        np.datetime64(TIME),
        TIME_NS,
        np.int64(TIME_NS),
    ],
)
def test_times_of_all_kinds(time):
    assert time_ns(time) == TIME_NS


@pytest.mark.parametrize("time", ["yesterday", 1.6e9, True, np.datetime64("NaT"), object()])
def test_what_is_no_time(time):
    with pytest.raises(ConfigurationError, match="start: got"):
        time_ns(time, "start")


def test_times_keep_their_nanoseconds(picker):
    time = obspy.UTCDateTime(ns=START_NS + 1)
    assert time_ns(time) == START_NS + 1


class TestSettings:
    @pytest.mark.parametrize("info", settings_of(Settings), ids=lambda info: info.name)
    def test_every_name_of_a_setting_is_known(self, info):
        option = info.option.removeprefix("--").replace("-", "_")
        for name in filter(None, (info.name, info.key, option)):
            assert read_settings({name: info.default}) == {info.name: info.default}

    @pytest.mark.parametrize("value", [0.4, "0.4", "P: 0.4, S: 0.4", {"P": 0.4, "s": 0.4}])
    @pytest.mark.parametrize("name", ["threshold", "thresholds"])
    def test_thresholds(self, name, value):
        assert read_settings({name: value}) == {"threshold_p": 0.4, "threshold_s": 0.4}

    def test_no_filter(self):
        assert read_settings({"filter": None}) == {"filter": ""}

    def test_all_faults_come_at_once_under_the_names_given(self):
        with pytest.raises(ConfigurationError) as caught:
            load(gap_tolerance=-1.0, filtr="", threshold="much", components="some")
        faults = caught.value.faults
        assert [fault.partition(":")[0] for fault in faults] == [
            "gap_tolerance",
            "filtr",
            "threshold",
            "components",
        ]
        assert "did you mean filter" in faults[1]


class TestSessions:
    def test_picks_come_when_they_are_decided(self, picker, plain):
        live = picker.session()
        at = {}
        for second in traces().slide(1.0, 1.0, include_partial_windows=True):
            for pick in live.feed(second):
                at[pick.public_id] = second[0].stats.endtime.ns
        for pick in live.close():
            at[pick.public_id] = START_NS + 120 * NS_PER_S
        assert set(at) == {pick.public_id for pick in plain}
        assert all(at[p.public_id] - p.time_ns < 8 * NS_PER_S for p in plain)
        assert live.n_picks == len(plain)

    def test_records_and_arrays(self, picker, plain):
        with picker.session() as one, picker.session() as other:
            for first in range(0, GROUND.shape[1], 500):
                start_ns = START_NS + first * 10_000_000
                for letter, samples in zip(LETTERS, GROUND[:, first : first + 500], strict=True):
                    seed_id = SeedId("XX", "A", "", f"HH{letter}")
                    one.feed(Record(seed_id, start_ns, 100.0, samples))
                    other.feed((str(seed_id), start_ns, 100, samples.tolist()))
        assert one.n_picks == other.n_picks == len(plain)

    def test_it_is_closed_once(self, picker):
        with picker.session() as live:
            live.feed(traces())
        assert live.close() is live.close()
        for again in (lambda: live.feed(traces()), live.poll):
            with pytest.raises(InputError, match="closed"):
                again()

    @pytest.mark.parametrize(
        "data",
        [
            7,
            "text",
            ("XX.A..HHZ", START_NS, 100.0),
            ("HHZ", START_NS, 100.0, [1, 2]),
            ("XX.A..HHZ", START_NS, 0.0, [1, 2]),
            ("XX.A..HHZ", START_NS, float("nan"), [1, 2]),
            (None, START_NS, 100.0, [1, 2]),
            ("XX.A..HHZ", START_NS, 100.0, [[1, 2]]),
            ("XX.A..HHZ", START_NS, 100.0, ["a"]),
        ],
    )
    def test_what_is_no_record_is_refused(self, picker, data):
        with pytest.raises(InputError, match="wanted"):
            picker.session().feed(data)

    def test_damage_is_left_out(self, picker, caplog):
        live = picker.session()
        assert list(live.feed(b"\0" * 2000)) == []
        live.close()
        assert live.why_idle == "no records"
        assert "2000 bytes were no records" in caplog.text

    def test_only_what_is_asked_for_is_picked(self, picker, plain):
        both = traces() + traces(station="B") + traces(station="C", band="HV")
        with picker.session(stations="XX.A", end=START + 90) as live:
            live.feed(both)
        assert live.n_picks == sum(pick.time_ns < (START + 90).ns for pick in plain)


def test_servers_want_stations(picker):
    with pytest.raises(ConfigurationError, match="stations='CI"):
        picker.stream("slink://localhost")
    with pytest.raises(ConfigurationError, match="end has no meaning"):
        picker.stream("file", end="2020-01-01")
    with pytest.raises(ConfigurationError, match="unknown kind of source"):
        picker.stream("ftp://host")


def test_it_says_what_it_is(picker):
    assert repr(picker) == "<Picker: rise>"
    model = LoadedModel(RiseClassifier(), Thresholds.constant(0.5, 0.5))
    assert repr(Picker(model, {"filter": "BW(4,1,9)"})) == "<Picker: rise, filter='BW(4,1,9)'>"
