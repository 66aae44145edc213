"""Everything at once, at several stations: nothing raises, the accounts are right, and
whoever is not concerned hears nothing of it."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import event, given
from hypothesis import strategies as st

from scperformer.core.statistics import DropReason
from scperformer.types import NS_PER_S, Record
from tests.fakes import LateClassifier
from tests.profiles import examples
from tests.property.streams import (
    Accounts,
    far_from,
    n_samples,
    records_of,
    seconds,
    used_samples_counted,
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
LENGTH_S = N / 100.0
DAY_S = 86_400.0
MOST_LATENCY_S = 10
WAVEFORMS = {
    "A": earthquakes(N, (15.0, 38.0)),
    "B": earthquakes(N, (12.0, 31.0, 45.0), seed=1),
    "C": earthquakes(N, (20.0, 42.0), seed=2),
}
CLEAN = {s: pick_all(make_pipeline(), records(w, station=s)) for s, w in WAVEFORMS.items()}

places_s = st.floats(0.0, LENGTH_S - 0.1)
letters = st.sampled_from(["N", "E", "Z", "NE", "EZ", "NEZ"])


@dataclass(frozen=True)
class Trouble:
    """Something that happens to some components of a station.

    Attributes:
        kind: what.
        letters: the components.
        at_s: when.
        size_s: how long, how late, or how far in time.
    """

    kind: str
    letters: str
    at_s: float
    size_s: float

    @property
    def first(self) -> int:
        return round(self.at_s * 100)

    @property
    def end(self) -> int:
        return min(self.first + max(round(self.size_s * 100), 1), N)


def trouble(kind: str, sizes_s: st.SearchStrategy[float]) -> st.SearchStrategy[Trouble]:
    return st.builds(Trouble, st.just(kind), letters, places_s, sizes_s)


troubles = st.one_of(
    trouble("hole", st.floats(0.01, 40.0)),
    trouble("not a number", st.floats(0.01, 10.0)),
    trouble("clipped", st.floats(0.01, 20.0)),
    trouble("again", st.floats(0.0, 20.0)),
    trouble("late", st.floats(0.0, 20.0)),
    trouble("wrong time", st.floats(-3 * DAY_S, 3 * DAY_S)),
    trouble("jump", st.floats(-3 * DAY_S, 3 * DAY_S) | st.floats(-60.0, 60.0)),
    trouble("other rate", st.sampled_from([50.0, 80.0, 200.0])),
    trouble("empty", st.just(0.0)),
)


@dataclass
class Station:
    """A station's records with the times of their arrival, and where something happened."""

    arrivals: list[tuple[float, Record]]
    touched: list[tuple[float, float]] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        return [record for _, record in self.arrivals]


def spoilt(station: str, own: list[Trouble], step: int) -> Station:
    """A station's stream with troubles: those of samples first, then those of records."""
    waveform = WAVEFORMS[station].copy()
    missing: dict[str, list[tuple[int, int]]] = {letter: [] for letter in LETTERS}
    for t in own:
        rows = [LETTERS.index(letter) for letter in t.letters]
        if t.kind == "hole":
            for letter in t.letters:
                missing[letter].append((t.first, t.end))
        elif t.kind == "not a number":
            waveform[rows, t.first : t.end] = np.nan
        elif t.kind == "clipped":
            waveform[rows, t.first : t.end] = np.clip(waveform[rows, t.first : t.end], 4990, 5010)
    spans = {letter: without(N, _joined(holes)) for letter, holes in missing.items()}
    cuts = [range(step, N, step)] * 3
    stream = records_of(waveform, spans, cuts, station=station, dtype="f8")
    result = Station([((r.end_ns - START_NS) / NS_PER_S, r) for r in stream])
    for t in own:
        _disturb(result, t)
    result.touched += [_touched(t, step) for t in own]
    return result


def _joined(holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, end in sorted(holes):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined


def _disturb(station: Station, t: Trouble) -> None:
    """Change records as they arrive."""
    changed: list[tuple[float, Record]] = []
    struck: set[str] = set()
    for arrival_s, record in station.arrivals:
        letter = record.seed_id.component
        begun_s = (record.start_ns - START_NS) / NS_PER_S
        if letter not in t.letters or begun_s < t.at_s:
            changed.append((arrival_s, record))
            continue
        changed += _disturbed(t, arrival_s, record, is_first=letter not in struck)
        struck.add(letter)
    station.arrivals = changed


def _disturbed(
    t: Trouble, arrival_s: float, record: Record, *, is_first: bool
) -> list[tuple[float, Record]]:
    """What becomes of a record that a trouble concerns, the first one or a later one."""
    shifted = replace(record, start_ns=record.start_ns + round(t.size_s * NS_PER_S))
    if t.kind == "jump" or (t.kind == "wrong time" and is_first):
        return [(arrival_s, shifted)]
    if t.kind == "other rate":
        return [(arrival_s, replace(record, sampling_rate_hz=t.size_s))]
    if t.kind == "late" and is_first:
        return [(arrival_s + t.size_s, record)]
    if t.kind == "empty" and is_first:
        return [(arrival_s, replace(record, samples=record.samples[:0]))]
    if t.kind == "again" and arrival_s <= t.at_s + t.size_s:
        return [(arrival_s, record), (t.at_s + t.size_s, record)]
    return [(arrival_s, record)]


def _touched(t: Trouble, step: int) -> tuple[float, float]:
    """What a trouble may change: components that lag behind may be given up for a while."""
    begun_s = t.at_s - MOST_LATENCY_S
    if t.kind in ("jump", "other rate"):
        return (begun_s, np.inf)
    lasts_s = t.size_s if t.kind in ("hole", "not a number", "clipped") else 0.0
    if t.kind == "wrong time" and t.size_s > 0.0:
        lasts_s = 12.0 if t.size_s > DAY_S + 30.0 else np.inf
    return (begun_s, t.at_s + lasts_s + 2.0 * step / 100.0 + MOST_LATENCY_S)


stations = st.tuples(st.lists(troubles, max_size=4), st.integers(40, 400))


@examples(15)
@given(
    first=stations,
    second=stations,
    latencies_s=st.tuples(*[st.tuples(*[st.integers(0, MOST_LATENCY_S)] * 3)] * 3),
    batch=st.sampled_from([300, 40, 7]),
    delay_s=st.sampled_from([0.0, 0.5, 60.0]),
    pauses=st.lists(st.integers(0, 3), min_size=1, max_size=20),
    patience=st.integers(0, 90),
)
def test_chaos(*, first, second, latencies_s, batch, delay_s, pauses, patience):
    network = {
        "A": spoilt("A", *first),
        "B": spoilt("B", *second),
        "C": spoilt("C", [], 100),
    }
    kinds = {t.kind for t in first[0] + second[0]}
    for kind in kinds:
        event(kind)
    arrivals = [
        (arrival_s + own_s[LETTERS.index(record.seed_id.component)], record)
        for station, own_s in zip(network.values(), latencies_s, strict=True)
        for arrival_s, record in station.arrivals
    ]
    stream = [record for _, record in sorted(arrivals, key=lambda arrival: arrival[0])]
    accounts = Accounts()
    picks = []
    with used_samples_counted() as n_used:
        pipeline = make_pipeline(
            accounts,
            classifier=LateClassifier(patience),
            batch_size=batch,
            max_batch_delay_s=delay_s,
        )
        for number, record in enumerate(stream):
            whim = pauses[number % len(pauses)]
            pipeline.batches.catches_up = whim == 1
            picks += pipeline.feed(record)
            if whim == 2:
                picks += pipeline.classify_pending()
            if whim == 3:
                picks += pipeline.collect()
        picks += pipeline.flush()
    ids = Counter(pick.public_id for pick in picks)
    assert set(ids.values()) <= {1}
    statistics = pipeline.statistics
    assert statistics.records == len(stream)
    assert statistics.samples == n_samples(stream)
    assert statistics.dropped_samples.total() == sum(accounts.left_out.values())
    assert statistics.gaps == len(accounts.gaps)
    assert all(gap.end_ns > gap.start_ns for gap in accounts.gaps)
    if "other rate" not in kinds:
        assert n_used() + statistics.dropped_samples.total() == n_samples(stream)
    assert accounts.total(DropReason.EMPTY) == 0
    n_bad = sum(int(np.isnan(record.samples).sum()) for record in stream)
    assert accounts.total(DropReason.NOT_FINITE) <= n_bad
    for name, station in network.items():
        own = [p for p in picks if p.seed_id.station == name]
        own.sort(key=lambda p: (p.time_ns, p.phase))
        inside = [p for p in own if 0.0 <= seconds(p) < LENGTH_S]
        assert_same(far_from(inside, station.touched), far_from(CLEAN[name], station.touched))
        n_far = len(far_from(CLEAN[name], station.touched))
        event(f"{'some' if n_far else 'no'} picks to compare at {name}")
        if not station.touched:
            assert_same(own, CLEAN[name])
