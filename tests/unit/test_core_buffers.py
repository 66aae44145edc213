from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.buffers import Assembler
from scperformer.core.channels import GridChunk
from scperformer.core.raw import RawRun
from scperformer.naming import component_places


def chunk(index: int, n: int, value: float = 1.0, *, fresh: bool = False) -> GridChunk:
    return GridChunk(index, np.full(n, value), 0, fresh, RawRun(0, 100.0))


@pytest.mark.parametrize(
    ("letters", "places"),
    [
        ("ZNE", {"N": 0, "E": 1, "Z": 2}),
        ("Z12", {"1": 0, "2": 1, "Z": 2}),
        ("Z23", {"2": 0, "3": 1, "Z": 2}),
        ("123", {"1": 0, "2": 1, "3": 2}),
        ("Z", {"Z": 2}),
        ("Z2", {"2": 1, "Z": 2}),
        ("ZNE12", {"N": 0, "E": 1, "Z": 2}),
        ("UVW", {}),
    ],
)
def test_places(letters, places):
    assert dict(component_places(frozenset(letters))) == places


def test_a_block_covers_what_all_components_have():
    assembler = Assembler(1000, 10_000)
    assembler.push("Z", chunk(10, 100, 3.0))
    assembler.push("N", chunk(0, 80, 1.0))
    assert list(assembler.advance()) == []
    assembler.push("E", chunk(0, 90, 2.0))
    blocks = list(assembler.advance())
    assert [(b.index, b.end, b.present.tolist()) for b in blocks] == [
        (0, 10, [True, True, False]),
        (10, 80, [True, True, True]),
    ]
    assert blocks[1].samples[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert blocks[0].fresh.tolist() == [True, True, False]
    assert blocks[1].fresh.tolist() == [False, False, True]


def test_a_silent_component_is_given_up_after_the_wait():
    assembler = Assembler(500, 10_000)

    def arrive(letter, index):
        assembler.note_front(index)
        assembler.push(letter, chunk(index, 100))

    for letter in "NEZ":
        assembler.push(letter, chunk(0, 100))
    list(assembler.advance())
    for second in range(1, 6):
        for letter in "NZ":
            arrive(letter, second * 100)
        assert list(assembler.advance()) == []
    arrive("Z", 600)
    arrive("N", 600)
    arrive("Z", 700)
    blocks = list(assembler.advance())
    assert blocks[0].index == 100
    assert not blocks[0].present[1]
    # It may come back where the latest record begins; before that it is too late.
    assert assembler.push("E", chunk(500, 300)) == 200


def test_expected_components_need_no_wait_for_others():
    assembler = Assembler(500, 10_000, frozenset("Z"))
    assembler.push("Z", chunk(0, 100))
    assert [b.end for b in assembler.advance()] == [100]


@given(
    cuts=st.lists(st.integers(1, 299), max_size=6, unique=True),
    starts=st.tuples(*[st.integers(0, 50)] * 3),
)
def test_every_sample_comes_out_once(cuts, starts):
    assembler = Assembler(10_000, 37)
    for letter, start in zip("NEZ", starts, strict=True):
        edges = sorted({start, *(c for c in cuts if c > start), 300})
        for first, end in pairwise(edges):
            samples = np.arange(first, end, dtype=float) + 1.0
            assembler.push(letter, GridChunk(first, samples, 0, first == start, RawRun(0, 100.0)))
    blocks = list(assembler.advance(final=True))
    for place, start in enumerate(starts):
        seen = np.concatenate([b.samples[place] for b in blocks if b.present[place]])
        np.testing.assert_array_equal(seen, np.arange(start, 300) + 1.0)
        assert sum(b.fresh[place] for b in blocks) == 1
    assert all(b.samples.shape[1] <= 37 for b in blocks)
