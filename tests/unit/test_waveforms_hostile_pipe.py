"""Bytes without end on standard input: bounded memory, work that grows with their number."""

import logging
import os
import threading

import numpy as np
import pytest

from scperformer.waveforms import mseed_stream, problems
from scperformer.waveforms.mseed_stream import RecordStream
from scperformer.waveforms.problems import LimitedLog
from scperformer.waveforms.replay import PipeSource
from tests.unit.test_waveforms_mseed_stream import RECORDS, pack

CHUNK_BYTES = 1 << 16
COUNTS = np.arange(40_000, dtype="i4") % 777


@pytest.fixture
def work(monkeypatch):
    """Count the bytes that are looked at as headers."""
    looked_at = []
    true_length = mseed_stream.record_length

    def length(data, at):
        looked_at.append(min(len(data) - at, 4096))
        return true_length(data, at)

    monkeypatch.setattr(mseed_stream, "record_length", length)
    return looked_at


def run(data, chunk=CHUNK_BYTES):
    """Push bytes; return the records, the bytes skipped and the largest buffer."""
    stream, found, largest = RecordStream(), [], 0
    for at in range(0, len(data), chunk):
        found += stream.push(data[at : at + chunk])
        largest = max(largest, len(stream._buffer))
    stream.finish()
    assert sum(map(len, found)) + stream.n_skipped_bytes == len(data)
    return found, stream.n_skipped_bytes, largest


def alternating(n):
    long = pack(COUNTS, encoding="INT32", reclen=512)
    short = pack(COUNTS, encoding="INT32", reclen=256)
    return b"".join(short[i] + long[i] for i in range(n))


def lying_header():
    """A header that is right in everything but its length, which it says is 1 MiB."""
    data = bytearray(RECORDS[0][:64])
    data[54] = 20
    return bytes(data)


class TestWork:
    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(alternating, id="alternating lengths"),
            pytest.param(lambda n: np.random.default_rng(n).bytes(n * 768), id="noise"),
            pytest.param(lambda n: b"000000D " * (n * 96), id="signatures"),
            pytest.param(lambda n: RECORDS[0][:60] * (n * 12), id="cut headers"),
            pytest.param(lambda n: bytes(n * 768), id="zeros"),
            pytest.param(lambda n: (lying_header() + bytes(5)) * (n * 11), id="lies"),
        ],
    )
    def test_it_grows_with_the_bytes(self, make, work):
        done = {}
        for n in (100, 200):
            work.clear()
            run(make(n))
            done[n] = sum(work)
        assert done[200] <= 2.2 * done[100] + 20 * 4096

    @pytest.mark.parametrize("chunk", [1, 100, CHUNK_BYTES])
    def test_alternating_lengths_are_all_found(self, chunk):
        found, skipped, _ = run(alternating(30), chunk)
        assert [len(record) for record in found] == [256, 512] * 30
        assert skipped == 0


class TestMemory:
    @pytest.mark.parametrize("unit", [b"\x00", b"000000D ", b"000000", bytes(range(256))])
    def test_garbage_is_not_kept(self, unit):
        _, skipped, largest = run(unit * (4_000_000 // len(unit)))
        assert skipped >= 3_999_000
        assert largest <= 1000

    def test_a_header_that_promises_the_most_is_waited_for_no_longer(self):
        data = lying_header() + np.random.default_rng(1).bytes(3 << 20)
        _, _, largest = run(data)
        assert largest <= (1 << 20) + CHUNK_BYTES


class TestTheEnd:
    @pytest.mark.parametrize("n_bytes", [1, 47, 48, 63, 200, 511])
    def test_half_a_record_is_counted(self, n_bytes):
        found, skipped, _ = run(RECORDS[0] + RECORDS[1][:n_bytes])
        assert found == [RECORDS[0]]
        assert skipped == n_bytes

    def test_it_is_told(self):
        told, records = from_pipe(RECORDS[0] + RECORDS[1][:300])
        assert len(records) == 1
        assert told == [f"{told[0].split(': ')[0]}: 300 bytes were no records"]


def from_pipe(data):
    """Read bytes through a real pipe; return what was told, and the records."""
    read, write = os.pipe()
    told = []

    def feed():
        with os.fdopen(write, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    source = PipeSource(f"/dev/fd/{read}", report=told.append)
    records = list(source.records(threading.Event()))
    thread.join()
    os.close(read)
    return told, records


def test_problems_without_end_fill_no_log(caplog, monkeypatch):
    monkeypatch.setattr(problems, "MOST_LINES", 5)
    log = LimitedLog(logging.getLogger("hostile"), interval_s=600.0)
    for n in range(1000):
        log.warning(n, f"problem {n}")
    assert caplog.messages[:5] == [f"problem {n}" for n in range(5)]
    assert len(caplog.messages) == 6
    assert "further ones are counted" in caplog.messages[5]
    assert log.n_warnings == 1000
