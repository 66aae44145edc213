"""The windows of a training: where they come from, drawn, cut, augmented, batch by batch.

A batch depends on the seed, its epoch and its number alone. Batches can thus be
made ahead in another thread, and a training that is resumed sees the same ones.

Noise, second earthquakes and the halves of spliced ones come from the records; where
training is on windows from files alone, from the other windows of the batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.columns import Columns
from scperformer.datasets.labels import Arrivals, away_from, label_targets
from scperformer.datasets.window_dataset import LabelledWindows
from scperformer.datasets.windows import NOWHERE, Centres, WindowBank, anywhere, around, grid
from scperformer.training import augmentation
from scperformer.training.augmentation import Windows
from scperformer.training.config import TrainingConfig
from scperformer.training.distillation import Teacher
from scperformer.training.loop import TrainingBatch
from scperformer.training.synthetic import (
    CENTRE,
    Onsets,
    draw_onsets,
    make_events,
    onset_targets,
    splice_events,
)
from scperformer.types import CLASSES, N_COMPONENTS, SAMPLING_RATE_HZ, WINDOW_SAMPLES

_P, _S, _NOISE = range(len(CLASSES))
_CERTAIN = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Drawn(Columns):
    """Windows with what is known of them.

    Attributes:
        windows: (n, 400, 3) float32, not normalised.
        present: (n, 3) bool, live components.
        labels: (n, 3) float32, targets from picks.
    """

    windows: NDArray[np.float32]
    present: NDArray[np.bool_]
    labels: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where in the records the windows of a training lie.

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


class Augmenter:
    """Changes windows, and adds synthetic ones.

    Args:
        bank: the records.
        places: where in them noise and picks lie.
        config: what to do. What it leaves off draws nothing from a generator.
    """

    def __init__(self, bank: WindowBank, places: Places, config: TrainingConfig) -> None:
        self._bank = bank
        self._places = places
        self._config = config
        classes = places.picks.classes
        self._picked = [places.picks.centres.take(classes == phase) for phase in (_P, _S)]

    def change(self, drawn: Drawn, rng: np.random.Generator) -> Windows:
        """Return the windows of a batch as they are trained on, (n, 400, 3) float32."""
        options = self._config.augmentation
        windows = drawn.windows
        if options.superposed:
            windows = augmentation.superpose(
                windows,
                self._others(drawn, rng),
                rng,
                probability=options.superposed,
                ratio_db=options.superposed_db,
            )
        noise = self._noise(len(windows), drawn, rng)
        if noise is not None:
            windows = augmentation.mix_noise(
                windows, noise, rng, probability=options.mixing, snr_db=options.mixing_snr_db
            )
        windows = augmentation.rotate_horizontals(windows, rng, probability=options.rotation)
        windows = augmentation.flip_polarity(windows, rng, probability=options.polarity)
        windows = augmentation.change_gain(windows, rng, range_db=options.gain_db)
        return self._record(windows, rng)

    def _record(self, windows: Windows, rng: np.random.Generator) -> Windows:
        """Let the instruments do what they do: clip, sample, filter."""
        options = self._config.augmentation
        if options.clipped:
            windows = augmentation.clip_peaks(
                windows, rng, probability=options.clipped, level=options.clipped_level
            )
        if options.resampled:
            windows = augmentation.band_limit(
                windows, rng, probability=options.resampled, rate_hz=options.resampled_hz
            )
        if options.filtered:
            windows = augmentation.vary_filter(
                windows,
                rng,
                probability=options.filtered,
                highpass_hz=options.filtered_highpass_hz,
                lowpass_hz=options.filtered_lowpass_hz,
            )
        return windows

    def synthetic(self, count: int, drawn: Drawn, rng: np.random.Generator) -> Drawn:
        """Return synthetic earthquakes.

        Args:
            count: how many.
            drawn: the other windows of the batch.
            rng: source of chance.

        Returns:
            At most `count` windows; none where nothing gives noise to put them on.
        """
        options = self._config.augmentation
        n_spliced = round(options.synthetic_spliced * count)
        spliced, onsets, good = self._spliced(n_spliced, drawn, rng)
        noise = self._noise(count - int(good.sum()), drawn, rng)
        made_onsets = self._onsets(0 if noise is None else len(noise), rng, phases_only=False)
        windows, all_onsets = spliced[good], onsets.take(good)
        if noise is not None:
            made = make_events(noise, made_onsets, rng, snr_db=options.synthetic_snr_db)
            windows = np.concatenate([windows, made])
            all_onsets = Onsets.join([all_onsets, made_onsets])
        labels = onset_targets(all_onsets, width_s=self._config.labels.width_s)
        return Drawn(windows, np.asarray(windows.any(axis=1)), labels)

    def _onsets(self, n: int, rng: np.random.Generator, *, phases_only: bool) -> Onsets:
        return draw_onsets(
            n,
            rng,
            s_minus_p_s=self._config.augmentation.synthetic_s_minus_p_s,
            shift_s=self._config.windows.pick_shift_s,
            phases_only=phases_only,
        )

    def _spliced(
        self, n: int, drawn: Drawn, rng: np.random.Generator
    ) -> tuple[Windows, Onsets, NDArray[np.bool_]]:
        """Return n spliced earthquakes, their onsets, and which of them could be made."""
        onsets = self._onsets(n, rng, phases_only=True)
        p = self._with_arrival(_P, onsets.p, drawn, rng)
        s = self._with_arrival(_S, onsets.s, drawn, rng)
        # Another set of components would give S a polarisation that it never had.
        good = p.any(axis=(1, 2)) & (p.any(axis=1) == s.any(axis=1)).all(axis=1)
        return splice_events(p, s, onsets, rng), onsets, good

    def _with_arrival(
        self, phase: int, onset: NDArray[np.int64], drawn: Drawn, rng: np.random.Generator
    ) -> Windows:
        """Return windows in which an arrival lies at a sample; silent ones where there is none."""
        picked = self._picked[phase]
        if len(picked):
            chosen = picked.take(rng.integers(0, len(picked), len(onset)))
            centres = Centres(chosen.record, chosen.sample - onset + CENTRE)
            inside = self._bank.contains(centres)
            return self._bank.cut(self._bank.clip(centres)) * inside[:, None, None]
        rows = np.flatnonzero(drawn.labels[:, phase] >= _CERTAIN)
        if not len(rows):
            return np.zeros((len(onset), WINDOW_SAMPLES, N_COMPONENTS), np.float32)
        chosen_rows = rows[rng.integers(0, len(rows), len(onset))]
        return augmentation.shift_in_time(drawn.windows[chosen_rows], onset - CENTRE)

    def _others(self, drawn: Drawn, rng: np.random.Generator) -> Windows:
        """Return earthquakes whose arrivals lie away from the centre, one for each window."""
        n = len(drawn)
        low_s, high_s = self._config.augmentation.superposed_shift_s
        distance = np.rint(rng.uniform(low_s, high_s, n) * SAMPLING_RATE_HZ).astype(np.int64)
        onset = CENTRE + np.where(rng.random(n) < 0.5, -distance, distance)
        is_p = rng.random(n) < 0.5
        p = self._with_arrival(_P, onset[is_p], drawn, rng)
        s = self._with_arrival(_S, onset[~is_p], drawn, rng)
        others = np.empty((n, WINDOW_SAMPLES, N_COMPONENTS), np.float32)
        others[is_p], others[~is_p] = p, s
        return others

    def _noise(self, n: int, drawn: Drawn, rng: np.random.Generator) -> Windows | None:
        """Return n windows of noise, None if there is no noise anywhere."""
        if len(self._places.noise):
            chosen = around(self._bank, self._places.noise, n, rng, shift_samples=0)
            return self._bank.cut(chosen)
        if self._bank.dataset is None:
            return None
        rows = np.flatnonzero((drawn.labels[:, _NOISE] >= _CERTAIN) & drawn.present.any(axis=1))
        return drawn.windows[rows[rng.integers(0, len(rows), n)]] if len(rows) else None


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
                drawn = Drawn.join([drawn, self._augmenter.synthetic(n_synthetic, drawn, rng)])
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
        return Drawn.join([self._from_records(count - len(cut), rng), from_files])

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
        return Centres.join(parts).take(np.arange(count))


def find_places(
    bank: WindowBank, picks: Arrivals, teacher: Teacher | None, config: TrainingConfig
) -> Places:
    """Let the teacher look at everything on a grid, and sort what it saw."""
    centres = grid(bank, step_samples=config.windows.scan_step_samples)
    if teacher is None:
        distance_s = config.windows.noise_distance_s
        noise = away_from(bank, centres, picks, distance_s=distance_s)
        return Places(picks, NOWHERE, np.empty(0), centres.take(noise))
    seen = teacher.inference.centres(bank, centres)
    weights = np.zeros(len(centres))
    for phase in (_P, _S):
        members = seen[:, phase] >= config.windows.phase_probability
        weights[members] += 0.5 / max(int(members.sum()), 1)
    phases = weights > 0
    noise = seen[:, _NOISE] >= 0.5
    return Places(picks, centres.take(phases), weights[phases], centres.take(noise))
