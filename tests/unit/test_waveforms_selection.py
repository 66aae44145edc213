"""Which stations and channels are wanted, as the command line says it."""

import pytest

from scperformer.errors import ConfigurationError
from scperformer.types import SeedId
from scperformer.waveforms.selection import Chooser, Selection, parse_selection, parse_stations


def seed_id(text):
    return SeedId.parse(text)


def selection(**options):
    return parse_selection(
        **dict.fromkeys(("stations", "networks", "locations", "channels")) | options
    )


@pytest.mark.parametrize(
    ("options", "wanted", "unwanted"),
    [
        ({}, ["CI.A..HHZ", "XX.B.00.HNZ"], []),
        ({"stations": "*"}, ["CI.A..HHZ", "XX.B.00.HNZ"], []),
        ({"stations": "CI.*,PB.B91?"}, ["CI.A..HHZ", "PB.B915..EHZ"], ["PB.B90..EHZ", "XX.A..HHZ"]),
        ({"stations": "*:HN?"}, ["CI.A.10.HNZ"], ["CI.A..HHZ"]),
        ({"stations": "CI.A:00HH? --EH?"}, ["CI.A.00.HHZ", "CI.A..EHZ"], ["CI.A..HHZ"]),
        ({"stations": "CI.A:10"}, ["CI.A.10.HHZ"], ["CI.A..HHZ"]),
        ({"stations": "CI.A:!LCQ !HN?"}, ["CI.A..HHZ"], ["CI.A..HNZ", "CI.A..LCQ"]),
        ({"stations": "CI.A:HHZ,CI.B:HNZ"}, ["CI.A..HHZ", "CI.B..HNZ"], ["CI.A..HNZ"]),
        ({"stations": "CI.*..HH?"}, ["CI.A..HHZ", "CI.B..HH1"], ["CI.A.00.HHZ", "CI.A..HNZ"]),
        ({"stations": "CI.A.*.HH*"}, ["CI.A..HHZ", "CI.A.00.HHZ"], ["CI.A..HNZ", "CI.B..HHZ"]),
        ({"stations": "CI.A.1?.*,CI.B"}, ["CI.A.10.BHZ", "CI.B..HHZ"], ["CI.A..BHZ"]),
        ({"stations": "*.*.--.*Z"}, ["CI.A..HHZ", "XX.B..BHZ"], ["CI.A..HHN", "CI.A.00.HHZ"]),
        ({"networks": "CI,P?"}, ["CI.A..HHZ", "PB.A..HHZ"], ["XX.A..HHZ"]),
        ({"locations": ""}, ["CI.A..HHZ"], ["CI.A.00.HHZ"]),
        ({"locations": "--"}, ["CI.A..HHZ"], ["CI.A.00.HHZ"]),
        ({"locations": "00,"}, ["CI.A..HHZ", "CI.A.00.HHZ"], ["CI.A.10.HHZ"]),
        ({"channels": "HH?,BH*"}, ["CI.A..HHZ", "CI.A..BH1"], ["CI.A..HNZ"]),
    ],
)
def test_what_is_wanted(options, wanted, unwanted):
    chosen = selection(**options)
    assert all(chosen.wants(seed_id(text)) for text in wanted)
    assert not any(chosen.wants(seed_id(text)) for text in unwanted)


def test_a_star_alone_means_every_station_as_two_do():
    assert parse_stations("*") == parse_stations("*.*")
    assert parse_stations("*:HH?") == parse_stations("*.*:HH?")


@pytest.mark.parametrize(
    "text", ["CI.A..HHHZ", "CI.A.001.HHZ", "CI.A..H", "CI.A..HHZ:HHZ", "CI.A.."]
)
def test_a_channel_pattern_that_is_none_is_refused(text):
    with pytest.raises(ConfigurationError, match=r"--stations: got .*NET\.STA\.LOC\.CHA"):
        parse_stations(text)


def test_every_fault_is_named_at_once():
    with pytest.raises(ConfigurationError) as caught:
        selection(stations="CI", networks="C I", locations="001", channels="")
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "--stations",
        "--network",
        "--location",
        "--channels",
    ]


def test_a_server_is_asked_for_the_channels_that_are_wanted():
    chosen = selection(stations="CI.*,PB.B1:EHZ", channels="HH?,B*")
    assert [p.selectors for p in chosen.requests()] == [("HH?.D", "B??.D"), ("EHZ",)]
    plain = selection(stations="CI.*")
    assert plain.requests() == parse_stations("CI.*")


def test_a_chooser_remembers_what_it_did_not_take():
    chooser = Chooser(Selection(networks=("CI",)))
    assert chooser.takes(seed_id("CI.A..HHZ"), 100.0)
    assert not chooser.takes(seed_id("CI.A..VM1"), 1.0)
    assert not chooser.takes(seed_id("XX.A..HHZ"), 100.0)
    assert chooser.left_out == {seed_id("CI.A..VM1"): "mass position"}
    assert chooser.not_asked == {seed_id("XX.A..HHZ")}
