"""The windows of a training: where they come from, drawn, cut, augmented, batch by batch.

A batch depends on the seed, its epoch and its number alone. Batches can thus be
made ahead in another thread, and a training that is resumed sees the same ones.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.labels import Arrivals, away_from, label_targets
from scperformer.datasets.window_dataset import LabelledWindows
from scperformer.datasets.windows import Centres, WindowBank, anywhere, around, grid, join
from scperformer.training import augmentation
from scperformer.training.augmenter import Augmenter, Drawn, Places, join_drawn
from scperformer.training.config import TrainingConfig
from scperformer.training.distillation import Teacher
from scperformer.training.loop import TrainingBatch
from scperformer.types import CLASSES, SAMPLING_RATE_HZ

_P, _S, _NOISE = range(len(CLASSES))


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Windows to train or to validate on.

    Attributes:
        windows: (n, 400, 3) float32, not normalised.
        present: (n, 3) bool, live components, which the teacher sees.
        keep: (n, 3) bool, those of them that the student sees.
        labels: (n, 3) float32, targets from picks.
    """

    windows: NDArray[np.float32]
    present: NDArray[np.bool_]
    keep: NDArray[np.bool_]
    labels: NDArray[np.float32]

    def for_a_step(self) -> TrainingBatch:
        """Return the batch as the training loop takes it; all windows weigh the same."""
        inputs = {"windows": self.windows, "present": self.present, "keep": self.keep}
        return inputs, self.labels, np.ones(len(self.labels), np.float32)


class BatchMaker:
    """Makes the batches of every epoch.

    Args:
        bank: the records and the windows from files.
        places: where windows come from in the records.
        config: what to do with them.

    Attributes:
        places: the same.
    """

    def __init__(self, bank: WindowBank, places: Places, config: TrainingConfig) -> None:
        self._bank = bank
        self.places = places
        self._config = config
        self._augmenter = Augmenter(bank, places, config)

    def batches(self, first: int) -> Iterator[Batch]:
        """Yield the batches from step `first` on, counted from 0, without end."""
        windows, training = self._config.windows, self._config.training
        size, per_epoch = training.batch_size, windows.per_epoch // training.batch_size
        n_synthetic = round(self._config.augmentation.synthetic * size)
        n_cut = self._n_cut(size - n_synthetic)
        cut: Iterator[LabelledWindows] = iter(())
        if self._bank.dataset is not None and n_cut:
            cut = self._bank.dataset.batches(
                n_cut, seed=training.seed, start=first * n_cut, balance=windows.balance
            )
        for number in itertools.count(first):
            epoch, step = divmod(number, per_epoch)
            rng = np.random.default_rng([training.seed, epoch + 1, step])
            drawn = self._draw(size - n_synthetic, next(cut, None), rng)
            if n_synthetic:
                drawn = join_drawn([drawn, self._augmenter.synthetic(n_synthetic, drawn, rng)])
                # Steps are compiled for one size: what could not be made is filled up.
                drawn = drawn.take(np.resize(np.arange(len(drawn)), size))
            yield self._batch(self._augmenter.change(drawn, rng), drawn, rng)

    def unchanged(self, count: int, rng: np.random.Generator) -> Batch:
        """Return windows from everywhere that lose components, and nothing else."""
        n_cut = self._n_cut(count)
        cut = self._bank.dataset.sample(n_cut, rng) if self._bank.dataset and n_cut else None
        drawn = self._draw(count, cut, rng)
        return self._batch(drawn.windows, drawn, rng)

    def _batch(self, windows: NDArray[np.float32], drawn: Drawn, rng: np.random.Generator) -> Batch:
        options = self._config.augmentation
        keep = augmentation.component_loss(
            drawn.present,
            rng,
            lose_one=options.lose_one,
            lose_two=options.lose_two,
            vertical_share=options.vertical_share,
        )
        return Batch(windows, drawn.present, keep, drawn.labels)

    def _n_cut(self, count: int) -> int:
        """How many of `count` windows come from files."""
        if self._bank.dataset is None:
            return 0
        return round(self._config.windows.from_files * count) if self._bank.records else count

    def _draw(self, count: int, cut: LabelledWindows | None, rng: np.random.Generator) -> Drawn:
        """Draw windows from the records, and put those from files behind them."""
        if cut is None:
            return self._from_records(count, rng)
        from_files = Drawn(cut.windows, cut.present, cut.targets)
        return join_drawn([self._from_records(count - len(cut), rng), from_files])

    def _from_records(self, count: int, rng: np.random.Generator) -> Drawn:
        centres = self._centres(count, rng)
        labels = label_targets(
            self._bank, centres, self.places.picks, width_s=self._config.labels.width_s
        )
        return Drawn(self._bank.cut(centres), self._bank.present[centres.record], labels)

    def _centres(self, count: int, rng: np.random.Generator) -> Centres:
        """Draw centres from all places; a source that is empty gives way to anywhere."""
        shares, places = self._config.windows, self.places
        wishes = (
            (shares.near_picks, places.picks.centres, None, shares.pick_shift_s),
            (shares.near_phases, places.phases, places.phase_weights, shares.phase_shift_s),
            (shares.noise, places.noise, None, shares.scan_step_samples / SAMPLING_RATE_HZ),
        )
        parts = []
        for share, centres, weights, shift_s in wishes:
            number = round(share * count)
            if number and len(centres):
                shift = round(shift_s * SAMPLING_RATE_HZ)
                parts.append(
                    around(self._bank, centres, number, rng, shift_samples=shift, weights=weights)
                )
        rest = count - sum(map(len, parts))
        parts.append(anywhere(self._bank, max(rest, 0), rng))
        return join(parts).take(np.arange(count))


def find_places(
    bank: WindowBank, picks: Arrivals, teacher: Teacher | None, config: TrainingConfig
) -> Places:
    """Let the teacher look at everything on a grid, and sort what it saw."""
    centres = grid(bank, step_samples=config.windows.scan_step_samples)
    if teacher is None:
        distance_s = config.windows.noise_distance_s
        noise = away_from(bank, centres, picks, distance_s=distance_s)
        return Places(picks, join([]), np.empty(0), centres.take(noise))
    seen = teacher.inference.centres(bank, centres)
    weights = np.zeros(len(centres))
    for phase in (_P, _S):
        members = seen[:, phase] >= config.windows.phase_probability
        weights[members] += 0.5 / max(int(members.sum()), 1)
    phases = weights > 0
    noise = seen[:, _NOISE] >= 0.5
    return Places(picks, centres.take(phases), weights[phases], centres.take(noise))
