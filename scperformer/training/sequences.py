"""Stretches of whole records to learn what follows what: drawn, changed, labelled.

A sequence is long enough for many windows. What is done to it (stretching in time,
other events and noise on top, lost components, clipping) is done to its labels as well:
a pick that no longer stands out from what was added is neither phase nor noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from scperformer.datasets.crops import Crop, CropSampler
from scperformer.datasets.labels import NOISE, MarkedRecord, Marks, targets_at
from scperformer.stft import HOP_SAMPLES
from scperformer.training.context_config import SequenceSection
from scperformer.types import N_COMPONENTS, SAMPLING_RATE_HZ, WINDOW_SAMPLES

SHIFT_SAMPLES = HOP_SAMPLES
_VERTICAL = 2
_DOUBT_S = 0.5
_SIGNAL_SAMPLES = 100
_WOVEN_SAMPLES = 1200

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class SequenceBatch:
    """Sequences to learn from.

    Attributes:
        samples: (b, m, 3) float32, not normalised.
        present: (b, 3) bool, live components.
        keep: (b, 3) bool, those of them that are left.
        targets: (b, n, 3) float32 of the windows that begin every 16 samples.
        weights: (b, n) float32, 0 where nothing is known.
    """

    samples: Samples
    present: NDArray[np.bool_]
    keep: NDArray[np.bool_]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


class SequenceMaker:
    """Draws sequences from folders of records, as `CropSampler` draws crops.

    Args:
        folders: records with their picks, folder by folder.
        options: what is done to them.
        n_windows: windows in a sequence.
        width_s: standard deviation of a target.
    """

    def __init__(
        self,
        folders: Sequence[Sequence[MarkedRecord]],
        options: SequenceSection,
        *,
        n_windows: int,
        width_s: float,
    ) -> None:
        self._crops = CropSampler(
            folders,
            at_picks=options.at_picks,
            quiet=options.quiet,
            edge_samples=int(WINDOW_SAMPLES // 2 * max(1.0, *options.stretch_range)),
        )
        self._options = options
        self._n_windows = n_windows
        self._n_samples = (n_windows - 1) * SHIFT_SAMPLES + WINDOW_SAMPLES
        self._width_s = width_s

    def batch(self, count: int, seed: Sequence[int], *, change: bool = True) -> SequenceBatch:
        """Make sequences; equal seeds give equal sequences.

        Args:
            count: how many.
            seed: decides which.
            change: False to draw without changing anything but the components.
        """
        made = [
            self._sequence(np.random.default_rng([*seed, number]), change=change)
            for number in range(count)
        ]
        return SequenceBatch(*(np.stack(part) for part in zip(*made, strict=True)))

    def _sequence(self, rng: np.random.Generator, *, change: bool) -> tuple[NDArray[Any], ...]:
        options = self._options
        factor = 1.0
        if change and rng.random() < options.stretch:
            factor = float(np.exp(rng.uniform(*np.log(options.stretch_range))))
        crop = self._crops.draw(rng, int(np.ceil((self._n_samples - 1) * factor)) + 2)
        samples, marks, n_real = self._played(crop, factor)
        present = crop.present
        if change:
            samples, marks = self._add_event(samples, marks, present, rng)
            samples, marks = self._add_noise(samples, marks, present, rng)
            samples = self._turn(samples, present, rng)
            samples = self._spoil(samples, rng)
        samples[n_real:] = 0.0
        keep = self._keep(present, rng)
        targets, weights = self._targets(marks, n_real)
        return samples, present, keep, targets, weights

    def _played(self, crop: Crop, factor: float) -> tuple[Samples, Marks, int]:
        """Bring a crop to the right length, zeros behind it, in steps of `factor` samples."""
        part = crop.samples
        n_real = min(int((len(part) - 1) / factor) + 1, self._n_samples)
        samples = np.zeros((self._n_samples, N_COMPONENTS), np.float32)
        if factor == 1.0:
            samples[:n_real] = part[:n_real]
        else:
            at = np.arange(n_real) * factor
            for place in range(N_COMPONENTS):
                samples[:n_real, place] = np.interp(at, np.arange(len(part)), part[:, place])
        return samples, crop.marked.marks.moved(crop.first, factor).within(n_real), n_real

    def _add_event(
        self, samples: Samples, marks: Marks, present: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Samples, Marks]:
        options = self._options
        wanted = rng.random() < options.superposition
        other = self._crops.at_pick(rng, self._n_samples) if wanted else None
        if other is None:
            return samples, marks
        added, its_marks, n_added = self._played(other, 1.0)
        added[:, ~(present & other.present)] = 0.0
        added *= _ratio(samples, added, rng.uniform(*options.superposition_db))
        _fade(added, n_added)
        least = options.least_snr
        marks = marks.doubted(_drowned(marks, samples, added, least))
        its_marks = its_marks.doubted(_drowned(its_marks, added, samples, least))
        return samples + added, marks.joined(its_marks)

    def _add_noise(
        self, samples: Samples, marks: Marks, present: NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Samples, Marks]:
        options = self._options
        wanted = rng.random() < options.noise
        quiet = self._crops.quiet(rng, len(samples)) if wanted else None
        if quiet is None:
            return samples, marks
        noise = _woven(quiet.samples, len(samples), rng)
        noise[:, ~(present & quiet.present)] = 0.0
        noise *= _ratio(samples, noise, -rng.uniform(*options.noise_snr_db))
        marks = marks.doubted(_drowned(marks, samples, noise, options.least_snr))
        return samples + noise, marks

    def _turn(
        self, samples: Samples, present: NDArray[np.bool_], rng: np.random.Generator
    ) -> Samples:
        options = self._options
        angle = rng.uniform(0.0, 2.0 * np.pi)
        if rng.random() < options.rotation and present[:_VERTICAL].all():
            c, s = np.cos(angle), np.sin(angle)
            turn = np.array([[c, s], [-s, c]], np.float32)
            samples[:, :_VERTICAL] = samples[:, :_VERTICAL] @ turn
        gains = 10.0 ** (rng.uniform(-options.gain_db, options.gain_db, N_COMPONENTS) / 20.0)
        sign = -1.0 if rng.random() < options.polarity else 1.0
        turned: Samples = samples * (sign * gains).astype(np.float32)
        return turned

    def _spoil(self, samples: Samples, rng: np.random.Generator) -> Samples:
        options = self._options
        corner_hz = rng.uniform(*options.low_pass_hz)
        if rng.random() < options.low_pass:
            sections = signal.butter(4, corner_hz, "lowpass", fs=SAMPLING_RATE_HZ, output="sos")
            samples = signal.sosfilt(sections, samples, axis=0).astype(np.float32)
        level = rng.uniform(0.2, 0.8) * float(np.abs(samples).max())
        if rng.random() < options.clipping:
            samples = np.clip(samples, -level, level)
        return samples

    def _keep(self, present: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
        options = self._options
        drawn, single = rng.random(), int(rng.integers(N_COMPONENTS))
        horizontal = int(rng.integers(_VERTICAL))
        numbers = np.arange(N_COMPONENTS)
        if drawn < options.vertical_only:
            keep = numbers == _VERTICAL
        elif drawn < options.vertical_only + options.horizontal_only:
            keep = numbers == horizontal
        elif drawn < options.vertical_only + options.horizontal_only + options.lose_one:
            keep = numbers != single
        else:
            keep = np.ones(N_COMPONENTS, dtype=bool)
        left = present & keep
        return left if left.any() else present

    def _targets(
        self, marks: Marks, n_real: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        centres = np.arange(self._n_windows) * SHIFT_SAMPLES + WINDOW_SAMPLES // 2
        weights = (centres + WINDOW_SAMPLES // 2 <= n_real).astype(np.float32)
        distances = np.full((self._n_windows, NOISE), np.inf)
        for sample, phase in zip(marks.sample[marks.sure], marks.phase[marks.sure], strict=True):
            distances[:, phase] = np.minimum(distances[:, phase], np.abs(centres - sample))
        targets = targets_at(distances, width_s=self._width_s)
        for sample in marks.sample[~marks.sure]:
            near = np.abs(centres - sample) < _DOUBT_S * SAMPLING_RATE_HZ
            weights[near & (targets[:, -1] > 0.95)] = 0.0
        return targets, weights


def _woven(noise: Samples, n_samples: int, rng: np.random.Generator) -> Samples:
    """Noise of any length from a stretch of it: pieces from anywhere, faded into each other."""
    if len(noise) >= n_samples:
        first = int(rng.integers(0, len(noise) - n_samples + 1))
        return noise[first : first + n_samples].copy()
    length, overlap = min(len(noise), _WOVEN_SAMPLES), 200
    ramp = np.sin(0.5 * np.pi * (np.arange(overlap) + 0.5) / overlap)[:, None].astype(np.float32)
    woven = np.zeros((n_samples + length, N_COMPONENTS), np.float32)
    for begin in range(0, n_samples, length - overlap):
        first = int(rng.integers(0, len(noise) - length + 1))
        piece = noise[first : first + length].copy()
        piece[:overlap] *= ramp
        piece[-overlap:] *= ramp[::-1]
        woven[begin : begin + length] += piece
    return woven[:n_samples]


def _loudest(samples: Samples) -> float:
    """Largest root mean square over a second, all components together."""
    n = len(samples) // _SIGNAL_SAMPLES * _SIGNAL_SAMPLES
    power = (samples[:n].astype(np.float64) ** 2).sum(axis=1).reshape(-1, _SIGNAL_SAMPLES)
    return float(np.sqrt(power.mean(axis=1).max(initial=0.0)))


def _ratio(samples: Samples, added: Samples, level_db: float) -> np.float32:
    """Factor that brings the loudest second of `added` to a level against that of `samples`."""
    own, other = _loudest(samples), _loudest(added)
    return np.float32(own / other * 10.0 ** (level_db / 20.0) if other > 0 else 0.0)


def _fade(samples: Samples, n_real: int) -> None:
    """Let a record that ends early fade out, in place."""
    n = min(n_real, 200)
    if n_real < len(samples):
        samples[n_real - n : n_real] *= np.linspace(1.0, 0.0, n, dtype=np.float32)[:, None]


def _drowned(marks: Marks, own: Samples, other: Samples, least_ratio: float) -> NDArray[np.bool_]:
    """Which picks stand out too little from what lies on top of them."""
    drowned = np.zeros(len(marks), dtype=bool)
    for number, sample in enumerate(marks.sample):
        at = int(sample)
        signal_rms = _rms(own[at : at + _SIGNAL_SAMPLES])
        around = _rms(other[max(at - _SIGNAL_SAMPLES, 0) : at + _SIGNAL_SAMPLES])
        drowned[number] = signal_rms < least_ratio * around
    return drowned


def _rms(samples: Samples) -> float:
    if not samples.size:
        return 0.0
    return float(np.sqrt((samples.astype(np.float64) ** 2).sum(axis=1).mean()))
