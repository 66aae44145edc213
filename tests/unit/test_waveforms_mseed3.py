"""miniSEED 3: whatever miniSEED 2 can, by block and by record, and the two in one file."""

import io
import threading
from contextlib import suppress
from itertools import pairwise

import numpy as np
import obspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.errors import RecordError
from scperformer.types import SeedId
from scperformer.waveforms import mseed_scan
from scperformer.waveforms.archive import index_inputs
from scperformer.waveforms.mseed_headers import MAX_RECORD_BYTES, seed_id_of
from scperformer.waveforms.mseed_samples import checksum_fits
from scperformer.waveforms.mseed_scan import scan_headers
from scperformer.waveforms.mseed_stream import RecordStream, decode_record
from tests.mseed3 import CRC_AT, ENCODINGS, START_NS, pack3, sealed
from tests.profiles import examples
from tests.unit.test_waveforms_hostile_pipe import from_pipe
from tests.unit.test_waveforms_mseed_stream import check_that_records_are_found

SIGNAL = np.random.default_rng(3).integers(-5000, 5000, 3000)
RECORDS = pack3(SIGNAL)
WHOLE = b"".join(RECORDS)


def pack2(samples, start_ns=START_NS, channel="HHZ"):
    codes = {"network": "XX", "station": "ABC", "location": "00", "channel": channel}
    trace = obspy.Trace(np.asarray(samples, np.int32), codes | {"sampling_rate": 100.0})
    trace.stats.starttime = obspy.UTCDateTime(ns=start_ns)
    buffer = io.BytesIO()
    trace.write(buffer, "MSEED", encoding="STEIM2", reclen=512)
    data = buffer.getvalue()
    return [data[at : at + 512] for at in range(0, len(data), 512)]


def from_file(folder, data):
    path = folder / "a.mseed"
    path.write_bytes(data)
    index = index_inputs([path])
    problems = list(index.problems)
    records = [r for group in index.groups for r in group.records(report=problems.append)]
    return records, problems


def joined(records):
    return np.concatenate([record.samples for record in records]) if records else np.zeros(0)


def n_samples(record):
    return len(decode_record(record).samples)


@pytest.mark.parametrize("reclen", [256, 512, 4096])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_samples_times_and_rates_come_back(tmp_path, encoding, reclen):
    raw = pack3(SIGNAL, encoding=encoding, reclen=reclen, rate_hz=62.5)
    live = [decode_record(data) for data in raw]
    records, problems = from_file(tmp_path, b"".join(raw))
    assert problems == []
    for found in (live, records):
        np.testing.assert_array_equal(joined(found), SIGNAL)
        assert {r.samples.dtype for r in found} == {np.dtype(ENCODINGS[encoding])}
        assert found[0].start_ns == START_NS
        assert {(r.seed_id, r.sampling_rate_hz) for r in found} == {
            (SeedId("XX", "ABC", "00", "HHZ"), 62.5)
        }


@examples(80)
@given(
    samples=st.lists(st.integers(-(2**27), 2**27), min_size=1, max_size=400),
    encoding=st.sampled_from(sorted(set(ENCODINGS) - {"INT16", "FLOAT32"})),
    options=st.fixed_dictionaries(
        {
            "start_ns": st.integers(-(10**18), 4 * 10**18),
            "rate_hz": st.sampled_from([0.01, 1.0, 20.0, 100.0, 3999.5, -10.0, -0.005]),
            "reclen": st.sampled_from([128, 512, 4096]),
            "version": st.integers(0, 255),
        }
    ),
)
def test_what_is_written_is_read(samples, encoding, options):
    raw = pack3(samples, encoding=encoding, **options)
    rate_hz = options["rate_hz"]
    found = [decode_record(data) for data in raw]
    np.testing.assert_array_equal(joined(found), samples)
    assert found[0].start_ns == options["start_ns"]
    expected_hz = rate_hz if rate_hz > 0 else -1.0 / rate_hz
    assert found[0].sampling_rate_hz == pytest.approx(expected_hz, rel=1e-12)
    rows = scan_headers(b"".join(raw), at_end=True).records
    assert rows["start_ns"].tolist() == [record.start_ns for record in found]
    assert rows["rate_hz"].tolist() == [record.sampling_rate_hz for record in found]
    assert rows["n_samples"].tolist() == [len(record.samples) for record in found]


@pytest.mark.parametrize(
    ("encoding", "width"), [(12, 3), (13, 2), (14, 2), (16, 2), (30, 2), (32, 2)]
)
def test_encodings_of_old_instruments_are_read_as_in_version_2(tmp_path, encoding, width):
    plain = pack3(SIGNAL[:50], encoding="INT16")[0]
    samples = np.arange(50, dtype="<i2").tobytes()
    data = bytearray(plain[: len(plain) - 100]) + samples + bytes(50 * (width - 2))
    data[15] = encoding
    data[36:40] = (50 * width).to_bytes(4, "little")
    record = decode_record(sealed(data))
    assert len(record.samples) == 50
    records, problems = from_file(tmp_path, sealed(data))
    assert problems == []
    np.testing.assert_array_equal(joined(records), record.samples)


def test_extra_headers_and_the_publication_version_are_passed_over(tmp_path):
    extra = '{"FDSN": {"Time": {"Quality": 100}}}'
    raw = pack3(SIGNAL, extra=extra, version=4)
    assert extra.replace(" ", "").encode() in raw[0].replace(b" ", b"")
    records, problems = from_file(tmp_path, b"".join(raw))
    assert problems == []
    np.testing.assert_array_equal(joined(records), SIGNAL)


def test_versions_2_and_3_may_stand_in_one_file(tmp_path):
    parts = np.split(SIGNAL, [1000, 2000])
    second, third = START_NS + 10 * 10**9, START_NS + 20 * 10**9
    data = b"".join(pack2(parts[0]) + pack3(parts[1], start_ns=second) + pack2(parts[2], third))
    records, problems = from_file(tmp_path, data)
    assert problems == []
    np.testing.assert_array_equal(joined(records), SIGNAL)
    stream = RecordStream()
    np.testing.assert_array_equal(joined([decode_record(r) for r in stream.push(data)]), SIGNAL)
    assert stream.n_skipped_bytes == 0


def test_a_file_of_several_blocks(tmp_path):
    samples = np.random.default_rng(0).integers(-(2**28), 2**28, 1_200_000)
    data = b"".join(pack3(samples, encoding="INT32", reclen=3000))
    assert len(data) > 2 * (2 << 20)
    records, problems = from_file(tmp_path, data)
    assert problems == []
    np.testing.assert_array_equal(joined(records), samples)


class TestSourceIdentifiers:
    @pytest.mark.parametrize(
        ("source", "codes"),
        [
            (b"FDSN:XX_ABC_00_H_H_Z", ("XX", "ABC", "00", "HHZ")),
            (b"FDSN:XX_ABC__B_N_1", ("XX", "ABC", "", "BN1")),
            (b"FDSN:NETWORKS_STATIONS_LOCATION_H_H_Z",
             ("NETWORKS", "STATIONS", "LOCATION", "HHZ")),
            (b"FDSN:XX_ABC_00_H_WIND_SPD", ("XX", "ABC", "00", "H_WIND_SPD")),
            (b"FDSN:XX_ABC_00__H_Z", ("XX", "ABC", "00", "_H_Z")),
            (b"FDSN:XX_ABC_00_HHZ", ("", "", "", "XX_ABC_00_HHZ")),
            (b"FDSN:", ("", "", "", "")),
        ],
    )  # fmt: skip
    def test_the_channel_is_band_source_and_subsource(self, source, codes):
        assert seed_id_of(source) == SeedId(*codes)

    @pytest.mark.parametrize("source", ["FDSN:XX_ABC_00_H_WIND_SPD", "FDSN:XX_ABC_00__H_Z"])
    def test_what_no_seed_channel_can_be_is_counted_and_refused(self, tmp_path, source):
        other = pack3(SIGNAL, source)
        records, problems = from_file(tmp_path, WHOLE + b"".join(other))
        np.testing.assert_array_equal(joined(records), SIGNAL)
        (problem,) = problems
        assert "source identifier without" in problem.what
        assert problem.lost_bytes == len(b"".join(other))
        with pytest.raises(RecordError, match="source identifier without"):
            decode_record(other[0])

    def test_a_text_record_has_no_samples(self, tmp_path):
        data = bytearray(RECORDS[0])
        data[15] = 0
        assert decode_record(sealed(data)) is None
        records, problems = from_file(tmp_path, sealed(data) + WHOLE)
        assert problems == []
        np.testing.assert_array_equal(joined(records), SIGNAL)


class TestDamage:
    def test_every_flipped_bit_is_noticed(self):
        data, rng = RECORDS[0], np.random.default_rng(5)
        for bit in rng.permutation(len(data) * 8)[:600].tolist():
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(RecordError):
                decode_record(bytes(flipped))

    def test_a_checksum_that_does_not_fit_costs_its_record_and_is_named(self, tmp_path):
        data = bytearray(WHOLE)
        at = len(RECORDS[0])
        data[at + CRC_AT] ^= 1
        records, problems = from_file(tmp_path, bytes(data))
        (problem,) = problems
        assert "checksum does not fit" in problem.what
        assert (problem.byte_offset, problem.lost_bytes) == (at, len(RECORDS[1]))
        keep = np.ones(len(SIGNAL), bool)
        first = n_samples(RECORDS[0])
        keep[first : first + n_samples(RECORDS[1])] = False
        np.testing.assert_array_equal(joined(records), SIGNAL[keep])
        with pytest.raises(RecordError, match=r"^XX\.ABC\.00\.HHZ: .*checksum does not fit"):
            decode_record(bytes(data[at : at + len(RECORDS[1])]))

    @pytest.mark.parametrize("length", [0, 3, 5000, MAX_RECORD_BYTES - 100, 2**32 - 1])
    def test_a_wrong_length_costs_one_record(self, tmp_path, length):
        data = bytearray(WHOLE)
        at = len(RECORDS[0])
        data[at + 36 : at + 40] = length.to_bytes(4, "little")
        records, problems = from_file(tmp_path, bytes(data))
        assert problems[0].byte_offset == at
        assert problems[0].lost_bytes == len(RECORDS[1])
        assert len(joined(records)) == len(SIGNAL) - n_samples(RECORDS[1])
        stream = RecordStream()
        found = []
        for raw in stream.push(bytes(data)):
            with suppress(RecordError):
                found.append(decode_record(raw))
        assert len(joined(found)) == len(SIGNAL) - n_samples(RECORDS[1])

    def test_a_last_record_that_is_cut_short_is_told(self, tmp_path):
        records, problems = from_file(tmp_path, WHOLE[:-10])
        (problem,) = problems
        assert f"cut short: {len(RECORDS[-1]) - 10} of {len(RECORDS[-1])} bytes" in problem.what
        assert len(joined(records)) == len(SIGNAL) - n_samples(RECORDS[-1])

    def test_frames_that_were_wrong_before_the_checksum_was_made(self, tmp_path):
        data = bytearray(RECORDS[0])
        data[-200] ^= 4
        with pytest.raises(RecordError, match="contradict"):
            decode_record(sealed(data))
        records, problems = from_file(tmp_path, sealed(data))
        assert records == []
        assert [problem.lost_bytes for problem in problems] == [len(data)]

    def test_more_samples_than_there_is_room_for_are_not_believed(self, tmp_path):
        data = bytearray(RECORDS[0])
        data[24:28] = b"\xff" * 4
        with pytest.raises(RecordError, match="promises 4294967295 samples"):
            decode_record(sealed(data))
        assert "contradicts itself" in from_file(tmp_path, sealed(data))[1][0].what

    @examples(200)
    @given(
        changes=st.lists(st.tuples(st.integers(0, 511), st.integers(0, 255)), max_size=8),
        seal=st.booleans(),
    )
    def test_damaged_records_do_no_harm(self, changes, seal):
        data = bytearray(RECORDS[0])
        for place, value in changes:
            data[place % len(data)] = value
        data = sealed(data) if seal else bytes(data)
        with suppress(RecordError):
            record = decode_record(data)
            assert record is None or len(record.samples) > 0
            assert checksum_fits(data, 0, len(data))

    def test_headers_in_headers_cost_no_more_than_the_bytes(self, monkeypatch):
        checked = []
        monkeypatch.setattr(
            mseed_scan, "checksum_fits", lambda data, at, length: checked.append(length)
        )
        lie = bytearray(RECORDS[0][:60])
        lie[36:40] = (500_000).to_bytes(4, "little")
        data = bytes(lie) * 20_000
        assert not len(scan_headers(data, at_end=True).records)
        assert sum(checked) <= len(data)


class TestStream:
    @examples(100)
    @given(cuts=st.lists(st.integers(0, len(WHOLE)), max_size=40))
    def test_it_may_be_split_at_any_byte(self, cuts):
        edges = [0, *sorted(cuts), len(WHOLE)]
        stream = RecordStream()
        pieces = (WHOLE[begin:end] for begin, end in pairwise(edges))
        assert [raw for piece in pieces for raw in stream.push(piece)] == RECORDS
        stream.finish()
        assert stream.n_skipped_bytes == 0

    def test_every_byte_by_itself(self):
        data = pack2(SIGNAL[:500])[0] + WHOLE + pack2(SIGNAL[:500])[0]
        stream = RecordStream()
        found = [raw for byte in data for raw in stream.push(bytes([byte]))]
        assert b"".join(found) == data
        assert len(found) == len(RECORDS) + 2

    @examples(60)
    @given(
        junk=st.lists(
            st.one_of(st.binary(max_size=300), st.just(b"MS\x03")), min_size=4, max_size=4
        ),
        chunk=st.integers(1, 700),
    )
    def test_records_are_found_among_junk(self, junk, chunk):
        check_that_records_are_found(RECORDS[:4], junk, chunk)

    def test_standard_input_takes_both_versions(self):
        damaged = bytearray(RECORDS[2])
        damaged[-1] ^= 1
        told, records = from_pipe(b"".join((*RECORDS[:2], bytes(damaged), *pack2(SIGNAL[:500]))))
        expected = joined([decode_record(raw) for raw in RECORDS[:2]])
        np.testing.assert_array_equal(joined(records), np.concatenate([expected, SIGNAL[:500]]))
        (line,) = told
        assert line.endswith("XX.ABC.00.HHZ: a record whose checksum does not fit")


def test_threads_unpack_side_by_side_and_say_nothing(capfd):
    damaged = bytearray(RECORDS[0])
    damaged[-200:-100] = bytes(range(100))
    damaged = sealed(damaged)
    faults = []

    def unpack():
        for _ in range(50):
            if not np.array_equal(joined([decode_record(r) for r in RECORDS]), SIGNAL):
                faults.append("samples")
            with suppress(RecordError):
                decode_record(damaged)
                faults.append("damage")

    threads = [threading.Thread(target=unpack) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert capfd.readouterr() == ("", "")
