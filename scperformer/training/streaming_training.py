"""A training of the streaming network on stretches of whole records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scperformer.core.streaming_shape import StreamingShape
from scperformer.datasets.curves import Curves, Taught, read_curves, teach, with_doubts
from scperformer.datasets.labels import MarkedRecord, mark_records, read_labels
from scperformer.errors import ConfigurationError
from scperformer.networks.contract import streaming_parameters
from scperformer.networks.manifest import StreamingCard, file_sha256
from scperformer.networks.streaming import write_streaming
from scperformer.training.data import describe_marks, load_records
from scperformer.training.loop import Plan, Report, Row, TrainingBatch, adamw
from scperformer.training.streaming_config import StreamingConfig
from scperformer.training.streaming_network import StreamingLearner
from scperformer.training.stretches import Stretches, StretchMaker
from scperformer.training.workers import Workers

# isort: split
import tensorflow as tf

_TRAINING_STREAM, _VALIDATION_STREAM = 0, 1
_VALIDATION_BATCHES = 16
_WORTH_COMPILING = 50
_LAST_RATE, _BETA_2 = 0.02, 0.98


class StreamingTraining:
    """What `session` trains: a streaming network with its data.

    Args:
        config: the configuration.
        init: weights file to start from, None for random weights.
        report: takes lines that tell how far it is.

    Raises:
        ScperformerError: data, weights or the configuration cannot be used.
    """

    def __init__(self, config: StreamingConfig, init: Path | None, report: Report) -> None:
        self._config = config
        options = self._options = config.streaming
        records = load_records(
            config.data,
            share=options.validation_share,
            seed=options.seed,
            report=report,
            filter_id=options.filter,
        )
        if not records.training:
            raise ConfigurationError(f"{config.path}: no record is left for training")
        curves = self._read_curves()
        self.counts = records.counts
        self.held_out = self._judged(records.validation, curves)
        self.picks = {
            "training": describe_marks(records.training),
            "validation": describe_marks(records.validation),
        }
        self._maker = Stretches(
            self._stretches(self._taught(records.training, curves)),
            options.stretches,
            (options.seed, _TRAINING_STREAM),
        )
        self._workers: Workers | None = None
        shape = StreamingShape(
            channels=options.channels,
            dilations=options.dilations,
            memories=options.memories,
            look_ahead=options.look_ahead,
        )
        self.model = StreamingLearner(shape, seed=options.seed, phase_weight=options.phase_weight)
        if init is not None:
            self.model.begin_with(init)
        self.model.compile(
            adamw(
                options.learning_rate,
                steps=options.steps,
                warmup_steps=options.warmup_steps,
                weight_decay=options.weight_decay,
                clip_norm=options.clip_norm,
                last=_LAST_RATE,
                beta_2=_BETA_2,
            ),
            jit_compile=options.steps >= _WORTH_COMPILING,
        )
        self.plan = Plan(
            steps=options.steps,
            steps_per_epoch=options.validation_every,
            averaging=options.averaging,
        )
        self._losses = tf.function(self.model.losses, jit_compile=self.model.jit_compile)
        self._held = []
        if records.validation:
            held = self._stretches(self._taught(records.validation, curves))
            for number in range(_VALIDATION_BATCHES):
                seed = [options.seed, _VALIDATION_STREAM, number]
                self._held.append(held.batch(options.stretches, seed, change=False))

    def batches(self, first: int) -> Iterator[TrainingBatch]:
        """Yield what is trained on; each batch comes from its number alone."""
        if self._workers is None:
            self._workers = Workers(self._maker, self._options.workers)
        yield from self._workers.batches(first)

    def close(self) -> None:
        """End the processes that make stretches."""
        if self._workers is not None:
            self._workers.close()

    def look(self) -> Mapping[str, float]:
        """Return the loss on the records held out, nan if there are none."""
        losses = [float(self._losses(*batch)[1]) for batch in self._held]
        return {"validation_loss": float(np.mean(losses)) if losses else float("nan")}

    @property
    def filter_id(self) -> str:
        """The filter of the records."""
        return self._options.filter

    def save(self, path: Path) -> StreamingCard:
        """Write the weights; return the network's part of the card."""
        write_streaming(path, self.model.shape, self.model.values())
        return StreamingCard(shape=self.model.shape)

    def scores(self, history: Sequence[Row]) -> dict[str, Any]:
        """Return the card's score: the loss on what is held out."""
        return {"held_out_loss": round(history[-1]["validation_loss"], 6)} if self._held else {}

    def account(self, history: Sequence[Row]) -> dict[str, Any]:
        """Return what the card tells of this kind of training."""
        files = [folder.curves for folder in self._config.data if folder.curves is not None]
        return {
            "curves": {path.name: file_sha256(path) for path in files},
            "steps": history[-1]["step"],
            "parameters": streaming_parameters(self.model.shape),
        }

    def _judged(
        self, records: Sequence[MarkedRecord], curves: Mapping[str, Mapping[str, list[Curves]]]
    ) -> tuple[MarkedRecord, ...]:
        """Return the records held out that somebody has picked, with these picks and doubts."""
        judged: list[MarkedRecord] = []
        for folder in self._config.data:
            own = [m for m in records if m.record.source == folder.name]
            if folder.judged_by:
                tables = [read_labels(folder.folder / name) for name in folder.judged_by]
                own = mark_records([m.record for m in own], tables, folder.pick_probability)
            judged += [marked for marked in own if len(marked.marks)]
        taught = self._taught(judged, curves)
        return tuple(with_doubts(*pair) for pair in zip(judged, taught, strict=True))

    def _read_curves(self) -> dict[str, dict[str, list[Curves]]]:
        """Read the curves of each folder by its name in the records."""
        found = {}
        for folder in self._config.data:
            if folder.curves is not None:
                found[folder.name] = read_curves(folder.curves)
                self._check_teachers(folder.curves, found[folder.name])
        return found

    def _check_teachers(self, path: Path, curves: Mapping[str, Sequence[Curves]]) -> None:
        n_voices = len(self._config.targets.voices_p)
        others = {len(part.values) for parts in curves.values() for part in parts} - {n_voices}
        if others:
            raise ConfigurationError(
                f"{path}: curves of {min(others)} teachers; targets.voices_p and voices_s weigh "
                f"{n_voices}"
            )

    def _taught(
        self, records: Sequence[MarkedRecord], curves: Mapping[str, Mapping[str, list[Curves]]]
    ) -> list[Taught]:
        targets = self._config.targets
        voices = (targets.voices_p, targets.voices_s)
        taught = []
        for marked in records:
            own = curves.get(marked.record.source)
            parts = None if own is None else own.get(marked.record.station, [])
            taught.append(teach(marked, parts, voices=voices, width_s=targets.width_s))
        return taught

    def _stretches(self, taught: Sequence[Taught]) -> StretchMaker:
        return StretchMaker(
            taught,
            self._config.stretches,
            n_columns=self._options.columns,
            unlearned_s=self._options.unlearned_s,
        )
