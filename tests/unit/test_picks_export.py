"""Picks for associators and location programs, read back by obspy, the programs, or by column."""

import csv
import math
import re
import warnings
from dataclasses import replace
from io import BytesIO, StringIO
from types import SimpleNamespace

import numpy as np
import obspy
import pytest
from obspy import UTCDateTime
from obspy.core import event as quake

from scperformer.cli.main import main
from scperformer.errors import InputError, OutputError
from scperformer.picks.associators import centre, plane_km
from scperformer.picks.events import Event, arrivals, events_of
from scperformer.picks.export import (
    CODE_WEIGHTS,
    TARGETS,
    Material,
    sigma_s,
    weight_code,
    write_export,
)
from scperformer.picks.pick_files import open_sink, read_pick_file
from scperformer.picks.stations import Site, Station, positions, read_stations
from scperformer.types import NS_PER_S, Onset, Phase, SeedId, format_time, parse_time
from tests.picks import PICK

ORIGIN_NS = parse_time("2019-07-04T23:59:50.25")
P_KM_S, S_KM_S = 6.0, 3.5
QUAKE = Event("quake one", ORIGIN_NS, 35.7, -117.5, 8.0, 4.49)
STATIONS = {
    "CCC": (35.52495, -117.36453, 670.0),
    "CLC": (35.81574, -117.59751, 775.0),
    "JRC2": (35.98249, -117.80885, 1469.0),
    "LRL": (35.47954, -117.68212, 1340.0),
    "SRT": (35.69235, -117.75051, 667.0),
    "TOW2": (35.80856, -117.76488, 685.0),
    "WBM": (35.60839, -117.89049, 892.0),
}
POSITIONS = {
    Site("CI", code, ""): Station("CI", code, None, *place) for code, place in STATIONS.items()
}


def seen(code, event=QUAKE):
    """P and S of an earthquake at a station, in a homogeneous half-space."""
    latitude, longitude, elevation_m = STATIONS[code]
    x_km, y_km = plane_km(latitude, longitude, event.latitude, event.longitude)
    distance_km = math.hypot(x_km, y_km, event.depth_km + elevation_m / 1000.0)
    p = replace(
        PICK,
        time_ns=event.time_ns + round(distance_km / P_KM_S * NS_PER_S),
        seed_id=SeedId("CI", code, "", "HHZ"),
        event=event.name,
    )
    s = replace(
        p,
        time_ns=event.time_ns + round(distance_km / S_KM_S * NS_PER_S),
        phase=Phase.S,
        seed_id=SeedId("CI", code, "", "HHN"),
        uncertainty_s=math.nan,
        polarity=None,
        onset=Onset.EMERGENT,
        probability=0.75,
    )
    return [p, s]


LATER = replace(QUAKE, name="later", time_ns=ORIGIN_NS + 600 * NS_PER_S, magnitude=math.nan)
PICKS = sorted(
    (pick for event in (QUAKE, LATER) for code in STATIONS for pick in seen(code, event)),
    key=lambda pick: pick.time_ns,
)
FIRST, SECOND = arrivals(PICKS, [QUAKE, LATER])[0]
ALONE = replace(PICK, seed_id=SeedId("CI", "CCC", "", "HHZ"))


def exported(target, folder, picks=PICKS, events=(QUAKE, LATER), places=POSITIONS):
    found = [] if TARGETS[target].associates else arrivals(picks, events)[0]
    write_export(target, folder, Material(picks, places, found))
    return folder


def rows(path):
    return list(csv.DictReader(StringIO(path.read_text())))


def close_ns(one, other, within_s):
    return abs(one - other) <= within_s * NS_PER_S


class TestWeights:
    @pytest.mark.parametrize(
        ("uncertainty_s", "phase", "code"),
        [(0.0, "P", 0), (0.05, "P", 0), (0.0501, "P", 1), (0.2, "S", 2), (0.5, "P", 3),
         (0.6, "P", 4), (math.inf, "S", 2), (math.nan, "P", 1), (math.nan, "S", 2)],
    )  # fmt: skip
    def test_a_code_comes_from_the_uncertainty(self, uncertainty_s, phase, code):
        pick = replace(PICK, uncertainty_s=uncertainty_s, phase=Phase(phase))
        assert weight_code(pick) == code
        assert CODE_WEIGHTS[code] == 1.0 - code / 4

    def test_an_uncertainty_is_never_nothing(self):
        assert sigma_s(replace(PICK, uncertainty_s=0.0)) == 0.01
        assert sigma_s(replace(PICK, uncertainty_s=math.nan)) == 0.1


class TestPlane:
    @pytest.mark.parametrize("degrees", [0.3, 2.0])
    def test_it_is_the_orthographic_projection_of_the_ellipsoid(self, degrees):
        pyproj = pytest.importorskip("pyproj", reason="needs pyproj, which comes with pyocto")
        plane = pyproj.Proj("+proj=ortho +lat_0=35.7 +lon_0=-117.7 +ellps=WGS84 +units=km")
        for angle in np.arange(8) * math.pi / 4:
            place = 35.7 + degrees * math.sin(angle), -117.7 + degrees * math.cos(angle)
            np.testing.assert_allclose(
                plane_km(*place, 35.7, -117.7), plane(place[1], place[0]), atol=1e-6
            )

    def test_a_network_across_the_date_line_is_in_one_place(self):
        places = [Station("A", "B", None, lat, lon, 0.0) for lat, lon in ((1, 179), (3, -178))]
        assert centre(places) == (2.0, -179.5)
        assert abs(plane_km(1, 179, *centre(places))[0]) < 170


class TestPyocto:
    def test_it_finds_the_earthquakes_and_says_which_picks_are_theirs(self, tmp_path):
        pd = pytest.importorskip("pandas", reason="needs pandas, which comes with pyocto")
        pyocto = pytest.importorskip("pyocto", reason="needs pyocto")
        noise = [replace(ALONE, time_ns=ORIGIN_NS + n * 97 * NS_PER_S) for n in range(1, 6)]
        folder = exported("pyocto", tmp_path / "o", sorted([*PICKS, *noise], key=_time))
        picks, stations = (pd.read_csv(folder / f"{name}.csv") for name in ("picks", "stations"))
        model = pyocto.VelocityModel0D(P_KM_S, S_KM_S, tolerance=0.5)
        associator = pyocto.OctoAssociator.from_area(
            (35.4, 36.0), (-118.0, -117.2), (0, 20), model, time_before=60, n_threads=1
        )
        found, assigned = associator.associate(picks, associator.transform_stations(stations))
        found = associator.transform_events(found).sort_values("time")
        assert len(found) == 2
        for (_, one), event in zip(found.iterrows(), (QUAKE, LATER), strict=True):
            assert one.time == pytest.approx(event.time_ns / NS_PER_S, abs=0.5)
            assert (one.latitude, one.longitude) == pytest.approx((35.7, -117.5), abs=0.03)
            own = assigned[assigned.event_idx == one.idx].public_id
            assert set(own) <= {p.public_id for p in PICKS if p.event == event.name}
            assert len(own) >= 12

    def test_columns_are_those_that_it_reads(self, tmp_path):
        folder = exported("pyocto", tmp_path / "o")
        first = rows(folder / "picks.csv")[0]
        assert tuple(first) == ("station", "phase", "time", "probability", "public_id")
        assert first["station"] in {row["id"] for row in rows(folder / "stations.csv")}
        assert float(first["time"]) == pytest.approx(PICKS[0].time_ns / NS_PER_S, abs=1e-6)
        place = next(row for row in rows(folder / "stations.csv") if row["id"] == "CI.CCC.")
        numbers = [float(place[name]) for name in ("latitude", "longitude", "elevation")]
        assert tuple(numbers) == STATIONS["CCC"]


class TestGamma:
    def test_it_finds_the_earthquakes(self, tmp_path):
        pd = pytest.importorskip("pandas", reason="needs pandas, which comes with gmma")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            utils = pytest.importorskip("gamma.utils", reason="needs gmma")
        folder = exported("gamma", tmp_path / "o")
        picks = pd.read_csv(folder / "picks.csv", parse_dates=["timestamp"])
        stations = pd.read_csv(folder / "stations.csv")
        config = {
            "dims": ["x(km)", "y(km)", "z(km)"], "use_dbscan": True, "use_amplitude": False,
            "x(km)": (-60, 60), "y(km)": (-60, 60), "z(km)": (0, 20), "oversample_factor": 5,
            "vel": {"p": P_KM_S, "s": S_KM_S}, "method": "BGMM", "dbscan_eps": 30,
            "dbscan_min_samples": 3, "min_picks_per_eq": 5, "max_sigma11": 2.0, "eikonal": None,
            "bfgs_bounds": ((-61, 61), (-61, 61), (0, 21), (None, None)), "ncpu": 1,
        }  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, assigned = utils.association(picks, stations, config, method="BGMM")
        assert len(found) == 2
        wanted = plane_km(35.7, -117.5, *centre(POSITIONS.values()))
        for one, event in zip(sorted(found, key=lambda e: e["time"]), (QUAKE, LATER), strict=True):
            assert close_ns(parse_time(one["time"]), event.time_ns, 1.0)
            assert (one["x(km)"], one["y(km)"]) == pytest.approx(wanted, abs=5.0)
        assert len(assigned) >= 14

    def test_depths_point_downwards_and_types_are_small(self, tmp_path):
        folder = exported("gamma", tmp_path / "o")
        assert {row["type"] for row in rows(folder / "picks.csv")} == {"p", "s"}
        assert {float(row["z(km)"]) for row in rows(folder / "stations.csv")} == {
            -place[2] / 1000.0 for place in STATIONS.values()
        }
        assert (folder / "projection.txt").read_text().startswith("+proj=ortho +lat_0=35.73")


def read_real(folder):
    """Read REAL's files back: (time in ns, network, station, phase, probability) of each pick."""
    found = []
    for path in sorted(folder.glob("*/*.txt")):
        network, station, phase, _ = path.name.split(".")
        midnight_ns = parse_time(path.parent.name)
        for line in path.read_text().splitlines():
            second, probability, amplitude = map(float, line.split())
            assert amplitude == 0.0
            time_ns = midnight_ns + round(second * 1e6) * 1000
            found.append((time_ns, network, station, phase, probability))
    return sorted(found)


class TestReal:
    def test_every_pick_comes_back_on_its_day(self, tmp_path):
        folder = exported("real", tmp_path / "o")
        days = {path.name for path in folder.iterdir() if path.is_dir()}
        assert days == {"20190704", "20190705"}
        assert read_real(folder) == sorted(
            (p.time_ns // 1000 * 1000, "CI", p.seed_id.station, p.phase, round(p.probability, 4))
            for p in PICKS
        )
        line = (folder / "stations.dat").read_text().splitlines()[0]
        assert line == "-117.364530 35.524950 CI CCC HHZ 0.6700"

    def test_pyocto_reads_it(self, tmp_path):
        pyocto = pytest.importorskip("pyocto", reason="needs pyocto")
        folder = exported("real", tmp_path / "o")
        own = pyocto.OctoAssociator
        picks = own._real_parse_picks(folder / "20190705")
        assert set(picks.station) == set(own._real_parse_stations(folder / "stations.dat").id)
        assert len(picks) == sum(p.time_ns >= parse_time("2019-07-05") for p in PICKS)


def obspys(one):
    """Picks of ours as obspy has them."""
    return quake.Event(
        resource_id=quake.ResourceIdentifier("_".join(one.event.name.split())),
        picks=[
            quake.Pick(
                time=UTCDateTime(ns=pick.time_ns),
                waveform_id=quake.WaveformStreamID(seed_string=str(pick.seed_id)),
                phase_hint=str(pick.phase),
                polarity=pick.polarity and str(pick.polarity),
                onset=pick.onset and str(pick.onset),
                time_errors={"uncertainty": sigma_s(pick)},
            )
            for pick in one.picks
        ],
    )


class TestNonlinloc:
    def test_observations_are_those_that_obspy_writes(self, tmp_path):
        text = (exported("nonlinloc", tmp_path / "o") / "picks.obs").read_text()
        blocks = text.split("\n\n")
        assert blocks.pop() == ""
        for block, one in zip(blocks, (FIRST, SECOND), strict=True):
            wanted = BytesIO()
            obspys(one).write(wanted, format="NLLOC_OBS")
            head, *lines = block.splitlines()
            wanted_head, *wanted_lines = wanted.getvalue().decode().splitlines()
            assert head == wanted_head
            assert sorted(line.split() for line in lines) == [x.split() for x in wanted_lines]

    def test_stations_stand_in_kilometres(self, tmp_path):
        lines = (exported("nonlinloc", tmp_path / "o") / "stations.in").read_text().splitlines()
        assert lines[0] == "GTSRCE CCC LATLON 35.524950 -117.364530 0.0 0.6700"
        assert len(lines) == len(STATIONS)

    def test_networks_are_named_where_they_share_a_code(self, tmp_path):
        other = replace(PICKS[0], seed_id=SeedId("PB", PICKS[0].seed_id.station, "", "EHZ"))
        folder = exported("nonlinloc", tmp_path / "o", [PICKS[0], other])
        names = {line.split()[0] for line in (folder / "picks.obs").read_text().split("\n")[1:3]}
        assert names == {f"{n}_{PICKS[0].seed_id.station}" for n in ("CI", "PB")}


def cut(line, **columns):
    """Take fields out of a line by first column and length, counted from 1."""
    return SimpleNamespace(
        **{name: line[start - 1 : start - 1 + length] for name, (start, length) in columns.items()}
    )


def read_archive(path):
    """Read a Y2000 archive back by the columns of its description, earthquake by earthquake."""
    events, current = [], None
    for line in path.read_text().splitlines():
        if current is None:
            current = (_read_summary(line), [])
        elif line[:5].strip():
            current[1].append(_read_station_line(line))
        else:
            assert int(line[62:72]) == current[0].number
            events.append(current)
            current = None
    assert current is None
    return events


def _read_summary(line):
    own = cut(
        line, minute=(1, 12), second=(13, 4), lat=(17, 2), south=(19, 1), lat_min=(20, 4),
        lon=(24, 3), east=(27, 1), lon_min=(28, 4), depth=(32, 5), number=(137, 10), mag=(148, 3),
    )  # fmt: skip
    latitude = float(own.lat) + float(own.lat_min) / 6000.0
    longitude = float(own.lon) + float(own.lon_min) / 6000.0
    return SimpleNamespace(
        time_ns=_minute(own.minute) + int(own.second) * NS_PER_S // 100,
        latitude=-latitude if own.south == "S" else latitude,
        longitude=longitude if own.east == "E" else -longitude,
        depth_km=float(own.depth) / 100.0,
        number=int(own.number),
        magnitude=float(own.mag) / 100.0 if own.mag.strip() else math.nan,
    )


def _read_station_line(line):
    own = cut(
        line, station=(1, 5), network=(6, 2), channel=(10, 3), p=(14, 2), motion=(16, 1),
        p_code=(17, 1), minute=(18, 12), p_second=(30, 5), s_second=(42, 5), s=(47, 2),
        s_code=(50, 1), location=(112, 2),
    )  # fmt: skip
    is_p = own.p[1] == "P"
    assert is_p != (own.s[1] == "S")
    assert is_p or (own.p_code, own.p_second) == ("4", " 9999")
    second = own.p_second if is_p else own.s_second
    return (
        ".".join((own.network, own.station.strip(), own.location.strip(), own.channel)),
        "P" if is_p else "S",
        _minute(own.minute) + int(second) * NS_PER_S // 100,
        int(own.p_code if is_p else own.s_code),
        own.motion,
    )


def _minute(text):
    return parse_time(f"{text[:8]}T{text[8:]}")


def _time(pick):
    return pick.time_ns


class TestHypoinverse:
    def test_every_pick_and_hypocentre_comes_back(self, tmp_path):
        folder = exported("hypoinverse", tmp_path / "o")
        found = read_archive(folder / "phases.arc")
        assert [summary.number for summary, _ in found] == [1, 2]
        for (summary, lines), one in zip(found, (FIRST, SECOND), strict=True):
            event = one.event
            assert close_ns(summary.time_ns, event.time_ns, 0.005)
            assert summary.latitude == pytest.approx(event.latitude, abs=1e-4)
            assert summary.longitude == pytest.approx(event.longitude, abs=1e-4)
            assert summary.depth_km == event.depth_km
            assert summary.magnitude == pytest.approx(event.magnitude, nan_ok=True)
            assert len(lines) == len(one.picks)
            for (code, phase, time_ns, weight, motion), pick in zip(lines, one.picks, strict=True):
                assert (code, phase) == (str(pick.seed_id), pick.phase)
                assert close_ns(time_ns, pick.time_ns, 0.005)
                assert weight == weight_code(pick)
                assert motion == ("D" if phase == "P" else " ")
        assert [row["event"] for row in rows(folder / "events.csv")] == ["quake one", "later"]

    def test_stations_stand_on_each_channel_that_was_picked(self, tmp_path):
        path = exported("hypoinverse", tmp_path / "o") / "stations.sta"
        lines = path.read_text().splitlines()
        assert len(lines) == 2 * len(STATIONS)
        own = cut(
            lines[0], site=(1, 5), net=(7, 2), channel=(11, 3), lat=(16, 2), lat_min=(19, 7),
            north=(26, 1), lon=(27, 3), lon_min=(31, 7), west=(38, 1), elevation=(39, 4),
        )  # fmt: skip
        assert (own.site, own.net, own.channel) == ("CCC  ", "CI", "HHN")
        assert (own.north, own.west, own.elevation) == ("N", "W", " 670")
        assert int(own.lat) + float(own.lat_min) / 60 == pytest.approx(35.52495, abs=1e-5)
        assert int(own.lon) + float(own.lon_min) / 60 == pytest.approx(117.36453, abs=1e-5)

    def test_a_second_before_the_full_minute_rounds_into_it(self, tmp_path):
        time_ns = parse_time("2019-07-04T23:59:59.996")
        folder = exported("hypoinverse", tmp_path / "o", [replace(PICKS[0], time_ns=time_ns)])
        ((_, ((_, _, found_ns, _, _),)),) = read_archive(folder / "phases.arc")
        assert found_ns == parse_time("2019-07-05")

    def test_the_south_east_is_told_from_the_north_west(self, tmp_path):
        event = replace(QUAKE, latitude=-41.25, longitude=174.5)
        folder = exported("hypoinverse", tmp_path / "o", [PICKS[0]], [event])
        ((summary, _),) = read_archive(folder / "phases.arc")
        assert (summary.latitude, summary.longitude) == (-41.25, 174.5)


class TestNordic:
    def read(self, path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return obspy.read_events(str(path), format="NORDIC")

    def test_obspy_reads_every_pick_and_hypocentre(self, tmp_path):
        path = exported("nordic", tmp_path / "o") / "events.nor"
        assert {len(line) for line in path.read_text().splitlines()} == {80, 0}
        found = self.read(path)
        assert len(found) == 2
        for event, one in zip(found, (FIRST, SECOND), strict=True):
            (origin,) = event.origins
            assert close_ns(origin.time.ns, one.event.time_ns, 0.001)
            assert (origin.latitude, origin.longitude, origin.depth) == (35.7, -117.5, 8000.0)
            assert [comment.text for comment in event.comments] == [f"EVENT {one.event.name}"]
            assert len(event.picks) == len(one.picks)
            for theirs, pick in zip(event.picks, one.picks, strict=True):
                assert theirs.waveform_id.get_seed_string() == str(pick.seed_id)
                assert close_ns(theirs.time.ns, pick.time_ns, 0.0005)
                assert theirs.phase_hint == pick.phase
                assert theirs.evaluation_mode == "automatic"
                assert theirs.onset == pick.onset
                assert theirs.polarity == ("negative" if pick.phase == Phase.P else None)
                code = theirs.get("extra", {}).get("nordic_pick_weight", {"value": 0})["value"]
                assert int(code) == weight_code(pick)

    def test_without_a_hypocentre_the_time_is_the_first_picks(self, tmp_path):
        path = exported("nordic", tmp_path / "o", PICKS, []) / "events.nor"
        one, _ = self.read(path)
        assert close_ns(one.origins[0].time.ns, FIRST.picks[0].time_ns, 0.1)
        assert one.origins[0].latitude is None

    def test_a_pick_of_another_week_is_told(self, tmp_path):
        late = replace(PICKS[0], time_ns=PICKS[0].time_ns + 7 * 86_400 * NS_PER_S)
        with pytest.raises(InputError, match=r"event quake one: .* is not on its day"):
            exported("nordic", tmp_path / "o", [late])


class TestHypodd:
    def test_obspy_reads_every_pick_and_hypocentre(self, tmp_path):
        folder = exported("hypodd", tmp_path / "o")
        found = obspy.read_events(str(folder / "phase.dat"), format="HYPODDPHA")
        for event, one in zip(found, (FIRST, SECOND), strict=True):
            (origin,) = event.origins
            assert close_ns(origin.time.ns, one.event.time_ns, 1e-4)
            assert (origin.latitude, origin.longitude, origin.depth) == (35.7, -117.5, 8000.0)
            magnitude = 0.0 if math.isnan(one.event.magnitude) else one.event.magnitude
            assert float(event.magnitudes[0].mag) == magnitude
            for theirs, arrival, pick in zip(event.picks, origin.arrivals, one.picks, strict=True):
                assert theirs.waveform_id.station_code == pick.seed_id.station
                assert close_ns(theirs.time.ns, pick.time_ns, 1e-4)
                assert theirs.phase_hint == pick.phase
                assert arrival.time_weight == CODE_WEIGHTS[weight_code(pick)]
        line = (folder / "station.dat").read_text().splitlines()[0]
        assert line == "CCC 35.524950 -117.364530 670"

    def test_a_pick_before_its_origin_is_left_out(self, tmp_path, caplog):
        early = replace(PICKS[0], time_ns=ORIGIN_NS - 1, phase=Phase.S)
        folder = exported("hypodd", tmp_path / "o", [early, PICKS[0]])
        assert len((folder / "phase.dat").read_text().splitlines()) == 2
        assert "1 picks before the origin time" in caplog.text


@pytest.mark.parametrize("target", TARGETS)
class TestEveryTarget:
    def test_the_same_picks_give_the_same_bytes(self, tmp_path, target):
        one, two = (exported(target, tmp_path / name) for name in "ab")
        files = sorted(p.relative_to(one) for p in one.rglob("*") if p.is_file())
        assert files
        assert all((one / name).read_bytes() == (two / name).read_bytes() for name in files)

    @pytest.mark.parametrize("code", ["../../x", "A B", "A\n", "Ä"])
    def test_a_code_that_is_none_is_refused_and_nothing_written(self, tmp_path, target, code):
        odd = replace(PICKS[0], seed_id=SeedId("CI", code, "", "HHZ"))
        with pytest.raises(InputError, match="for a code of network, station, location"):
            exported(target, tmp_path / "o", [odd])
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_with_something_in_it_is_left_alone(self, tmp_path, target):
        (tmp_path / "thesis.tex").write_text("years of work")
        with pytest.raises(OutputError, match="is there and not empty"):
            exported(target, tmp_path)
        assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(("target", "room"), [("hypoinverse", 5), ("nordic", 5), ("hypodd", 7)])
def test_a_station_that_a_format_has_no_room_for_is_named(tmp_path, target, room):
    long = replace(PICKS[0], seed_id=SeedId("CI", "LONGNAME", "", "HHZ"))
    with pytest.raises(InputError, match=f"codes of 1 to {room} characters; got 'LONGNAME'"):
        exported(target, tmp_path / "o", [long])


class TestEvents:
    def test_of_two_sensors_the_more_probable_pick_counts(self):
        weak = replace(PICKS[0], seed_id=SeedId("CI", PICKS[0].seed_id.station, "", "HNZ"))
        weak = replace(weak, probability=0.5)
        ((one,), n_left) = arrivals([weak, PICKS[0], ALONE], [QUAKE])
        assert one.picks == (PICKS[0],)
        assert n_left == 1

    def test_an_event_that_is_called_by_its_time_has_it(self):
        named = replace(PICKS[0], event="2019-07-04T16:07:19.6232Z")
        numbered = replace(PICKS[0], event="20190704")
        assert arrivals([named], [])[0][0].event.time_ns == parse_time(named.event)
        assert arrivals([numbered], [])[0][0].event.time_ns == PICKS[0].time_ns

    def test_they_are_read_from_a_table(self, tmp_path):
        path = tmp_path / "events.csv"
        path.write_text(
            "event,time,latitude,longitude,depth_km\n7,2019-07-04T16:07:19.5,35.5,-117,8\n"
        )
        (event,) = events_of(path)
        assert event.name == "7"
        assert event.is_located
        assert math.isnan(event.magnitude)

    @pytest.mark.parametrize("suffix", ["QUAKEML", "SC3ML"])
    def test_they_are_read_from_documents_with_their_picks(self, tmp_path, suffix):
        made = obspys(FIRST)
        origin = quake.Origin(
            time=UTCDateTime(ns=ORIGIN_NS), latitude=35.7, longitude=-117.5, depth=8000.0
        )
        origin.arrivals = [
            quake.Arrival(pick_id=p.resource_id, phase=p.phase_hint) for p in made.picks
        ]
        made.origins, made.preferred_origin_id = [origin], origin.resource_id
        made.magnitudes = [quake.Magnitude(mag=4.4, origin_id=origin.resource_id)]
        made.resource_id = quake.ResourceIdentifier("smi:local/event/1")
        path = tmp_path / ("e.qml" if suffix == "QUAKEML" else "e.xml")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quake.Catalog([made]).write(str(path), format=suffix)
        (event,) = events_of(path)
        assert (event.latitude, event.longitude, event.depth_km) == (35.7, -117.5, 8.0)
        assert event.magnitude == 4.4
        picks = read_pick_file(path)
        assert {pick.event for pick in picks} == {event.name}
        assert len(arrivals(picks, [event])[0][0].picks) == len(FIRST.picks)

    @pytest.mark.parametrize(
        ("name", "content", "wanted"),
        [
            ("e.csv", "event,time\n", "no column depth_km, latitude, longitude; wanted CSV"),
            ("e.csv", "event,time,latitude,longitude,depth_km\n1,x,1,1,1\n", "line 2"),
            ("e.csv", "event,time,latitude,longitude,depth_km\n1,2019-01-01,91,1,1\n", "line 2"),
            ("e.qml", "no", "no XML that can be read"),
            ("e.csv", None, "no such file"),
        ],
    )
    def test_what_is_none_is_told(self, tmp_path, name, content, wanted):
        if content is not None:
            (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=re.escape(wanted)):
            events_of(tmp_path / name)


CHANNEL = (
    '<Channel code="HHZ" locationCode="{location}" startDate="{start}"><Latitude>{latitude}'
    "</Latitude><Longitude>10</Longitude><Elevation>5</Elevation></Channel>"
)


def station_xml(path, *channels, latitude="1.0"):
    path.write_text(
        '<FDSNStationXML xmlns="http://www.fdsn.org/xml/station/1"><Network code="XX"><Station '
        f'code="A" startDate="2000-01-01"><Latitude>{latitude}</Latitude><Longitude>190</Longitude>'
        f"<Elevation>700</Elevation>{''.join(channels)}</Station></Network></FDSNStationXML>"
    )
    return path


class TestStations:
    def at(self, path, location, time="2019-07-04"):
        pick = replace(PICK, seed_id=SeedId("XX", "A", location, "HHZ"), time_ns=parse_time(time))
        return positions(read_stations(path), [pick])[0][Site("XX", "A", location)]

    def test_a_location_is_where_its_channel_was_then(self, tmp_path):
        old = CHANNEL.format(location="00", start="2001-01-01", latitude=2.0)
        new = CHANNEL.format(location="00", start="2010-01-01", latitude=3.0)
        path = station_xml(tmp_path / "s.xml", old, new)
        assert self.at(path, "00").latitude == 3.0
        assert self.at(path, "10").latitude == 1.0
        assert self.at(path, "").longitude == -170.0

    def test_stations_that_saw_nothing_are_there_and_unknown_ones_are_named(self, tmp_path):
        path = station_xml(
            tmp_path / "s.xml", CHANNEL.format(location="00", start="2001-01-01", latitude=2.0)
        )
        found, missing = positions(read_stations(path), [PICK])
        assert list(found) == [Site("XX", "A", "00")]
        assert missing == [Site("IM", "NYSH", "00")]

    def test_a_seiscomp_inventory_is_read(self, tmp_path):
        path = tmp_path / "inventory.xml"
        path.write_text(
            '<seiscomp xmlns="http://geofon.gfz-potsdam.de/ns/seiscomp3-schema/0.12"><Inventory>'
            '<network code="XX"><station code="A"><latitude>1</latitude><longitude>2</longitude>'
            "<elevation>3</elevation><sensorLocation code=''><latitude>4</latitude><longitude>5"
            "</longitude><elevation>6</elevation></sensorLocation></station></network></Inventory>"
            "</seiscomp>"
        )
        at = self.at(path, "")
        assert (at.latitude, at.longitude, at.elevation_m) == (4.0, 5.0, 6.0)

    @pytest.mark.parametrize("latitude", ["91", "nan", "north"])
    def test_an_impossible_position_is_told(self, tmp_path, latitude):
        path = station_xml(tmp_path / "s.xml", latitude=latitude)
        with pytest.raises(InputError, match=rf"XX\.A is at latitude '{latitude}'"):
            read_stations(path)


class TestCommandLine:
    @pytest.fixture
    def picks(self, tmp_path):
        path = tmp_path / "picks.csv"
        lines = ["network,station,phase,time,event,channel"]
        for pick in [*PICKS, replace(ALONE, event="")]:
            own = pick.seed_id
            time = format_time(pick.time_ns)
            lines.append(f"CI,{own.station},{pick.phase},{time},{pick.event},{own.channel}")
        path.write_text("\n".join(lines) + "\n")
        return path

    @pytest.fixture
    def stations(self, tmp_path):
        path = tmp_path / "stations.xml"
        listed = "".join(
            f'<Station code="{code}"><Latitude>{at[0]}</Latitude><Longitude>{at[1]}</Longitude>'
            f"<Elevation>{at[2]}</Elevation></Station>"
            for code, at in STATIONS.items()
        )
        path.write_text(f'<FDSNStationXML><Network code="CI">{listed}</Network></FDSNStationXML>')
        return path

    @pytest.fixture
    def events(self, tmp_path):
        path = tmp_path / "events.csv"
        path.write_text(
            "event,time,latitude,longitude,depth_km,magnitude\n"
            f"quake one,{format_time(ORIGIN_NS)},35.7,-117.5,8.0,4.49\n"
        )
        return path

    def run(self, *words):
        return main(["export", *map(str, words)])

    def test_an_associator_gets_all_picks(self, tmp_path, picks, stations, capsys):
        out = tmp_path / "o"
        assert self.run(picks, "--to", "pyocto", "-o", out, "--stations", stations) == 0
        assert len(rows(out / "picks.csv")) == len(PICKS) + 1
        assert f"written: {out}, {len(PICKS) + 1} picks: picks.csv, stations.csv" in (
            capsys.readouterr().out
        )

    def test_a_location_program_gets_those_of_earthquakes(
        self, tmp_path, picks, stations, events, capsys
    ):
        out = tmp_path / "o"
        words = ("--to", "hypodd", "-o", out, "--stations", stations, "--events", events)
        assert self.run(picks, *words) == 0
        said = capsys.readouterr()
        assert f"{len(FIRST.picks)} picks of 1 events: phase.dat, station.dat" in said.out
        assert "1 events without a hypocentre left out" in said.err
        assert "1 picks without an event left out" in said.err

    def test_picks_without_a_position_are_named_and_the_status_tells_it(
        self, tmp_path, picks, stations, capsys
    ):
        stations.write_text(stations.read_text().replace('code="CCC"', 'code="ELSE"'))
        out = tmp_path / "o"
        assert self.run(picks, "--to", "real", "-o", out, "--stations", stations) == 1
        said = capsys.readouterr().err
        assert "no position in --stations: CI.CCC." in said
        assert "5 picks at stations without a position left out" in said
        assert len(read_real(out)) == len(PICKS) - 4

    @pytest.mark.parametrize("suffix", [".jsonl", ".qml", ".scml"])
    def test_any_format_of_ours_is_taken(self, tmp_path, stations, suffix):
        with open_sink(tmp_path / f"p{suffix}") as sink:
            sink.write(PICKS)
        words = ("--to", "real", "-o", tmp_path / "o", "--stations", stations)
        assert self.run(tmp_path / f"p{suffix}", *words) == 0
        assert len(read_real(tmp_path / "o")) == len(PICKS)

    @pytest.mark.parametrize("target", [name for name in TARGETS if not TARGETS[name].associates])
    def test_picks_that_nobody_put_to_earthquakes_are_refused(self, tmp_path, target, capsys):
        with open_sink(tmp_path / "p.csv") as sink:
            sink.write(PICKS)
        assert self.run(tmp_path / "p.csv", "--to", target, "-o", tmp_path / "o") == 2
        assert "put them to earthquakes first" in capsys.readouterr().err
        assert not (tmp_path / "o").exists()

    @pytest.mark.parametrize(
        ("words", "wanted"),
        [
            ("--to pyocto", "--to pyocto needs --stations"),
            (
                "--to real --stations {stations} --events x",
                "--events has no meaning with --to real",
            ),
            ("--to hypodd", "none is known of quake one, later: give --events"),
            ("--to gamma --stations {picks}", "no XML that can be read"),
            ("--to gamma --stations no.xml", "no.xml: cannot be read"),
        ],
    )
    def test_what_cannot_be_done_is_told(self, picks, stations, words, wanted, capsys):
        given = words.format(stations=stations, picks=picks).split()
        out = picks.parent / "o"
        assert self.run(picks, "-o", out, *given) == 2
        assert wanted in capsys.readouterr().err
        assert not out.exists()

    def test_no_picks_are_told(self, tmp_path, stations, capsys):
        (tmp_path / "p.csv").write_text("network,station,phase,time\n")
        words = ("--to", "real", "-o", tmp_path / "o", "--stations", stations)
        assert self.run(tmp_path / "p.csv", *words) == 2
        assert "no picks; nothing to export" in capsys.readouterr().err

    def test_the_help_tells_the_mapping_to_weights(self, capsys):
        with pytest.raises(SystemExit):
            self.run("--help")
        text = " ".join(capsys.readouterr().out.split())
        assert "0.05, 0.1, 0.2, 0.5 s" in text
        assert "0.1 s for P, 0.2 s for S" in text
        assert all(target.summary in text for target in TARGETS.values())
