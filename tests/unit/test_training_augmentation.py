import numpy as np
import pytest

from scperformer.training import augmentation


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
