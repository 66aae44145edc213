import numpy as np
import pytest
from scipy import signal

from scperformer.training import augmentation

RATES = np.fft.rfftfreq(400, 0.01)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def windows(rng):
    return rng.standard_normal((200, 400, 3)).astype(np.float32)


def lone_vertical(windows):
    return windows * np.array([0, 0, 1], np.float32)


def test_rotation_keeps_the_vertical_and_the_horizontal_length(windows, rng):
    turned = augmentation.rotate_horizontals(windows, rng, probability=1.0)
    np.testing.assert_array_equal(turned[:, :, 2], windows[:, :, 2])
    np.testing.assert_allclose(
        np.hypot(turned[:, :, 0], turned[:, :, 1]),
        np.hypot(windows[:, :, 0], windows[:, :, 1]),
        rtol=1e-4,
        atol=1e-5,
    )
    assert not np.allclose(turned[:, :, 0], windows[:, :, 0])


def test_rotation_needs_both_horizontals(windows, rng):
    one = windows * np.array([1, 0, 1], np.float32)
    np.testing.assert_array_equal(augmentation.rotate_horizontals(one, rng, probability=1.0), one)


def test_polarity_turns_all_components_together(windows, rng):
    flipped = augmentation.flip_polarity(windows, rng, probability=0.5)
    signs = flipped[:, 0, 0] / windows[:, 0, 0]
    assert set(signs) == {1.0, -1.0}
    np.testing.assert_array_equal(flipped, windows * signs[:, None, None])


def test_gain_is_one_factor_a_component_within_its_range(windows, rng):
    changed = augmentation.change_gain(windows, rng, range_db=6.0)
    ratio = changed / windows
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=1e-5)
    assert ratio.max() <= 10 ** (6 / 20) * 1.0001
    assert ratio.min() >= 10 ** (-6 / 20) * 0.9999
    assert np.std(ratio[:, 0], axis=1).min() > 0


def test_noise_comes_in_at_the_ratio_asked_for(windows, rng):
    noise = 50 * rng.standard_normal(windows.shape).astype(np.float32)
    mixed = augmentation.mix_noise(windows, noise, rng, probability=1.0, snr_db=(10.0, 10.0))
    added = mixed - windows
    ratio_db = 10 * np.log10((windows**2).sum((1, 2)) / (added**2).sum((1, 2)))
    np.testing.assert_allclose(ratio_db, 10.0, atol=1e-3)


def test_noise_leaves_missing_components_and_silence_alone(windows, rng):
    noise = rng.standard_normal(windows.shape).astype(np.float32)
    vertical = lone_vertical(windows)
    options = {"probability": 1.0, "snr_db": (0.0, 0.0)}
    mixed = augmentation.mix_noise(vertical, noise, rng, **options)
    assert not mixed[:, :, :2].any()
    assert (mixed[:, :, 2] != vertical[:, :, 2]).any(axis=1).all()
    silence = np.zeros_like(windows)
    assert not augmentation.mix_noise(silence, noise, rng, **options).any()
    np.testing.assert_array_equal(augmentation.mix_noise(windows, silence, rng, **options), windows)


def test_shares_are_kept(windows, rng):
    noise = rng.standard_normal(windows.shape).astype(np.float32)
    mixed = augmentation.mix_noise(windows, noise, rng, probability=0.3, snr_db=(0.0, 5.0))
    assert np.mean((mixed != windows).any(axis=(1, 2))) == pytest.approx(0.3, abs=0.12)
    for change in (augmentation.rotate_horizontals, augmentation.flip_polarity):
        np.testing.assert_array_equal(change(windows, rng, probability=0.0), windows)


def test_component_loss_leaves_what_was_asked_for(rng):
    present = np.ones((20_000, 3), dtype=bool)
    keep = augmentation.component_loss(present, rng, lose_one=0.2, lose_two=0.3, vertical_share=0.7)
    left = keep.sum(axis=1)
    shares = np.bincount(left, minlength=4) / len(left)
    np.testing.assert_allclose(shares, [0.0, 0.3, 0.2, 0.5], atol=0.02)
    assert keep[left == 1, 2].mean() == pytest.approx(0.7, abs=0.02)
    assert keep[left == 1, 0].mean() == pytest.approx(0.15, abs=0.02)
    assert (~keep[left == 2]).mean(axis=0) == pytest.approx(np.full(3, 1 / 3), abs=0.03)


def test_component_loss_never_takes_the_last_component(rng):
    present = np.tile([False, False, True], (1000, 1))
    keep = augmentation.component_loss(present, rng, lose_one=0.5, lose_two=0.5, vertical_share=0.5)
    np.testing.assert_array_equal(keep, present)


def test_equal_seeds_give_equal_windows(windows):
    noise = windows[::-1]
    results = []
    for _ in range(2):
        rng = np.random.default_rng(9)
        changed = augmentation.rotate_horizontals(windows, rng, probability=0.5)
        changed = augmentation.mix_noise(changed, noise, rng, probability=0.5, snr_db=(0, 9))
        results.append(augmentation.change_gain(changed, rng, range_db=3.0))
    np.testing.assert_array_equal(*results)
    assert results[0].dtype == np.float32


def tones(*frequencies_hz):
    time_s = np.arange(400) / 100.0
    one = sum(np.sin(2 * np.pi * f * time_s) for f in frequencies_hz)
    return np.tile(one[None, :, None], (6, 1, 3)).astype(np.float32)


def amplitude(windows, frequency_hz):
    """Amplitude of a tone in the middle of the windows, where no edge is near."""
    middle = windows[:, 100:300]
    time_s = np.arange(100, 300) / 100.0
    wave = np.exp(-2j * np.pi * frequency_hz * time_s)
    return 2.0 * np.abs(np.einsum("nsc,s->nc", middle, wave)) / 200


@pytest.mark.parametrize("highpass", [True, False])
def test_the_response_is_that_of_scipys_butterworth(highpass):
    kind = "highpass" if highpass else "lowpass"
    corners = np.array([2.0, 7.5, 30.0])
    found = augmentation.butterworth(corners, highpass=highpass)
    for corner, response in zip(corners, found, strict=True):
        poles = signal.butter(4, corner, kind, fs=100, output="zpk")
        wanted = signal.freqz_zpk(*poles, worN=np.fft.rfftfreq(1024, 0.01), fs=100)[1]
        np.testing.assert_allclose(response, wanted, atol=1e-6)


def test_a_filtered_window_is_what_the_stream_filter_gives(rng):
    """Later than a second after its beginning, which the two begin differently."""
    windows = rng.standard_normal((3, 400, 3)).astype(np.float32)
    options = {"highpass_hz": (5.0, 5.0), "lowpass_hz": (20.0, 20.0)}
    found = augmentation.vary_filter(windows, np.random.default_rng(1), probability=1.0, **options)
    high = signal.butter(4, 5.0, "highpass", fs=100, output="sos")
    low = signal.butter(4, 20.0, "lowpass", fs=100, output="sos")
    passed = signal.sosfilt(high, windows, axis=1)
    either = (passed, signal.sosfilt(low, passed, axis=1))
    for number in range(3):
        errors = [np.abs(found[number] - one[number])[100:].max() for one in either]
        assert min(errors) < 0.02


def test_a_lower_rate_takes_the_high_frequencies(rng):
    limited = augmentation.band_limit(tones(6.0, 30.0), rng, probability=1.0, rate_hz=(40.0, 40.0))
    np.testing.assert_allclose(amplitude(limited, 6.0), 1.0, atol=0.02)
    left = amplitude(limited, 30.0)
    assert left.max() < 10 ** (-54 / 20)
    assert left.min() > 10 ** (-90 / 20)


def test_no_edge_is_made_by_filtering(rng):
    """A tone inside the pass band comes out as it was, to its first and last sample."""
    limited = augmentation.band_limit(tones(5.0), rng, probability=1.0, rate_hz=(50.0, 50.0))
    np.testing.assert_allclose(limited, tones(5.0), atol=0.1)


def test_clipping_is_one_level_for_all_components(windows, rng):
    windows[:, :, 2] *= 5.0
    clipped = augmentation.clip_peaks(windows, rng, probability=1.0, level=(0.1, 0.3))
    peaks = np.abs(windows).max(axis=(1, 2))
    limits = np.abs(clipped).max(axis=(1, 2))
    assert ((limits / peaks >= 0.0999) & (limits / peaks <= 0.3001)).all()
    np.testing.assert_array_equal(
        clipped, np.clip(windows, -limits[:, None, None], limits[:, None, None])
    )
    assert (np.abs(clipped[:, :, 2]) == limits[:, None]).sum(axis=1).min() > 20


CHANGES = {
    "vary_filter": {"highpass_hz": (2.0, 5.0), "lowpass_hz": (15.0, 45.0)},
    "band_limit": {"rate_hz": (20.0, 80.0)},
    "clip_peaks": {"level": (0.2, 0.5)},
}


@pytest.mark.parametrize("name", CHANGES)
def test_shares_silence_and_seeds(name, windows):
    windows[:, :, 0] = 0.0

    def change(share):
        rng = np.random.default_rng(5)
        return getattr(augmentation, name)(windows, rng, probability=share, **CHANGES[name])

    np.testing.assert_array_equal(change(0.0), windows)
    some = change(0.4)
    assert some.dtype == np.float32
    assert not some[:, :, 0].any()
    assert np.mean((some != windows).any(axis=(1, 2))) == pytest.approx(0.4, abs=0.15)
    np.testing.assert_array_equal(change(0.4), some)


def test_another_earthquake_comes_in_at_the_ratio_asked_for(windows, rng):
    others = 30 * rng.standard_normal(windows.shape).astype(np.float32)
    windows[:, :, 1] = 0.0
    both = augmentation.superpose(windows, others, rng, probability=1.0, ratio_db=(-6.0, -6.0))
    added = both - windows
    assert not added[:, :, 1].any()
    ratio = np.abs(added).max(axis=(1, 2)) / np.abs(windows).max(axis=(1, 2))
    np.testing.assert_allclose(ratio, 10 ** (-6 / 20), rtol=1e-4)
    nothing = np.zeros_like(windows)
    alone = augmentation.superpose(windows, nothing, rng, probability=1.0, ratio_db=(0.0, 0.0))
    np.testing.assert_array_equal(alone, windows)


def test_moved_windows_show_the_same_later_or_earlier():
    windows = np.ones((3, 400, 3), np.float32) * np.arange(1, 401)[None, :, None]
    moved = augmentation.shift_in_time(windows, np.array([50, -120, 0]))
    np.testing.assert_array_equal(moved[0, 70:, 0], np.arange(21, 351))
    np.testing.assert_array_equal(moved[1, :260, 2], np.arange(121, 381))
    np.testing.assert_array_equal(moved[2], windows[2])
    assert not moved[0, :50].any()
    assert not moved[1, 280:].any()
    assert 0 < moved[1, 279, 0] < 10
    assert not augmentation.shift_in_time(windows, np.full(3, 700)).any()
