"""The training of a network together with its context stage, on sequences of windows.

The network keeps learning from its teacher what a window alone can tell, while the
stage behind it learns from picks what the windows together tell; the stage's errors
reach the network as well. What is kept is a running mean of the weights (Polyak and
Juditsky 1992), which needs no choice of a best step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.core.context import ContextShape
from scperformer.errors import ConfigurationError
from scperformer.networks.architectures import core_of
from scperformer.training import checkpoint
from scperformer.training.batches import ahead
from scperformer.training.context_config import ContextConfig
from scperformer.training.context_network import (
    ContextStage,
    SequenceFeatures,
    shared_features,
)
from scperformer.training.data import Report
from scperformer.training.forward import staged_forward
from scperformer.training.sequences import SequenceBatch, SequenceMaker
from scperformer.types import CLASSES

# isort: split
import keras
import tensorflow as tf

_NOT_DECAYED = ["bias", "gamma", "beta", "token", "embeddings", "gain"]
_TRAINING_STREAM, _VALIDATION_STREAM, _MASK_STREAM = 0, 1, 2
_VALIDATION_BATCHES = 12
_WORTH_COMPILING = 50
"""Steps from which on XLA's half minute of compilation pays."""

_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Progress:
    """A look at a training.

    Attributes:
        step: steps so far.
        loss: mean loss of the steps since the last look.
        validation_loss: of the running mean of the weights on the records held out,
            nan if there are none.
        duration_s: wall time so far.
    """

    step: int
    loss: float
    validation_loss: float
    duration_s: float

    def __str__(self) -> str:
        return (
            f"step {self.step}: loss {self.loss:.5f}, held out {self.validation_loss:.5f} "
            f"({self.duration_s:.0f} s)"
        )


class ContextTrainer:
    """Trains a `performer` and its context stage.

    Args:
        model: made by `build_network`, with earlier weights; trained in place.
        teacher: a `performer` that the network goes on learning from, None for none.
        config: the configuration.

    Attributes:
        stage: the context stage.
        history: the looks so far.
    """

    def __init__(self, model: Any, teacher: Any | None, config: ContextConfig) -> None:
        options = config.context
        self._options = options
        self._configuration = config.as_card()
        shape = ContextShape(
            options.channels, options.layers, options.lag_windows, options.embedding
        )
        self.stage = ContextStage(shape, options.seed)
        core = core_of(model)
        self._network = list(core.trainable_variables) if options.network_learning_rate else []
        self._forward = staged_forward(core)
        self._teacher = None if teacher is None else staged_forward(core_of(teacher))
        self._stage_variables = list(self.stage.weights.values())
        self._optimizers = [(_optimizer(options, options.learning_rate), self._stage_variables)]
        if self._network:
            rate = options.network_learning_rate
            self._optimizers.append((_optimizer(options, rate), self._network))
        for optimizer, variables in self._optimizers:
            optimizer.build(variables)
        self._variables = [*self._stage_variables, *self._network]
        self._means = [variable.numpy() for variable in self._variables]
        self._shared = tf.function(shared_features, jit_compile=True)
        is_long = options.steps >= _WORTH_COMPILING
        self._step = tf.function(self._train_on, jit_compile=is_long)
        self._look = tf.function(self._losses_of, jit_compile=is_long)
        self.history: list[Progress] = []

    def fit(
        self,
        training: SequenceMaker,
        validation: SequenceMaker | None,
        *,
        checkpoint_path: Path,
        report: Report,
    ) -> None:
        """Train to the last step; leaves the running mean of the weights in place.

        At each look the state is written to `checkpoint_path`.

        Raises:
            ConfigurationError: the loss is no longer a number.
            OutputError: the checkpoint cannot be written.
        """
        options = self._options
        held = self._held_out(validation)
        done = self.history[-1] if self.history else Progress(0, 0.0, 0.0, 0.0)
        started_s = time.monotonic() - done.duration_s
        losses: list[float] = []
        for step, batch in self._batches(training, done.step):
            mask = self._embedding_mask(step)
            losses.append(float(self._step(*self._tensors(batch), mask)))
            self._follow(step)
            if step % options.validation_every == 0 or step == options.steps:
                loss = float(np.mean(losses))
                if not np.isfinite(loss):
                    raise ConfigurationError(
                        f"the loss became {loss} before step {step}; lower "
                        "context.learning_rate or context.clip_norm"
                    )
                elapsed_s = time.monotonic() - started_s
                self.history.append(Progress(step, loss, self._validate(held), elapsed_s))
                report(str(self.history[-1]))
                losses = []
                checkpoint.save(self._state(), checkpoint_path)
        self._use(self._means)

    def resume(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint of the same configuration.

        Raises:
            ConfigurationError: it belongs to another configuration.
        """
        saved.check(self._configuration)
        checkpoint.restore(self._all_variables(), saved.variables)
        self._means = list(saved.best)
        self.history = [Progress(**row) for row in saved.history]

    def _state(self) -> checkpoint.Checkpoint:
        return checkpoint.Checkpoint(
            self._configuration,
            tuple(asdict(look) for look in self.history),
            [variable.numpy() for variable in self._all_variables()],
            self._means,
        )

    def _all_variables(self) -> list[Any]:
        state = [variable for optimizer, _ in self._optimizers for variable in optimizer.variables]
        return [*self._variables, *state]

    def _batches(self, maker: SequenceMaker, n_done: int) -> Iterator[tuple[int, SequenceBatch]]:
        """Number the batches of the steps that are left; each comes from its number alone."""
        options = self._options
        made = (
            maker.batch(options.sequences, [options.seed, _TRAINING_STREAM, step])
            for step in range(n_done, options.steps)
        )
        return enumerate(ahead(made), n_done + 1)

    def _held_out(self, maker: SequenceMaker | None) -> list[SequenceBatch]:
        if maker is None:
            return []
        options = self._options
        return [
            maker.batch(options.sequences, [options.seed, _VALIDATION_STREAM, number], change=False)
            for number in range(_VALIDATION_BATCHES)
        ]

    def _validate(self, held: list[SequenceBatch]) -> float:
        if not held:
            return float("nan")
        now = [variable.numpy() for variable in self._variables]
        self._use(self._means)
        everything = self._embedding_mask(None)
        losses = [float(self._look(*self._tensors(batch), everything)[0]) for batch in held]
        loss = float(np.mean(losses))
        self._use(now)
        return loss

    def _follow(self, step: int) -> None:
        # Early on the mean follows faster, so that the first weights are soon forgotten.
        keep = min(self._options.averaging, (1.0 + step) / (10.0 + step))
        self._means = [
            mean + np.float32(1.0 - keep) * (variable.numpy() - mean)
            for mean, variable in zip(self._means, self._variables, strict=True)
        ]

    def _use(self, values: list[NDArray[Any]]) -> None:
        checkpoint.restore(self._variables, values)

    def _embedding_mask(self, step: int | None) -> NDArray[np.float32]:
        """What the embedding is multiplied by, (b, 1, e): some of it is left out in a step."""
        options = self._options
        shape = (options.sequences, 1, options.embedding)
        if step is None:
            return np.ones(shape, np.float32)
        rng = np.random.default_rng([options.seed, _MASK_STREAM, step])
        keep = 1.0 - options.embedding_dropout
        return ((rng.random(shape) < keep) / keep).astype(np.float32)

    def _tensors(self, batch: SequenceBatch) -> tuple[Any, ...]:
        columns, peaks = self._shared(batch.samples)
        return columns, peaks, batch.present, batch.keep, batch.targets, batch.weights

    def _train_on(self, *tensors: Any) -> Any:
        with tf.GradientTape() as tape:
            loss, own = self._losses_of(*tensors)
            whole = loss + self._options.network_loss * own
        gradients = tape.gradient(whole, self._variables)
        n_stage = len(self._stage_variables)
        parts = [gradients[:n_stage], gradients[n_stage:]]
        for (optimizer, variables), part in zip(self._optimizers, parts, strict=False):
            optimizer.apply(part, variables)
        return loss

    def _losses_of(  # noqa: PLR0917 - tensors of one traced call
        self,
        columns: Any,
        peaks: Any,
        present: Any,
        keep: Any,
        targets: Any,
        weights: Any,
        mask: Any,
    ) -> tuple[Any, Any]:
        """Loss of the stage's answers, and of the network's own."""
        features = SequenceFeatures(columns, peaks)
        shape = (columns.shape[0], features.n_windows, len(CLASSES))
        logits, stages = self._forward(features.windows(keep))
        own = tf.nn.log_softmax(tf.reshape(logits, shape))
        seen = self.stage.embed(tf.reshape(stages[-1], (*shape[:2], stages[-1].shape[-1]))) * mask
        answers = tf.nn.log_softmax(self.stage(own, features.component_peaks(keep), seen))
        lag = self.stage.shape.lag_windows
        n = features.n_windows - lag
        loss = self._mean_loss(targets[:, :n], answers[:, lag:], weights[:, :n])
        wanted = targets
        if self._teacher is not None:
            taught, _ = self._teacher(features.windows(present))
            taught = tf.stop_gradient(tf.reshape(tf.nn.softmax(taught), shape))
            share = self._options.teacher_share
            wanted = share * taught + (1.0 - share) * targets
        return loss, self._mean_loss(wanted, own, weights)

    def _mean_loss(self, targets: Any, answers: Any, weights: Any) -> Any:
        """Divergence from the targets, phases weighing more than noise."""
        divergence = targets * (tf.math.log(targets + _TINY) - answers)
        phases = 1.0 + self._options.phase_weight * (1.0 - targets[..., -1])
        total = tf.reduce_sum(tf.reduce_sum(divergence, axis=-1) * phases * weights)
        return total / tf.maximum(tf.reduce_sum(weights), 1.0)


def _optimizer(options: Any, rate: float) -> Any:
    """AdamW; the rate rises linearly, then falls to zero along a cosine."""
    warmup = min(options.warmup_steps, options.steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else rate,
        decay_steps=options.steps - warmup,
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=options.weight_decay, global_clipnorm=options.clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer
