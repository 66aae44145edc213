"""miniSEED files: what is read of whole, mixed, damaged and large ones."""

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import obspy
import pytest
from obspy import Stream, Trace, UTCDateTime

from scperformer.types import SeedId
from scperformer.waveforms import contents as contents_module
from scperformer.waveforms import mseed, mseed_scan, reading
from scperformer.waveforms.archive import index_inputs
from scperformer.waveforms.contents import ChannelFile, Span
from scperformer.waveforms.cutting import DecodedRecords, cut_records
from scperformer.waveforms.mseed_scan import scan_headers
from scperformer.waveforms.reading import read_merged

START_NS = 1_700_000_000_123_400_000
START = UTCDateTime(ns=START_NS)
RECORD = 512


def signal(n=20_000, seed=0, dtype=np.int32):
    return np.random.default_rng(seed).normal(0, 3000, n).astype(dtype)


def trace(samples, channel="HHZ", start=START, rate=100.0):
    codes = {"network": "XX", "station": "ABC", "location": "00", "channel": channel}
    return Trace(samples, header=codes | {"starttime": start, "sampling_rate": rate})


def packed(*traces, encoding="STEIM2", reclen=RECORD, **kwargs):
    buffer = io.BytesIO()
    Stream(list(traces)).write(buffer, "MSEED", encoding=encoding, reclen=reclen, **kwargs)
    return buffer.getvalue()


def written(folder, data, name="a.mseed"):
    path = Path(folder) / name
    path.write_bytes(data)
    return path


def read_all(*paths, **kwargs):
    index = index_inputs(list(paths), **kwargs)
    problems = list(index.problems)
    records = [r for group in index.groups for r in group.records(report=problems.append)]
    return records, problems


def joined(records, channel="HHZ"):
    mine = [r for r in records if r.seed_id.channel == channel]
    return np.concatenate([r.samples for r in mine]) if mine else np.zeros(0)


@pytest.mark.parametrize(
    ("encoding", "dtype"),
    [("STEIM1", "i4"), ("STEIM2", "i4"), ("INT32", "i4"), ("FLOAT32", "f4"), ("FLOAT64", "f8")],
)
@pytest.mark.parametrize("order", [">", "<"])
def test_samples_times_and_dtypes_are_kept(tmp_path, encoding, dtype, order):
    samples = signal(dtype=dtype)
    records, problems = read_all(
        written(tmp_path, packed(trace(samples), encoding=encoding, byteorder=order))
    )
    assert problems == []
    assert {r.samples.dtype for r in records} == {np.dtype(dtype)}
    np.testing.assert_array_equal(joined(records), samples)
    assert records[0].start_ns == START_NS
    assert records[0].seed_id == SeedId("XX", "ABC", "00", "HHZ")
    for record, following in pairwise(records):
        assert abs(record.end_ns - following.start_ns) <= 1000


def test_records_are_cut_on_the_clock_and_components_come_in_turns(tmp_path):
    traces = [
        trace(signal(9000, seed), channel, START + shift)
        for seed, (channel, shift) in enumerate([("HHN", 0.0), ("HHE", 0.003), ("HHZ", 1.007)])
    ]
    index = index_inputs([written(tmp_path, packed(*traces))])
    records = list(index.groups[0].records(record_s=10.0))
    starts = [r.start_ns for r in records]
    assert starts == sorted(starts)
    assert max(len(r.samples) for r in records) == 1000
    for record in records[3:-3]:
        assert record.start_ns % 10_000_000_000 < 10_000_000
    assert {r.seed_id.channel for r in records[3:6]} == {"HHN", "HHE", "HHZ"}


def test_record_lengths_encodings_and_rates_may_change_within_a_file(tmp_path):
    parts = [signal(3000, seed) for seed in range(4)]
    data = b""
    at = START
    for part, (encoding, reclen, rate) in zip(
        parts,
        [("STEIM2", 512, 100.0), ("FLOAT32", 4096, 100.0), ("STEIM1", 256, 100.0),
         ("INT32", 1024, 50.0)],
        strict=True,
    ):  # fmt: skip
        typed = part.astype(np.float32 if encoding == "FLOAT32" else np.int32)
        data += packed(trace(typed, start=at, rate=rate), encoding=encoding, reclen=reclen)
        at += len(part) / rate
    records, problems = read_all(written(tmp_path, data))
    assert problems == []
    np.testing.assert_array_equal(joined(records), np.concatenate(parts))
    assert records[0].sampling_rate_hz == 100.0
    assert records[-1].sampling_rate_hz == 50.0


def test_a_drifting_clock_stays_true(tmp_path):
    n, per_record, creep_s = 40, 100, 0.001
    data = b"".join(
        packed(trace(signal(per_record, k), start=START + k * (per_record / 100 + creep_s)))
        for k in range(n)
    )
    index = index_inputs([written(tmp_path, data)])
    true_ns = START_NS + np.arange(n) * round((per_record / 100 + creep_s) * 1e9)
    for record in index.groups[0].records(record_s=5.0):
        begun = np.flatnonzero(true_ns <= record.start_ns + 1000)[-1]
        ahead_s = (record.start_ns - true_ns[begun]) / 1e9
        assert abs(ahead_s * 100 - round(ahead_s * 100)) < 0.02


@pytest.mark.filterwarnings("ignore:Record contains", "ignore:readMSEEDBuffer")
def test_time_corrections_and_microseconds_are_read_as_obspy_does():
    folder = Path(obspy.__file__).parent / "io/mseed/tests/data"
    if not folder.is_dir():
        pytest.skip("this obspy came without its test data")
    for name in (
        "one_record_already_applied_time_correction.mseed",
        "one_record_time_corr_applied_but_time_corr_is_zero.mseed",
        "microsecond_wrap.mseed",
        "blockette300.mseed",
        "single_record_negative_sr_fact_and_mult.mseed",
        "reclen_1024_without_sequence_numbers.mseed",
        "fullseed.mseed",
    ):
        stream = obspy.read(str(folder / name))
        contents = contents_module.look_into(folder / name, named=True)
        assert contents.problems == (), name
        records = list(
            read_merged(contents.channels, span=Span(), record_s=60.0, report=pytest.fail)
        )
        assert min(r.start_ns for r in records) == min(t.stats.starttime.ns for t in stream), name
        assert sum(len(r.samples) for r in records) == sum(t.stats.npts for t in stream), name
        rates = {t.stats.sampling_rate for t in stream}
        assert sorted({r.sampling_rate_hz for r in records}) == pytest.approx(sorted(rates)), name


def test_late_records_come_in_their_place(tmp_path):
    samples = signal(30_000)
    blocks = [samples[i : i + 3000] for i in range(0, 30_000, 3000)]
    chunks = [packed(trace(block, start=START + 30 * i)) for i, block in enumerate(blocks)]
    late_last = chunks[:3] + chunks[4:] + [chunks[3]]
    records, problems = read_all(written(tmp_path, b"".join(late_last)))
    assert problems == []
    np.testing.assert_array_equal(joined(records), samples)


def test_overlapping_files_hand_on_every_sample_in_time_order(tmp_path):
    samples = signal(20_000)
    first = written(tmp_path, packed(trace(samples[:12_000])), "1")
    second = written(tmp_path, packed(trace(samples[8_000:], start=START + 80)), "2")
    records, _ = read_all(second, first, first)
    starts = [r.start_ns for r in records]
    assert starts == sorted(starts)
    assert len(joined(records)) == 24_000
    seen = np.full(20_000, -1)
    for record in records:
        at = round((record.start_ns - START_NS) / 1e7)
        seen[at : at + len(record.samples)] = record.samples
    np.testing.assert_array_equal(seen, samples)


def test_span_cuts_to_the_sample(tmp_path):
    path = written(tmp_path, packed(trace(signal())))
    records, _ = read_all(
        path, start_ns=START_NS + 10_000_000_000, end_ns=START_NS + 20_000_000_000
    )
    np.testing.assert_array_equal(joined(records), signal()[1000:2000])
    assert records[0].start_ns == START_NS + 10_000_000_000
    assert index_inputs([path], start_ns=START_NS + 10**15).groups == ()


class TestDamage:
    def test_a_truncated_last_record_is_told_and_the_rest_used(self, tmp_path):
        data = packed(trace(signal()))
        whole, _ = read_all(written(tmp_path, data[:-RECORD], "whole"))
        records, problems = read_all(written(tmp_path, data[:-100], "cut"))
        np.testing.assert_array_equal(joined(records), joined(whole))
        (problem,) = problems
        assert "cut short: 412 of 512 bytes" in problem.what
        assert (problem.byte_offset, problem.lost_bytes) == (len(data) - RECORD, 412)

    @pytest.mark.parametrize("fill", [b"\xff" * 700, b"\x00" * 700, b"damage!" * 100])
    def test_records_before_and_behind_damage_are_used(self, tmp_path, fill):
        data = bytearray(packed(trace(signal())))
        data[5 * RECORD + 10 : 5 * RECORD + 10 + len(fill)] = fill
        records, problems = read_all(written(tmp_path, bytes(data)))
        (problem,) = problems
        assert problem.byte_offset == 5 * RECORD
        assert problem.lost_bytes == 2 * RECORD
        rows = scan_headers(packed(trace(signal())), at_end=True).records
        keep = np.ones(len(signal()), bool)
        keep[rows["n_samples"][:5].sum() : rows["n_samples"][:7].sum()] = False
        np.testing.assert_array_equal(joined(records), signal()[keep])

    @pytest.mark.parametrize("n_bytes", [1, 100, 777])
    def test_bytes_put_in_between_cost_nothing_else(self, tmp_path, n_bytes):
        data = packed(trace(signal()))
        cut = 7 * RECORD
        records, problems = read_all(written(tmp_path, data[:cut] + b"\x8f" * n_bytes + data[cut:]))
        np.testing.assert_array_equal(joined(records), signal())
        (problem,) = problems
        assert (problem.byte_offset, problem.lost_bytes) == (cut, n_bytes)

    def test_a_record_whose_samples_contradict_its_frames_is_left_out(self, tmp_path):
        data = bytearray(packed(trace(signal())))
        data[3 * RECORD + 200 : 3 * RECORD + 210] = bytes(range(10))
        records, problems = read_all(written(tmp_path, bytes(data)))
        (problem,) = problems
        assert (problem.byte_offset, problem.lost_bytes) == (3 * RECORD, RECORD)
        rows = scan_headers(bytes(data), at_end=True).records
        n_lost = rows["n_samples"][3]
        assert len(joined(records)) == len(signal()) - n_lost

    @pytest.mark.parametrize("exponent", [7, 12, 20, 200])
    def test_a_wrong_record_length_costs_one_record(self, tmp_path, exponent):
        data = bytearray(packed(trace(signal())))
        at_exponent = 48 + 6
        data[4 * RECORD + at_exponent] = exponent
        records, problems = read_all(written(tmp_path, bytes(data)))
        rows = scan_headers(packed(trace(signal())), at_end=True).records
        assert len(joined(records)) == len(signal()) - rows["n_samples"][4]
        assert problems

    def test_an_impossible_number_of_samples_never_reaches_the_decoder(self, tmp_path):
        data = bytearray(packed(trace(signal()), encoding="INT32"))
        data[30:32] = b"\xff\xff"
        records, problems = read_all(written(tmp_path, bytes(data)))
        assert "contradicts itself" in problems[0].what
        assert 0 < len(joined(records)) < len(signal())

    def test_padding_is_no_damage(self, tmp_path):
        data = packed(trace(signal()))
        noise = b"000001" + b" " * (RECORD - 6)
        records, problems = read_all(
            written(tmp_path, data[:RECORD] + noise + data[RECORD:] + b"\x00" * 3000)
        )
        assert problems == []
        np.testing.assert_array_equal(joined(records), signal())

    def test_a_file_that_vanishes_is_told(self, tmp_path):
        path = written(tmp_path, packed(trace(signal())))
        group = index_inputs([path]).groups[0]
        path.unlink()
        problems = []
        assert list(group.records(report=problems.append)) == []
        assert "no such file" in problems[0].what


N_LARGE = 700_000


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    samples = signal(N_LARGE, dtype=np.float64)
    data = packed(trace(samples), encoding="FLOAT64", reclen=4096)
    return written(tmp_path_factory.mktemp("large"), data)


class TestLargeFiles:
    def test_one_channel_is_seen_by_a_few_probes(self, large, monkeypatch):
        monkeypatch.setattr(mseed, "_thorough_look", None)
        contents = mseed.look_into(large)
        assert not contents.thorough
        (span,) = contents.spans
        assert span.start_ns == START_NS
        assert span.end_ns == START_NS + N_LARGE * 10_000_000

    def test_a_month_is_no_jump(self, tmp_path, monkeypatch):
        monkeypatch.setattr(mseed, "_thorough_look", None)
        month = packed(trace(signal(N_LARGE, dtype=np.float64), rate=0.25), encoding="FLOAT64")
        (span,) = mseed.look_into(written(tmp_path, month)).spans
        assert span.end_ns - span.start_ns == N_LARGE * 4 * 10**9

    @pytest.mark.parametrize("days", [-18_000, -3, 3, 365])
    def test_a_jump_of_days_leads_to_a_thorough_look_and_parts_the_channel(self, tmp_path, days):
        own = {"encoding": "FLOAT64", "reclen": 4096}
        halves = [
            packed(trace(signal(N_LARGE // 2, dtype=np.float64), start=start), **own)
            for start in (START, START + 86_400 * days)
        ]
        contents = mseed.look_into(written(tmp_path, b"".join(halves)))
        assert contents.thorough
        starts = sorted((START_NS, START_NS + 86_400 * 10**9 * days))
        assert [span.start_ns for span in contents.spans] == starts
        lengths = {span.end_ns - span.start_ns for span in contents.spans}
        assert lengths == {N_LARGE // 2 * 10_000_000}

    def test_blocks_are_unpacked_one_at_a_time(self, large, monkeypatch):
        unpacked = []
        read_block = mseed.read_block

        def counting(*args):
            unpacked.append(args)
            return read_block(*args)

        monkeypatch.setattr(reading.mseed, "read_block", counting)
        records = index_inputs([large]).groups[0].records()
        next(records)
        assert len(unpacked) == 1
        rest = sum(len(r.samples) for r in records)
        assert rest > N_LARGE - 6000
        assert len(unpacked) == 3

    def test_only_blocks_inside_the_span_are_unpacked(self, large, monkeypatch):
        unpacked = []
        read_block = mseed.read_block
        monkeypatch.setattr(
            reading.mseed, "read_block", lambda *args: unpacked.append(1) or read_block(*args)
        )
        end_ns = START_NS + N_LARGE * 10_000_000
        index = index_inputs([large], start_ns=end_ns - 10**9)
        assert sum(len(r.samples) for r in index.groups[0].records()) == 100
        assert len(unpacked) == 1

    def test_a_second_channel_leads_to_a_thorough_look(self, large, tmp_path):
        other = packed(trace(signal(5000), channel="HHN"))
        contents = mseed.look_into(written(tmp_path, large.read_bytes() + other))
        assert contents.thorough
        assert {span.seed_id.channel for span in contents.spans} == {"HHN", "HHZ"}

    def test_damage_found_late_is_told_once(self, large, tmp_path):
        data = bytearray(large.read_bytes())
        data[4096 * 700 : 4096 * 700 + 48] = b"\xaa" * 48
        index = index_inputs([written(tmp_path, bytes(data))])
        problems = list(index.problems)
        n = sum(len(r.samples) for r in index.groups[0].records(report=problems.append))
        assert len(problems) == 1
        assert problems[0].byte_offset == 4096 * 700
        assert n == N_LARGE - 505

    def test_read_whole_it_is_one_record_up_to_the_damage(self, large, tmp_path):
        data = bytearray(large.read_bytes())
        data[4096 * 700 : 4096 * 700 + 48] = b"\xaa" * 48
        problems = []
        path = written(tmp_path, bytes(data))
        records = contents_module.read_whole(path, report=problems.append)
        assert [problem.byte_offset for problem in problems] == [4096 * 700]
        assert len(records) == 2
        assert len(joined(records)) == N_LARGE - 505


def test_read_merged_takes_files_of_several_channels_in_any_order(tmp_path):
    path = written(tmp_path, packed(*(trace(signal(), channel) for channel in ("HHN", "HHZ"))))
    files = [
        ChannelFile(path, span.seed_id, span.sampling_rate_hz, span.start_ns, span.end_ns)
        for span in mseed.look_into(path).spans
    ]
    records = list(read_merged(files[::-1], span=Span(), record_s=60.0, report=pytest.fail))
    np.testing.assert_array_equal(joined(records, "HHN"), signal())
    np.testing.assert_array_equal(joined(records, "HHZ"), signal())


class TestWork:
    """Costs grow with the size of a file, whatever stands in it: counted, not timed."""

    @pytest.fixture
    def looked_at(self, monkeypatch):
        rows = []
        alike = mseed_scan._alike

        def counting(some, *args):
            rows.append(len(some))
            return alike(some, *args)

        monkeypatch.setattr(mseed_scan, "_alike", counting)
        return rows

    @pytest.mark.parametrize(
        "kinds",
        [
            [(256, ">"), (512, ">"), (4096, ">")],
            [(256, ">"), (256, "<")],
            [(512, "<"), (256, ">"), (256, "<"), (512, ">")],
            [(256, ">")],
        ],
    )
    def test_headers_are_looked_at_a_few_times_each(self, kinds, looked_at):
        units = [
            packed(trace(signal(20, seed), start=START + seed), reclen=length, byteorder=order)
            for seed, (length, order) in enumerate(kinds)
        ]
        data = b"".join(units) * 300
        scan = scan_headers(data, at_end=True)
        assert len(scan.records) == 300 * len(kinds)
        assert not scan.damages
        assert sum(looked_at) <= 24 * len(scan.records)

    def test_channels_and_encodings_in_turns_are_unpacked_together(self, tmp_path, monkeypatch):
        calls = []
        unpack = mseed.unpack
        monkeypatch.setattr(mseed, "unpack", lambda *args: calls.append(1) or unpack(*args))
        data = b"".join(
            packed(
                trace(signal(40, n, np.float32 if encoding == "FLOAT32" else np.int32), channel,
                      START + 0.4 * n),
                encoding=encoding,
            )
            for n in range(100)
            for channel in ("HHN", "HHE", "HHZ")
            for encoding in [("STEIM2", "FLOAT32", "INT32")[n % 3]]
        )  # fmt: skip
        records, problems = read_all(written(tmp_path, data))
        assert problems == []
        expected = np.concatenate([signal(40, n) for n in range(100)])
        np.testing.assert_allclose(joined(records, "HHE"), expected, atol=1.0)
        assert len(calls) == 9

    def test_a_sample_every_quarter_of_an_hour_is_not_a_record_of_its_own(self):
        decoded = DecodedRecords(
            SeedId("XX", "A", "", "UHZ"), 1e-3, np.array([0]), np.array([6400]),
            np.zeros(6400, np.int32),
        )  # fmt: skip
        assert len(list(cut_records(decoded, record_s=60.0))) == 400
