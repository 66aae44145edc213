"""The training loop.

Targets are computed where they are needed, in the same graph as the step: the
teacher looks at every augmented window once, in full, while the student sees it with
the components that are left. Source of the optimiser: Loshchilov and Hutter (2019),
"Decoupled weight decay regularization", and (2017), "SGDR", for the cosine.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.errors import ConfigurationError
from scperformer.networks.architectures import core_of
from scperformer.networks.contract import Network
from scperformer.training import checkpoint
from scperformer.training.batches import Batch, BatchMaker, ahead
from scperformer.training.config import TrainingConfig
from scperformer.training.data import Report
from scperformer.training.features import Prepared, prepare
from scperformer.training.forward import inference_forward, staged_forward, training_forward
from scperformer.training.history import Epoch
from scperformer.training.inference import BatchedInference
from scperformer.training.losses import distillation_loss, hint_loss, smooth
from scperformer.training.scores import agreement
from scperformer.training.teacher import Teacher

# isort: split
import keras
import tensorflow as tf

_NOT_DECAYED = ["bias", "gamma", "beta", "token", "embeddings"]


@dataclass(frozen=True, slots=True, eq=False)
class ValidationSet:
    """Windows of the records held out, with their targets, (n, 3) float32."""

    batch: Batch
    targets: NDArray[np.float32]


class Trainer:
    """Trains one network.

    Args:
        model: made by `build_network`, with random or with earlier weights.
        teacher: its teacher, None to learn from picks alone.
        config: the configuration.

    Attributes:
        history: the epochs so far.
        best_epoch: number of the one with the least validation loss, 0 before the first.
    """

    def __init__(self, model: Any, teacher: Teacher | None, config: TrainingConfig) -> None:
        self._model = model
        self._teacher = teacher
        self._config = config
        self._network = Network(config.model.network)
        core = core_of(model)
        self._variables = core.trainable_variables
        self._forward = training_forward(core, self._network, dropout=config.training.dropout)
        self._staged = staged_forward(core)
        self._ask = inference_forward(core, self._network)
        self._optimizer = _optimizer(config)
        self._optimizer.build(self._variables)
        self._step = tf.function(self._train_on, jit_compile=True)
        self.inference = BatchedInference(self._answer)
        self.history: list[Epoch] = []
        self.best_epoch = 0
        self._best = self._weights()

    def targets(self, batch: Batch) -> NDArray[np.float32]:
        """Return the (n, 3) float32 targets of a batch."""
        seen = None
        if self._teacher is not None:
            seen = self._teacher.inference.windows(batch.windows, batch.present)
        return np.asarray(self._mix(batch.labels, seen), dtype=np.float32)

    def fit(
        self,
        batches: BatchMaker,
        validation: ValidationSet,
        *,
        checkpoint_path: Path,
        report: Report,
    ) -> None:
        """Train until the last epoch or until the validation loss stays behind its best.

        Leaves the best epoch's weights in the model. After each epoch the state is
        written to `checkpoint_path`.

        Raises:
            OutputError: the checkpoint cannot be written.
        """
        options = self._config.training
        while len(self.history) < options.epochs:
            number = len(self.history) + 1
            epoch = self._run_epoch(number, batches, validation)
            self.history.append(epoch)
            report(str(epoch))
            if not np.isfinite(epoch.loss):
                raise ConfigurationError(
                    f"the loss became {epoch.loss} in epoch {number}; "
                    "lower training.learning_rate or training.clip_norm"
                )
            if number == 1 or epoch.validation_loss < self._best_loss():
                self.best_epoch, self._best = number, self._weights()
            checkpoint.save(self._state(), checkpoint_path)
            if number - self.best_epoch >= options.patience:
                report(f"no better since epoch {self.best_epoch}: stopped early")
                break
        checkpoint.restore(self._model.weights, self._best)

    def resume(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from a checkpoint of the same configuration.

        Raises:
            ConfigurationError: it belongs to another configuration.
        """
        saved.check(self._config.as_card())
        checkpoint.restore(self._all_variables(), saved.variables)
        self._best = list(saved.best)
        self.history = [Epoch(**row) for row in saved.history]
        losses = [epoch.validation_loss for epoch in self.history]
        self.best_epoch = 1 + int(np.argmin(losses))

    def _run_epoch(self, number: int, batches: BatchMaker, validation: ValidationSet) -> Epoch:
        started_s = time.monotonic()
        losses = [
            self._step(batch.windows, batch.present, batch.keep, batch.labels)
            for batch in ahead(batches.epoch(number))
        ]
        loss = float(np.mean([value.numpy() for value in losses]))
        answers = self.inference.windows(validation.batch.windows, validation.batch.keep)
        logits = np.log(np.maximum(answers, np.finfo(np.float32).tiny))
        temperature = self._config.teacher.temperature
        held_out = distillation_loss(validation.targets, logits, temperature=temperature)
        n_left = validation.batch.keep.sum(axis=1)
        three, two, one = (
            agreement(answers[n_left == count], validation.targets[n_left == count])
            for count in (3, 2, 1)
        )
        return Epoch(
            number,
            loss,
            float(np.mean(held_out)),
            three,
            two,
            one,
            float(self._optimizer.learning_rate),
            time.monotonic() - started_s,
        )

    def _train_on(self, windows: Any, present: Any, keep: Any, labels: Any) -> Any:
        prepared = prepare(windows)
        seen, hints = self._ask_teacher(prepared, present)
        targets = self._mix(labels, seen)
        features = prepared.features(self._network, keep)
        complete = tf.reduce_all(tf.equal(present, keep), axis=1)
        options = self._config.teacher
        with tf.GradientTape() as tape:
            if hints:
                logits, stages = self._staged(features)
                hint = options.hints * hint_loss(hints, stages, complete)
            else:
                logits, hint = self._forward(features), 0.0
            losses = distillation_loss(targets, logits, temperature=options.temperature)
            loss = tf.reduce_mean(losses)
            whole = loss + hint
        gradients = tape.gradient(whole, self._variables)
        self._optimizer.apply(gradients, self._variables)
        return loss

    def _ask_teacher(self, prepared: Prepared, present: Any) -> tuple[Any | None, list[Any]]:
        """Return the teacher's probabilities and, if the student shall see them, its stages."""
        if self._teacher is None:
            return None, []
        if self._config.teacher.hints:
            return self._teacher.stages(prepared, present)
        return self._teacher.probabilities(prepared, present), []

    def _mix(self, labels: Any, seen: Any | None) -> Any:
        """Targets from picks and, if there is a teacher, from what it sees."""
        picked = smooth(labels, self._config.labels.smoothing)
        if seen is None:
            return picked
        weight = self._config.labels.weight
        return weight * picked + (1.0 - weight) * seen

    def _answer(self, prepared: Prepared, keep: Any) -> Any:
        return tf.nn.softmax(self._ask(prepared.features(self._network, keep)))

    def _best_loss(self) -> float:
        return self.history[self.best_epoch - 1].validation_loss

    def _all_variables(self) -> list[Any]:
        return [*self._model.variables, *self._optimizer.variables]

    def _weights(self) -> list[NDArray[Any]]:
        return [variable.numpy() for variable in self._model.weights]

    def _state(self) -> checkpoint.Checkpoint:
        return checkpoint.Checkpoint(
            self._config.as_card(),
            tuple(asdict(epoch) for epoch in self.history),
            [np.asarray(variable) for variable in self._all_variables()],
            self._best,
        )


def _optimizer(config: TrainingConfig) -> Any:
    """AdamW; the learning rate rises linearly, then falls to zero along a cosine."""
    options = config.training
    steps = config.windows.per_epoch // options.batch_size
    warmup_steps = min(round(options.warmup_epochs * steps), options.epochs * steps - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else options.learning_rate,
        decay_steps=options.epochs * steps - warmup_steps,
        warmup_target=options.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=options.weight_decay, global_clipnorm=options.clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer
