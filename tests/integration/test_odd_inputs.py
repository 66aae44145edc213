"""One record of a real earthquake in many guises: the picks are the same."""

import io

import numpy as np
import obspy
import pytest

from scperformer.config import Settings
from scperformer.networks.loading import load_folder
from scperformer.networks.registry import DEFAULT_MODEL, WINDOW_MODEL
from scperformer.types import NS_PER_S
from scperformer.waveforms.archive import index_inputs

pytestmark = pytest.mark.filterwarnings("ignore:The encoding specified")


@pytest.fixture(scope="module", params=[DEFAULT_MODEL, WINDOW_MODEL])
def model(request):
    return load_folder(request.param)


@pytest.fixture
def base(shared):
    path = shared / "cases" / "base.mseed"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return obspy.read(str(path))


def scanned(model, tmp_path, *streams, **settings):
    pipeline = model.pipeline(Settings(**settings))
    for number, stream in enumerate(streams):
        stream.write(str(tmp_path / f"{number}.mseed"), format="MSEED")
    picks = []
    for group in index_inputs(sorted(tmp_path.glob("*.mseed"))).groups:
        pipeline.expect(group.seed_ids)
        picks += [pick for record in group.records() for pick in pipeline.feed(record)]
    return sorted(picks + pipeline.flush(), key=lambda pick: pick.time_ns)


def renamed(stream, names):
    stream = stream.copy()
    for trace in stream:
        trace.stats.channel = names[trace.stats.channel[-1]]
    return stream


def told(picks):
    return [(pick.phase, round(pick.time_ns / 1e6), round(pick.probability, 3)) for pick in picks]


@pytest.fixture
def plain(model, base, tmp_path_factory):
    picks = scanned(model, tmp_path_factory.mktemp("plain"), base)
    for half in (picks[: len(picks) // 2], picks[len(picks) // 2 :]):
        assert {pick.phase for pick in half} == {"P", "S"}
    return picks


def test_names_of_kik_net(model, base, plain, tmp_path):
    picks = scanned(model, tmp_path, renamed(base, {"N": "NS2", "E": "EW2", "Z": "UD2"}))
    assert told(picks) == told(plain)
    assert {pick.seed_id.channel for pick in picks} <= {"NS2", "EW2", "UD2"}
    assert {pick.seed_id.channel for pick in picks if pick.phase == "P"} == {"UD2"}


def test_horizontals_with_new_names_halfway(model, base, plain, tmp_path):
    middle = base[0].stats.starttime + 90
    new = renamed(base.slice(starttime=middle), {"N": "HH1", "E": "HH2", "Z": "HHZ"})
    picks = scanned(model, tmp_path, base.slice(endtime=middle - 0.01), new)
    assert [(p.phase, p.time_ns) for p in picks] == [(p.phase, p.time_ns) for p in plain]
    is_new = {p.time_ns > middle.ns: p.seed_id.channel[-1] in "12" for p in picks if p.phase == "S"}
    assert is_new == {False: False, True: True}


def test_start_times_that_jitter(model, base, plain, tmp_path):
    random = np.random.default_rng(3)
    records = []
    for first in range(0, len(base[0].data) - 1, 100):
        by_s = random.uniform(-0.004, 0.004)
        for trace in base:
            record = trace.copy()
            record.data = trace.data[first : first + 100].copy()
            record.stats.starttime = trace.stats.starttime + first * 0.01 + by_s
            buffer = io.BytesIO()
            record.write(buffer, format="MSEED", encoding="STEIM2", reclen=512)
            records.append(buffer.getvalue())
    (tmp_path / "shaken.mseed").write_bytes(b"".join(records))
    picks = scanned(model, tmp_path)
    assert [pick.phase for pick in picks] == [pick.phase for pick in plain]
    for own, true in zip(picks, plain, strict=True):
        assert abs(own.time_ns - true.time_ns) <= 0.005 * NS_PER_S


@pytest.mark.parametrize("factor", [1e-25, 1e-12, 1e9])
def test_other_units(model, base, plain, tmp_path, factor):
    for trace in base:
        trace.data = (trace.data * factor).astype(np.float32)
    assert told(scanned(model, tmp_path, base)) == told(plain)
