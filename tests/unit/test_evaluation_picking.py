"""Thresholds chosen by the picks that the picker itself makes."""

import numpy as np
import pytest

from scperformer.core.triggers import Thresholds
from scperformer.datasets.labels import MarkedRecord, Marks
from scperformer.datasets.records import StationRecord
from scperformer.evaluation.picking import UNTESTED, pick_thresholds, recommended
from scperformer.networks.loading import LoadedModel
from scperformer.types import SensorId
from tests.fakes import RiseClassifier
from tests.synthetic import START_NS, earthquakes

P_TIMES_S = (15.0, 38.0, 61.0, 84.0, 107.0, 130.0)
MODEL = LoadedModel(RiseClassifier(), Thresholds.constant(0.5, 0.5))


def marked(p_times_s=P_TIMES_S, doubtful_s=(), present=(True, True, True)):
    waveform = earthquakes(15_000, P_TIMES_S) - 5000.0
    record = StationRecord(
        source="test",
        sensor_id=SensorId("XX", "A", "", "HH"),
        start_ns=START_NS,
        samples=np.ascontiguousarray((waveform * np.array(present)[:, None]).T, np.float32),
        present=present,
    )
    rows = [(100.0 * (s + d), phase) for s in p_times_s for phase, d in ((0, 0.0), (1, 5.0))]
    sure = [True] * len(rows)
    rows += [(100.0 * (s + d), phase) for s in doubtful_s for phase, d in ((0, 0.0), (1, 5.0))]
    sure += [False] * (len(rows) - len(sure))
    samples, phases = zip(*rows, strict=True)
    return MarkedRecord(record, Marks(np.array(samples), np.array(phases), np.array(sure)))


def test_all_are_found_and_the_threshold_says_so():
    table = pick_thresholds(MODEL, [marked()])
    for phase in ("P", "S"):
        row = table["three"][phase]
        assert (row["n"], row["recall"], row["f1"]) == (6, 1.0, 1.0)
        assert 0.1 < row["threshold"] < 0.95
    assert table["one"]["P"]["recall"] == 1.0
    # On the vertical alone the fake has no S to see.
    assert table["one"]["S"]["recall"] == 0.0
    assert recommended(table)[3] == tuple(table["three"][p]["threshold"] for p in ("P", "S"))


def test_what_nobody_believes_counts_neither_for_nor_against():
    fewer = marked(P_TIMES_S[:5])
    wrong = pick_thresholds(MODEL, [fewer])["three"]["P"]
    assert (wrong["n"], wrong["precision"]) == (5, pytest.approx(5 / 6, abs=1e-3))
    unknown = pick_thresholds(MODEL, [marked(P_TIMES_S[:5], P_TIMES_S[5:])])["three"]["P"]
    assert (unknown["n"], unknown["precision"]) == (5, 1.0)


def test_of_few_picks_nothing_is_recommended():
    table = pick_thresholds(MODEL, [marked(P_TIMES_S[:2], P_TIMES_S[2:])])
    assert table["three"] == {"P": {"n": 2}, "S": {"n": 2}}
    assert recommended(table) == dict.fromkeys((1, 2, 3), (UNTESTED, UNTESTED))


def test_records_without_a_component_do_not_count_where_it_is_wanted():
    table = pick_thresholds(MODEL, [marked(), marked(present=(True, False, True))])
    assert [table[name]["P"]["n"] for name in ("three", "two", "one")] == [6, 12, 12]
