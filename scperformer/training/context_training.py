"""A training of a `performer` together with its context stage, on sequences from whole records.

The network keeps learning from its teacher what a window alone can tell, while the
stage behind it learns from picks what the windows together tell; the stage's errors
reach the network as well. What is kept is a running mean of the weights, which needs no
choice of a best step.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.core.context import ContextShape
from scperformer.errors import ConfigurationError
from scperformer.evaluation.picking import UNTRIED
from scperformer.networks.architectures import build_network, core_of
from scperformer.networks.context import context_parameters, write_context
from scperformer.networks.contract import Network
from scperformer.networks.manifest import ContextCard, file_sha256
from scperformer.networks.weights import load_weights, save_weights
from scperformer.training.context_config import ContextConfig
from scperformer.training.context_network import (
    ContextStage,
    SequenceFeatures,
    shared_features,
)
from scperformer.training.data import by_folder, describe_marks, load_records
from scperformer.training.features import staged_forward
from scperformer.training.loop import (
    Learner,
    Plan,
    Report,
    Row,
    TrainingBatch,
    adamw,
    weighted_mean,
)
from scperformer.training.sequences import SequenceBatch, SequenceMaker
from scperformer.types import CLASSES

# isort: split
import tensorflow as tf

_TRAINING_STREAM, _VALIDATION_STREAM, _MASK_STREAM = 0, 1, 2
_VALIDATION_BATCHES = 12
_WORTH_COMPILING = 50
"""Steps from which on XLA's half minute of compilation pays."""

_TINY = 1e-9


class ContextLearner(Learner):
    """A `performer` and its context stage.

    Args:
        network: made by `build_network`, with earlier weights.
        teacher: a `performer` that the network goes on learning from, None for none.
        config: the configuration.

    Attributes:
        stage: the context stage.
    """

    def __init__(self, network: Any, teacher: Any | None, config: ContextConfig) -> None:
        super().__init__()
        options = self._options = config.context
        shape = (options.channels, options.layers, options.lag_windows, options.embedding)
        self.stage = ContextStage(ContextShape(*shape), options.seed)
        core = core_of(network)
        core.trainable = options.network_learning_rate > 0
        self._core = core
        self._forward = staged_forward(core)
        self._teach = None if teacher is None else staged_forward(core_of(teacher))
        self._own_optimizer = self._adamw(options.network_learning_rate)
        self._own_optimizer.build(core.trainable_variables)
        self.built = True
        stage_optimizer = self._adamw(options.learning_rate)
        stage_optimizer.build(self.stage.trainable_variables)
        self.compile(stage_optimizer, jit_compile=options.steps >= _WORTH_COMPILING)

    def apply_gradients(self, gradients: Sequence[Any]) -> None:
        """Let the stage learn at its rate, and the network at its own."""
        n_stage = len(self.stage.trainable_variables)
        self.optimizer.apply(gradients[:n_stage], self.stage.trainable_variables)
        if self._core.trainable:
            self._own_optimizer.apply(gradients[n_stage:], self._core.trainable_variables)

    @property
    def state(self) -> list[Any]:
        """All variables that a step changes."""
        return [*super().state, *self._own_optimizer.variables]

    def losses(self, inputs: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """Return the loss with that of the network's own answers, and that of the stage's."""
        keep = inputs["keep"]
        features = SequenceFeatures(inputs["columns"], inputs["peaks"])
        shape = (keep.shape[0], features.n_windows, len(CLASSES))
        logits, stages = self._forward(features.windows(keep))
        own = tf.nn.log_softmax(tf.reshape(logits, shape))
        tokens = tf.reshape(stages[-1], (*shape[:2], stages[-1].shape[-1]))
        seen = self.stage.embed(tokens) * inputs["mask"]
        answers = tf.nn.log_softmax(self.stage(own, features.component_peaks(keep), seen))
        lag = self.stage.shape.lag_windows
        n = features.n_windows - lag
        loss = self._mean_divergence(targets[:, :n], answers[:, lag:], weights[:, :n])
        wanted = targets
        if self._teach is not None:
            taught, _ = self._teach(features.windows(inputs["present"]))
            share = self._options.teacher_share
            wanted = share * tf.reshape(tf.nn.softmax(taught), shape) + (1.0 - share) * targets
        of_network = self._mean_divergence(wanted, own, weights)
        return loss + self._options.network_loss * of_network, loss

    def _mean_divergence(self, targets: Any, answers: Any, weights: Any) -> Any:
        """Divergence from the targets, phases weighing more than noise."""
        divergence = targets * (tf.math.log(targets + _TINY) - answers)
        phases = 1.0 + self._options.phase_weight * (1.0 - targets[..., -1])
        return weighted_mean(tf.reduce_sum(divergence, axis=-1) * phases, weights)

    def _adamw(self, rate: float) -> Any:
        options = self._options
        return adamw(
            rate,
            steps=options.steps,
            warmup_steps=options.warmup_steps,
            weight_decay=options.weight_decay,
            clip_norm=options.clip_norm,
        )


class ContextTraining:
    """What `session` trains: a context stage and its network with their data.

    Args:
        config: the configuration.
        init: weights file of the network to start from.
        report: takes lines that tell how far it is.

    Raises:
        ScperformerError: data, weights or the configuration cannot be used.
    """

    def __init__(self, config: ContextConfig, init: Path | None, report: Report) -> None:
        if init is None:
            raise ConfigurationError(
                f"{config.path}: a context stage is trained behind a trained network; "
                "name one by --init"
            )
        self._config = config
        options = self._options = config.context
        self._network = _network(init)
        self._teacher = config.teacher.weights
        teacher = None
        if self._teacher is not None and options.network_learning_rate:
            teacher = _network(self._teacher)
        records = load_records(
            config.data,
            share=options.validation_share,
            seed=options.seed,
            report=report,
            doubtful=options.doubtful_probability,
        )
        if not records.training:
            raise ConfigurationError(f"{config.path}: no record is left for training")
        self.counts, self.held_out = records.counts, records.validation
        self.picks = {
            "training": describe_marks(records.training),
            "validation": describe_marks(records.validation),
        }
        self.model = ContextLearner(self._network, teacher, config)
        self.plan = Plan(
            steps=options.steps,
            steps_per_epoch=options.validation_every,
            averaging=options.averaging,
        )
        self._shared = tf.function(shared_features, jit_compile=True)
        self._losses = tf.function(self.model.losses, jit_compile=self.model.jit_compile)
        self._maker = self._sequences(records.training)
        self._held = []
        if records.validation:
            maker = self._sequences(records.validation)
            for number in range(_VALIDATION_BATCHES):
                seed = [options.seed, _VALIDATION_STREAM, number]
                batch = maker.batch(options.sequences, seed, change=False)
                self._held.append(self._for_a_step(batch, self._mask(None)))

    def batches(self, first: int) -> Iterator[TrainingBatch]:
        """Yield what is trained on; each batch comes from its number alone."""
        options = self._options
        for number in itertools.count(first):
            seed = [options.seed, _TRAINING_STREAM, number]
            batch = self._maker.batch(options.sequences, seed)
            yield self._for_a_step(batch, self._mask(number + 1))

    def look(self) -> Mapping[str, float]:
        """Return the loss on the records held out, nan if there are none."""
        losses = [float(self._losses(*batch)[1]) for batch in self._held]
        return {"validation_loss": float(np.mean(losses)) if losses else float("nan")}

    def save(self, path: Path) -> ContextCard:
        """Write the weights of network and stage; return the stage's card."""
        save_weights(self._network, Network.PERFORMER, path)
        stage = self.model.stage
        write_context(path, stage.shape, stage.values())
        return ContextCard(shape=stage.shape, thresholds=UNTRIED)

    def scores(self, history: Sequence[Row]) -> dict[str, Any]:
        """Return the card's score: the loss on what is held out."""
        return {"held_out_loss": round(history[-1]["validation_loss"], 6)} if self._held else {}

    def account(self, history: Sequence[Row]) -> dict[str, Any]:
        """Return what the card tells of this kind of training."""
        teacher = self._teacher
        return {
            "teacher": {} if teacher is None else {teacher.name: file_sha256(teacher)},
            "steps": history[-1]["step"],
            "context_parameters": context_parameters(self.model.stage.shape),
        }

    def _sequences(self, records: Sequence[Any]) -> SequenceMaker:
        options = self._options
        return SequenceMaker(
            by_folder(records),
            self._config.sequences,
            n_windows=options.windows,
            width_s=options.width_s,
        )

    def _for_a_step(self, batch: SequenceBatch, mask: NDArray[np.float32]) -> TrainingBatch:
        # XLA would compute the columns anew for each window if it saw them in the step.
        columns, peaks = (part.numpy() for part in self._shared(batch.samples))
        inputs = {
            "columns": columns,
            "peaks": peaks,
            "present": batch.present,
            "keep": batch.keep,
            "mask": mask,
        }
        return inputs, batch.targets, batch.weights

    def _mask(self, step: int | None) -> NDArray[np.float32]:
        """What the embedding is multiplied by, (b, 1, e): some of it is left out in a step."""
        options = self._options
        shape = (options.sequences, 1, options.embedding)
        if step is None:
            return np.ones(shape, np.float32)
        rng = np.random.default_rng([options.seed, _MASK_STREAM, step])
        keep = 1.0 - options.embedding_dropout
        return ((rng.random(shape) < keep) / keep).astype(np.float32)


def _network(weights: Path) -> Any:
    model = build_network(Network.PERFORMER, dropout=False)
    load_weights(model, Network.PERFORMER, weights)
    return model
