import numpy as np
import pytest

from scperformer.training.synthetic import (
    Onsets,
    draw_onsets,
    make_events,
    onset_targets,
    splice_events,
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def noise(n, rng, level=1.0):
    return (level * rng.standard_normal((n, 400, 3))).astype(np.float32)


def energy(windows, first, last):
    """Mean square of each component between samples counted from an onset, (n, 3)."""
    return np.stack(
        [(w[a:b] ** 2).mean(axis=0) for w, a, b in zip(windows, first, last, strict=True)]
    )


def test_onsets_lie_where_they_were_asked_for(rng):
    onsets = draw_onsets(20_000, rng, s_minus_p_s=(0.3, 3.0), shift_s=0.5)
    distance = (onsets.s - onsets.p) / 100.0
    assert distance.min() >= 0.29
    assert distance.max() <= 3.01
    # Evenly by the logarithm: as many below the geometric mean as above.
    assert np.mean(distance < np.sqrt(0.3 * 3.0)) == pytest.approx(0.5, abs=0.02)
    near_p, near_s = np.abs(onsets.p - 200) <= 50, np.abs(onsets.s - 200) <= 50
    assert near_p.mean() > 0.4
    assert near_s.mean() > 0.4
    only = draw_onsets(1000, rng, s_minus_p_s=(0.3, 3.0), shift_s=0.1, phases_only=True)
    nearest = np.minimum(np.abs(only.p - 200), np.abs(only.s - 200))
    assert nearest.max() <= 10


def test_targets_by_hand():
    onsets = Onsets(np.array([200, 210, 100, 195]), np.array([300, 400, 200, 205]))
    half = np.exp(-0.5)
    shared = np.exp(-0.125)
    wanted = [
        [1, 0, 0],
        [half, 0, 1 - half],
        [0, 1, 0],
        [shared / (2 * shared), shared / (2 * shared), 0],
    ]
    np.testing.assert_allclose(onset_targets(onsets, width_s=0.1), wanted, atol=1e-6)


def test_made_events_have_the_polarisation_of_p_and_s(rng):
    n = 400
    onsets = Onsets(np.full(n, 150), np.full(n, 260))
    background = noise(n, rng, 1e-3)
    made = make_events(background, onsets, rng, snr_db=(40.0, 40.0))
    np.testing.assert_array_equal(made[:, :150], background[:, :150])
    p = energy(made, onsets.p, onsets.p + 40).sum(axis=0)
    s = energy(made, onsets.s, onsets.s + 40).sum(axis=0)
    assert p[2] > 2.0 * (p[0] + p[1])
    assert s[0] + s[1] > 4.0 * s[2]
    assert s[:2].sum() > 2.0 * p.sum()


def test_made_events_have_the_ratio_asked_for(rng):
    n = 300
    onsets = Onsets(np.full(n, 200), np.full(n, 390))
    background = noise(n, rng)
    made = make_events(background, onsets, rng, snr_db=(20.0, 20.0)) - background
    peak = np.abs(made[:, 200:390]).max(axis=(1, 2))
    # The envelope's largest value is below 1 where the rise is slow.
    assert np.median(peak) == pytest.approx(10.0, rel=0.45)
    assert peak.max() <= 10.5


def test_events_decay_and_silent_components_stay_silent(rng):
    n = 200
    background = noise(n, rng, 1e-3) * np.array([1, 0, 1], np.float32)
    onsets = Onsets(np.full(n, 20), np.full(n, 60))
    made = make_events(background, onsets, rng, snr_db=(30.0, 30.0))
    assert not made[:, :, 1].any()
    early, late = (energy(made, onsets.s + d, onsets.s + d + 40).mean() for d in (0, 300))
    assert late < 0.1 * early
    silent = make_events(
        np.zeros((2, 400, 3), np.float32), onsets.take(np.arange(2)), rng, snr_db=(0.0, 0.0)
    )
    assert not silent.any()


def test_onsets_outside_give_coda_or_nothing(rng):
    background = noise(2, rng, 1e-3)
    onsets = Onsets(np.array([-150, 401]), np.array([-100, 500]))
    made = make_events(background, onsets, rng, snr_db=(60.0, 60.0))
    assert np.isfinite(made).all()
    assert (made[0] != background[0]).any()
    np.testing.assert_array_equal(made[1], background[1])


def test_spliced_events_are_p_until_s_begins(rng):
    n = 50
    onsets = Onsets(np.full(n, 150), np.full(n, 230))
    p, s = noise(n, rng), noise(n, rng, 1000.0)
    spliced = splice_events(p, s, onsets, rng)
    np.testing.assert_array_equal(spliced[:, :222], p[:, :222])
    added = (spliced - p)[:, 230:]
    ratio = np.abs(added).max(axis=(1, 2)) / np.abs(p[:, 150:250]).max(axis=(1, 2))
    assert ratio.min() >= 0.99
    assert ratio.max() <= 8.01
    # What was added is the recorded S, scaled.
    factor = added[:, 50, 0] / s[:, 280, 0]
    np.testing.assert_allclose(added, s[:, 230:] * factor[:, None, None], rtol=2e-3, atol=1e-4)
    lone = splice_events(p * np.array([0, 0, 1], np.float32), s, onsets, rng)
    assert not lone[:, :, :2].any()


def test_equal_seeds_give_equal_events():
    results = []
    for _ in range(2):
        rng = np.random.default_rng(2)
        onsets = draw_onsets(20, rng, s_minus_p_s=(0.5, 2.0), shift_s=0.2)
        results.append(make_events(noise(20, rng), onsets, rng, snr_db=(0.0, 30.0)))
    np.testing.assert_array_equal(*results)
    assert results[0].dtype == np.float32
