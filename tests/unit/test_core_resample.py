import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.resample import Resampler
from scperformer.types import SAMPLE_NS

RATES = [20.0, 40.0, 50.0, 66.6666667, 80.0, 99.0, 120.0, 125.0, 200.0, 250.0, 500.0]


def resample(rate, samples, start_ns=0, cuts=()):
    resampler = Resampler(start_ns, rate)
    index = resampler.next_index
    parts = [resampler.process(part) for part in np.split(samples, sorted(cuts))]
    return index, np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize("rate", RATES)
def test_a_sine_in_the_passband_comes_through(rate):
    start_ns = 1_600_000_000_123_456_789
    times_s = np.arange(round(20 * rate)) / rate
    frequency = 0.3 * min(rate, 100.0)
    index, out = resample(rate, 1000.0 + np.sin(2 * np.pi * frequency * times_s), start_ns)
    out_s = ((index + np.arange(len(out))) * SAMPLE_NS - start_ns) / 1e9
    expected = 1000.0 + np.sin(2 * np.pi * frequency * out_s)
    inner = slice(300, -300)
    np.testing.assert_allclose(out[inner], expected[inner], atol=4e-3)
    assert out_s[0] >= 0.0
    assert out_s[-1] < times_s[-1] + 1.0 / rate


@pytest.mark.parametrize("rate", [125.0, 200.0, 250.0, 500.0])
def test_what_would_be_aliased_is_removed(rate):
    times_s = np.arange(4000) / rate
    for frequency in np.linspace(56.0, rate / 2, 5, endpoint=False):
        _, out = resample(rate, np.sin(2 * np.pi * frequency * times_s))
        assert np.abs(out[100:-100]).max() < 4e-3, frequency


@given(
    rate=st.sampled_from(RATES),
    cuts=st.lists(st.integers(0, 600), max_size=10),
    start_ns=st.integers(0, 10**10),
)
def test_packets_do_not_matter(rate, cuts, start_ns):
    samples = np.random.default_rng(3).normal(size=600)
    index, whole = resample(rate, samples, start_ns)
    again, parts = resample(rate, samples, start_ns, cuts)
    assert index == again
    np.testing.assert_allclose(parts, whole, atol=1e-12)


@given(rate=st.sampled_from([50.0, 80.0, 125.0, 200.0, 250.0]), skipped=st.integers(1, 200))
def test_the_beginning_does_not_matter(rate, skipped):
    samples = np.random.default_rng(4).normal(size=1000)
    first, whole = resample(rate, samples)
    later, part = resample(rate, samples[skipped:], round(skipped * 1e9 / rate))
    edge = 80
    overlap = whole[later - first :]
    np.testing.assert_allclose(part[edge:], overlap[edge:], atol=1e-9)
