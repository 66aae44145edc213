"""A training of the streaming network: its parts, and a whole one through the command line."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from scperformer.core.columns import PowerColumns
from scperformer.core.streaming import COLD_COLUMNS, Step, StreamingNetwork
from scperformer.core.streaming_shape import StreamingShape
from scperformer.errors import ConfigurationError
from scperformer.evaluation.picking import fit_odds
from scperformer.networks.contract import streaming_parameters
from scperformer.networks.loading import load_folder
from scperformer.networks.manifest import check_weights_file, read_manifest
from scperformer.networks.streaming import read_streaming
from scperformer.training.streaming_config import StreamingConfig, is_streaming_config
from scperformer.training.streaming_network import StreamingLearner
from scperformer.training.workers import Workers

from .test_training_end_to_end import KEEPING_THE_FIRST_CHECKPOINT, run_python, train
from .training_fakes import Numbers, write_folder

SHAPE = StreamingShape(channels=6, dilations=(1, 3, 2), memories=(1, 3), look_ahead=2)
CONFIG = """
[model]
name = "tiny"
network = "streaming"

[[data]]
folder = "records"
picks = ["picks.csv"]

[streaming]
channels = 6
dilations = [1, 2, 4]
memories = [1, 2]
look_ahead = 3
columns = 100
stretches = 4
steps = 60
validation_every = 40
validation_share = 0.3
warmup_steps = 5
threads = 2
"""


class TestWorkers:
    def test_batches_come_in_order_from_any_number_on(self):
        workers = Workers(Numbers(), 2)
        assert list(itertools.islice(workers.batches(6), 9)) == list(range(6, 15))
        assert list(itertools.islice(workers.batches(0), 3)) == [0, 1, 2]
        workers.close()

    def test_what_goes_wrong_in_a_process_is_told(self):
        workers = Workers(Numbers(), 1)
        with pytest.raises(ConfigurationError, match="five"):
            list(workers.batches(3))
        workers.close()


def test_training_and_picking_compute_the_same():
    """Keras' graph over a whole stretch, and the picker's NumPy step by step."""
    learner = StreamingLearner(SHAPE, seed=3, phase_weight=3.0)
    rng = np.random.default_rng(3)
    weights = {
        name: (values + 0.2 * rng.normal(size=values.shape)).astype(np.float32)
        for name, values in learner.values().items()
    }
    for name, values in weights.items():
        learner.parts[name].assign(values)
    n = 90
    samples = rng.normal(size=(3, n * 16 + 48)).astype(np.float32)
    columns = PowerColumns.of(samples, slice(None), np.ones((n, 3), bool))
    network = StreamingNetwork(SHAPE, weights)
    memory = network.remember()
    steps = [columns.part(slice(k, k + 9)) for k in range(0, n, 9)]
    stepped = np.concatenate(
        [network.predict(part, [Step(memory, 9 * k, 9, False)]) for k, part in enumerate(steps)]
    )
    from scperformer.core.columns import features_from_start  # noqa: PLC0415

    features = features_from_start(samples, np.ones((n, 3), bool))
    logits = np.asarray(learner.logits(features[None]))[0]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    whole = powers / powers.sum(axis=1, keepdims=True)
    first = SHAPE.look_ahead + COLD_COLUMNS
    np.testing.assert_allclose(stepped[first:], whole[first:], atol=2e-6)


def test_the_loss_leaves_out_what_is_unknown_and_heeds_the_look_ahead():
    learner = StreamingLearner(SHAPE, seed=1, phase_weight=3.0)
    features = np.random.default_rng(0).normal(size=(2, 40, 105)).astype(np.float32)
    targets = np.tile(np.float32([0.0, 0.0, 1.0]), (2, 40, 1))
    targets[:, 20] = (1.0, 0.0, 0.0)
    weights = np.ones((2, 40), np.float32)
    loss = float(learner.losses(features, targets, weights)[0])
    weights[:, 20] = 0.0
    assert float(learner.losses(features, targets, weights)[0]) < loss
    known = np.zeros((2, 40), np.float32)
    known[:, -SHAPE.look_ahead :] = 1.0
    assert float(learner.losses(features, targets, known)[0]) == 0.0


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("streaming")
    write_folder(folder / "records")
    (folder / "train.toml").write_text(CONFIG)
    options = ("train", "--config", "train.toml", "-o", "model")
    done = run_python(folder, "-c", KEEPING_THE_FIRST_CHECKPOINT, *options)
    assert done.returncode == 0, done.stderr
    return folder


class TestAWholeTraining:
    def test_it_ends_with_a_model_that_picks(self, trained):
        folder = trained / "model"
        card = read_manifest(folder)
        assert card.streaming is not None
        assert card.streaming.shape == StreamingShape(6, (1, 2, 4), (1, 2), 3)
        assert card.filter_id == "BW_HP(4,1)"
        read_streaming(check_weights_file(card, folder), card.streaming.shape)
        assert not (folder / "checkpoint.npz").exists()
        records = sorted((trained / "records").glob("*.mseed"))
        out = trained / "picks.csv"
        words = ("scan", *map(str, records), "--model-name", "./model", "-o", str(out))
        done = run_python(trained, "-m", "scperformer", *words)
        assert done.returncode == 0, done.stderr
        assert "windows" in done.stdout
        assert load_folder(str(folder)).classifier.name == "tiny"

    def test_the_card_tells_how_it_was_made(self, trained):
        card = json.loads((trained / "model" / "model.json").read_text())
        told = card["training"]
        assert told["command"] == "scperformer train --config train.toml --out model"
        assert told["steps"] == 60
        assert told["parameters"] == card["parameters"]
        assert told["parameters"] == streaming_parameters(StreamingShape(6, (1, 2, 4), (1, 2), 3))
        assert told["configuration"]["stretches"]["mosaic"] == 0.6
        assert card["preprocessing"]["level_columns"] == 128
        assert card["scores"]["held_out_picks"]["three"]["P"]["n"] > 0

    def test_resumed_it_comes_to_the_same_weights(self, trained):
        done = train(trained, "--config", "train.toml", "-o", "again", "--resume")
        assert done.returncode == 0, done.stderr
        assert "resumed after epoch 1" in done.stderr
        shape = StreamingShape(6, (1, 2, 4), (1, 2), 3)
        first, second = (
            read_streaming(trained / name / "weights.h5", shape) for name in ("model", "again")
        )
        for name, array in first.items():
            np.testing.assert_array_equal(array, second[name])

    def test_the_number_of_workers_changes_no_weight(self, trained):
        (trained / "two.toml").write_text(CONFIG + "workers = 2\n")
        done = train(trained, "--config", "two.toml", "-o", "two", "-q")
        assert done.returncode == 0, done.stderr
        one, two = (read_manifest(trained / name).weights_sha256 for name in ("model", "two"))
        assert one == two

    def test_curves_of_another_number_of_teachers_are_told(self, trained):
        curves = {"XX_ST0": np.zeros((2, 100), np.uint8), "XX_ST0/start": "2024-01-01"}
        np.savez(trained / "one.npz", **curves)
        text = CONFIG.replace("[streaming]", 'curves = "one.npz"\n[streaming]')
        (trained / "one.toml").write_text(text)
        done = train(trained, "--config", "one.toml", "-o", "one", "-q")
        assert done.returncode == 2
        assert "curves of 1 teachers; targets.voices_p and voices_s weigh 2" in done.stderr

    def test_epochs_mean_nothing_here(self, trained):
        done = train(trained, "--config", "train.toml", "-o", "out", "--epochs", "3")
        assert done.returncode == 2
        assert "--epochs: with [streaming] streaming.steps counts" in done.stderr
        assert not (trained / "out").exists()

    def test_it_can_begin_with_a_model(self, trained):
        config = CONFIG.replace("steps = 60", "steps = 1").replace("tiny", "other")
        (trained / "more.toml").write_text(config)
        options = ("--config", "more.toml", "-o", "more", "--init", "./model")
        done = train(trained, *options)
        assert done.returncode == 0, done.stderr
        shape = StreamingShape(6, (1, 2, 4), (1, 2), 3)
        first = read_streaming(trained / "model" / "weights.h5", shape)
        second = read_streaming(trained / "more" / "weights.h5", shape)
        assert np.abs(first["input/kernel"] - second["input/kernel"]).max() < 0.02


class TestConfiguration:
    def faults(self, folder: Path, text: str) -> tuple[str, ...]:
        (folder / "records").mkdir(exist_ok=True)
        (folder / "records" / "picks.csv").write_text("")
        (folder / "train.toml").write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            StreamingConfig.read(folder / "train.toml")
        return caught.value.faults

    @pytest.mark.parametrize(
        ("old", "new", "fault"),
        [
            ('"streaming"', '"performer"', "model.network: got 'performer'; wanted streaming"),
            ("channels = 6", 'filter = "BW("', "streaming.filter: "),
            ('picks = ["picks.csv"]', "", "no [[data]] section names picks or curves"),
            ('picks = ["picks.csv"]', 'curves = "none.npz"', "data.curves: no such file"),
            ('picks = ["picks.csv"]', 'judged_by = ["no.csv"]', "data.judged_by: no such file"),
            ("memories = [1, 2]", "memories = [2, 1]", "streaming.memories: got [2, 1]; wanted no"),
            ("channels = 6", "channels = 7", "streaming.memories: got 2 heads; wanted a number"),
            ("[streaming]", "[targets]\nvoices_p = [1.0]\n[streaming]", "targets: voices_p"),
            (
                "[streaming]",
                "[stretches]\nlose_one = 0.5\nvertical_only = 0.6\n[streaming]",
                "stretches: vertical_only, horizontal_only and lose_one add up",
            ),
        ],
    )
    def test_contradictions_are_told(self, tmp_path, old, new, fault):
        found = self.faults(tmp_path, CONFIG.replace(old, new, 1))
        assert any(fault in one for one in found), found

    def test_it_is_known_by_its_section(self, tmp_path):
        path = tmp_path / "train.toml"
        path.write_text(CONFIG)
        assert is_streaming_config(path)
        path.write_text('[model]\nname = "x"\n')
        assert not is_streaming_config(path)
        assert not is_streaming_config(tmp_path / "none.toml")


class TestCalibration:
    def test_it_finds_how_true_odds_are(self):
        rng = np.random.default_rng(0)
        odds = rng.normal(0.0, 2.0, 20_000)
        right = rng.random(20_000) < 1.0 / (1.0 + np.exp(-(0.5 * odds - 1.0)))
        factor, summand = fit_odds(odds, right)
        assert factor == pytest.approx(0.5, abs=0.03)
        assert summand == pytest.approx(-1.0, abs=0.06)

    def test_of_too_few_picks_nothing_is_said(self):
        assert fit_odds(np.zeros(100), np.ones(100, bool)) == (1.0, 0.0)
