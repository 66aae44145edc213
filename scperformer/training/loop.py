"""The one training loop: Keras' `fit`, whatever the network and wherever its data come from.

What it trains is any compiled `keras.Model`: one whose Keras losses suffice, or a `Learner`
with a loss of its own. What it learns from is any `Source`, and what it is judged by any `Look`.

Sources of the optimiser: Loshchilov and Hutter (2019), "Decoupled weight decay
regularization", and (2017), "SGDR", for the cosine; of the mean of the weights: Polyak and
Juditsky (1992).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import scperformer.networks.runtime  # noqa: F401  (quiet start of TensorFlow)
from scperformer.errors import ConfigurationError, ScperformerError
from scperformer.training import checkpoint

# isort: split
import keras
import tensorflow as tf

_NOT_DECAYED = ["bias", "gamma", "beta", "token", "embeddings", "gain"]
_BATCHES_AHEAD = 4

TrainingBatch = tuple[Any, Any, Any]
"""Inputs, targets and weights; each an array or a dictionary of arrays, a row an example."""

Row = dict[str, float]
"""What is noted of an epoch, by the name of its column."""

Report = Callable[[str], None]

Look = Callable[[], Mapping[str, float]]
"""Looks at the model behind each epoch, by a loss, by picks or otherwise.

What it returns goes into the history; its `validation_loss` says which epoch was the best.
"""


class Source(Protocol):
    """Where the batches of a training come from."""

    def batches(self, first: int) -> Iterator[TrainingBatch]:
        """Yield the batches from step `first` on, counted from 0; all have equal shapes.

        A step's batch depends on its number (and a seed) alone, so that a training that is
        resumed goes on with those that it would have seen.
        """


class Learner(keras.Model):  # type: ignore[misc]
    """A model that tells its loss itself.

    A subclass makes its layers and sets `built`, and has `losses`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._mean_loss = keras.metrics.Mean(name="loss")

    def losses(self, inputs: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """Return what is minimised and what is noted, both scalars."""
        raise NotImplementedError

    def train_step(self, data: TrainingBatch) -> dict[str, Any]:
        """Take a step of the optimiser; Keras calls it."""
        with tf.GradientTape() as tape:
            minimised, noted = self.losses(*data)
        self.apply_gradients(tape.gradient(minimised, self.trainable_variables))
        self._mean_loss.update_state(noted)
        return {"loss": self._mean_loss.result()}

    def apply_gradients(self, gradients: Sequence[Any]) -> None:
        self.optimizer.apply(gradients, self.trainable_variables)

    @property
    def metrics(self) -> list[Any]:
        """What begins anew with each epoch."""
        return [self._mean_loss]

    @property
    def state(self) -> list[Any]:
        """All variables that a step changes, the optimiser's as well."""
        return [*self.variables, *self.optimizer.variables]


def weighted_mean(losses: Any, weights: Any) -> Any:
    """Mean of losses, each with its weight; 0 where no weight is left."""
    return tf.reduce_sum(losses * weights) / tf.maximum(tf.reduce_sum(weights), 1.0)


def adamw(
    rate: float,
    *,
    steps: int,
    warmup_steps: int,
    weight_decay: float,
    clip_norm: float,
    last: float = 0.0,
    beta_2: float = 0.999,
) -> Any:
    """Return AdamW whose rate rises linearly, then falls along a cosine to a share of it, `last`.

    Biases, scales and embeddings do not decay. `beta_2` is the memory of the squares.
    """
    warmup = min(warmup_steps, steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else rate,
        decay_steps=steps - warmup,
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
        alpha=last,
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=weight_decay, global_clipnorm=clip_norm, beta_2=beta_2
    )
    optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long is trained, and which weights are kept.

    Attributes:
        steps: of the whole training.
        steps_per_epoch: between two looks; the last epoch has what is left.
        patience: stop after so many epochs without a better validation loss, None for never.
        averaging: memory of the running mean of the weights that is kept, such as 0.998;
            0 to keep the weights of the best epoch instead.
    """

    steps: int
    steps_per_epoch: int
    patience: int | None = None
    averaging: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs, the last one perhaps shorter."""
        return -(-self.steps // self.steps_per_epoch)


def fit(
    model: Any,
    source: Source,
    look: Look,
    plan: Plan,
    *,
    path: Path,
    configuration: dict[str, Any],
    saved: checkpoint.Checkpoint | None,
    report: Report,
) -> list[Row]:
    """Train; leave the weights that are kept in the model.

    Args:
        model: compiled and built; all that changes is in its `state` if it has one, else in its
            variables and its optimiser's.
        source: of its batches.
        look: judges it behind each epoch, with the weights that would be kept.
        plan: how long.
        path: where the state is written behind each epoch.
        configuration: what the state belongs to.
        saved: a state to go on from; the weights come to be exactly those of a training
            that was never interrupted.
        report: takes a line an epoch.

    Returns:
        The history: a row an epoch with `epoch`, `step`, `loss`, what `look` returned,
        `learning_rate` and `duration_s`.

    Raises:
        ConfigurationError: the loss is no longer a number, or `saved` belongs to another
            configuration.
        OutputError: the state cannot be written.
        InputError: what `source` raises.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    state = getattr(model, "state", None) or [*model.variables, *model.optimizer.variables]
    keeper = _Mean(plan.averaging, model) if plan.averaging else _Best(model)
    history: list[Row] = []
    if saved is not None:
        if saved.configuration != configuration:
            raise ConfigurationError(
                "the checkpoint was made with another configuration; "
                "use the old one, or train without --resume"
            )
        checkpoint.restore(state, saved.variables)
        keeper.kept = list(saved.best)
        history += map(dict, saved.history)

    def save() -> None:
        rows = tuple(history)
        checkpoint.save(
            checkpoint.Checkpoint(configuration, rows, _values(state), keeper.kept), path
        )

    callbacks = [keeper, _Epochs(keeper, look, plan, history, report, save)]
    if plan.steps % plan.steps_per_epoch:
        callbacks.append(_End(plan.steps))
    done = len(history)
    feed = _Feed(source, done * plan.steps_per_epoch)
    try:
        if done < plan.epochs:
            model.fit(
                feed.dataset(),
                epochs=plan.epochs,
                initial_epoch=done,
                steps_per_epoch=plan.steps_per_epoch,
                callbacks=callbacks,
                verbose=0,
            )
    except tf.errors.OpError:
        if feed.fault is not None:
            raise feed.fault from None
        raise
    checkpoint.restore(model.weights, keeper.kept)
    return history


def best_epoch(history: Sequence[Row]) -> int:
    """Return the number of the epoch with the least validation loss, counted from 1."""
    losses = [row["validation_loss"] for row in history]
    return 1 + int(np.argmin(np.nan_to_num(losses, nan=np.inf)))


class _Feed:
    """A source as TensorFlow takes it: batches made ahead, in a thread of its own."""

    def __init__(self, source: Source, first: int) -> None:
        self._source = source
        self._first = first
        self.fault: ScperformerError | None = None

    def dataset(self) -> Any:
        example = next(self._source.batches(self._first))
        signature = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape, a.dtype), example)
        made = tf.data.Dataset.from_generator(self._batches, output_signature=signature)
        return made.prefetch(_BATCHES_AHEAD)

    def _batches(self) -> Iterator[TrainingBatch]:
        try:
            yield from self._source.batches(self._first)
        except ScperformerError as error:
            # TensorFlow would make a text of it.
            self.fault = error
            raise


class _Best(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights of the best epoch.

    Attributes:
        kept: their values.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.kept = _values(model.weights)

    def look(self, look: Look) -> Mapping[str, float]:
        return look()

    def note(self, history: Sequence[Row]) -> None:
        """Keep the weights if the last epoch is the best one."""
        if best_epoch(history) == len(history):
            self.kept = _values(self.model.weights)


class _Mean(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the running mean of the weights.

    Keras' own (`use_ema`) has one memory from the first step to the last: behind 300 steps
    at 0.998 more than half of it are the first weights. This one follows faster early on.
    """

    def __init__(self, memory: float, model: Any) -> None:
        super().__init__()
        self._memory = memory
        self._means = [tf.Variable(value) for value in _values(model.weights)]
        self._follow = tf.function(self._move)

    @property
    def kept(self) -> list[NDArray[Any]]:
        return _values(self._means)

    @kept.setter
    def kept(self, values: list[NDArray[Any]]) -> None:
        checkpoint.restore(self._means, values)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self._follow()

    def _move(self) -> None:
        step = tf.cast(self.model.optimizer.iterations, tf.float32)
        change = 1.0 - tf.minimum(self._memory, (1.0 + step) / (10.0 + step))
        for mean, weight in zip(self._means, self.model.weights, strict=True):
            mean.assign_add(tf.cast(change, mean.dtype) * (weight.value - mean))

    def look(self, look: Look) -> Mapping[str, float]:
        """Look at the model with the means in the place of its weights."""
        now = _values(self.model.weights)
        checkpoint.restore(self.model.weights, self.kept)
        found = look()
        checkpoint.restore(self.model.weights, now)
        return found

    def note(self, history: Sequence[Row]) -> None:
        """Nothing is chosen."""


class _Epochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Looks behind each epoch, notes and reports it, saves the state, stops early."""

    def __init__(  # noqa: PLR0917
        self,
        keeper: _Best | _Mean,
        look: Look,
        plan: Plan,
        history: list[Row],
        report: Report,
        save: Callable[[], None],
    ) -> None:
        super().__init__()
        self._keeper = keeper
        self._look = look
        self._patience = plan.patience
        self._history = history
        self._report = report
        self._save = save
        self._started_s = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        self._started_s = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss = float(logs["loss"])
        if not np.isfinite(loss):
            raise ConfigurationError(
                f"the loss became {loss} in epoch {epoch + 1}; lower learning_rate or clip_norm"
            )
        optimizer = self.model.optimizer
        row = {"epoch": epoch + 1, "step": int(optimizer.iterations.numpy()), "loss": loss}
        row |= self._keeper.look(self._look)
        row["learning_rate"] = float(optimizer.learning_rate)
        row["duration_s"] = time.monotonic() - self._started_s
        self._history.append(row)
        self._keeper.note(self._history)
        self._report(describe(row))
        self._save()
        if self._patience is not None:
            best = best_epoch(self._history)
            if len(self._history) - best >= self._patience:
                self._report(f"no better since epoch {best}: stopped early")
                self.model.stop_training = True


class _End(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a training whose last epoch is shorter than the others."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        if int(self.model.optimizer.iterations.numpy()) >= self._steps:
            self.model.stop_training = True


def describe(row: Row) -> str:
    """Return a row of the history in words."""
    noted = ", ".join(
        f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in row.items()
        if name not in {"epoch", "step", "learning_rate", "duration_s"}
    )
    return f"epoch {row['epoch']}, step {row['step']}: {noted} ({row['duration_s']:.0f} s)"


def _values(variables: Sequence[Any]) -> list[NDArray[Any]]:
    return [np.array(variable.numpy()) for variable in variables]
