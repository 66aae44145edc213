"""A triple in two locations is told of, and not put together."""

from dataclasses import replace

import pytest

from scperformer.core.statistics import Observer, split_text
from tests.synthetic import earthquakes, make_pipeline, pick_all, records


class Listener(Observer):
    def __init__(self):
        self.heard = []

    def split(self, channels):
        self.heard.append([f"{c.location}.{c.channel}" for c in channels])
        assert "give them one location code" in split_text(channels)


def heard(location_of):
    stream = records(earthquakes(6000, (15.0,)), [range(100, 6000, 100)] * 3)
    stream = [
        replace(r, seed_id=replace(r.seed_id, location=place))
        for r in stream
        for place in location_of(r.seed_id.component)
    ]
    listener = Listener()
    pick_all(make_pipeline(listener), stream)
    return listener.heard


@pytest.mark.parametrize(("vertical", "horizontal"), [("00", "10"), ("", "00"), ("10", "")])
def test_vertical_and_horizontals_in_two_locations(vertical, horizontal):
    [channels] = heard(lambda component: [vertical if component == "Z" else horizontal])
    assert sorted(channels) == sorted([f"{vertical}.HHZ", f"{horizontal}.HHN", f"{horizontal}.HHE"])


def test_whole_sensors_and_like_halves_are_nothing_to_tell():
    assert heard(lambda _: ["00", "10"]) == []
    assert heard(lambda component: ["00", "10"] if component == "Z" else ["00"]) == []
    assert heard(lambda component: ["00", "10"] if component == "Z" else []) == []
