"""What is said of samples that came too late."""

import pytest

from scperformer.types import SeedId

CHANNELS = [SeedId("XX", "A", "", f"HH{letter}") for letter in "ZNE12"]


@pytest.fixture
def losses():
    from scperformer.seiscomp.losses import Losses  # noqa: PLC0415

    return Losses()


def test_nothing_lost_is_false(losses):
    assert not losses
    losses.late(CHANNELS[0], 1)
    assert losses


def test_a_channel_that_lost_a_minute_shows_that_the_order_is_wrong(losses):
    for channel in CHANNELS:
        losses.late(channel, 5999)
    assert not losses.is_disorder(100_000)
    losses.late(CHANNELS[0], 1)
    assert losses.is_disorder(100_000)


def test_what_is_late_now_and_then_is_no_disorder(losses):
    losses.late(CHANNELS[0], 50_000)
    assert losses.is_disorder(5_000_000)
    assert not losses.is_disorder(5_000_001)


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("file:///data/all.mseed", "scmssort -u /data/all.mseed > sorted.mseed"),
        ("my day.mseed", "scmssort -u 'my day.mseed' > sorted.mseed"),
        ("-", "scmssort -u FILE > sorted.mseed"),
        ("sdsarchive:///archive", "scmssort -u FILE > sorted.mseed"),
        ("slink://host", "raise lateWait and componentWait"),
    ],
)
def test_the_remedy_fits_the_source(losses, source, remedy):
    losses.late(CHANNELS[0], 100)
    assert remedy in losses.text(source)


def test_the_text_counts_and_names_the_worst(losses):
    for number, channel in enumerate(CHANNELS, start=1):
        losses.late(channel, number)
    text = losses.text("x.mseed")
    assert "15 samples of XX.A..HH2, XX.A..HH1, XX.A..HHE and 2 more lost" in text


def test_records_that_failed_are_counted(losses):
    losses.n_failed = 3
    assert losses
    assert losses.text("x") == "3 records left out by errors; the log names them"
