"""An onset belongs to the ground, not to the recorder: it is the same at every sampling rate."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.onsets import earthquake
from scperformer.core.pipeline import Pipeline
from scperformer.core.triggers import Thresholds
from scperformer.types import SAMPLING_RATE_HZ, WINDOW_SAMPLES, Onset, Phase, WindowInput
from tests.profiles import examples

RATES_HZ = (80.0, 100.0, 125.0, 200.0, 250.0, 500.0)
CLEAR = (100.0, 1e4)
NYQUIST_HZ = min(RATES_HZ) / 2.0
"""The ground motion is the same: all that the slowest recorder passes."""


class TellingClassifier:
    """Knows when P and S begin, to half a window's shift."""

    name = "telling"
    sha256 = "0" * 64
    window_input = WindowInput.SAMPLES

    def classify(self, batch):
        windows = batch.rows[batch.starts[:, None] + np.arange(WINDOW_SAMPLES)]
        vertical, horizontal = windows[:, :, 2] ** 2, (windows[:, :, :2] ** 2).sum(axis=2)
        answers = np.full((len(batch), 3), 0.01, np.float32)
        for column, energy in enumerate((vertical, horizontal)):
            before, behind = energy[:, 100:200].sum(axis=1), energy[:, 200:300].sum(axis=1)
            rise = np.log((behind + 1e-9) / (before + 1e-9))
            answers[:, column] = 1.0 / (1.0 + np.exp(2.0 - rise))
        answers[:, 2] = 1.0 - answers[:, :2].max(axis=1)
        return answers


def picked(one, rate_hz, phase):
    """Pick minus truth, in seconds, of the pick nearest to an arrival."""
    pipeline = Pipeline(TellingClassifier(), thresholds=Thresholds.constant(0.5, 0.5))
    picks = [
        p for record in one.records(rate_hz, nyquist_hz=NYQUIST_HZ) for p in pipeline.feed(record)
    ]
    picks += pipeline.flush()
    errors = [(p.time_ns - one.time_ns(phase)) / 1e9 for p in picks if p.phase is phase]
    return min(errors, key=abs)


@examples(12)
@given(st.integers(0, 10**6), st.sampled_from(RATES_HZ), st.sampled_from(RATES_HZ))
def test_another_rate_moves_a_pick_by_less_than_a_fiftieth_of_a_second(number, rate_hz, other_hz):
    one = earthquake(number, Onset.IMPULSIVE, signal_to_noise=CLEAR)
    error, other = picked(one, rate_hz, Phase.P), picked(one, other_hz, Phase.P)
    assert abs(error - other) < 0.02


@examples(8)
@given(st.integers(0, 10**6), st.sampled_from(RATES_HZ))
def test_nothing_is_picked_before_it_begins(number, rate_hz):
    one = earthquake(number, Onset.IMPULSIVE, signal_to_noise=CLEAR)
    for phase in Phase:
        assert -1.5 / min(rate_hz, SAMPLING_RATE_HZ) < picked(one, rate_hz, phase) < 0.03
