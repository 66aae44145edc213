"""Records whose last integrity word was never written: used and told, and no excuse for damage."""

import io
import logging

import numpy as np
import obspy
import pytest

from scperformer.errors import RecordError
from scperformer.waveforms import mseed_stream
from scperformer.waveforms.archive import index_inputs
from scperformer.waveforms.mseed_scan import scan_headers
from scperformer.waveforms.mseed_stream import decode_record

RECORD = 512
FRAMES_AT = 64
XN_AT = FRAMES_AT + 8
SAMPLES = np.random.default_rng(4).integers(-9000, 9000, 6000).astype("i4")


def packed(encoding, order, samples=SAMPLES):
    trace = obspy.Trace(samples)
    trace.stats.update({"network": "XX", "station": "ABC", "channel": "HHZ"})
    trace.stats.sampling_rate = 100.0
    buffer = io.BytesIO()
    trace.write(
        buffer, "MSEED", encoding=encoding, reclen=RECORD, byteorder=1 if order == ">" else 0
    )
    return bytearray(buffer.getvalue())


def unsealed(data):
    for at in range(0, len(data), RECORD):
        data[at + XN_AT : at + XN_AT + 4] = bytes(4)
    return data


def read(tmp_path, data):
    path = tmp_path / "a.mseed"
    path.write_bytes(bytes(data))
    index = index_inputs([path])
    problems = list(index.problems)
    records = [r for group in index.groups for r in group.records(report=problems.append)]
    return np.concatenate([r.samples for r in records] or [[]]), problems


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("encoding", ["STEIM1", "STEIM2"])
class TestUnsealed:
    def test_all_samples_are_used_and_it_is_told_once(self, tmp_path, encoding, order):
        data = unsealed(packed(encoding, order))
        samples, problems = read(tmp_path, data)
        np.testing.assert_array_equal(samples, SAMPLES)
        (note,) = problems
        assert note.is_note
        assert note.lost_bytes == 0
        assert note.what.startswith(f"{len(data) // RECORD} records without")

    def test_live_records_are_used_too_and_it_is_told_once(self, caplog, encoding, order):
        mseed_stream._tell_unsealed.cache_clear()
        data = bytes(unsealed(packed(encoding, order)))
        with caplog.at_level(logging.INFO):
            records = [decode_record(data[at : at + RECORD]) for at in range(0, len(data), RECORD)]
        assert [text.split(":")[0] for text in caplog.messages] == ["XX.ABC..HHZ"]
        np.testing.assert_array_equal(np.concatenate([r.samples for r in records]), SAMPLES)

    def test_frames_that_end_too_early_are_damage(self, tmp_path, encoding, order):
        data = unsealed(packed(encoding, order))
        data[RECORD - FRAMES_AT : RECORD] = bytes(FRAMES_AT)
        n_lost = int(scan_headers(bytes(data), at_end=True).records["n_samples"][0])
        samples, problems = read(tmp_path, data)
        np.testing.assert_array_equal(samples, SAMPLES[n_lost:])
        assert [p.lost_bytes for p in problems if not p.is_note] == [RECORD]
        with pytest.raises(RecordError):
            decode_record(bytes(data[:RECORD]))

    def test_a_header_that_promises_fewer_samples_is_damage(self, tmp_path, encoding, order):
        data = unsealed(packed(encoding, order))
        n = int.from_bytes(data[30:32], "big" if order == ">" else "little")
        data[30:32] = (n - 20).to_bytes(2, "big" if order == ">" else "little")
        _, problems = read(tmp_path, data)
        assert [p.lost_bytes for p in problems if not p.is_note] == [RECORD]
        with pytest.raises(RecordError):
            decode_record(bytes(data[:RECORD]))

    def test_a_flipped_bit_in_a_sealed_record_is_caught(self, tmp_path, encoding, order):
        whole = packed(encoding, order)
        for place in (FRAMES_AT + 4, XN_AT + 3, 200, 301):
            data = bytearray(whole)
            data[place] ^= 4
            _, problems = read(tmp_path, data)
            assert [p.lost_bytes for p in problems] == [RECORD], place
            assert not problems[0].is_note
            with pytest.raises(RecordError):
                decode_record(bytes(data[:RECORD]))


def test_records_with_and_without_are_counted_apart(tmp_path):
    data = packed("STEIM2", ">")
    data[XN_AT : XN_AT + 4] = bytes(4)
    data[3 * RECORD + XN_AT : 3 * RECORD + XN_AT + 4] = bytes(4)
    samples, problems = read(tmp_path, data)
    np.testing.assert_array_equal(samples, SAMPLES)
    assert problems[0].what.startswith("2 records without")


def test_a_large_file_is_told_once(tmp_path):
    samples = np.random.default_rng(1).integers(-(2**20), 2**20, 900_000).astype("i4")
    data = unsealed(packed("STEIM2", ">", samples))
    assert len(data) > 2 * (1 << 20)
    found, problems = read(tmp_path, data)
    np.testing.assert_array_equal(found, samples)
    (note,) = problems
    assert note.what.startswith(f"{len(data) // RECORD} records without")
