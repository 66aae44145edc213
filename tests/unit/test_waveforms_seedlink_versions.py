"""What SeedLink 3 and 4 put on the wire, without a wire."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.types import parse_time
from scperformer.waveforms.seedlink_versions import (
    LARGEST_DATA_BYTES,
    NoPacketError,
    StationRequest,
    Version3,
    Version4,
)
from tests.seedlink_server import packet_4

SINCE_NS = parse_time("2024-01-02T03:04:05.6")


def request(**more):
    return StationRequest("XX", "A", ("HHZ",), **more)


@pytest.mark.parametrize(
    ("selector", "asked"),
    [
        ("HH?", "*_H_H_?"),
        ("00HH?", "00_H_H_?"),
        ("--HHZ", "_H_H_Z"),
        ("??HHZ", "*_H_H_Z"),
        ("1?HHZ.D", "1?_H_H_Z.?D"),
        ("???.D", "*_?_?_?.?D"),
        ("!BHZ", "!*_B_H_Z"),
        ("!10BHZ.E", "!10_B_H_Z.?E"),
        ("D", "*_*"),
        ("00", "00_*"),
    ],
)
def test_selectors_of_version_4(selector, asked):
    assert Version4().select(selector) == f"SELECT {asked}"


def test_stations():
    assert Version3(3.1).station(request()) == "STATION A XX"
    assert Version4().station(request()) == "STATION XX_A"


@pytest.mark.parametrize(
    ("version", "known", "actions"),
    [
        (Version3(0.0), {}, ["DATA"]),
        (Version3(3.1), {"since_ns": SINCE_NS}, ["TIME 2024,01,02,03,04,05", "DATA"]),
        (
            Version3(3.1),
            {"since_ns": SINCE_NS, "after": 0xFFFFFF},
            ["DATA 000000 2024,01,02,03,04,05", "DATA 000000", "DATA"],
        ),
        (Version3(2.92), {"since_ns": SINCE_NS, "after": 9}, ["DATA 00000A", "DATA"]),
        (Version4(), {}, ["DATA"]),
        (Version4(), {"since_ns": SINCE_NS}, ["DATA ALL 2024-01-02T03:04:05Z", "DATA"]),
        (Version4(), {"since_ns": SINCE_NS, "after": 1 << 60}, [f"DATA {(1 << 60) + 1}", "DATA"]),
    ],
)
def test_where_to_begin(version, known, actions):
    assert version.actions(request(**known)) == actions


@given(
    st.binary(max_size=600),
    st.integers(0, (1 << 64) - 1),
    st.from_regex(r"[A-Z0-9]{1,8}_[A-Z0-9]{1,8}", fullmatch=True),
)
def test_packets_are_read_whole_or_not_at_all(payload, number, code):
    sent = bytearray(packet_4(b"2D", number, code, payload))
    for n_bytes in range(0, len(sent), 7):
        assert Version4().packet(sent[:n_bytes]) is None
    packet = Version4().packet(sent + b"more")
    assert (packet.n_bytes, packet.sequence, packet.payload) == (len(sent), number, payload)
    assert "_".join(packet.station) == code


@given(st.binary(min_size=17, max_size=1200))
@pytest.mark.parametrize("version", [Version3(0.0), Version4()])
def test_any_bytes_are_a_packet_or_none(version, data):
    with suppress(NoPacketError):
        packet = version.packet(bytearray(data))
        assert packet is None or 0 < packet.n_bytes <= len(data)


def test_a_payload_that_is_too_long_is_taken_for_an_empty_one():
    sent = bytearray(packet_4(b"3D", 5, "XX_A", b""))
    sent[4:8] = (LARGEST_DATA_BYTES + 1).to_bytes(4, "little")
    packet = Version4().packet(sent)
    assert (packet.n_bytes, packet.sequence, packet.payload) == (len(sent), 5, b"")
