"""Channel names of many networks."""

import string

import pytest

from scperformer.config import Settings
from scperformer.core.statistics import DropReason
from scperformer.errors import ConfigurationError
from scperformer.naming import (
    LEFT_OUT,
    TAKEN,
    component_places,
    holders,
    join,
    parse_codes,
    split,
    why_left_out,
)
from scperformer.types import SeedId
from tests.synthetic import earthquakes, make_pipeline, pick_all, records


@pytest.mark.parametrize(
    ("channel", "instrument", "component"),
    [
        ("HHZ", "HH", "Z"),
        ("hhz", "hh", "z"),
        ("NS2", "2", "NS"),
        ("ew1", "1", "ew"),
        ("UD", "", "UD"),
        ("HNS", "HN", "S"),
        ("Z", "", "Z"),
        ("", "", ""),
    ],
)
def test_a_channel_code_is_split_and_joined(channel, instrument, component):
    assert split(channel) == (instrument, component)
    assert join(instrument, component) == channel
    seed_id = SeedId("XX", "A", "00", channel)
    assert seed_id.sensor_id.channel(seed_id.component) == seed_id


@pytest.mark.parametrize(
    ("components", "wanted"),
    [
        (("EW", "NS", "UD"), ("NS", "EW", "UD")),
        (("z", "n", "e"), ("n", "e", "z")),
        (("z", "1", "2"), ("1", "2", "z")),
        (("Z", "R", "T"), ("R", "T", "Z")),
        (("X", "Y", "Z"), ("X", "Y", "Z")),
        (("1", "2", "3"), ("1", "2", "3")),
        (("U", "N", "E"), ("N", "E", "U")),
        (("1", "2", "3", "Z"), ("1", "2", "Z")),
        (("U", "V", "W"), ("", "", "")),
        (("A", "B", "C"), ("", "", "")),
        (("X", "Y", "N", "E", "Z"), ("N", "E", "Z")),
    ],
)
def test_places_of_the_schemes(components, wanted):
    assert holders(frozenset(components), frozenset(components)) == wanted


@pytest.mark.parametrize(
    ("active", "known", "wanted"),
    [
        ("Z23", "Z123", ("2", "3", "Z")),
        ("Z12", "Z123", ("1", "2", "Z")),
        ("123", "Z123", ("1", "2", "3")),
        ("23", "Z23", ("2", "3", "")),
        ("Z2", "Z23", ("2", "", "Z")),
        ("Z23", "ZNE23", ("2", "3", "Z")),
        ("ZE12", "ZNE12", ("1", "E", "Z")),
    ],
)
def test_places_while_some_are_silent(active, known, wanted):
    assert holders(frozenset(active), frozenset(known)) == wanted


def test_a_setting_gives_places_to_further_letters():
    codes = parse_codes("NU, EV ZW")
    assert holders(frozenset("UVW"), frozenset("UVW"), codes) == ("U", "V", "W")
    assert dict(component_places(frozenset("HGZ"), parse_codes("ng,eh"))) == {
        "G": 0,
        "H": 1,
        "Z": 2,
    }
    turned = parse_codes("NX,EY")
    assert holders(frozenset("XYZ"), frozenset("XYZ"), turned) == ("X", "Y", "Z")
    turned = parse_codes("NY,EX")
    assert holders(frozenset("XYZ"), frozenset("XYZ"), turned) == ("Y", "X", "Z")


@pytest.mark.parametrize("text", ["U", "QU", "N", "NU,EU", "N-U"])
def test_a_setting_that_cannot_be_read_is_refused(text):
    with pytest.raises(ConfigurationError, match="componentCodes"):
        Settings(component_codes=text)


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        (("NS2", "EW2", "UD2"), {}),
        (("NS", "EW", "UD"), {}),
        (("hhn", "hhe", "hhz"), {}),
        (("HHR", "HHT", "HHZ"), {}),
        (("HHX", "HHY", "HHZ"), {}),
        (("HHU", "HHV", "HHW"), {"component_codes": "NU,EV,ZW"}),
    ],
)
def test_picks_do_not_depend_on_names_and_carry_the_real_ones(names, settings):
    waveform = earthquakes(6000, (15.0, 38.0))
    plain = pick_all(make_pipeline(), records(waveform, [range(500, 6000, 500)] * 3))
    renamed = []
    for record in records(waveform, [range(500, 6000, 500)] * 3):
        name = names["NEZ".index(record.seed_id.component)]
        seed_id = SeedId("XX", "A", "", name)
        renamed.append(type(record)(seed_id, record.start_ns, 100.0, record.samples))
    picks = pick_all(make_pipeline(**settings), renamed)
    assert [(p.time_ns, p.phase, p.probability, p.n_components) for p in picks] == [
        (p.time_ns, p.phase, p.probability, p.n_components) for p in plain
    ]
    assert [p.seed_id.channel for p in picks] == [
        names["NEZ".index(p.seed_id.component)] for p in plain
    ]


def test_components_that_lie_askew_are_counted_as_such():
    stream = records(earthquakes(3000, (15.0,)), [range(500, 3000, 500)] * 3, letters="UVW")
    pipeline = make_pipeline()
    assert pick_all(pipeline, stream) == []
    assert pipeline.statistics.dropped_samples == {DropReason.COMPONENT: 3 * 3000}


@pytest.mark.parametrize(
    "channel",
    ["HHZ", "BH1", "EHE", "SHZ", "ELZ", "SLZ", "HNZ", "EN3", "HGN", "DPZ", "CHZ", "FPZ", "hhz"],
)
def test_seismometers_are_picked(channel):
    assert why_left_out(channel) == ""


@pytest.mark.parametrize("channel", ["EW1", "NS2", "UD2", "EW", "UD", "Z", "", "BHZ2", "B_Z"])
def test_codes_that_are_not_made_as_seed_wants_it_say_nothing(channel):
    assert why_left_out(channel) == ""


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ("ACE", "administrative"),
        ("OCF", "opaque"),
        ("LOG", "water current"),
        ("VM1", "mass position"),
        ("VMZ", "mass position"),
        ("HV1", "volumetric strain"),
        ("BV1", "volumetric strain"),
        ("LS1", "linear strain"),
        ("VAE", "tilt"),
        ("BDF", "pressure"),
        ("HDH", "pressure"),
        ("VEP", "test point"),
        ("HJ1", "rotation"),
    ],
)
def test_what_is_none_is_left_out_whatever_its_rate(channel, words):
    assert words in why_left_out(channel)
    assert words in why_left_out(channel, 100.0)


def test_slow_bands_are_judged_by_their_rate_where_it_is_known():
    for band in "MLVURPTQ":
        assert "below 20 Hz" in why_left_out(f"{band}HZ")
        assert "below 20 Hz" in why_left_out(f"{band}HZ", 1.0)
        assert why_left_out(f"{band}HZ", 40.0) == ""


def test_a_fast_band_with_a_low_rate_is_a_fault_and_not_passed_over():
    assert why_left_out("HHZ", 1.0) == ""


def test_every_letter_is_decided():
    assert not set(TAKEN) & set(LEFT_OUT)
    assert set(TAKEN) | set(LEFT_OUT) == set(string.ascii_uppercase)
