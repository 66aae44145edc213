"""Picks that no neighbour supports."""

import pytest

from scperformer.errors import InputError
from scperformer.evaluation.network_support import (
    distance_km,
    network_support,
    read_positions,
)
from scperformer.evaluation.pick_tables import Cells
from tests.unit.test_evaluation_pick_scores import P, S, picks_of, stream

NEAR, FAR = (35.1, -117.0), (36.0, -117.0)
POSITIONS = {"XX.A": (35.0, -117.0), "XX.B": NEAR, "XX.C": FAR}


def test_a_degree_is_111_km():
    assert distance_km((35.0, -117.0), (36.0, -117.0)) == pytest.approx(111.19, abs=0.01)
    assert distance_km((0.0, 179.5), (0.0, -179.5)) == pytest.approx(111.19, abs=0.01)


def test_a_neighbour_supports_within_the_travel_time_and_two_seconds():
    cells = Cells.of([stream(name, record=False, length_s=600.0) for name in "ABC"])
    reach_s = distance_km(POSITIONS["XX.A"], NEAR) / 3.0 + 2.0
    picks = picks_of(
        (0, P, 100.0, 0.9),
        (1, S, 100.0 + reach_s - 0.01, 0.9),  # supports, and is supported by, the first
        (0, P, 300.0, 0.9),
        (1, P, 300.0 + reach_s + 0.01, 0.9),  # too late: neither is supported
        (2, P, 100.0, 0.9),  # no neighbour: not judged
    )
    found = network_support(cells, picks, POSITIONS)
    assert (found.judged, found.unsupported) == (4, 2)
    assert found.stations_left_out == ("XX.C",)
    assert found.station_hours == pytest.approx(2 * 600 / 3600)
    assert found.unsupported_per_station_hour == pytest.approx(6.0)


def test_a_pick_is_judged_only_while_a_neighbour_records():
    cells = Cells.of(
        [
            stream("A", record=False, length_s=600.0),
            stream("B", record=False, start_s=300.0, length_s=300.0),
        ]
    )
    picks = picks_of((0, P, 100.0, 0.9), (0, P, 400.0, 0.9))
    found = network_support(cells, picks, POSITIONS)
    assert (found.judged, found.unsupported) == (1, 1)


def test_a_station_s_own_other_sensor_is_no_neighbour():
    cells = Cells.of([stream("A", record=False), stream("A", record=False)])
    picks = picks_of((0, P, 10.0, 0.9), (1, P, 10.0, 0.9))
    found = network_support(cells, picks, POSITIONS)
    assert (found.judged, found.stations_left_out) == (0, ("XX.A",))


def test_positions_are_read_from_station_xml(tmp_path):
    path = tmp_path / "stations.xml"
    path.write_text(
        '<FDSNStationXML xmlns="http://www.fdsn.org/xml/station/1"><Network code="XX">'
        '<Station code="A"><Latitude>35.5</Latitude><Longitude>-117.25</Longitude>'
        '<Channel code="HHZ"><Latitude>0</Latitude><Longitude>0</Longitude></Channel>'
        "</Station></Network></FDSNStationXML>"
    )
    assert read_positions(path) == {"XX.A": (35.5, -117.25)}
    path.write_text("<FDSNStationXML/>")
    with pytest.raises(InputError, match="no station"):
        read_positions(path)
    path.write_text("nothing")
    with pytest.raises(InputError, match="no XML"):
        read_positions(path)
