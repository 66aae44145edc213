from dataclasses import replace

import numpy as np
import pytest

from scperformer.core.columns import FEATURES
from scperformer.datasets.curves import Taught, teach
from scperformer.datasets.labels import MarkedRecord, Marks
from scperformer.stft import COLUMN
from scperformer.training.streaming_config import StretchesSection
from scperformer.training.stretches import Stretches, StretchMaker

from .training_fakes import record

N = 400
_SHARES = (
    "mosaic time_stretch superposition noise rotation swap polarity gain_db filtered clipping "
    "spikes gain_step dead_time vertical_only horizontal_only lose_one"
)
PLAIN = StretchesSection(**dict.fromkeys(_SHARES.split(), 0.0), at_arrivals=1.0)


def taught(
    n: int = 9000,
    picks=((3000, 0), (3600, 1)),
    *,
    loud: float = 30.0,
    source: str = "a",
    present=(True, True, True),
    seed: int = 0,
) -> Taught:
    own = record(n=n, source=source, present=present, seed=seed)
    for sample, _ in picks:
        own.samples[sample : sample + 300] *= loud
    table = np.array(picks).reshape(-1, 2)
    marks = Marks(table[:, 0].astype(float), table[:, 1], np.ones(len(table), bool))
    return teach(MarkedRecord(own, marks), None, voices=((1.0,), (1.0,)), width_s=0.12)


def maker(*records: Taught, options=PLAIN, n_columns: int = N) -> StretchMaker:
    return StretchMaker(records or [taught()], options, n_columns=n_columns, unlearned_s=2.0)


class TestBatches:
    def test_equal_seeds_give_equal_stretches(self):
        first, again = (maker(options=StretchesSection()).batch(4, [7]) for _ in range(2))
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other)
        other = maker(options=StretchesSection()).batch(4, [8])
        assert not np.array_equal(first[0], other[0])

    def test_a_batch_comes_from_its_number_alone(self):
        stretches = Stretches(maker(options=StretchesSection()), 3, (5, 0))
        np.testing.assert_array_equal(stretches.make(4)[0], stretches.make(4)[0])
        assert not np.array_equal(stretches.make(4)[0], stretches.make(5)[0])

    def test_shapes_and_sums(self):
        features, targets, weights = maker(options=StretchesSection()).batch(20, [1])
        assert features.shape == (20, N, FEATURES)
        assert targets.shape == (20, N, 3)
        assert weights.shape == (20, N)
        for array in (features, targets, weights):
            assert array.dtype == np.float32
            assert np.isfinite(array).all()
        np.testing.assert_allclose(targets.sum(axis=2), 1.0, atol=1e-5)
        assert targets.min() >= 0.0

    def test_nothing_is_learned_before_the_level_stands(self):
        _, _, weights = maker().batch(3, [1])
        since_s = (np.arange(N) * 16 + 32) / 100.0
        assert (weights[:, since_s < 2.0] == 0.0).all()
        assert (weights[:, (since_s >= 2.0) & (since_s < 5.0)] <= 0.31).all()
        assert (weights[:, since_s >= 5.0] == 1.0).all()


class TestTargets:
    @pytest.mark.parametrize("factor", [1.0, 0.7, 1.5])
    def test_they_stand_where_the_ground_begins_to_move(self, factor):
        stretched = replace(PLAIN, time_stretch=1.0, time_stretch_range=(factor, factor))
        features, targets, _ = maker(options=stretched).batch(30, [2])
        power = features[:, :, COLUMN + 2]
        n_found = 0
        for own, level in zip(targets, power, strict=True):
            for column in np.flatnonzero(own[:, 0] > 0.9):
                if 10 < column < N - 10:
                    n_found += 1
                    assert level[column + 3] > level[column - 5] + 0.5
        assert n_found >= 10

    def test_arrivals_lie_anywhere(self):
        long = taught(18_000, picks=((9000, 0),))
        _, targets, _ = maker(long).batch(60, [3])
        places = targets[:, :, 0].argmax(axis=1)[targets[:, :, 0].max(axis=1) > 0.8]
        assert len(places) > 20
        assert places.min() < 100
        assert places.max() > 250

    def test_a_drowned_arrival_is_neither_phase_nor_noise(self):
        loud = replace(PLAIN, noise=1.0, noise_snr_db=(-20.0, -20.0))
        _, targets, weights = maker(options=loud).batch(20, [4])
        arrives = targets[:, :, :2].max(axis=2) > 0.5
        assert arrives.any()
        assert (weights[arrives] == 0.0).all()

    def test_faint_noise_drowns_nothing(self):
        faint = replace(PLAIN, noise=1.0, noise_snr_db=(40.0, 40.0))
        _, targets, weights = maker(options=faint).batch(20, [4])
        late = np.arange(N) * 0.16 > 6.0
        arrives = (targets[:, :, :2].max(axis=2) > 0.5) & late
        assert (weights[arrives] == 1.0).all()

    def test_at_a_joint_nothing_is_learned(self):
        cut = replace(PLAIN, mosaic=1.0, mosaic_piece_s=(20.0, 20.0))
        _, _, weights = maker(options=cut).batch(5, [5])
        joints = np.arange(20.0, 64.0, 20.0)
        centres_s = (np.arange(N) * 16 + 32) / 100.0
        for joint in joints:
            near = (centres_s > joint - 0.2) & (centres_s < joint + 1.4)
            assert (weights[:, near] == 0.0).all()
        away = np.abs(centres_s[:, None] - joints).min(axis=1) > 2.0
        assert (weights[:, away & (centres_s > 6.0)] == 1.0).all()

    def test_a_second_record_brings_its_arrivals(self):
        both = replace(PLAIN, superposition=1.0, superposition_db=(0.0, 0.0))
        both = replace(both, quiet_superposition=0.0)
        alone = maker(options=PLAIN).batch(30, [6])[1][:, :, 0]
        more = maker(options=both).batch(30, [6])[1][:, :, 0]
        assert (more > 0.8).sum() > 1.4 * (alone > 0.8).sum()


class TestComponents:
    def live(self, options, **other):
        features = maker(taught(**other), options=options).batch(20, [7])[0]
        return features[:, :, COLUMN + 3 :]

    def test_all_are_there(self):
        assert (self.live(PLAIN) == 1.0).all()

    def test_a_vertical_alone(self):
        live = self.live(replace(PLAIN, vertical_only=1.0))
        assert (live == [0.0, 0.0, 1.0]).all()

    def test_what_a_record_lacks_is_not_live(self):
        live = self.live(PLAIN, present=(False, True, True))
        assert (live == [0.0, 1.0, 1.0]).all()

    def test_one_that_is_lost(self):
        live = self.live(replace(PLAIN, lose_one=1.0))
        assert (live.sum(axis=2) == 2.0).all()

    def test_one_that_is_dead_for_a_while(self):
        live = self.live(replace(PLAIN, dead_time=1.0))
        dead = (live == 0.0).any(axis=2)
        assert 0.05 < dead.mean() < 0.95


class TestDrawing:
    def test_a_large_folder_does_not_drown_a_small_one(self):
        large = [taught(source="large", loud=10.0, seed=n) for n in range(40)]
        small = taught(source="small", picks=((3000, 1),), seed=99)
        _, targets, _ = maker(*large, small).batch(60, [8])
        has_p = (targets[:, :, 0].max(axis=1) > 0.8).mean()
        assert 0.5 < has_p < 0.97

    def test_records_without_arrivals_serve_too(self):
        _, targets, weights = maker(taught(picks=())).batch(5, [9])
        assert (targets[:, :, 2] == 1.0).all()
        assert (weights[:, 60:300] == 1.0).all()

    def test_a_short_record_is_followed_by_another(self):
        _, _, weights = maker(taught(2000, ((900, 0),))).batch(5, [10])
        assert weights.mean() > 0.5

    def test_without_change_a_record_is_as_it_is(self):
        own = taught(n=(N - 1) * 16 + 64)
        features, targets, _ = maker(own, options=StretchesSection()).batch(2, [11], change=False)
        whole = features[(features[:, :, COLUMN + 3 :] == 1.0).all(axis=(1, 2))]
        for other in whole[1:]:
            np.testing.assert_array_equal(whole[0], other)
        assert targets[0, :, 0].argmax() == pytest.approx(3000 / 16 - 2, abs=1)

    def test_silence_at_the_head_of_a_piece_makes_no_blow(self):
        """A piece is brought to the level before the joint by what it begins with."""
        own = taught()
        own.record.samples[:1500] = 0.0
        cut = replace(PLAIN, mosaic=1.0, at_arrivals=0.0)
        with np.errstate(over="raise", invalid="raise"):
            features, _, _ = maker(own, taught(seed=2), options=cut).batch(40, [12])
        assert np.isfinite(features).all()
