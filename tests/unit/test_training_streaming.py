"""The training of the streaming network: stretches, the network in TensorFlow, a whole training."""

import json
from dataclasses import replace

import numpy as np
import pytest

from scperformer.core.columns import PowerColumns, features_from_start
from scperformer.core.streaming import COLD_COLUMNS, Step, StreamingNetwork
from scperformer.core.streaming_shape import FEATURES
from scperformer.datasets.curves import teach
from scperformer.datasets.labels import MarkedRecord, Marks
from scperformer.errors import ConfigurationError
from scperformer.networks.manifest import check_weights_file, read_manifest
from scperformer.networks.streaming import read_streaming
from scperformer.training.streaming_config import StreamingConfig, StretchesSection
from scperformer.training.stretches import Stretches, StretchMaker
from scperformer.training.workers import Workers
from tests.streaming_network import SHAPE, random_streaming_weights
from tests.unit.test_training_end_to_end import (
    KEEPING_THE_FIRST_CHECKPOINT,
    run_python,
    train,
)
from tests.unit.training_fakes import record, write_folder

PLAIN = StretchesSection(
    **dict.fromkeys(
        (
            "mosaic", "time_stretch", "superposition", "noise", "rotation", "swap", "polarity",
            "gain_db", "filtered", "clipping", "spikes", "gain_step", "dead_time",
            "vertical_only", "horizontal_only", "lose_one",
        ),
        0.0,
    )
)  # fmt: skip
N_COLUMNS = 250


def taught(n=9000, picks=((3000, 0), (3600, 1)), seed=0, source="one", present=(True,) * 3):
    own = record(n=n, seed=seed, source=source, present=present)
    for sample, _ in picks:
        own.samples[sample : sample + 300] *= 30.0
    sample, phase = zip(*picks, strict=True) if picks else ((), ())
    marks = Marks(np.array(sample, float), np.array(phase, int), np.ones(len(picks), bool))
    return teach(MarkedRecord(own, marks), None, voices=((1.0,), (1.0,)), width_s=0.12)


def maker(*records, n_columns=N_COLUMNS, unlearned_s=0.0, **options):
    return StretchMaker(
        records, replace(PLAIN, **options), n_columns=n_columns, unlearned_s=unlearned_s
    )


def all_options():
    return StretchesSection(**dict.fromkeys(("mosaic", "superposition", "noise"), 0.9))


class TestStretches:
    def test_equal_seeds_make_equal_stretches(self):
        records = [taught(), taught(seed=1, source="two"), taught(seed=2, picks=())]
        first, again = (
            StretchMaker(records, all_options(), n_columns=100, unlearned_s=2.0).batch(6, [5])
            for _ in range(2)
        )
        assert all(map(np.array_equal, first, again))
        other = StretchMaker(records, all_options(), n_columns=100, unlearned_s=2.0).batch(6, [6])
        assert not np.array_equal(first[0], other[0])
        assert [part.shape for part in first] == [(6, 100, FEATURES), (6, 100, 3), (6, 100)]

    def test_whatever_is_done_numbers_stay_numbers(self):
        everything = StretchesSection(
            **dict.fromkeys(
                ("mosaic", "time_stretch", "superposition", "noise", "rotation", "swap", "filtered",
                 "clipping", "spikes", "gain_step", "dead_time"),
                1.0,
            )
        )  # fmt: skip
        records = [
            taught(),
            taught(n=900, picks=((450, 0),), seed=1, source="two"),
            taught(seed=2, source="three", present=(False, False, True)),
            taught(seed=3, source="four", picks=()),
        ]
        records[3].record.samples[:] = 0.0
        features, targets, weights = StretchMaker(
            records, everything, n_columns=100, unlearned_s=2.0
        ).batch(40, [1])
        assert np.isfinite(features).all()
        np.testing.assert_allclose(targets.sum(axis=2), 1.0, atol=1e-5)
        assert targets.min() >= 0.0
        assert ((weights >= 0.0) & (weights <= 1.0)).all()

    def test_features_are_those_of_the_picker(self):
        own = taught(n=64 + 16 * (N_COLUMNS - 1))
        features = maker(own).batch(1, [0])[0][0]
        wanted = features_from_start(own.record.samples.T, np.ones((N_COLUMNS, 3), dtype=bool))
        assert np.array_equal(features, wanted)

    def test_targets_stand_where_the_arrivals_are(self):
        features, targets, _ = maker(taught(), at_arrivals=1.0).batch(20, [1])
        n_found = 0
        for seen, said in zip(features, targets, strict=True):
            rise = np.diff(seen[:, 99:102].mean(axis=1))
            for column in np.flatnonzero(said[:, 0] > 0.8):
                n_found += 1
                assert rise[max(column - 3, 0) : column + 3].max() > 0.5
        assert n_found >= 10

    def test_a_share_of_stretches_holds_an_arrival(self):
        own = taught(n=90_000)
        at, anywhere = (
            maker(own, n_columns=60, at_arrivals=share).batch(40, [8])[1][..., :2].max(axis=(1, 2))
            for share in (1.0, 0.0)
        )
        assert (at > 0.6).all()
        assert (anywhere > 0.6).mean() < 0.2

    def test_a_record_played_slower_moves_its_arrivals(self):
        slow = {"at_arrivals": 1.0, "time_stretch": 1.0, "time_stretch_range": (0.5, 0.5)}
        _, targets, _ = maker(taught(), n_columns=400, **slow).batch(12, [6])
        both = [t for t in targets if (t[:, :2].max(axis=0) > 0.8).all()]
        assert both
        for said in both:
            p, s = said[:, :2].argmax(axis=0)
            assert (s - p) * 16 == pytest.approx(1200, abs=32)

    def test_behind_a_short_record_nothing_is_learned(self):
        short = maker(taught(n=2000, picks=((900, 0),)))
        _, _, weights = short.batch(4, [3], change=False)
        last = (2000 - 64) // 16 + 1
        assert (weights[:, :last] == 1.0).all()
        assert (weights[:, last:] == 0.0).all()

    def test_of_the_first_seconds_nothing_is_learned_and_of_the_next_little(self):
        _, _, weights = maker(taught(), unlearned_s=2.0).batch(3, [3])
        seconds = (np.arange(N_COLUMNS) * 16 + 32) / 100.0
        assert (weights[:, seconds < 2.0] == 0.0).all()
        np.testing.assert_allclose(weights[:, (seconds >= 2.0) & (seconds < 5.0)], 0.3)
        assert (weights[:, seconds >= 5.0] == 1.0).all()

    def test_a_drowned_arrival_is_neither_phase_nor_noise(self):
        loud = {"at_arrivals": 1.0, "noise": 1.0, "noise_snr_db": (-20.0, -20.0)}
        _, targets, weights = maker(taught(), **loud).batch(10, [5])
        shown = targets[..., :2].max(axis=2) > 0.15
        assert shown.any()
        assert (weights[shown] == 0.0).all()
        assert (weights[~shown] == 1.0).mean() > 0.9

    def test_two_records_at_once_have_the_arrivals_of_both(self):
        one = taught(n=5000, picks=((2000, 0),))
        two = taught(n=5000, picks=((3000, 1),), seed=1, source="two")
        both = {"superposition": 1.0, "superposition_db": (0.0, 0.0), "quiet_superposition": 0.0}
        _, targets, _ = maker(one, two, n_columns=309, at_arrivals=1.0, **both).batch(30, [2])
        assert (targets[..., :2].max(axis=1) > 0.8).all(axis=1).any()

    def test_at_the_joints_of_a_mosaic_nothing_is_learned_and_no_blow_is_heard(self):
        quiet, loud = taught(picks=()), taught(picks=(), seed=1, source="two")
        loud.record.samples[:] *= 1000.0
        pieces = {"mosaic": 1.0, "mosaic_piece_s": (8.0, 8.0), "at_arrivals": 0.0}
        features, _, weights = maker(quiet, loud, **pieces).batch(10, [4])
        for own in weights:
            forgotten = np.flatnonzero(own == 0.0)
            joints = np.split(forgotten, np.flatnonzero(np.diff(forgotten) > 1) + 1)
            assert [round(joint[0] * 16 + 32, -2) for joint in joints] == [
                800, 1600, 2400, 3200, 4000
            ]  # fmt: skip
            assert all(11 <= len(joint) <= 15 for joint in joints[:-1])
        assert np.abs(np.diff(features[:, 5:, 99:102].mean(axis=2), axis=1)).max() < 0.5

    def test_lost_components_are_dead(self):
        alone = maker(taught(), vertical_only=1.0).batch(5, [7])[0]
        assert (alone[..., 102:] == (0.0, 0.0, 1.0)).all()
        assert not alone[..., :66].any()

    def test_without_a_change_single_records_are_drawn(self):
        own = taught(n=64 + 16 * (N_COLUMNS - 1))
        everything = StretchMaker([own], all_options(), n_columns=N_COLUMNS, unlearned_s=0.0)
        keep_all = replace(PLAIN, noise=0.9)
        plain = StretchMaker([own], keep_all, n_columns=N_COLUMNS, unlearned_s=0.0)
        assert np.array_equal(plain.batch(1, [1], change=False)[0], maker(own).batch(1, [0])[0])
        assert everything.batch(1, [1], change=False)[0].shape == (1, N_COLUMNS, FEATURES)

    def test_processes_make_the_batches_of_their_numbers(self):
        own = Stretches(maker(taught(), n_columns=40), 2, (3, 0))
        workers = Workers(own, 2)
        try:
            for number, batch in zip(range(4, 9), workers.batches(4), strict=False):
                assert all(map(np.array_equal, batch, own.make(number)))
        finally:
            workers.close()


tf = pytest.importorskip("tensorflow")


class TestNetwork:
    def make(self, weights=None):
        from scperformer.training.streaming_network import StreamingLearner  # noqa: PLC0415

        learner = StreamingLearner(SHAPE, seed=3, phase_weight=4.0)
        for name, values in (weights or {}).items():
            learner.parts[name].assign(values)
        return learner

    def test_the_picker_computes_what_was_trained(self):
        samples = np.random.default_rng(0).normal(size=(3, 64 + 16 * 299)).astype(np.float32)
        present = np.ones((300, 3), dtype=bool)
        present[150:, 0] = False
        weights = random_streaming_weights(seed=2, decisive=3.0)
        logits = self.make(weights).logits(features_from_start(samples, present)[None])
        network = StreamingNetwork(SHAPE, weights)
        columns = PowerColumns.of(samples, slice(None), present)
        found = network.predict(columns, [Step(network.remember(), 7, 300, ends=False)])
        warm = slice(SHAPE.look_ahead + COLD_COLUMNS, None)
        np.testing.assert_allclose(found[warm], tf.nn.softmax(logits)[0].numpy()[warm], atol=2e-5)

    def test_the_loss_asks_for_answers_the_look_ahead_later(self):
        features = np.random.default_rng(1).normal(size=(2, 60, FEATURES)).astype(np.float32)
        learner = self.make(random_streaming_weights())
        answers = tf.nn.softmax(learner.logits(features)).numpy()
        lag = SHAPE.look_ahead
        targets = np.zeros_like(answers)
        targets[..., 2] = 1.0
        targets[:, : 60 - lag] = answers[:, lag:]
        weights = np.ones((2, 60), np.float32)
        assert float(learner.losses(features, targets, weights)[0]) == pytest.approx(0.0, abs=1e-5)
        assert float(learner.losses(features, answers, weights)[0]) > 0.01
        worse = targets.copy()
        worse[0, 10] = (1.0, 0.0, 0.0)
        weights[0, 10] = 0.0
        assert float(learner.losses(features, worse, weights)[0]) == pytest.approx(0.0, abs=1e-5)

    def test_phases_weigh_more_than_noise(self):
        learner = self.make()
        features = np.zeros((1, 20, FEATURES), np.float32)
        weights = np.ones((1, 20), np.float32)
        only_p = np.tile(np.float32([1.0, 0.0, 0.0]), (1, 20, 1))
        p = float(learner.losses(features, only_p, weights)[0])
        log_p = tf.nn.log_softmax(learner.logits(features))[0, :, 0].numpy()
        assert p == pytest.approx(-4.0 * log_p[SHAPE.look_ahead :].mean(), rel=1e-5)

    def test_it_begins_with_weights_of_a_file_of_its_size_alone(self, tmp_path):
        from scperformer.errors import WeightsError  # noqa: PLC0415
        from scperformer.networks.streaming import write_streaming  # noqa: PLC0415

        weights = random_streaming_weights(seed=8)
        write_streaming(tmp_path / "w.h5", SHAPE, weights)
        learner = self.make()
        learner.begin_with(tmp_path / "w.h5")
        assert all(np.array_equal(learner.values()[name], weights[name]) for name in weights)
        small = replace(SHAPE, dilations=(1, 2))
        write_streaming(tmp_path / "s.h5", small, random_streaming_weights(small))
        with pytest.raises(WeightsError):
            learner.begin_with(tmp_path / "s.h5")


CONFIG = """
[model]
name = "small"
network = "streaming"

[[data]]
folder = "records"
picks = ["picks.csv"]

[streaming]
channels = 4
dilations = [1, 2]
look_ahead = 2
columns = 100
stretches = 2
steps = 5
warmup_steps = 1
validation_every = 2
validation_share = 0.3
threads = 2
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streaming")
    write_folder(folder / "records")
    (folder / "train.toml").write_text(CONFIG)
    done = run_python(
        folder, "-c", KEEPING_THE_FIRST_CHECKPOINT,
        *("train", "--config", "train.toml", "-o", "whole", "-q"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def weights_of(folder):
    card = read_manifest(folder)
    return read_streaming(check_weights_file(card, folder), card.streaming.shape)


def test_a_training_ends_with_a_model_that_says_how_it_was_made(world):
    card = read_manifest(world / "whole")
    shape = card.streaming.shape
    assert (shape.channels, shape.dilations, shape.look_ahead) == (4, (1, 2), 2)
    assert card.filter_id == "BW_HP(4,1)"
    assert card.training["steps"] == 5
    assert card.training["picks"]["training"]
    assert set(card.scores) >= {"held_out_loss", "held_out_picks"}
    assert json.loads((world / "whole" / "model.json").read_text())["network"] == "streaming"
    assert len((world / "whole" / "history.csv").read_text().splitlines()) == 4
    assert not (world / "whole" / "checkpoint.npz").exists()


def test_an_interrupted_training_ends_with_the_same_weights(world):
    done = train(world, "--config", "train.toml", "-o", "again", "-q", "--resume")
    assert done.returncode == 0, done.stderr
    whole, again = weights_of(world / "whole"), weights_of(world / "again")
    assert all(np.array_equal(whole[name], again[name]) for name in whole)


def test_the_number_of_workers_changes_no_weight(world):
    text = CONFIG + "workers = 2\n"
    (world / "two.toml").write_text(text)
    done = train(world, "--config", "two.toml", "-o", "two", "-q")
    assert done.returncode == 0, done.stderr
    whole, two = weights_of(world / "whole"), weights_of(world / "two")
    assert all(np.array_equal(whole[name], two[name]) for name in whole)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("network = \"streaming\"", ""), "model.network: got 'performer'; wanted streaming"),
        (("picks = [\"picks.csv\"]", ""), "no [[data]] section names picks or curves"),
        (("channels = 4", "channels = 3"), "streaming.channels: got 3"),
        (("look_ahead = 2", "filter = \"XX(1)\""), "streaming.filter: "),
        (("[streaming]", "curves = \"no.npz\"\n[streaming]"), "data.curves: no such file"),
        (("[streaming]", "[targets]\nvoices_p = [1.0]\n[streaming]"), "the same number of"),
        (("[streaming]", "[stretches]\nlose_one = 0.9\n[streaming]"), "add up to more than 1"),
    ],
)  # fmt: skip
def test_each_fault_of_a_configuration_is_named(world, change, words):
    path = world / "fault.toml"
    path.write_text(CONFIG.replace(*change))
    with pytest.raises(ConfigurationError) as caught:
        StreamingConfig.read(path)
    assert words in str(caught.value)


def test_curves_of_another_number_of_teachers_are_told(world):
    np.savez(
        world / "one.npz",
        **{"XX_ST0": np.zeros((2, 100), np.uint8), "XX_ST0/start": np.array("2024-01-01")},
    )
    (world / "one.toml").write_text(
        CONFIG.replace("[streaming]", 'curves = "one.npz"\n[streaming]')
    )
    done = train(world, "--config", "one.toml", "-o", "one", "-q")
    assert done.returncode == 2
    assert "one.npz: curves of 1 teachers; targets.voices_p and voices_s weigh 2" in done.stderr


def test_epochs_mean_nothing_here(world):
    done = train(world, "--config", "train.toml", "-o", "out", "--epochs", "3")
    assert done.returncode == 2
    assert "--epochs: with [streaming] streaming.steps counts" in done.stderr
    assert not (world / "out").exists()
