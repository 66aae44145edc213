"""What the tests of streams share: the packets of a few stations, and their picks."""

import pytest

from tests.streaming import network, plain_picks


@pytest.fixture(scope="module")
def packets():
    return network()


@pytest.fixture(scope="module")
def plain(packets):
    """Picks of the packets when nothing disturbs."""
    picks = plain_picks(packets)
    assert len(picks) >= 8
    return picks
