import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from scperformer.cli.main import main
from scperformer.core.context import ContextShape
from scperformer.core.context import ContextStage as PickerStage
from scperformer.core.inference import window_batch
from scperformer.datasets.labels import MarkedRecord, Marks
from scperformer.datasets.records import StationRecord
from scperformer.errors import ConfigurationError
from scperformer.networks.architectures import build_network, core_of
from scperformer.networks.classifier import CompiledClassifier
from scperformer.networks.loading import load_folder
from scperformer.training import checkpoint
from scperformer.training.context_config import ContextConfig, SequenceSection
from scperformer.training.context_network import (
    ContextStage,
    SequenceFeatures,
    shared_features,
)
from scperformer.training.features import prepare, staged_forward
from scperformer.training.sequences import SequenceMaker
from scperformer.types import SensorId, WindowInput

from .network_fakes import manifest

# isort: split
import tensorflow as tf

SENSOR = SensorId("XX", "A", "", "HH")
PLAIN = SequenceSection(
    stretch=0.0,
    superposition=0.0,
    noise=0.0,
    rotation=0.0,
    polarity=0.0,
    gain_db=0.0,
    low_pass=0.0,
    clipping=0.0,
    vertical_only=0.0,
    horizontal_only=0.0,
    lose_one=0.0,
)


def marked(n: int = 9000, picks=((3000, 0, True), (3600, 1, True)), seed: int = 0) -> MarkedRecord:
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=(n, 3)).astype(np.float32)
    for sample, _, _ in picks:
        samples[sample : sample + 300] *= 30.0
    record = StationRecord("test", SENSOR, 0, samples, (True, True, True))
    sample, phase, sure = zip(*picks, strict=True)
    return MarkedRecord(record, Marks(np.array(sample, float), np.array(phase), np.array(sure)))


def maker(records, options=PLAIN, n_windows=200) -> SequenceMaker:
    return SequenceMaker([records], options, n_windows=n_windows, width_s=0.18)


class TestSequences:
    def test_equal_seeds_give_equal_sequences(self):
        first, again = (maker([marked()], SequenceSection()).batch(3, [5]) for _ in range(2))
        for name in ("samples", "keep", "targets", "weights"):
            np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        other = maker([marked()], SequenceSection()).batch(3, [6])
        assert not np.array_equal(first.samples, other.samples)

    def test_targets_stand_where_the_picks_are(self):
        batch = maker([marked()], replace(PLAIN, at_picks=1.0)).batch(20, [1])
        n_found = 0
        for samples, targets in zip(batch.samples, batch.targets, strict=True):
            loud = np.flatnonzero(np.abs(samples[:, 2]) > 12.0)
            for window in np.flatnonzero(targets[:, 0] > 0.9):
                centre = window * 16 + 200
                n_found += 1
                assert np.abs(loud - centre).min() < 40
        assert n_found >= 10

    def test_sequences_that_are_not_for_picks_hold_quiet_ground(self):
        record = marked(90_000)
        anywhere = maker([record], replace(PLAIN, at_picks=0.0, quiet=0.0), n_windows=50)
        with_phase = (anywhere.batch(60, [8]).targets[..., :2].max(axis=(1, 2)) > 0.5).mean()
        assert with_phase < 0.2
        quiet = maker([record], replace(PLAIN, at_picks=0.0, quiet=1.0), n_windows=50)
        assert (quiet.batch(20, [8]).targets[..., 2] == 1.0).all()
        picked = maker([record], replace(PLAIN, at_picks=1.0, quiet=0.0), n_windows=50)
        assert (picked.batch(20, [8]).targets[..., :2].max(axis=(1, 2)) > 0.9).all()

    def test_probabilities_add_up_to_one(self):
        batch = maker([marked()], SequenceSection()).batch(8, [2])
        np.testing.assert_allclose(batch.targets.sum(axis=2), 1.0, atol=1e-5)
        assert batch.targets.min() >= 0.0

    def test_behind_a_short_record_nothing_is_learned(self):
        batch = maker([marked(2000, ((900, 0, True),))]).batch(4, [3])
        last = (2000 - 400) // 16 + 1
        assert (batch.weights[:, :last] == 1.0).all()
        assert (batch.weights[:, last:] == 0.0).all()
        assert (batch.samples[:, 2000:] == 0.0).all()

    def test_doubtful_picks_are_neither_phase_nor_noise(self):
        record = marked(picks=((3000, 0, False),))
        batch = maker([record], n_windows=500).batch(2, [4])
        doubtful = batch.weights == 0.0
        assert doubtful.any(axis=1).all()
        assert doubtful.sum() <= 2 * 7
        assert (batch.targets[..., 2] == 1.0).all()

    def test_a_drowned_pick_becomes_doubtful(self):
        loud = replace(PLAIN, at_picks=1.0, noise=1.0, noise_snr_db=(-20.0, -20.0))
        batch = maker([marked()], loud).batch(10, [5])
        assert batch.targets[..., :2].max() == 0.0

    def test_a_stretched_record_moves_its_picks(self):
        slow = replace(PLAIN, at_picks=1.0, stretch=1.0, stretch_range=(0.5, 0.5))
        batch = maker([marked()], slow, n_windows=400).batch(12, [6])
        both = [t for t in batch.targets if t[:, 0].max() > 0.9 and t[:, 1].max() > 0.9]
        assert both
        for targets in both:
            apart = (int(targets[:, 1].argmax()) - int(targets[:, 0].argmax())) * 16
            assert apart == pytest.approx(1200, abs=24)

    def test_lost_components(self):
        alone = replace(PLAIN, vertical_only=1.0)
        assert maker([marked()], alone).batch(5, [7]).keep.tolist() == [[False, False, True]] * 5


class TestNetwork:
    def test_windows_are_those_of_the_plain_training(self):
        samples = np.random.default_rng(0).normal(size=(2, 1200, 3)).astype(np.float32)
        keep = np.array([[True, True, True], [False, False, True]])
        features = SequenceFeatures(*shared_features(tf.constant(samples)))
        found = features.windows(keep).numpy().reshape(2, features.n_windows, 22, 33, 3)
        for sequence in range(2):
            for window in (0, 7, features.n_windows - 1):
                part = samples[sequence, window * 16 : window * 16 + 400]
                wanted = prepare(tf.constant(part[None])).features(
                    "performer", keep[sequence : sequence + 1]
                )
                np.testing.assert_allclose(found[sequence, window], wanted[0], atol=1e-4)

    def test_the_picker_sees_what_the_training_sees(self):
        """The embedding of the compiled network is that of the trained one."""
        model = build_network("performer", dropout=False)
        stage = ContextStage(ContextShape(8, 3, 1, embedding=4), seed=3)
        samples = np.random.default_rng(0).normal(size=(1, 1200, 3)).astype(np.float32)
        features = SequenceFeatures(*shared_features(tf.constant(samples)))
        keep = np.ones((1, 3), dtype=bool)
        logits, stages = staged_forward(core_of(model))(features.windows(keep))
        wanted = np.concatenate([tf.nn.softmax(logits), stage.embed(stages[-1])], axis=1)
        weights = {v.path: v.numpy() for v in core_of(model).weights}
        picker = PickerStage(stage.shape, stage.values())
        classifier = CompiledClassifier(manifest("performer"), weights, embedding=picker.embedding)
        n = features.n_windows
        windows = np.stack([samples[0, i * 16 : i * 16 + 400] for i in range(n)])
        found = classifier.classify(window_batch(windows, WindowInput.COLUMNS))
        np.testing.assert_allclose(found, wanted, atol=1e-3)

    def test_the_stage_is_that_of_the_picker(self):
        shape = ContextShape(channels=8, layers=5, lag_windows=2, embedding=4)
        stage = ContextStage(shape, seed=3)
        stage.parts["logits/kernel"].assign(stage.parts["logits/kernel"] * 30.0)
        rng = np.random.default_rng(4)
        probabilities = rng.dirichlet([0.3, 0.3, 1.0], 300).astype(np.float32)
        peaks = np.exp(rng.normal(size=(300, 3)).cumsum(axis=0) * 0.2).astype(np.float32)
        peaks[150:, 1:] = 0.0
        seen = np.tanh(rng.normal(size=(300, 4))).astype(np.float32)
        logits = stage(tf.math.log(probabilities)[None], peaks[None], seen[None])
        wanted = tf.nn.softmax(logits).numpy()[0]
        picker = PickerStage(shape, stage.values())
        found = picker.predict(
            np.concatenate([probabilities, seen], axis=1), peaks, [picker.start()], [300], [False]
        )
        np.testing.assert_allclose(found[2:], wanted[2:], atol=2e-5)


CONFIG = """
[model]
name = "small"

[[data]]
folder = "{folder}"
picks = ["picks.csv"]

[context]
channels = 4
layers = 2
embedding = 3
windows = 100
sequences = 2
steps = 3
warmup_steps = 1
validation_every = 2
validation_share = 0.2
"""


def few_records(shared, folder):
    """Every twelfth record of a folder, and its picks."""
    source = shared / "data" / "labelled" / "iceland"
    folder.mkdir()
    for path in sorted(source.glob("*.mseed"))[::12]:
        (folder / path.name).symlink_to(path)
    (folder / "picks.csv").symlink_to(source / "picks.csv")
    return folder


def test_a_training_ends_with_a_model_that_picks(shared, tmp_path):
    path = tmp_path / "context.toml"
    path.write_text(CONFIG.format(folder=few_records(shared, tmp_path / "records")))
    init = shared / "weights" / "w_model_performer_v2.0.h5"
    out = tmp_path / "small"
    assert main(["train", "--config", str(path), "--init", str(init), "-o", str(out), "-q"]) == 0
    card = json.loads((out / "model.json").read_text())
    assert card["context"]["channels"] == 4
    assert card["scores"]["held_out_picks"]["context"]["three"]["P"]["n"] > 0
    assert len((out / "history.csv").read_text().splitlines()) == 3
    assert (out / "history.png").read_bytes().startswith(b"\x89PNG")
    assert not (out / "checkpoint.npz").exists()
    model = load_folder(str(out))
    assert model.context is not None
    assert model.context.shape == ContextShape(channels=4, layers=2, lag_windows=1, embedding=3)
    assert load_folder(str(out), context=False).context is None


def test_a_resumed_training_ends_with_the_same_weights(shared, tmp_path, monkeypatch):
    path = tmp_path / "context.toml"
    path.write_text(CONFIG.format(folder=few_records(shared, tmp_path / "records")))
    init = shared / "weights" / "w_model_performer_v2.0.h5"
    whole, again = tmp_path / "whole", tmp_path / "again"
    save = checkpoint.save

    def save_and_copy(state, target):
        save(state, target)
        if len(state.history) == 1:
            again.mkdir()
            (again / target.name).write_bytes(target.read_bytes())

    arguments = ["train", "--config", str(path), "--init", str(init), "-q", "-o"]
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", save_and_copy)
        assert main([*arguments, str(whole)]) == 0
    assert main([*arguments, str(again), "--resume"]) == 0
    weights = [load_folder(str(folder)).classifier.sha256 for folder in (whole, again)]
    assert weights[0] == weights[1]
    steps = [
        [line.split(",")[:3] for line in (folder / "history.csv").read_text().splitlines()]
        for folder in (whole, again)
    ]
    assert steps[0] == steps[1]


def test_a_checkpoint_of_another_configuration_is_refused(shared, tmp_path, capsys):
    path = tmp_path / "context.toml"
    text = CONFIG.format(folder=few_records(shared, tmp_path / "records"))
    path.write_text(text)
    init = shared / "weights" / "w_model_performer_v2.0.h5"
    out = tmp_path / "out"
    out.mkdir()
    state = checkpoint.Checkpoint({"other": 1}, ({"step": 1},), [], [])
    checkpoint.save(state, out / checkpoint.CHECKPOINT)
    arguments = ["train", "--config", str(path), "--init", str(init), "-q", "-o", str(out)]
    assert main([*arguments, "--resume"]) != 0
    assert "another configuration" in capsys.readouterr().err


def test_the_configuration_names_every_fault(tmp_path):
    path = tmp_path / "context.toml"
    path.write_text(CONFIG.format(folder=tmp_path) + "\n[sequences]\nnoise = 2.0\nquiet = 0.7\n")
    with pytest.raises(ConfigurationError) as caught:
        ContextConfig.read(path)
    text = str(caught.value)
    assert "sequences.noise" in text
    assert "at_picks and quiet add up to more than 1" in text
    assert "picks.csv" in text
