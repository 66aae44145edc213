"""Which channels are seismometers."""

import string

import pytest

from scperformer.core.instruments import LEFT_OUT, TAKEN, why_left_out


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
