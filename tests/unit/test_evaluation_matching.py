"""Picks matched with labels."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from scperformer.evaluation.matching import candidate_pairs, match

MS = 1_000_000


def pairs_of(labels, picks, tolerance_s=0.5):
    """Labels and picks as (stream, milliseconds)."""
    columns = [
        np.array([item[column] * scale for item in items], np.int64)
        for items in (labels, picks)
        for column, scale in ((0, 1), (1, MS))
    ]
    return candidate_pairs(*columns, tolerance_s=tolerance_s)


def matched(labels, picks, keep=None, tolerance_s=0.5):
    """The pick of each label, None where there is none."""
    pairs = pairs_of(labels, picks, tolerance_s)
    chosen = np.ones(len(picks), bool) if keep is None else np.array(keep, bool)
    rows = match(pairs, chosen)
    return [int(pairs.pick[row]) if row >= 0 else None for row in rows]


def by_going_through_all_pairs(labels, picks, keep, tolerance_s=0.5):
    candidates = sorted(
        (abs(pick[1] - label[1]), label[1], j, i)
        for i, label in enumerate(labels)
        for j, pick in enumerate(picks)
        if label[0] == pick[0] and keep[j] and abs(pick[1] - label[1]) <= tolerance_s * 1000
    )
    found, taken = {}, set()
    for _, _, pick, label in candidates:
        if label not in found and pick not in taken:
            found[label] = pick
            taken.add(pick)
    return [found.get(i) for i in range(len(labels))]


def test_the_tolerance_s_edge_belongs_to_it():
    assert matched([(0, 1000)], [(0, 1500)]) == [0]
    assert matched([(0, 1000)], [(0, 500)]) == [0]
    assert matched([(0, 1000)], [(0, 1501)]) == [None]
    assert matched([(0, 1000)], [(0, 499)]) == [None]


def test_the_nearest_pair_comes_first_even_if_a_label_goes_without():
    # Both labels reach pick 0; the nearer one gets it, and the other has no second choice.
    assert matched([(0, 1000), (0, 1300)], [(0, 1250)]) == [None, 0]
    assert matched([(0, 1000), (0, 1300)], [(0, 1250), (0, 900)]) == [1, 0]


def test_streams_do_not_mix():
    assert matched([(0, 1000), (1, 1000)], [(1, 1000)]) == [None, 0]


def test_residuals_are_pick_minus_label():
    pairs = pairs_of([(0, 1000)], [(0, 1250), (0, 900)])
    assert pairs.residual_s.tolist() == [-0.1, 0.25]


def test_a_pick_that_is_left_out_makes_room():
    labels, picks = [(0, 1000)], [(0, 1010), (0, 1100)]
    assert matched(labels, picks) == [0]
    assert matched(labels, picks, keep=[False, True]) == [1]


items = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2500)), max_size=12)


@given(labels=items, picks=items, data=st.data())
def test_the_same_as_going_through_all_pairs(labels, picks, data):
    labels = list(dict.fromkeys(labels))
    keep = data.draw(st.lists(st.booleans(), min_size=len(picks), max_size=len(picks)))
    found = matched(labels, picks, keep)
    assert found == by_going_through_all_pairs(labels, picks, keep)
    used = [pick for pick in found if pick is not None]
    assert len(used) == len(set(used))
    assert all(keep[pick] for pick in used)


few = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3000)), max_size=5, unique=True)


@given(labels=few, picks=few)
def test_it_does_not_matter_which_of_two_is_called_the_label(labels, picks):
    distances = [abs(a[1] - b[1]) for a in labels for b in picks if a[0] == b[0]]
    assume(len(set(distances)) == len(distances))
    there, back = matched(labels, picks), matched(picks, labels)
    assert {(i, j) for i, j in enumerate(there) if j is not None} == {
        (i, j) for j, i in enumerate(back) if i is not None
    }
