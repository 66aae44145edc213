import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from scperformer.core.filters import parse_filter
from scperformer.errors import ConfigurationError

ALL = np.ones(3, dtype=bool)
DEFAULT = "BW_HP(4,2)"
FILTERS = [
    DEFAULT,
    "BW(4,2,20)",
    "BW_LP(2,10)",
    "BW_BS(2,10,20)",
    "BW_HLP(3,1,20)",
    "RMHP(1)>>ITAPER(0.5)>>BW(4,0.7,2)",
    "AVG(0.1)",
    "RM(0.7)",
    "DIFF>>INT",
    "ITAPER(1, 3)",
    "",
]


def noise(n: int = 500, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, n)) * 100.0 + 5000.0


def run(text: str, samples: np.ndarray, cuts: tuple[int, ...] = ()) -> np.ndarray:
    state = parse_filter(text).start()
    state.prime(ALL, samples[:, 0])
    return np.concatenate([state.process(p) for p in np.split(samples, cuts, axis=1)], axis=1)


def test_high_pass_is_scipys_butterworth_primed_on_the_first_sample():
    samples = noise()
    sections = signal.butter(4, 2.0, "highpass", fs=100.0, output="sos")
    zi = signal.sosfilt_zi(sections)
    for trace, filtered in zip(samples, run(DEFAULT, samples), strict=True):
        expected, _ = signal.sosfilt(sections, trace, zi=zi * trace[0])
        np.testing.assert_allclose(filtered, expected, atol=1e-6)


@pytest.mark.parametrize("text", FILTERS)
def test_a_constant_goes_through_as_its_steady_state(text):
    state = parse_filter(text).start()
    value = np.full((3, 300), 1234.5)
    state.prime(ALL, value[:, 0])
    out = state.process(value)
    if "ITAPER" not in text:
        assert np.ptp(out) <= 1e-9
    if "HP" in text or text.startswith("BW("):
        assert not out.any()


@pytest.mark.parametrize("text", FILTERS)
@given(cuts=st.lists(st.integers(0, 500), max_size=8))
def test_packets_do_not_matter(text, cuts):
    samples = noise()
    whole = run(text, samples)
    parts = run(text, samples, tuple(sorted(cuts)))
    np.testing.assert_allclose(parts, whole, rtol=1e-9, atol=1e-8)


def test_components_are_primed_on_their_own():
    samples = noise()
    state = parse_filter(DEFAULT).start()
    state.prime(ALL, samples[:, 0])
    first = state.process(samples[:, :200])
    state.prime(np.array([False, True, False]), samples[:, 200])
    second = state.process(samples[:, 200:])
    whole = run(DEFAULT, samples)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1)[[0, 2]], whole[[0, 2]])
    fresh = run(DEFAULT, samples[:, 200:])
    np.testing.assert_array_equal(second[1], fresh[1])


def test_running_mean_high_pass_begins_with_the_mean_of_what_there_is():
    samples = np.array([[1.0, 3.0, 5.0, 7.0]] * 3)
    out = run("RMHP(0.03)", samples)
    means = [1.0, 2.0, 3.0, (3.0 * 2 + 7.0) / 3]
    np.testing.assert_allclose(out[0], samples[0] - means)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("FOO(1)", "unknown stage FOO"),
        ("BW_HP(4)", "got 1 parameters"),
        ("BW_HP(4,2", "cannot read"),
        ("BW_HP(4,x)", "could not convert"),
        ("BW_HP(2.5,2)", "order"),
        ("BW_HP(4,60)", "Nyquist"),
        ("BW(4,20,2)", "ascending"),
        ("BW_HP(4,nan)", "finite"),
        ("RMHP(0.001)", "shorter than a sample"),
        ("BW_HP(4,2)>>", "cannot read"),
        ("DIFF(2)", "got 1 parameters"),
    ],
)
def test_bad_filters_say_what_was_wanted(text, word):
    with pytest.raises(ConfigurationError, match=word):
        parse_filter(text)
