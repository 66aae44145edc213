"""Addresses, TLS files and pauses of the messaging."""

import random

import pytest

from scperformer.errors import ConfigurationError
from scperformer.messaging.bus_link import Address, Timing, tls_context


@pytest.mark.parametrize(
    ("url", "address", "uri"),
    [
        (
            "scmp://host",
            Address("host", 18180, "/production"),
            "ws://host:18180/production",
        ),
        (
            "scmp://host:1234/",
            Address("host", 1234, "/production"),
            "ws://host:1234/production",
        ),
        (
            "scmps://host/playback",
            Address("host", 18181, "/playback", secure=True),
            "wss://host:18181/playback",
        ),
        (
            "scmp://proxy/scmaster/playback",
            Address("proxy", 18180, "/scmaster/playback"),
            "ws://proxy:18180/scmaster/playback",
        ),
        (
            "scmp://me:p%40ss%3A@[::1]:5/q",
            Address("::1", 5, "/q", user="me", password="p@ss:"),
            "ws://[::1]:5/q",
        ),
    ],
)
def test_addresses_are_read(url, address, uri):
    assert Address.parse(url) == address
    assert address.websocket_uri == uri


def test_a_password_is_sent_and_not_shown():
    address = Address.parse("scmps://me:secret@host/q")
    assert address.headers == {"Authorization": "Basic bWU6c2VjcmV0"}
    assert str(address) == "scmps://me@host:18181/q"
    assert "secret" not in repr(address)
    assert Address.parse("scmp://host").headers == {}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:18180",
        "http://host",
        "http://host:80/q",
        "scmp://",
        "scmp:///production",
        "scmp://host:port/",
        "scmp://host:0/",
        "scmp://host:99999/",
        "scmp://host/q?ack=1",
        "scmp://me:secret@:1/",
        "scmp://[::1/",
    ],
)
def test_other_urls_are_refused(url):
    with pytest.raises(ConfigurationError, match="wanted a messaging server, scmp://") as caught:
        Address.parse(url)
    assert "secret" not in str(caught.value)


def test_files_for_tls_must_be_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"ca\.pem cannot be used"):
        tls_context(tmp_path / "ca.pem")
    (tmp_path / "own.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"own\.pem cannot be used"):
        tls_context(tmp_path / "own.pem")


def test_pauses_grow_to_a_limit():
    timing = Timing(first_pause_s=1.0, longest_pause_s=60.0)
    assert [timing.pause_s(n) for n in (0, 1, 2, 5, 6, 1000)] == [1, 2, 4, 32, 60, 60]
    assert 0.5 <= random.Random(1).uniform(0.5, 1.0) * timing.pause_s(0) <= 1.0
