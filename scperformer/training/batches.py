"""The windows of an epoch: drawn, cut, augmented, batch by batch.

A batch depends on the seed, its epoch and its number alone. Batches can thus be
made ahead in another thread, and a training that is resumed sees the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scperformer.training import augmentation
from scperformer.training.config import TrainingConfig
from scperformer.training.labels import Arrivals, away_from, label_targets
from scperformer.training.teacher import Teacher
from scperformer.training.windows import Centres, WindowBank, anywhere, around, grid, join
from scperformer.types import CLASSES, SAMPLING_RATE_HZ

Item = TypeVar("Item")
_P, _S, _NOISE = range(len(CLASSES))
_NO_CENTRES = Centres(np.empty(0, np.int64), np.empty(0, np.int64))


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


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Where an epoch's windows come from.

    Attributes:
        picks: arrivals that somebody picked.
        phases: centres where the teacher sees P or S.
        phase_weights: (n,) float64, so that P and S weigh the same.
        noise: centres without a phase.
    """

    picks: Arrivals
    phases: Centres
    phase_weights: NDArray[np.float64]
    noise: Centres


def find_sources(
    bank: WindowBank, picks: Arrivals, teacher: Teacher | None, config: TrainingConfig
) -> Sources:
    """Let the teacher look at everything on a grid, and sort what it saw."""
    centres = grid(bank, step_samples=config.windows.scan_step_samples)
    if teacher is None:
        distance_s = config.windows.noise_distance_s
        noise = centres.take(away_from(bank, centres, picks, distance_s=distance_s))
        return Sources(picks, _NO_CENTRES, np.empty(0), noise)
    seen = teacher.answerer.centres(bank, centres)
    weights = np.zeros(len(centres))
    for phase in (_P, _S):
        members = seen[:, phase] >= config.windows.phase_probability
        weights[members] += 0.5 / max(int(members.sum()), 1)
    phases = weights > 0
    noise = centres.take(seen[:, _NOISE] >= 0.5)
    return Sources(picks, centres.take(phases), weights[phases], noise)


class BatchMaker:
    """Makes the batches of every epoch.

    Args:
        bank: the records.
        sources: where windows come from.
        config: what to do with them.
    """

    def __init__(self, bank: WindowBank, sources: Sources, config: TrainingConfig) -> None:
        self._bank = bank
        self._sources = sources
        self._config = config

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, in their order."""
        windows, training = self._config.windows, self._config.training
        for step in range(windows.per_epoch // training.batch_size):
            rng = np.random.default_rng([training.seed, number, step])
            yield self.make(training.batch_size, rng)

    def make(self, count: int, rng: np.random.Generator, *, augment: bool = True) -> Batch:
        """Return windows from all sources; without `augment` they only lose components."""
        config = self._config
        centres = self._draw(count, rng)
        windows = self._bank.cut(centres)
        present = self._bank.present[centres.record]
        if augment:
            windows = self._augment(windows, rng)
        keep = augmentation.component_loss(
            present,
            rng,
            lose_one=config.augmentation.lose_one,
            lose_two=config.augmentation.lose_two,
            vertical_share=config.augmentation.vertical_share,
        )
        labels = label_targets(
            self._bank, centres, self._sources.picks, width_s=config.labels.width_s
        )
        return Batch(windows, present, keep, labels)

    def _draw(self, count: int, rng: np.random.Generator) -> Centres:
        """Draw centres from all sources; a source that is empty gives way to anywhere."""
        shares, sources = self._config.windows, self._sources
        wishes = (
            (shares.near_picks, sources.picks.centres, None, shares.pick_shift_s),
            (shares.near_phases, sources.phases, sources.phase_weights, shares.phase_shift_s),
            (shares.noise, sources.noise, None, shares.scan_step_samples / SAMPLING_RATE_HZ),
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

    def _augment(
        self, windows: NDArray[np.float32], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        options = self._config.augmentation
        if len(self._sources.noise):
            chosen = around(self._bank, self._sources.noise, len(windows), rng, shift_samples=0)
            windows = augmentation.mix_noise(
                windows,
                self._bank.cut(chosen),
                rng,
                probability=options.mixing,
                snr_db=options.mixing_snr_db,
            )
        windows = augmentation.rotate_horizontals(windows, rng, probability=options.rotation)
        windows = augmentation.flip_polarity(windows, rng, probability=options.polarity)
        return augmentation.change_gain(windows, rng, range_db=options.gain_db)


def ahead(items: Iterable[Item], *, depth: int = 4) -> Iterator[Item]:
    """Yield items in their order while a thread makes up to `depth` of them in advance."""
    iterator = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as executor:
        waiting: list[Future[object]] = [executor.submit(next, iterator, end) for _ in range(depth)]
        while (item := waiting.pop(0).result()) is not end:
            waiting.append(executor.submit(next, iterator, end))
            yield item  # type: ignore[misc]
