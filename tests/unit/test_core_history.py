import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.history import RawHistory


@given(lengths=st.lists(st.integers(1, 700), min_size=1, max_size=30), most=st.integers(1, 900))
def test_it_holds_the_latest_samples_by_their_numbers(lengths, most):
    history = RawHistory(most)
    whole = np.arange(float(sum(lengths)))
    for end in np.cumsum(lengths).tolist():
        history.append(whole[history.end : end])
        assert (history.first, history.end) == (max(end - most, 0), end)
        np.testing.assert_array_equal(history.view(0, end + 5), whole[history.first : end])
        middle = (history.first + end) // 2
        np.testing.assert_array_equal(history.view(middle, end - 1), whole[middle : end - 1])


def test_what_was_made_up_is_marked_and_a_new_run_counts_from_nought():
    history = RawHistory(100)
    history.append(np.zeros(10))
    history.append(np.zeros(3), made_up=True)
    history.append(np.zeros(4))
    assert (history.end, history.real_from) == (17, 13)
    history.clear()
    assert (history.first, history.end, history.real_from) == (0, 0, 0)


@pytest.mark.parametrize(("first", "end"), [(20, 30), (-5, 0), (5, 5), (8, 3)])
def test_what_is_not_there_is_empty(first, end):
    history = RawHistory(100)
    history.append(np.zeros(10))
    assert history.view(first, end).size == 0


def test_what_is_let_go_is_gone():
    history = RawHistory(100)
    history.append(np.arange(10.0))
    history.trim(4)
    assert (history.first, history.end) == (4, 10)
    assert history.view(0, 10).tolist() == [4, 5, 6, 7, 8, 9]
