"""Columns and the level that they are relative to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scperformer.core.columns import PowerColumns, features_from_start, levels
from scperformer.stft import BINS, COLUMN, LEVEL_COLUMNS

N = 300
BINS_PART, TOTALS_PART, LIVE_PART = (
    slice(COLUMN),
    slice(COLUMN, COLUMN + 3),
    slice(COLUMN + 3, None),
)


def ground(n_columns: int = N, seed: int = 0) -> np.ndarray:
    """Noise whose size wanders, (3, m) float32."""
    rng = np.random.default_rng(seed)
    n = (n_columns - 1) * 16 + 64
    size = np.exp(np.cumsum(rng.normal(scale=0.03, size=n)))
    return (rng.normal(size=(3, n)) * size).astype(np.float32)


def all_present(n_columns: int = N) -> np.ndarray:
    return np.ones((n_columns, 3), dtype=bool)


def columns_of(samples: np.ndarray, present: np.ndarray | None = None) -> PowerColumns:
    own = all_present((samples.shape[1] - 64) // 16 + 1) if present is None else present
    return PowerColumns.of(samples, slice(None), own)


def levels_of(columns: PowerColumns) -> np.ndarray:
    """Levels of all columns, with nothing before them."""
    before = np.zeros(LEVEL_COLUMNS - 1)
    return levels(*(np.concatenate([before, values]) for values in columns.roots()))


def by_the_book(columns: PowerColumns) -> np.ndarray:
    """The same column by column."""
    found = []
    for last in range(len(columns.live)):
        roots = [
            np.exp(float(columns.log_totals[i, place]) / 4.0)
            for i in range(max(last - 127, 0), last + 1)
            for place in range(3)
            if columns.live[i, place]
        ]
        found.append(4.0 * np.log(np.mean(roots)) - np.log(33.0))
    return np.array(found)


def test_the_level_is_the_mean_fourth_root_of_the_last_128_columns():
    present = all_present()
    present[50:90, 0] = False
    present[200:, 1:] = False
    columns = columns_of(ground(), present)
    np.testing.assert_allclose(levels_of(columns), by_the_book(columns), atol=1e-9)


def test_features_are_logarithms_relative_to_the_level():
    columns = columns_of(ground())
    features = features_from_start(ground(), all_present())
    level = by_the_book(columns)[:, None]
    totals = np.clip(columns.log_totals - level, -9.0, 18.0) / 4.0
    bins = np.clip(columns.log_powers - level[:, :, None] + 3.5, -9.0, 18.0) / 4.0
    np.testing.assert_allclose(features[:, TOTALS_PART], totals, atol=1e-5)
    np.testing.assert_allclose(features[:, BINS_PART], bins.reshape(N, 3 * BINS), atol=1e-5)
    assert (features[:, LIVE_PART] == 1.0).all()


@pytest.mark.parametrize(("back", "matters"), [(128, False), (127, True)])
def test_the_level_forgets_what_lies_128_columns_back(back, matters):
    columns = columns_of(ground())
    before = levels_of(columns)
    columns.log_totals[100] += 5.0
    after = levels_of(columns)
    assert np.array_equal(before[:100], after[:100])
    assert (np.abs(after[100:228] - before[100:228]) > 1e-3).all()
    assert (before[100 + back] != after[100 + back]) == matters
    assert np.array_equal(before[228:], after[228:])


@settings(deadline=None, max_examples=40)
@given(first=st.integers(0, N - 130), n=st.integers(1, 150))
def test_a_level_is_the_same_number_whatever_lies_around_it(first, n):
    roots, counts = columns_of(ground()).roots()
    whole = levels(roots, counts)
    part = slice(first, first + 127 + n)
    assert np.array_equal(levels(roots[part], counts[part]), whole[first : first + n])


@pytest.mark.parametrize("gain", [1e-12, 1e-6, 1e3, 1e12])
def test_the_gain_of_the_instrument_does_not_matter(gain):
    samples = ground()
    scaled = (samples.astype(np.float64) * gain).astype(np.float32)
    np.testing.assert_allclose(
        features_from_start(scaled, all_present()),
        features_from_start(samples, all_present()),
        atol=1e-4,
    )


@pytest.mark.parametrize("way", ["absent", "silent"])
def test_a_component_without_signal_is_masked_and_does_not_count(way):
    samples, present = ground(), all_present()
    if way == "absent":
        present[:, 1] = False
        samples[1] *= 1e6
    else:
        samples[1] = 0.0
    columns = columns_of(samples, present)
    assert not columns.live[:, 1].any()
    features = features_from_start(samples, present)
    assert not features[:, 33:66].any()
    assert not features[:, TOTALS_PART][:, 1].any()
    assert (features[:, LIVE_PART] == (1.0, 0.0, 1.0)).all()
    others = columns_of(ground())
    roots = np.exp(others.log_totals[:, [0, 2]].astype(np.float64) / 4.0)
    level = 4.0 * np.log(roots[-128:].mean()) - np.log(33.0)
    assert levels_of(columns)[-1] == pytest.approx(level, abs=1e-9)


def test_silence_everywhere_gives_features_of_nothing():
    features = features_from_start(np.zeros((3, 64 + 16 * 9), np.float32), all_present(10))
    assert not features.any()


def test_a_spike_lifts_the_level_little():
    samples = np.random.default_rng(1).normal(size=(3, (N - 1) * 16 + 64)).astype(np.float32)
    quiet = levels_of(columns_of(samples))
    samples[2, 3200] = 1000.0
    columns = columns_of(samples)
    lift = levels_of(columns) - quiet
    power = np.exp(columns.log_totals[76:204].astype(np.float64)).mean() / BINS
    assert np.log(power) - quiet[203] > 5.0
    assert 0.0 < lift.max() < 1.2


def test_columns_that_are_wanted_are_those_of_all():
    samples = ground(40)
    whole = columns_of(samples)
    rows = np.array([3, 4, 5, 20, 39])
    some = PowerColumns.of(samples, rows, all_present(5))
    assert np.array_equal(some.log_powers, whole.log_powers[rows])
    assert np.array_equal(some.log_totals, whole.log_totals[rows])
    part = whole.part(slice(7, 30))
    assert np.array_equal(part.log_totals, whole.log_totals[7:30])
    assert len(PowerColumns.none().features(np.empty(0))) == 0
