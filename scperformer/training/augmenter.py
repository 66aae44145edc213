"""The augmentation that a configuration asks for, and where it takes its material from.

Noise, second earthquakes and the halves of spliced ones come from the records; where
training is on windows from files alone, from the other windows of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.labels import Arrivals
from scperformer.datasets.windows import Centres, WindowBank, around
from scperformer.training import augmentation
from scperformer.training.augmentation import Windows
from scperformer.training.config import TrainingConfig
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
class Drawn:
    """Windows with what is known of them.

    Attributes:
        windows: (n, 400, 3) float32, not normalised.
        present: (n, 3) bool, live components.
        labels: (n, 3) float32, targets from picks.
    """

    windows: NDArray[np.float32]
    present: NDArray[np.bool_]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, which: NDArray[np.int64]) -> Drawn:
        """Return the windows of some indices."""
        return Drawn(self.windows[which], self.present[which], self.labels[which])


def join_drawn(parts: Sequence[Drawn]) -> Drawn:
    """Return windows one after another; empty parts are left out."""
    filled = [part for part in parts if len(part)] or list(parts[:1])
    if len(filled) == 1:
        return filled[0]
    return Drawn(
        np.concatenate([part.windows for part in filled]),
        np.concatenate([part.present for part in filled]),
        np.concatenate([part.labels for part in filled]),
    )


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
            all_onsets = Onsets(
                np.concatenate([all_onsets.p, made_onsets.p]),
                np.concatenate([all_onsets.s, made_onsets.s]),
            )
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
