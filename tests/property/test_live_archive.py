"""Live equals archive, and a restart is no seam."""

from pathlib import Path
from tempfile import TemporaryDirectory

import obspy
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.pipeline import Pipeline
from scperformer.delivery.delivery import Emitted
from scperformer.delivery.state import WARM_UP_S
from scperformer.types import NS_PER_S, Record, SeedId
from scperformer.waveforms.archive import index_inputs
from scperformer.waveforms.mseed_stream import decode_record
from tests.profiles import examples
from tests.property.streams import (
    cuts_of_all,
    every,
    holes,
    in_time_order,
    records_of,
    without,
)
from tests.synthetic import (
    LETTERS,
    START_NS,
    assert_same,
    earthquakes,
    make_pipeline,
    pick_all,
    records,
)

N = 6000
WAVEFORMS = {"A": earthquakes(N, (15.0, 38.0)), "B": earthquakes(N, (24.0,), seed=5)}
PACKINGS = {
    "STEIM1": "i4",
    "STEIM2": "i4",
    "INT32": "i4",
    "FLOAT32": "f4",
    "FLOAT64": "f8",
}
START_US = START_NS // 1000 * 1000  # what a record of miniSEED can say


def written(path: Path, record: Record, encoding: str, reclen: int) -> None:
    """Add a record's samples to a file, as many miniSEED records as they take."""
    code = record.seed_id
    trace = obspy.Trace(record.samples.astype(PACKINGS[encoding]))
    trace.stats.update(
        {
            "network": code.network,
            "station": code.station,
            "location": code.location,
            "channel": code.channel,
            "sampling_rate": record.sampling_rate_hz,
            "starttime": obspy.UTCDateTime(ns=record.start_ns),
        }
    )
    with path.open("ab") as file:
        trace.write(file, format="MSEED", reclen=reclen, encoding=encoding)


def scanned(folder: Path):
    """The picks that `scperformer scan` makes of a folder."""
    pipeline = make_pipeline(batch_size=4096, max_batch_delay_s=60.0)
    index = index_inputs([folder])
    assert not index.problems
    picks = []
    for group in sorted(index.groups, key=lambda group: (group.sensor_id, group.start_ns)):
        pipeline.expect(group.seed_ids)
        for record in group.records():
            picks += pipeline.feed(record)
    picks += pipeline.flush()
    return sorted(picks, key=lambda p: (p.seed_id.sensor_id, p.time_ns, p.phase))


def packets(folder: Path, reclen: int) -> list[Record]:
    """Every miniSEED record of a folder, as a server would send them."""
    found = []
    for path in folder.iterdir():
        data = path.read_bytes()
        found += [decode_record(data[at : at + reclen]) for at in range(0, len(data), reclen)]
    return in_time_order(found)


@examples(8)
@given(
    missing=st.tuples(*[holes(N, most=2)] * 6),
    cuts=cuts_of_all(N, most=8),
    encoding=st.sampled_from(sorted(PACKINGS)),
    reclen=st.sampled_from([256, 512, 4096]),
    n_files=st.integers(1, 3),
    rate_hz=st.sampled_from([100.0, 100.0, 50.0, 200.0]),
    twice=st.integers(0, 5),
)
def test_live_equals_archive(*, missing, cuts, encoding, reclen, n_files, rate_hz, twice):
    parts = []
    for number, (station, waveform) in enumerate(WAVEFORMS.items()):
        own = missing[3 * number : 3 * number + 3]
        spans = {k: without(N, m) for k, m in zip(LETTERS, own, strict=True)}
        parts += records_of(
            waveform, spans, cuts, station=station, start_ns=START_US, rate_hz=rate_hz
        )
    with TemporaryDirectory() as name:
        folder = Path(name)
        for number, record in enumerate([*parts, *parts[:twice]]):
            written(folder / f"{number % n_files}.mseed", record, encoding, reclen)
        archive = scanned(folder)
        live = packets(folder, reclen)
    pipeline = make_pipeline()
    pipeline.expect(record.seed_id for record in parts)
    assert_same(pick_all(pipeline, live), archive)
    if not any(missing) and rate_hz == 100.0:
        assert len(archive) >= 6


LONG = 16_000
LONG_WAVEFORM = earthquakes(LONG, (20.0, 65.0, 80.0, 92.0, 105.0, 130.0))
BROKEN = {
    "N": [(0, 5000), (9500, LONG)],
    "E": [(0, 11_000), (11_150, LONG)],
    "Z": [(0, 11_000), (11_150, 14_000)],
}
STREAMS = {
    "whole": records(LONG_WAVEFORM, every(LONG, 100)),
    "broken": records_of(LONG_WAVEFORM, BROKEN, every(LONG, 100)),
}


def expecting(delay_s: float = 0.5) -> Pipeline:
    pipeline = make_pipeline(max_batch_delay_s=delay_s)
    pipeline.expect(SeedId("XX", "A", "", f"HH{letter}") for letter in LETTERS)
    return pipeline


PICKS = {kind: pick_all(expecting(), stream) for kind, stream in STREAMS.items()}


@examples(8)
@given(
    kind=st.sampled_from(sorted(STREAMS)),
    stops=st.lists(st.integers(1, 480), min_size=1, max_size=3).map(sorted),
    delay_s=st.sampled_from([0.0, 0.5, 30.0]),
    lag=st.integers(0, 30),
)
def test_a_restart_neither_repeats_nor_loses_a_pick(kind, stops, delay_s, lag):
    """The program dies after any record; `lag` records before it wrote down how far it was."""
    stream = STREAMS[kind]
    given_out, decided = [], {}
    for stop in [*stops, len(stream) + 1]:
        emitted = Emitted(given_out, decided)
        pipeline = expecting(delay_s)
        begin_ns = min(decided.values(), default=0) - round((WARM_UP_S + 1.0) * NS_PER_S)
        noted = decided
        for number, record in enumerate(stream[:stop]):
            if record.end_ns > begin_ns:
                given_out += emitted.take_new(pipeline.feed(record))
            if number == stop - 1 - lag:
                noted = {
                    sensor_id: max(until_ns, decided.get(sensor_id, 0))
                    for sensor_id, until_ns in pipeline.decided_until_ns().items()
                }
        decided = noted or decided
    given_out += emitted.take_new(pipeline.flush())
    given_out.sort(key=lambda p: (p.time_ns, p.phase))
    assert [p.public_id for p in given_out] == [p.public_id for p in PICKS[kind]]
