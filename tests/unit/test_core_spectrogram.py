import numpy as np
import pytest

from scperformer.core.spectrogram import spectrogram_columns


def naive(samples, step):
    hann = np.sin(np.pi * np.arange(64) / 64) ** 2
    columns = []
    for start in range(0, samples.shape[1] - 63, step):
        for_bins = np.array(
            [np.abs(np.fft.rfft(samples[c, start : start + 64] * hann)) for c in range(3)]
        )
        columns.append(10.0 * np.log10(for_bins.T.ravel()))
    return np.array(columns)


@pytest.mark.parametrize("step", [1, 2, 16])
def test_equals_a_naive_transform(step):
    samples = np.random.default_rng(0).normal(size=(3, 400)).astype(np.float32)
    np.testing.assert_allclose(spectrogram_columns(samples, step), naive(samples, step), atol=1e-2)


def test_a_window_has_22_columns_of_99():
    assert spectrogram_columns(np.ones((3, 400), np.float32)).shape == (22, 99)


def test_silence_is_finite_and_far_below_the_floor():
    columns = spectrogram_columns(np.zeros((3, 64), np.float32))
    assert np.isfinite(columns).all()
    assert columns.max() <= -500.0


@pytest.mark.parametrize("exponent", [-100, -83, -50, -20, 40])
def test_a_unit_shifts_the_decibels_and_nothing_else(exponent):
    samples = np.random.default_rng(0).normal(size=(3, 400)).astype(np.float32)
    samples[1, 100:250] *= 1e-3
    scaled = spectrogram_columns(np.ldexp(samples, exponent))
    wanted = spectrogram_columns(samples) + 10.0 * np.log10(2.0) * exponent
    np.testing.assert_allclose(scaled, wanted, atol=1e-3)


def test_a_silent_component_stays_silent_beside_a_faint_one():
    samples = np.zeros((3, 64), np.float32)
    samples[2] = np.random.default_rng(0).normal(size=64) * 1e-25
    columns = spectrogram_columns(samples).reshape(33, 3)
    assert (columns[:, :2] <= -500.0).all()
    assert (np.abs(columns[:, 2] + 250.0) < 30.0).all()


@pytest.mark.parametrize("n", [0, 1, 63])
def test_too_little_for_a_column(n):
    assert spectrogram_columns(np.zeros((3, n), np.float32)).shape == (0, 99)
