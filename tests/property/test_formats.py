"""Whatever way a signal is packed, whatever happens to the bytes, whatever the picks."""

import io
import json
import math
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import obspy
from hypothesis import example, given
from hypothesis import strategies as st
from lxml import etree
from obspy import Stream, Trace, UTCDateTime
from obspy.io.quakeml.core import _validate as is_valid_quakeml
from obspy.io.seiscomp.core import validate as is_valid_scml

from scperformer.picks.columns import COLUMNS, row
from scperformer.picks.pick_files import BY_SUFFIX, in_order, open_sink, read_pick_file
from scperformer.picks.style import Style
from scperformer.types import Onset, Phase, Pick, Polarity, SeedId
from scperformer.waveforms.archive import index_inputs
from scperformer.waveforms.inputs import list_lines
from scperformer.waveforms.mseed_scan import scan_headers
from tests.profiles import examples

N_SAMPLES = 6000
START_NS = 1_700_000_000_123_456_000
SIGNAL = {
    channel: np.random.default_rng(seed).integers(-8000, 8000, N_SAMPLES).astype(np.int32)
    for seed, channel in enumerate(("HHN", "HHE", "HHZ"))
}
ENCODINGS = {
    "STEIM1": np.int32,
    "STEIM2": np.int32,
    "INT16": np.int16,
    "INT32": np.int32,
    "FLOAT32": np.float32,
    "FLOAT64": np.float64,
}
SLOW, QUICK = examples(25), examples(100)


def packed(channel, begin, end, *, encoding="STEIM2", reclen=512, byteorder=">"):
    start = UTCDateTime(ns=START_NS + begin * 10_000_000)
    codes = {"network": "XX", "station": "ABC", "location": "", "channel": channel}
    samples = SIGNAL[channel][begin:end].astype(ENCODINGS[encoding])
    trace = Trace(samples, header=codes | {"starttime": start, "sampling_rate": 100.0})
    buffer = io.BytesIO()
    Stream([trace]).write(buffer, "MSEED", encoding=encoding, reclen=reclen, byteorder=byteorder)
    return buffer.getvalue()


@st.composite
def packings(draw):
    """Cut each component up and pack the parts in any order into some files."""
    parts = []
    for channel in SIGNAL:
        cuts = draw(st.lists(st.integers(1, N_SAMPLES - 1), max_size=4, unique=True))
        edges = [0, *sorted(cuts), N_SAMPLES]
        for begin, end in pairwise(edges):
            repeated = draw(st.integers(1, 2)) if draw(st.integers(0, 9)) == 0 else 1
            parts += [(channel, begin, end)] * repeated
    parts = draw(st.permutations(parts))
    files = draw(st.integers(1, 4))
    contents = [b""] * files
    for channel, begin, end in parts:
        contents[draw(st.integers(0, files - 1))] += packed(
            channel,
            begin,
            end,
            encoding=draw(st.sampled_from(sorted(ENCODINGS))),
            reclen=draw(st.sampled_from([256, 512, 1024, 4096])),
            byteorder=draw(st.sampled_from("<>")),
        )
    return [content for content in contents if content]


def read(contents, record_s=60.0):
    with TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            (Path(folder) / f"{number}.mseed").write_bytes(content)
        index = index_inputs([Path(folder)])
        problems = list(index.problems)
        records = [
            record
            for group in index.groups
            for record in group.records(record_s=record_s, report=problems.append)
        ]
    return records, problems


def covered(records):
    """Put records in their places; NaN where there is none."""
    found = {channel: np.full(N_SAMPLES, np.nan) for channel in SIGNAL}
    for record in records:
        at = (record.start_ns - START_NS) / 10_000_000
        assert abs(at - round(at)) < 1e-3
        at = round(at)
        found[record.seed_id.channel][at : at + len(record.samples)] = record.samples
    return found


@SLOW
@given(packings(), st.sampled_from([1.0, 7.0, 60.0, 3600.0]))
def test_packing_does_not_matter(contents, record_s):
    records, problems = read(contents, record_s)
    assert problems == []
    found = covered(records)
    for channel, samples in SIGNAL.items():
        np.testing.assert_array_equal(found[channel], samples)
    starts = [record.start_ns for record in records]
    assert starts == sorted(starts)
    assert max(len(record.samples) for record in records) <= record_s * 100
    assert {record.samples.dtype.str[1:] for record in records} <= {"i4", "f4", "f8"}


WHOLE = b"".join(packed(channel, 0, N_SAMPLES) for channel in SIGNAL)
ROWS = scan_headers(WHOLE, at_end=True).records


def untouched(begin, end):
    """Samples that must survive if the bytes from begin to end do not."""
    expected = {channel: np.full(N_SAMPLES, np.nan) for channel in SIGNAL}
    for row_ in ROWS:
        if row_["offset"] + row_["length"] <= begin or row_["offset"] >= end:
            channel = bytes(row_["code"])[7:10].decode()
            at = round((row_["start_ns"] - START_NS) / 10_000_000)
            span = slice(at, at + row_["n_samples"])
            expected[channel][span] = SIGNAL[channel][span]
    return expected


@QUICK
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 2000), st.binary(max_size=2000))
@example(58, 0, b"\x00\x00")
def test_damage_costs_only_the_records_it_touches(begin, n_lost, junk):
    end = min(begin + n_lost, len(WHOLE))
    tail = WHOLE[end:]
    records, _ = read([WHOLE[:begin] + junk + tail])
    found = {channel: np.full(N_SAMPLES, np.nan) for channel in SIGNAL}
    for record in records:
        at = round((record.start_ns - START_NS) / 10_000_000)
        channel = record.seed_id.channel
        if channel in found and 0 <= at < N_SAMPLES:
            length = min(len(record.samples), N_SAMPLES - at)
            good = SIGNAL[channel][at : at + length] == record.samples[:length]
            found[channel][at : at + length][good] = record.samples[:length][good]
    # Bytes put in amidst a record cost that record as well.
    expected = untouched(begin, max(end, begin + 1))
    for channel, samples in expected.items():
        asked = np.isfinite(samples)
        np.testing.assert_array_equal(found[channel][asked], samples[asked])


@QUICK
@given(st.integers(1, len(WHOLE) - 1))
@example(513)
def test_truncation_is_told_and_costs_one_record(length):
    records, problems = read([WHOLE[:length]])
    whole = length % 512 == 0
    assert (problems == []) == whole
    found = covered(records)
    for channel, samples in untouched(length, len(WHOLE)).items():
        asked = np.isfinite(samples)
        np.testing.assert_array_equal(found[channel][asked], samples[asked])


@QUICK
@given(
    st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 255)), min_size=1, max_size=200),
    st.sampled_from(["STEIM1", "STEIM2", "INT16", "FLOAT64"]),
)
def test_flipped_bytes_never_raise(flips, encoding):
    data = bytearray(packed("HHZ", 0, 3000, encoding=encoding, reclen=256))
    for at, value in flips:
        data[at % len(data)] = value
    records, _ = read([bytes(data)])
    for record in records:
        assert len(record.samples) > 0
        assert record.sampling_rate_hz > 0


@SLOW
@given(st.binary(max_size=3000))
def test_any_bytes_may_be_named_as_a_file(content):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "thing"
        path.write_bytes(content)
        index = index_inputs([path])
        records = [r for group in index.groups for r in group.records(report=lambda _: None)]
    assert records or index.problems


@SLOW
@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_text_may_be_a_list_file(lines):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list"
        path.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")
        for line in list_lines(path) or []:
            assert line.paths
        index = index_inputs([path])
    assert index.groups == ()
    assert index.problems


CODES = st.text("ABCXYZ0189", min_size=1, max_size=5)
POSITIVE = st.floats(0, 1e6, allow_nan=False)
PICKS = st.lists(
    st.builds(
        Pick,
        time_ns=st.integers(0, 4_000_000_000_000_000).map(lambda us: us * 1000),
        phase=st.sampled_from(Phase),
        seed_id=st.builds(
            SeedId,
            network=CODES,
            station=CODES,
            location=st.sampled_from(["", "00", "10"]),
            channel=st.sampled_from(["HHZ", "EH1", "Z"]),
        ),
        probability=st.floats(0, 1),
        uncertainty_s=POSITIVE,
        snr=st.one_of(POSITIVE, st.just(math.nan), st.just(math.inf)),
        polarity=st.one_of(st.none(), st.sampled_from(Polarity)),
        onset=st.sampled_from(Onset),
        decision_delay_s=st.floats(-10, 1e4),
        model=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
        model_sha256=st.text("0123456789abcdef", max_size=64),
        filter_id=st.sampled_from(["", "BW_HP(4,2)", 'a,"b" > c', "RMHP(10)>>ITAPER(30)"]),
        n_components=st.integers(1, 3),
        recipe=st.one_of(st.just(""), st.text("0123456789abcdef", min_size=8, max_size=8)),
    ),
    max_size=8,
)


def written(picks, suffix, folder, **options):
    path = Path(folder) / f"picks{suffix}"
    with open_sink(path, Style(created_ns=0, **options)) as sink:
        sink.write(picks)
    return path


@SLOW
@given(PICKS, st.sampled_from([".csv", ".jsonl"]))
def test_picks_survive_the_round_trip(picks, suffix):
    with TemporaryDirectory() as folder:
        path = written(picks, suffix, folder, precision=9)
        back = read_pick_file(path)
        again = written(back, suffix, folder, precision=9).read_bytes()
        assert again == path.read_bytes()
    expected = in_order(picks)
    assert [json.dumps(row(p, precision=9)) for p in back] == [
        json.dumps(row(p, precision=9)) for p in expected
    ]
    for pick, original in zip(back, expected, strict=True):
        assert 0 <= original.probability - pick.probability < 1.001e-9
        assert abs(original.uncertainty_s - pick.uncertainty_s) <= 1e-6
        assert abs(original.decision_delay_s - pick.decision_delay_s) <= 1e-6
        if math.isfinite(original.snr):
            assert math.isclose(original.snr, pick.snr, rel_tol=1e-5)
        else:
            assert math.isnan(pick.snr)
        rounded = {"probability": 0.0, "uncertainty_s": 0.0, "snr": 0.0, "decision_delay_s": 0.0}
        assert replace(pick, **rounded) == replace(original, **rounded)


def test_columns_carry_every_field_of_a_pick():
    carried = {column.field.partition(".")[0] for column in COLUMNS if column.read}
    said_by_labels = {"event", "file"}
    assert carried | said_by_labels == {field.name for field in fields(Pick)}


@SLOW
@given(PICKS)
def test_documents_hold_every_pick_and_are_valid(picks):
    expected = in_order(picks)
    with TemporaryDirectory() as folder:
        scml = written(picks, ".scml", folder)
        assert is_valid_scml(str(scml), "0.12", verbose=True)
        ids = [e.get("publicID") for e in etree.parse(scml).iter("{*}pick")]
        assert ids == [pick.public_id for pick in expected]
        quakeml = written(picks, ".qml", folder)
        assert is_valid_quakeml(str(quakeml), verbose=True)
        (event,) = obspy.read_events(str(quakeml))
    assert [p.time.ns for p in event.picks] == [pick.time_ns for pick in expected]
    assert [p.waveform_id.get_seed_string() for p in event.picks] == [
        str(pick.seed_id) for pick in expected
    ]


@SLOW
@given(PICKS, st.sampled_from(sorted(BY_SUFFIX)))
def test_the_order_of_writing_does_not_matter(picks, suffix):
    with TemporaryDirectory() as folder:
        forwards = written(in_order(picks), suffix, folder).read_bytes()
        assert written(in_order(picks)[::-1], suffix, folder).read_bytes() == forwards
