"""The training loop, with a model of Keras' own and data of a few lines."""

import itertools

import numpy as np
import pytest

from scperformer.errors import ConfigurationError, InputError
from scperformer.training import checkpoint
from scperformer.training.loop import Plan, adamw, best_epoch, fit

# isort: split
import keras


class Lines:
    """Points near a line; a step's batch comes from its number alone."""

    def __init__(self, fault_at=None):
        self.asked = []
        self._fault_at = fault_at

    def batches(self, first):
        for number in itertools.count(first):
            if number == self._fault_at:
                raise InputError(f"no data for step {number}")
            self.asked.append(number)
            x = np.random.default_rng(number).normal(size=(8, 1)).astype(np.float32)
            yield x, 3.0 * x, np.ones(8, np.float32)


def train(folder, plan, *, source=None, look=None, saved=None, rate=0.05, told=None):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1), keras.layers.Dropout(0.1)])
    optimizer = adamw(rate, steps=plan.steps, warmup_steps=2, weight_decay=0.0, clip_norm=1.0)
    model.compile(optimizer, loss="mse")
    x = np.linspace(-1.0, 1.0, 9, dtype=np.float32)[:, None]

    def distance():
        return {"validation_loss": float(np.mean((np.asarray(model(x)) - 3.0 * x) ** 2))}

    history = fit(
        model,
        source or Lines(),
        look or distance,
        plan,
        path=folder / checkpoint.CHECKPOINT,
        configuration={"steps": plan.steps},
        saved=saved,
        report=(told if told is not None else []).append,
    )
    return history, model.get_weights()


@pytest.mark.parametrize("averaging", [0.0, 0.9], ids=["best", "mean"])
def test_a_resumed_training_ends_with_the_same_weights(tmp_path, monkeypatch, averaging):
    plan = Plan(steps=11, steps_per_epoch=4, averaging=averaging)
    states = []
    save = checkpoint.save

    def save_and_keep(state, path):
        save(state, path)
        states.append(checkpoint.load(path))

    monkeypatch.setattr(checkpoint, "save", save_and_keep)
    whole, weights = train(tmp_path, plan)
    assert [(row["epoch"], row["step"]) for row in whole] == [(1, 4), (2, 8), (3, 11)]
    for done in (1, 2, 3):
        source = Lines()
        history, again = train(tmp_path, plan, source=source, saved=states[done - 1])
        assert [row["loss"] for row in history] == [row["loss"] for row in whole]
        assert min(source.asked, default=4 * done) == 4 * done
        for one, other in zip(weights, again, strict=True):
            np.testing.assert_array_equal(one, other)


def test_it_learns_and_says_how_far_it_is(tmp_path):
    told = []
    history, (kernel, _) = train(tmp_path, Plan(steps=200, steps_per_epoch=50), told=told)
    assert kernel[0, 0] == pytest.approx(3.0, abs=0.5)
    assert history[-1]["learning_rate"] == pytest.approx(0.0, abs=1e-6)
    assert told[0].startswith("epoch 1, step 50: loss ")
    assert "validation loss" in told[0]


def test_the_mean_follows_the_weights(tmp_path):
    _, (mean, _) = train(tmp_path, Plan(steps=200, steps_per_epoch=50, averaging=0.999))
    assert mean[0, 0] == pytest.approx(3.0, abs=0.6)


def test_the_best_epoch_is_kept_and_patience_ends(tmp_path):
    losses = iter([3.0, 1.0, 2.0, 2.0, 0.0])
    told = []
    look = lambda: {"validation_loss": next(losses)}  # noqa: E731
    plan = Plan(steps=50, steps_per_epoch=10, patience=2)
    history, _ = train(tmp_path, plan, look=look, told=told)
    assert len(history) == 4
    assert best_epoch(history) == 2
    assert told[-1] == "no better since epoch 2: stopped early"


def test_what_a_source_raises_comes_through(tmp_path):
    with pytest.raises(InputError, match="no data for step 7"):
        train(tmp_path, Plan(steps=20, steps_per_epoch=5), source=Lines(fault_at=7))


def test_a_loss_that_is_no_number_ends_it(tmp_path):
    class Broken:
        def batches(self, first):
            while True:
                yield np.ones((4, 1), np.float32), np.full((4, 1), np.nan, np.float32), np.ones(4)

    with pytest.raises(ConfigurationError, match="the loss became nan in epoch 1"):
        train(tmp_path, Plan(steps=4, steps_per_epoch=2), source=Broken())


def test_a_state_of_another_training_is_refused(tmp_path):
    train(tmp_path, Plan(steps=4, steps_per_epoch=2))
    saved = checkpoint.load(tmp_path / checkpoint.CHECKPOINT)
    with pytest.raises(ConfigurationError, match="another configuration"):
        train(tmp_path, Plan(steps=6, steps_per_epoch=2), saved=saved)
