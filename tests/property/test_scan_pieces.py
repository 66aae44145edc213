"""An archive scanned in pieces, wherever their borders are, gives the picks of one scan."""

import functools
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import obspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.config import UNHURRIED, Settings
from scperformer.core.triggers import Thresholds
from scperformer.networks.loading import LoadedModel
from scperformer.scanning.work import Work, Worker
from scperformer.types import NS_PER_S
from scperformer.waveforms.archive import index_inputs
from scperformer.waveforms.pieces import LocalFiles, Piece
from tests.fakes import RiseClassifier
from tests.profiles import examples
from tests.property.streams import holes, without
from tests.streaming_network import make_network
from tests.synthetic import LETTERS, START_NS, assert_same, earthquakes

LENGTH_S = 900
N = LENGTH_S * 100
ONSETS_S = tuple(np.arange(20.0, LENGTH_S - 20.0, 37.3))
GROUND = earthquakes(N, ONSETS_S).astype("i4")
NETWORKS = {
    "streaming": functools.partial(make_network, seed=9, decisive=4.0),
    "windows": RiseClassifier,
}


def write(folder: Path, missing) -> None:
    """A file for each component and stretch."""
    for letter, trace, own in zip(LETTERS, GROUND, missing, strict=True):
        for first, end in without(N, own):
            header = {"network": "XX", "station": "A", "channel": f"HH{letter}"}
            header |= {
                "sampling_rate": 100.0,
                "starttime": obspy.UTCDateTime(ns=START_NS) + first / 100,
            }
            data = np.ascontiguousarray(trace[first:end])
            name = folder / f"{letter}{first}.mseed"
            obspy.Trace(data, header).write(str(name), format="MSEED")


def scan(worker: Worker, group, borders_ns):
    """The results of the pieces between borders."""
    return [
        worker.scan(Piece(group.sensor_id, a, b, LocalFiles(group)))
        for a, b in pairwise(borders_ns)
    ]


@pytest.mark.parametrize("kind", NETWORKS)
@examples(8)
@given(
    missing=st.tuples(*[holes(N, most=2, longest=3000)] * 3),
    borders=st.lists(
        st.floats(1.0, LENGTH_S - 1.0)
        | st.tuples(st.sampled_from(ONSETS_S), st.floats(-6.0, 8.0)).map(sum),
        min_size=1,
        max_size=5,
        unique=True,
    ),
)
def test_borders_are_invisible(kind, missing, borders):
    model = LoadedModel(NETWORKS[kind](), Thresholds.constant(0.3, 0.3))
    worker = Worker(Work(lambda: model, Settings(**UNHURRIED)))
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), missing)
        (group,) = index_inputs([Path(name)]).groups
        ends = [group.start_ns, group.end_ns]
        inner = sorted(START_NS + round(border * NS_PER_S) for border in borders)
        (whole,) = scan(worker, group, ends)
        parts = scan(worker, group, [ends[0], *inner, ends[1]])
    picks = sorted((p for part in parts for p in part.picks), key=lambda p: (p.time_ns, p.phase))
    assert len(whole.picks) > 10
    assert_same(picks, sorted(whole.picks, key=lambda p: (p.time_ns, p.phase)))
    for count in ("samples", "gaps", "span_samples"):
        total = sum(getattr(part.statistics, count) for part in parts)
        assert total == pytest.approx(getattr(whole.statistics, count), abs=len(borders) * 100)
    assert sum(part.statistics.picks.total() for part in parts) == len(whole.picks)
