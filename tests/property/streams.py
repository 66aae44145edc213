"""What the property tests share: streams with every disturbance, and the accounts of a pipeline.

A stream is made in two steps: which samples of each component exist (`Spans`), and how they
are cut into records and when these arrive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from scperformer.core.buffers import Assembler, Block
from scperformer.core.statistics import DropReason, Observer
from scperformer.types import NS_PER_S, Gap, Pick, Record, SeedId
from tests.synthetic import LETTERS, START_NS

Spans = Mapping[str, Sequence[tuple[int, int]]]
"""For each component letter the stretches of samples that exist: first, and one past the last."""

MEMORY_S = 15.0
"""What happened so long ago changes no pick: the filter has forgotten it, the windows too."""

FORESIGHT_S = 6.0
"""What happens so much later changes no pick: it has been decided."""


def cut_lists(n: int, *, most: int = 60) -> st.SearchStrategy[list[int]]:
    """Places at which a component of `n` samples is cut into records."""
    return st.lists(st.integers(1, n - 1), max_size=most)


def cuts_of_all(n: int, *, most: int = 60) -> st.SearchStrategy[tuple[list[int], ...]]:
    """Such places for each of three components."""
    own = cut_lists(n, most=most)
    return st.tuples(own, own, own)


@st.composite
def holes(draw: st.DrawFn, n: int, *, most: int = 4, longest: int = 900) -> list[tuple[int, int]]:
    """Disjoint stretches of samples that are missing, none at the beginning or the end."""
    edges = draw(
        st.lists(st.integers(1, n - 2), min_size=0, max_size=2 * most, unique=True).map(sorted)
    )
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    return [(first, min(end, first + longest)) for first, end in pairs]


def without(n: int, missing: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The stretches that are left of `n` samples."""
    flat = [0, *(edge for hole in missing for edge in hole), n]
    return [(a, b) for a, b in zip(flat[::2], flat[1::2], strict=True) if a < b]


def records_of(
    waveform: NDArray[np.float64],
    spans: Spans,
    cuts: Sequence[Iterable[int]] = ((), (), ()),
    *,
    station: str = "A",
    start_ns: int = START_NS,
    rate_hz: float = 100.0,
    dtype: str = "i4",
) -> list[Record]:
    """The samples that exist, cut at the given places; in the order of start times."""
    out = []
    for letter, trace, own in zip(LETTERS, waveform, cuts, strict=True):
        seed_id = SeedId("XX", station, "", f"HH{letter}")
        for first, end in spans.get(letter, ()):
            edges = [first, *sorted({c for c in own if first < c < end}), end]
            for low, high in pairwise(edges):
                time_ns = start_ns + round(low * NS_PER_S / rate_hz)
                out.append(Record(seed_id, time_ns, rate_hz, trace[low:high].astype(dtype)))
    return in_time_order(out)


def in_time_order(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda r: (r.start_ns, r.seed_id))


def every(n: int, step: int) -> list[range]:
    """Cuts of all components at regular distances."""
    return [range(step, n, step)] * 3


def moved(records: Iterable[Record], by_ns: int) -> list[Record]:
    """The same samples at another time."""
    return [replace(record, start_ns=record.start_ns + by_ns) for record in records]


def seconds(pick: Pick, start_ns: int = START_NS) -> float:
    """A pick's time after the beginning of the data."""
    return (pick.time_ns - start_ns) / NS_PER_S


def far_from(picks: Iterable[Pick], touched: Iterable[tuple[float, float]]) -> list[Pick]:
    """The picks that nothing which happened in the stretches (in s) can have changed."""
    stretches = list(touched)
    return [
        pick
        for pick in picks
        if not any(a - FORESIGHT_S < seconds(pick) < b + MEMORY_S for a, b in stretches)
    ]


class Accounts(Observer):
    """Writes down what a pipeline reports, by channel."""

    def __init__(self) -> None:
        self.gaps: list[Gap] = []
        self.left_out: Counter[tuple[SeedId, DropReason]] = Counter()

    def gap(self, gap: Gap) -> None:
        self.gaps.append(gap)

    def dropped(self, seed_id: SeedId, reason: DropReason, n_samples: int) -> None:
        assert n_samples >= 0
        self.left_out[seed_id, reason] += n_samples

    def total(self, reason: DropReason) -> int:
        return sum(n for (_, own), n in self.left_out.items() if own is reason)


@contextmanager
def used_samples_counted() -> Iterator[Callable[[], int]]:
    """Within it, the samples that go on to the filter are counted (at 100 Hz)."""
    n_used = 0
    advance = Assembler.advance

    def counting(self: Assembler, *, final: bool = False) -> Iterator[Block]:
        nonlocal n_used
        for block in advance(self, final=final):
            n_used += int(block.present.sum()) * block.samples.shape[1]
            yield block

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Assembler, "advance", counting)
        yield lambda: n_used


def n_samples(records: Iterable[Record]) -> int:
    return sum(np.size(record.samples) for record in records)
