"""A training on windows: cut from records as they are drawn, or cut before, or both.

Targets are computed where they are needed, in the same graph as the step: the
teacher looks at every augmented window once, in full, while the student sees it with
the components that are left. Scores of windows choose between trainings; what a picker is
worth is measured on records, with the whole pipeline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer import npz
from scperformer.config import DEFAULT_FILTER
from scperformer.datasets.labels import Arrivals
from scperformer.datasets.windows import WindowBank
from scperformer.errors import InputError
from scperformer.networks.architectures import build_network, core_of
from scperformer.networks.contract import Network
from scperformer.networks.manifest import file_sha256
from scperformer.networks.weights import load_weights, save_weights
from scperformer.training.batches import Batch, BatchMaker, find_places
from scperformer.training.config import TrainingConfig
from scperformer.training.data import describe_phases, load_data
from scperformer.training.distillation import (
    BatchedInference,
    Teacher,
    distillation_loss,
    hint_loss,
    smooth,
)
from scperformer.training.features import (
    Prepared,
    inference_forward,
    prepare,
    staged_forward,
    training_forward,
)
from scperformer.training.loop import (
    Learner,
    Plan,
    Report,
    Row,
    TrainingBatch,
    adamw,
    best_epoch,
    weighted_mean,
)
from scperformer.types import CLASSES, COMPONENTS, N_COMPONENTS, WINDOW_SAMPLES

# isort: split
import tensorflow as tf

Probabilities = NDArray[np.float32]

_VALIDATION_STREAM = 2**32
COMPONENT_SETS = ("NEZ", "NE", "NZ", "EZ", "Z", "N", "E")


def component_mask(letters: str) -> NDArray[np.bool_]:
    """Return (3,) bool for component letters such as ``NZ``."""
    return np.array([letter in letters for letter in COMPONENTS])


def agreement(answers: Probabilities, targets: Probabilities) -> float:
    """Return the share of windows with the same most probable class, nan of none."""
    if not len(targets):
        return float("nan")
    return float(np.mean(answers.argmax(axis=1) == targets.argmax(axis=1)))


def agreement_table(answers: Probabilities, targets: Probabilities) -> dict[str, Any]:
    """Compare most probable classes.

    Returns:
        ``windows``, ``agreement`` and, for each class of the targets, ``recall`` (share
        of its windows that are answered so) and ``precision`` (share of the windows
        that are answered so which are of this class); None where there are none.
    """
    answered, wanted = answers.argmax(axis=1), targets.argmax(axis=1)
    table: dict[str, Any] = {
        "windows": len(wanted),
        "agreement": _rounded(agreement(answers, targets)) if len(wanted) else None,
        "mean_absolute_difference": _rounded(np.abs(answers - targets).mean()),
    }
    for number, name in enumerate(CLASSES):
        hits = int(np.sum((answered == number) & (wanted == number)))
        table[name] = {
            "windows": int(np.sum(wanted == number)),
            "recall": _ratio(hits, int(np.sum(wanted == number))),
            "precision": _ratio(hits, int(np.sum(answered == number))),
        }
    return table


def window_scores(
    student: BatchedInference,
    windows: NDArray[np.float32],
    present: NDArray[np.bool_],
    targets: NDArray[np.float32],
) -> dict[str, Any]:
    """Compare a student that sees some components with what all of them would say.

    Args:
        student: the trained network.
        windows: (n, 400, 3) float32.
        present: (n, 3) bool.
        targets: (n, 3) float32, for the windows with all their components.

    Returns:
        An `agreement_table` for each set of components, over the windows that have them.
    """
    table = {}
    for name in COMPONENT_SETS:
        mask = component_mask(name)
        live = present[:, mask].all(axis=1)
        if live.any():
            keep = np.tile(mask, (int(live.sum()), 1))
            table[name] = agreement_table(student.windows(windows[live], keep), targets[live])
    return table


def read_reference(path: Path, reference: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read windows with the answers that are stored beside them.

    Args:
        path: NumPy archive with ``windows``, (n, 400, 3), and the answers.
        reference: name of the answers, (n, 3) probabilities.

    Returns:
        The windows and the answers, both float32.

    Raises:
        InputError: the archive cannot be read or holds something else.
    """
    try:
        with npz.NpzFile(path) as file:
            windows, targets = file["windows"], file[reference]
    except npz.DAMAGED as error:
        raise InputError(
            f"{path}: {error}; wanted a NumPy archive with windows and {reference!r}"
        ) from error
    n = windows.shape[:1]
    wanted = ((*n, WINDOW_SAMPLES, N_COMPONENTS), (*n, len(CLASSES)))
    is_numbers = windows.dtype.kind in "fiu" and targets.dtype.kind in "fiu"
    if (windows.shape, targets.shape) != wanted or not is_numbers:
        raise InputError(
            f"{path}: shapes {windows.shape} and {targets.shape}; wanted numbers, (n, 400, 3) "
            "and (n, 3)"
        )
    return windows.astype(np.float32), targets.astype(np.float32)


def _ratio(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float) -> float:
    return round(float(value), 4)


class WindowLearner(Learner):
    """A network of windows with its targets.

    Args:
        network: made by `build_network`, with random or with earlier weights.
        teacher: its teacher, None to learn from picks alone.
        config: the configuration.

    Attributes:
        inference: asks the network as it is.
    """

    def __init__(self, network: Any, teacher: Teacher | None, config: TrainingConfig) -> None:
        super().__init__()
        self._core = core_of(network)
        self._teacher = teacher
        self._labels, self._teaching = config.labels, config.teacher
        self._kind = Network(config.model.network)
        self._forward = training_forward(self._core, self._kind, dropout=config.training.dropout)
        self._staged = staged_forward(self._core)
        self._ask = inference_forward(self._core)
        self.inference = BatchedInference(self._answer)
        self.built = True

    def targets(self, batch: Batch) -> NDArray[np.float32]:
        """Return the (n, 3) float32 targets of a batch."""
        seen = None
        if self._teacher is not None:
            seen = self._teacher.inference.windows(batch.windows, batch.present)
        return np.asarray(self._mix(batch.labels, seen), dtype=np.float32)

    def losses(self, inputs: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
        """Return the loss with that of the hints, and without it."""
        present, keep = inputs["present"], inputs["keep"]
        prepared = prepare(inputs["windows"])
        seen, hints = self._ask_teacher(prepared, present)
        features = prepared.features(self._kind, keep)
        if hints:
            logits, stages = self._staged(features)
            complete = tf.reduce_all(tf.equal(present, keep), axis=1)
            hint = self._teaching.hints * hint_loss(hints, stages, complete)
        else:
            logits, hint = self._forward(features), 0.0
        wanted = self._mix(targets, seen)
        losses = distillation_loss(wanted, logits, temperature=self._teaching.temperature)
        loss = weighted_mean(losses, weights)
        return loss + hint, loss

    def _ask_teacher(self, prepared: Prepared, present: Any) -> tuple[Any | None, list[Any]]:
        """Return the teacher's probabilities and, if the student shall see them, its stages."""
        if self._teacher is None:
            return None, []
        if self._teaching.hints:
            return self._teacher.stages(prepared, present)
        return self._teacher.probabilities(prepared, present), []

    def _mix(self, labels: Any, seen: Any | None) -> Any:
        """Targets from picks and, if there is a teacher, from what it sees."""
        picked = smooth(labels, self._labels.smoothing)
        if seen is None:
            return picked
        return self._labels.weight * picked + (1.0 - self._labels.weight) * seen

    def _answer(self, prepared: Prepared, keep: Any) -> Any:
        return tf.nn.softmax(self._ask(prepared.features(self._kind, keep)))


class WindowTraining:
    """What `session` trains: a network of windows with its data.

    Args:
        config: the configuration.
        init: weights file to start from, None for random weights.
        report: takes lines that tell how far it is.

    Raises:
        ScperformerError: data, weights or the configuration cannot be used.
    """

    def __init__(self, config: TrainingConfig, init: Path | None, report: Report) -> None:
        self._config = config
        options = config.training
        self._reference = None
        if config.test.windows is not None:
            self._reference = read_reference(config.test.windows, config.test.reference)
        self._network = build_network(config.model.network, dropout=options.dropout)
        if init is not None:
            load_weights(self._network, config.model.network, init)
        teacher = _teacher(config)
        data = load_data(config, report)
        per_epoch = config.windows.per_epoch // options.batch_size
        self.plan = Plan(
            steps=options.epochs * per_epoch, steps_per_epoch=per_epoch, patience=options.patience
        )
        self.model = WindowLearner(self._network, teacher, config)
        optimizer = adamw(
            options.learning_rate,
            steps=self.plan.steps,
            warmup_steps=round(options.warmup_epochs * per_epoch),
            weight_decay=options.weight_decay,
            clip_norm=options.clip_norm,
        )
        self.model.compile(optimizer, jit_compile=True)
        self.counts, self.held_out = data.counts, data.held_out
        self.picks = {
            "training": describe_phases(data.training_picks.classes),
            "validation": describe_phases(data.validation_picks.classes),
        }
        self._maker = self._windows(data.training, data.training_picks, teacher)
        held_out = self._windows(data.validation, data.validation_picks, teacher)
        rng = np.random.default_rng([options.seed, _VALIDATION_STREAM])
        self._held = held_out.unchanged(config.validation.windows, rng)
        self._wanted = self.model.targets(self._held)
        if config.data:
            places = self._maker.places
            report(
                f"training on {self.picks['training']} picks, "
                f"{len(places.phases)} places with phases, {len(places.noise)} with noise"
            )

    filter_id = DEFAULT_FILTER
    """The filter of the records."""

    def close(self) -> None:
        """Nothing is left open."""

    def batches(self, first: int) -> Iterator[TrainingBatch]:
        return (batch.for_a_step() for batch in self._maker.batches(first))

    def look(self) -> Mapping[str, float]:
        """Return the loss on the windows held out and how often targets are hit there."""
        answers = self.model.inference.windows(self._held.windows, self._held.keep)
        logits = np.log(np.maximum(answers, np.finfo(np.float32).tiny))
        temperature = self._config.teacher.temperature
        losses = distillation_loss(self._wanted, logits, temperature=temperature)
        n_left = self._held.keep.sum(axis=1)
        found = {"validation_loss": float(np.mean(losses))}
        for count, name in ((3, "three"), (2, "two"), (1, "one")):
            chosen = n_left == count
            found[f"agreement_{name}"] = agreement(answers[chosen], self._wanted[chosen])
        return found

    def save(self, path: Path) -> None:
        save_weights(self._network, self._config.model.network, path)

    def scores(self, history: Sequence[Row]) -> dict[str, Any]:
        """Return the card's scores of windows."""
        inference, held = self.model.inference, self._held
        best = history[best_epoch(history) - 1]
        found: dict[str, Any] = {
            "validation_loss": round(best["validation_loss"], 6),
            "held_out": window_scores(inference, held.windows, held.present, self._wanted),
        }
        if self._reference is not None:
            windows, answers = self._reference
            found["test"] = {
                "against": self._config.test.reference,
                **window_scores(inference, windows, np.asarray(windows.any(axis=1)), answers),
            }
        return found

    def account(self, history: Sequence[Row]) -> dict[str, Any]:
        """Return what the card tells of this kind of training."""
        return {
            "teacher": {path.name: file_sha256(path) for path in self._config.teacher.weights},
            "epochs": len(history),
            "best_epoch": best_epoch(history),
        }

    def _windows(self, bank: WindowBank, picks: Arrivals, teacher: Teacher | None) -> BatchMaker:
        return BatchMaker(bank, find_places(bank, picks, teacher, self._config), self._config)


def _teacher(config: TrainingConfig) -> Teacher | None:
    weights, networks = config.teacher.weights, config.teacher.networks
    if not weights:
        return None
    return Teacher(weights, networks if len(networks) > 1 else networks * len(weights))
