import numpy as np
import pytest

from scperformer.core.onsets import aic, first_swing
from scperformer.types import Onset, Polarity
from tests.synthetic import START_NS, earthquakes, make_pipeline, pick_all, records


def test_aic_is_least_where_the_variance_changes():
    random = np.random.default_rng(0)
    samples = np.concatenate([random.normal(size=100), 10.0 * random.normal(size=100)])
    assert abs(int(np.argmin(aic(samples))) - 100) <= 2


def test_aic_by_hand():
    x = np.array([1.0, -1.0, 2.0, -1.0, 5.0, -4.0, 6.0, -5.0])
    k = 4
    expected = k * np.log(np.mean(x[:k] ** 2)) + (len(x) - k) * np.log(np.mean(x[k:] ** 2))
    assert aic(x)[k] == pytest.approx(expected)


def test_aic_of_silence_is_no_error():
    assert not np.isnan(aic(np.zeros(50))).any()


@pytest.fixture(scope="module")
def picks():
    return pick_all(make_pipeline(), records(earthquakes(6000, (15.0, 38.0))))


def test_sharp_onsets_are_found_to_the_sample(picks):
    for pick, true_s in zip(picks, (15.0, 20.0, 38.0, 43.0), strict=True):
        assert abs((pick.time_ns - START_NS) / 1e9 - true_s) <= 0.02
        assert pick.onset is Onset.IMPULSIVE
        assert pick.uncertainty_s < 0.05
        assert pick.snr > 10.0


def test_p_is_reported_on_the_vertical_and_s_on_a_horizontal(picks):
    assert [p.seed_id.channel[-1] for p in picks if p.phase == "P"] == ["Z", "Z"]
    assert {p.seed_id.channel[-1] for p in picks if p.phase == "S"} <= {"N", "E"}


def test_without_refinement_the_networks_time_stands():
    waveform = earthquakes(6000, (15.0,))
    plain = pick_all(make_pipeline(refine_onset=False), records(waveform))
    assert {p.onset for p in plain} == {Onset.QUESTIONABLE}
    assert all((p.time_ns - 2_003_217_000) % 160_000_000 == 0 for p in plain)


@pytest.mark.parametrize(("sign", "polarity"), [(1, "positive"), (-1, "negative")])
def test_polarity_is_the_sign_of_the_first_swing(sign, polarity):
    waveform = earthquakes(6000, ())
    t = np.arange(800) / 100.0
    waveform[2, 2000:2800] += sign * 3000.0 * np.sin(2 * np.pi * 8 * t) * np.exp(-t)
    (pick,) = [p for p in pick_all(make_pipeline(), records(waveform)) if p.phase == "P"]
    assert pick.polarity is Polarity(polarity)


def swinging(*amplitudes):
    """Noise of one count, then half-cycles of ten samples."""
    noise = np.where(np.arange(100) % 2, 1.0, -1.0)
    half = np.sin(np.pi * (np.arange(10) + 0.5) / 10)
    return np.concatenate([noise, *(a * half / half.max() for a in amplitudes), np.zeros(40)])


@pytest.mark.parametrize(
    ("amplitudes", "swing"),
    [
        ((12.0, -50.0), 12.0),
        ((-12.0, 50.0), -12.0),
        ((3.5, -50.0), 3.5),
        ((2.5, -50.0), -50.0),  # the noise hides the first: what is seen follows on it
        ((2.5, -2.5, 50.0), 0.0),  # nothing leaves the noise soon
    ],
)
def test_the_first_swing_is_the_half_cycle_that_leaves_the_noise(amplitudes, swing):
    assert first_swing(swinging(*amplitudes), 100, 100.0) == pytest.approx(swing)


def test_a_first_swing_without_noise_is_beyond_doubt():
    assert first_swing(np.array([0.0, 0.0, 0.0, -1.0, -2.0, 1.0]), 3, 100.0) == -np.inf
    assert first_swing(np.zeros(10), 3, 100.0) == 0.0


@pytest.mark.parametrize(("amplitude", "polarity"), [(60.0, "undecidable"), (400.0, "positive")])
def test_a_polarity_needs_a_first_swing_far_above_the_noise(amplitude, polarity):
    waveform = earthquakes(6000, ())
    t = np.arange(800) / 100.0
    rest = np.where(t < 0.0625, 0.0, -4000.0) * np.exp(-t)
    waveform[2, 2000:2800] += np.sin(2 * np.pi * 8 * t) * np.where(t < 0.0625, amplitude, rest)
    (pick,) = [p for p in pick_all(make_pipeline(), records(waveform)) if p.phase == "P"]
    assert pick.onset is Onset.IMPULSIVE
    assert pick.polarity is Polarity(polarity)


def test_time_correction_is_added():
    waveform = earthquakes(6000, (15.0,))
    plain = pick_all(make_pipeline(), records(waveform))
    moved = pick_all(make_pipeline(time_correction_s=0.25), records(waveform))
    assert [m.time_ns - p.time_ns for p, m in zip(plain, moved, strict=True)] == [250_000_000] * 2
