"""Which windows there are, and which components take part: against a plain account of samples."""

from itertools import chain, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.buffers import Assembler
from scperformer.core.channels import GridChunk
from scperformer.core.filters import parse_filter
from scperformer.core.raw import RawRun
from scperformer.core.windows import WindowCutter
from scperformer.types import SAMPLE_NS, WINDOW_SAMPLES
from tests.profiles import examples
from tests.property.streams import holes, without
from tests.synthetic import LETTERS

N = 3000
OFFSETS_NS = {"N": -2_000_000, "E": 0, "Z": 4_000_000}


def windows_cut(spans, cuts, *, shift, first, largest):
    """All windows of chunks that come in the order of time: start and what takes part."""
    assembler = Assembler(500, largest, frozenset(LETTERS))
    cutter = WindowCutter(parse_filter(""), shift)
    chunks = []
    for letter, own in spans.items():
        for low, high in own:
            edges = [low, *sorted({c for c in cuts if low < c < high}), high]
            chunks += [(a, letter, b, a == low) for a, b in pairwise(edges)]
    runs = []
    for low, letter, high, fresh in sorted(chunks):
        assembler.note_front(first + low)
        samples = np.arange(low, high, dtype=float) + 10_000.0
        chunk = GridChunk(first + low, samples, OFFSETS_NS[letter], fresh, RawRun(0, 100.0))
        assert assembler.push(letter, chunk) == 0
        runs += [run for block in assembler.advance() for run in cutter.process(block)]
    runs += [run for block in assembler.advance(final=True) for run in cutter.process(block)]
    runs += cutter.finish()
    return runs


def stretches(covered):
    """Where any component has samples, cut where no component goes on."""
    anyone = np.any(list(covered.values()), axis=0)
    begins = anyone & ~np.concatenate([[False], anyone[:-1]])
    goes_on = np.zeros(len(anyone), dtype=bool)
    for number in covered.values():
        goes_on[1:] |= (number[1:] == number[:-1]) & (number[1:] > 0)
    begins |= anyone & ~goes_on
    return anyone, begins


@examples(40)
@given(
    missing=st.tuples(*[holes(N, most=3, longest=1500)] * 3),
    seams=st.tuples(*[st.lists(st.integers(1, N - 1), max_size=2)] * 3),
    cuts=st.lists(st.integers(1, N - 1), max_size=40),
    shift=st.sampled_from([16, 10, 100]),
    first=st.integers(10**11, 10**11 + 1000),
    largest=st.sampled_from([37, 1000, 60_000]),
)
def test_against_a_plain_account(*, missing, seams, cuts, shift, first, largest):
    """A component takes part in a window if one run of it covers all of the window."""
    spans = {}
    for letter, own, seam in zip(LETTERS, missing, seams, strict=True):
        parts = without(N, own)
        spans[letter] = list(
            chain(*(pairwise([a, *sorted({s for s in seam if a < s < b}), b]) for a, b in parts))
        )
    covered = {letter: np.zeros(N, dtype=int) for letter in LETTERS}
    for letter, own in spans.items():
        for number, (low, high) in enumerate(own, start=1):
            covered[letter][low:high] = number
    anyone, begins = stretches(covered)
    expected = {}
    for start in range(-(-first // shift) * shift - first, N - WINDOW_SAMPLES + 1, shift):
        window = slice(start, start + WINDOW_SAMPLES)
        if anyone[window].all() and not begins[window][1:].any():
            expected[start + first] = tuple(
                bool((covered[k][window] == covered[k][start]).all() and covered[k][start])
                for k in LETTERS
            )
    found = {}
    for run in windows_cut(spans, cuts, shift=shift, first=first, largest=largest):
        for number, start in enumerate(run.starts.tolist()):
            assert start not in found
            found[start] = tuple(bool(p) for p in run.present[number])
            at = start - int(run.starts[0])
            for place in np.flatnonzero(run.present[number]):
                assert run.samples[place, at] == start - first + 10_000
                assert run.samples[place, at + WINDOW_SAMPLES - 1] == start - first + 10_399
                assert run.time_ns(start, place) == start * SAMPLE_NS + OFFSETS_NS[LETTERS[place]]
                assert run.letters[place] == LETTERS[place]
    assert found == expected
