"""Synthetic earthquakes, and ways of cutting them into records."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from scperformer.config import Settings
from scperformer.core.pipeline import Pipeline
from scperformer.core.statistics import Observer
from scperformer.core.triggers import Thresholds
from scperformer.types import SAMPLE_NS, Classifier, Pick, Record, SeedId
from tests.fakes import RiseClassifier

START_NS = 1_600_000_000_003_217_000
LETTERS = ("N", "E", "Z")


def earthquakes(
    n_samples: int, p_times_s: Sequence[float], *, seed: int = 0, s_minus_p_s: float = 5.0
) -> NDArray[np.float64]:
    """Noise of 10 counts around an offset of 5000 with events; (3, n) in the order N, E, Z."""
    random = np.random.default_rng(seed)
    waveform = random.normal(scale=10.0, size=(3, n_samples)) + 5000.0
    for p_s in p_times_s:
        for first_s, places, amplitude in ((p_s, [2], 300.0), (p_s + s_minus_p_s, [0, 1], 600.0)):
            first = round(first_s * 100)
            n = max(min(n_samples - first, 1000), 0)
            decay = np.exp(-np.arange(n) / 200.0)
            noise = random.normal(size=(len(places), n))
            waveform[places, first : first + n] += amplitude * noise * decay
    return np.round(waveform)


def records(
    waveform: NDArray[np.float64],
    cuts: Sequence[Iterable[int]] = ((), (), ()),
    *,
    station: str = "A",
    start_ns: int = START_NS,
    letters: Sequence[str] = LETTERS,
    rate_hz: float = 100.0,
    dtype: str = "i4",
) -> list[Record]:
    """Cut each component at its own places; in the order of start times."""
    out = []
    for letter, trace, own in zip(letters, waveform, cuts, strict=True):
        edges = [0, *sorted({c for c in own if 0 < c < len(trace)}), len(trace)]
        seed_id = SeedId("XX", station, "", f"HH{letter}")
        for first, end in pairwise(edges):
            time_ns = start_ns + round(first * 1e9 / rate_hz)
            out.append(Record(seed_id, time_ns, rate_hz, trace[first:end].astype(dtype)))
    return sorted(out, key=lambda r: (r.start_ns, r.seed_id))


def make_pipeline(
    observer: Observer | None = None,
    *,
    thresholds: Thresholds | None = None,
    classifier: Classifier | None = None,
    owner: str = "",
    clock: Callable[[], float] = lambda: 0.0,
    **settings: object,
) -> Pipeline:
    return Pipeline(
        classifier or RiseClassifier(),
        thresholds=thresholds or Thresholds.constant(0.5, 0.5),
        settings=Settings(**settings),  # type: ignore[arg-type]
        observer=observer,
        owner=owner,
        clock=clock,
    )


def pick_all(pipeline: Pipeline, stream: Iterable[Record]) -> list[Pick]:
    """Feed everything; the picks in the order of stream and time."""
    picks = [pick for record in stream for pick in pipeline.feed(record)]
    picks += pipeline.flush()
    return sorted(picks, key=lambda p: (p.seed_id.sensor_id, p.time_ns, p.phase))


def samples_ns(n: int) -> int:
    return n * SAMPLE_NS


def assert_same(left: Sequence[Pick], right: Sequence[Pick]) -> None:
    """The same picks to the nanosecond, and probabilities as float32 allows."""
    assert [p.public_id for p in left] == [p.public_id for p in right]
    assert [p.time_ns for p in left] == [p.time_ns for p in right]
    for a, b in zip(left, right, strict=True):
        assert abs(a.probability - b.probability) <= 1e-5
        assert a.seed_id == b.seed_id
        assert (a.polarity, a.onset, a.n_components) == (b.polarity, b.onset, b.n_components)
        assert abs(a.snr - b.snr) <= 1e-4 * max(a.snr, 1.0)
        assert a.decision_delay_s == b.decision_delay_s
