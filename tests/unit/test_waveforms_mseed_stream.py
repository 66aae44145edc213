"""Single miniSEED records: the same samples as from a file, and no harm from damage."""

import io
from contextlib import suppress

import numpy as np
import obspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.errors import RecordError
from scperformer.waveforms.mseed_stream import RecordStream, decode_record
from tests.profiles import examples

START = obspy.UTCDateTime(2020, 1, 2, 3, 4, 5, 678901)


def check_that_records_are_found(records, junk, chunk):
    """Each of them behind a piece of junk, the bytes coming in chunks."""
    data = b"".join(piece + record for piece, record in zip(junk, records, strict=True))
    stream = RecordStream()
    found = [r for at in range(0, len(data), chunk) for r in stream.push(data[at : at + chunk])]
    stream.finish()
    assert found == records
    assert stream.n_skipped_bytes == sum(map(len, junk))


def pack(samples, *, encoding=None, reclen=512, byteorder=">", rate=100.0):
    trace = obspy.Trace(samples)
    trace.stats.update({"network": "XX", "station": "ABCDE", "location": "01", "channel": "HHZ"})
    trace.stats.sampling_rate, trace.stats.starttime = rate, START
    buffer = io.BytesIO()
    order = 1 if byteorder == ">" else 0
    options = {"encoding": encoding} if encoding else {}
    trace.write(buffer, format="MSEED", reclen=reclen, byteorder=order, **options)
    data = buffer.getvalue()
    return [data[at : at + reclen] for at in range(0, len(data), reclen)]


RANDOM = np.random.default_rng(0)
COUNTS = RANDOM.integers(-5000, 5000, 3000).astype("i4")
RECORDS = pack(COUNTS)


@pytest.mark.parametrize("byteorder", [">", "<"])
@pytest.mark.parametrize("reclen", [256, 512, 4096])
@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [
        ("STEIM1", "i4"),
        ("STEIM2", "i4"),
        ("INT32", "i4"),
        ("INT16", "i2"),
        ("FLOAT32", "f4"),
        ("FLOAT64", "f8"),
    ],
)
def test_samples_time_and_rate_come_back(encoding, dtype, reclen, byteorder):
    samples = COUNTS.astype(dtype)
    found = [
        decode_record(data)
        for data in pack(samples, encoding=encoding, reclen=reclen, byteorder=byteorder, rate=62.5)
    ]
    assert str(found[0].seed_id) == "XX.ABCDE.01.HHZ"
    assert found[0].start_ns == START.ns
    assert found[0].sampling_rate_hz == 62.5
    assert found[0].samples.dtype.str == "<" + ("i4" if dtype == "i2" else dtype)
    assert np.array_equal(np.concatenate([record.samples for record in found]), samples)


def test_records_without_samples_are_none():
    empty = bytearray(RECORDS[0])
    empty[30:32] = bytes(2)
    assert decode_record(bytes(empty)) is None


def test_an_error_begins_with_the_streams_code():
    broken = bytearray(RECORDS[0])
    broken[100:300] = RANDOM.bytes(200)
    with pytest.raises(RecordError, match=r"^XX\.ABCDE\.01\.HHZ: "):
        decode_record(bytes(broken))


class TestDamage:
    @examples(300)
    @given(
        which=st.integers(0, len(RECORDS) - 1),
        changes=st.lists(st.tuples(st.integers(0, 511), st.integers(0, 255)), max_size=8),
    )
    def test_damaged_records_do_no_harm(self, which, changes):
        data = bytearray(RECORDS[which])
        for place, value in changes:
            data[place] = value
        with suppress(RecordError):
            record = decode_record(bytes(data))
            assert record is None or len(record.samples) > 0

    @examples(100)
    @given(data=st.binary(min_size=48, max_size=600))
    def test_bytes_that_are_no_record(self, data):
        with pytest.raises(RecordError):
            decode_record(data)

    @examples(60)
    @given(
        junk=st.lists(st.binary(max_size=300), min_size=4, max_size=4),
        chunk=st.integers(1, 700),
    )
    def test_records_are_found_among_junk(self, junk, chunk):
        check_that_records_are_found(RECORDS[:4], junk, chunk)
