"""What pictures show: stations by distance or by S minus P, the earthquake that is meant."""

import numpy as np
import obspy
import pytest
from obspy.core.event import Event as ObspyEvent
from obspy.core.event import Origin
from obspy.core.inventory import Inventory, Network, Station

from scperformer.core.triggers import Thresholds
from scperformer.door.drawing import read_event
from scperformer.door.picker import Picker
from scperformer.errors import ConfigurationError, InputError
from scperformer.networks.loading import LoadedModel
from scperformer.types import NS_PER_S
from tests.fakes import RiseClassifier
from tests.synthetic import START_NS, earthquakes
from tests.unit.test_door_picker import START, traces

pytest.importorskip("matplotlib")

FAR = traces(earthquakes(9000, [30.0], s_minus_p_s=12.0).astype("i4"), station="FAR")
NEAR = traces(earthquakes(9000, [25.0], s_minus_p_s=4.0).astype("i4"), station="NEAR")
QUIET = traces(np.random.default_rng(1).normal(scale=9.0, size=(3, 9000)), station="QUIET")
ORIGIN = (START + 20, 10.0, 20.0)


@pytest.fixture(scope="module")
def picker():
    return Picker(LoadedModel(RiseClassifier(), Thresholds.constant(0.7, 0.7)), {})


def inventory(*, leave_out=()):
    places = {"FAR": 10.5, "NEAR": 10.1, "QUIET": 10.2}
    own = [Station(code, at, 20.0, 0.0) for code, at in places.items() if code not in leave_out]
    return Inventory([Network("XX", own)])


def labels(figure):
    """Names of the stations from above to below."""
    texts = sorted(figure.axes[0].texts, key=lambda text: -text.xyann[1])
    return [text.get_text() for text in texts]


def test_a_section_without_an_earthquake_has_the_nearest_above(picker):
    figure = picker.plot(FAR + QUIET + NEAR)
    assert labels(figure) == ["NEAR", "FAR", "QUIET"]


def test_s_minus_p_is_that_of_the_surest_s(picker):
    before = earthquakes(9000, [10.0, 30.0], s_minus_p_s=4.5).astype("i4")
    figure = picker.plot(traces(before, station="TWICE") + FAR + NEAR)
    assert labels(figure) == ["NEAR", "TWICE", "FAR"]


def test_a_section_by_distance_goes_up_with_it(picker, tmp_path):
    inventory().write(str(tmp_path / "stations.xml"), format="STATIONXML")
    for places in (inventory(), tmp_path / "stations.xml", [str(tmp_path / "stations.xml")]):
        figure = picker.plot(FAR + QUIET + NEAR, event=ORIGIN, stations_xml=places)
        assert labels(figure) == ["FAR", "QUIET", "NEAR"]
        low, high = figure.axes[0].get_ylim()
        assert low < 11.2
        assert high > 55.6
        assert figure.axes[0].get_xlim()[0] == pytest.approx(-20.0, abs=0.01)


def test_stations_without_a_place_are_named(picker):
    with pytest.raises(InputError, match="no position of FAR"):
        picker.plot(FAR + NEAR, event=ORIGIN, stations_xml=inventory(leave_out=["FAR"]))


def test_two_sensors_of_a_station_have_names_of_their_own(picker):
    other = FAR.copy()
    for trace in other:
        trace.stats.channel = f"HN{trace.stats.channel[-1]}"
    assert labels(picker.plot(FAR + other)) == ["FAR HH", "FAR HN"]


def test_one_sensor_is_drawn_with_its_components(picker):
    figure = picker.plot(NEAR)
    names = [axis.get_ylabel().split()[0].strip(",") for axis in figure.axes]
    assert names[:4] == ["HHZ", "HHN", "HHE", "HHZ"]
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert labels(picker.plot(NEAR, section=True)) == ["NEAR"]
    with pytest.raises(ConfigurationError, match="section=False"):
        picker.plot(NEAR + FAR, section=False)


def test_gaps_are_gaps_in_the_picture(picker):
    gappy = obspy.Stream()
    for trace in NEAR:
        gappy += trace.slice(None, START + 40).copy()
        gappy += trace.slice(START + 50, None).copy()
    (view,) = picker.look(gappy)
    assert np.isnan(view.moment.waveform[:, 4100:4900]).all()
    times_ns, curve = view.deciding_probabilities(picker.settings)
    assert len(times_ns) == len(curve)
    assert np.isnan(curve).any(axis=1).sum() == 1


def test_a_part_is_drawn_as_it_is_in_the_whole_record(picker):
    (whole,), (part,) = picker.look(NEAR), picker.look(NEAR, start=START + 20, end=START + 40)
    assert (part.end_ns - part.moment.start_ns) == 20 * NS_PER_S
    assert part.moment.picks == whole.moment.picks
    assert np.array_equal(part.moment.waveform, whole.moment.waveform[:, 2000:4000])
    times_ns = whole.moment.times_ns
    inside = (times_ns >= part.moment.start_ns) & (times_ns < part.end_ns)
    assert np.array_equal(part.moment.probabilities, whole.moment.probabilities[inside])
    (short,) = picker.look(NEAR, start=START + 22.5, end=START + 27)
    assert len(short.moment.picks) == 1, "records are cut by minutes, pictures are not"
    with pytest.raises(InputError, match=r"from 2020-09-13T12:28:40\.003217Z on: the data cover"):
        picker.look(NEAR, start=START + 120)


def test_a_picture_has_room_for_some_hours(picker):
    long = obspy.Stream(NEAR[:1].copy() + NEAR[:1].copy())
    long[1].stats.starttime += 7 * 3600
    with pytest.raises(ConfigurationError, match="6 hours"):
        picker.plot(long)
    assert len(picker.look(long, end=START + 3600)) == 1


def test_nor_for_years(picker, tmp_path):
    for day in ("2019.001", "2019.200"):
        folder = tmp_path / "2019" / "XX" / "NEAR" / "HHZ.D"
        folder.mkdir(parents=True, exist_ok=True)
        trace = NEAR.select(component="Z")[0].copy()
        trace.stats.starttime = obspy.UTCDateTime(day.replace(".", "-"))
        trace.write(str(folder / f"XX.NEAR..HHZ.D.{day}"), format="MSEED")
    with pytest.raises(ConfigurationError, match="6 hours"):
        picker.plot(tmp_path)
    assert len(picker.look(tmp_path, start="2019-01-01", end="2019-01-01T01:00")) == 1
    assert {pick.time_ns // 10**9 // 86_400 for pick in picker.classify(tmp_path)} == {17897, 18096}


class TestEvents:
    SPAN = (START_NS, START_NS + 60 * NS_PER_S)

    def test_what_an_earthquake_may_be(self):
        origin = Origin(time=START + 3, latitude=1.0, longitude=2.0)
        for event in ((START + 3, 1, 2), origin, ObspyEvent(origins=[origin])):
            found = read_event(event, *self.SPAN)
            assert (found.time_ns, found.latitude, found.longitude) == ((START + 3).ns, 1.0, 2.0)

    @pytest.mark.parametrize("event", [7, (1, 2), ObspyEvent(), Origin(time=START)])
    def test_what_is_none(self, event):
        with pytest.raises(ConfigurationError, match="event"):
            read_event(event, *self.SPAN)

    def test_of_a_file_the_largest_of_the_time_counts(self, tmp_path):
        path = tmp_path / "events.csv"
        rows = ((-9000, 6.0), (-30, 2.0), (5, 3.0), (9000, 7.0))
        lines = [f"e,{START + at},1,{size},5,{size}" for at, size in rows]
        path.write_text("\n".join(["event,time,latitude,longitude,depth_km,magnitude", *lines]))
        assert read_event(path, *self.SPAN).magnitude == 3.0
        with pytest.raises(InputError, match="no earthquake"):
            read_event(path, 0, NS_PER_S)
