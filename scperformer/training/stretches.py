"""Stretches of records to learn from: drawn, put together, changed, with their targets.

Whatever is done to the samples (time stretch, pieces of several records behind one another,
other records and noise on top, filters, faults of instruments, lost components) is done to
what is to be said of them: an arrival that no longer stands out is neither phase nor noise.
Nothing here imports TensorFlow, so that processes that make stretches are light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from scperformer.core.columns import features_from_start
from scperformer.datasets.curves import CURVE_RATE_HZ, Taught
from scperformer.stft import FRAME_SAMPLES, HOP_SAMPLES
from scperformer.training.streaming_config import StretchesSection
from scperformer.types import N_COMPONENTS, SAMPLING_RATE_HZ

_VERTICAL = 2
_FADE = 50
_JOINT = (30, 150)
"""Samples before and behind a joint of two pieces that nothing is learned from."""

_SHORTEST = 400
"""Samples of the shortest piece that is drawn."""

_SECOND = int(SAMPLING_RATE_HZ)
_SHOWN = 0.1
_FOLDER_POWER, _MOST_PEAKS = 0.6, 1200
_EDGE_S = 2.5

Floats = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class _Sounds:
    """Samples and what is to be said of them at the centres of the columns.

    Attributes:
        samples: (3, m) float32.
        present: (3,) bool, components that are recorded.
        targets: (2, n) float32, probability of P and S.
        known: (n,) float32.
    """

    samples: Floats
    present: NDArray[np.bool_]
    targets: Floats
    known: Floats


class StretchMaker:
    """Makes batches of stretches; equal seeds make equal ones.

    Args:
        records: what is learned from; the folders that they come from are drawn by a power
            of what they hold, so that a large one does not drown the others.
        options: what is done to them.
        n_columns: columns of a stretch.
        unlearned_s: first part of a stretch that nothing is learned from.
    """

    def __init__(
        self,
        records: Sequence[Taught],
        options: StretchesSection,
        *,
        n_columns: int,
        unlearned_s: float,
    ) -> None:
        self._options = options
        self._n_columns = n_columns
        self._n_samples = (n_columns - 1) * HOP_SAMPLES + FRAME_SAMPLES
        self._centres = np.arange(n_columns) * HOP_SAMPLES + FRAME_SAMPLES // 2
        since = self._centres / SAMPLING_RATE_HZ
        self._onset_weights = np.where(
            since < unlearned_s, 0.0, np.where(since < 2.5 * unlearned_s, 0.3, 1.0)
        ).astype(np.float32)
        self._records = list(records)
        by_folder: dict[str, list[int]] = {}
        for number, taught in enumerate(self._records):
            by_folder.setdefault(taught.record.source, []).append(number)
        self._anywhere = _Draw(
            by_folder.values(),
            [len(taught.record.samples) for taught in self._records],
            most=np.inf,
        )
        self._at_peaks = _Draw(
            by_folder.values(),
            [len(taught.peaks) for taught in self._records],
            most=_MOST_PEAKS,
        )

    def batch(self, count: int, seed: Sequence[int], *, change: bool = True) -> tuple[Any, ...]:
        """Make stretches.

        Args:
            count: how many.
            seed: decides which, and what is done to them.
            change: False to draw single records and change nothing.

        Returns:
            (count, n, 105) float32 features, (count, n, 3) float32 targets of P, S and
            noise at each column, and (count, n) float32 weights, 0 where nothing is known.
        """
        made = [
            self._stretch(np.random.default_rng([*seed, number]), change=change)
            for number in range(count)
        ]
        return tuple(np.stack(part) for part in zip(*made, strict=True))

    def _stretch(self, rng: np.random.Generator, *, change: bool) -> tuple[Floats, ...]:
        options = self._options
        if change:
            sounds = self._mosaic(rng)
            self._superpose(sounds, rng)
            self._add_noise(sounds, rng)
            _turn(sounds, options, rng)
            _spoil(sounds, options, rng)
        else:
            sounds = self._filled(self._piece(rng, self._n_samples, stretch=False))
        keep = self._keep(sounds.present, rng)
        sounds.samples[~keep] = 0.0
        present = np.broadcast_to(keep, (self._n_columns, N_COMPONENTS)).copy()
        if change and rng.random() < options.dead_time:
            place = int(rng.integers(N_COMPONENTS))
            first, end = np.sort(rng.integers(0, self._n_columns + 1, 2))
            present[first:end, place] = False
        if not keep.any():
            sounds.known[:] = 0.0
        features = features_from_start(sounds.samples, present)
        targets = np.empty((self._n_columns, N_COMPONENTS), np.float32)
        targets[:, :2] = np.clip(sounds.targets.T, 0.0, 1.0)
        targets[:, :2] /= np.maximum(targets[:, :2].sum(axis=1, keepdims=True), 1.0)
        targets[:, 2] = np.clip(1.0 - targets[:, 0] - targets[:, 1], 0.0, 1.0)
        return features, targets, sounds.known * self._onset_weights

    def _mosaic(self, rng: np.random.Generator) -> _Sounds:
        """One record, or pieces of several behind one another, at one level at the joints."""
        whole = _Sounds(
            np.zeros((N_COMPONENTS, self._n_samples), np.float32),
            np.ones(N_COMPONENTS, dtype=bool),
            np.zeros((2, self._n_columns), np.float32),
            np.zeros(self._n_columns, np.float32),
        )
        is_cut = rng.random() < self._options.mosaic
        end = 0
        while end < self._n_samples:
            wanted = self._n_samples - end
            if is_cut:
                seconds = np.exp(rng.uniform(*np.log(self._options.mosaic_piece_s)))
                wanted = min(int(seconds * SAMPLING_RATE_HZ), wanted)
            piece = self._piece(rng, max(wanted, _SHORTEST), stretch=True)
            self._join(whole, piece, end)
            end += piece.samples.shape[1]
        whole.samples[~whole.present] = 0.0
        return whole

    def _join(self, whole: _Sounds, piece: _Sounds, first: int) -> None:
        """Put a piece behind what is there, and take over what is to be said of it."""
        whole.present = whole.present & piece.present
        n = min(piece.samples.shape[1], self._n_samples - first)
        added = piece.samples[:, :n]
        if first:
            before = whole.samples[:, max(first - 4 * _SECOND, 0) : first]
            # Of a piece that begins with silence the whole counts, or the joint would be a blow.
            ahead = max(_rms(added[:, : 2 * _SECOND]), 1e-3 * _rms(added))
            if ahead > 0.0:
                added = added * np.float32(max(_rms(before), 1e-3 * _rms(whole.samples)) / ahead)
            fade = min(_FADE, n)
            ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
            # The last samples before the joint, played backwards, fade out into the piece.
            added[:, :fade] = ramp * added[:, :fade] + (1.0 - ramp) * _mirrored(before, fade)
        whole.samples[:, first : first + n] = added
        column = -(-first // HOP_SAMPLES)
        n = min(len(piece.known), self._n_columns - column)
        if n > 0:
            whole.targets[:, column : column + n] = piece.targets[:, :n]
            whole.known[column : column + n] = piece.known[:n]
        if first:
            low, high = first - _JOINT[0], first + _JOINT[1]
            whole.known[(self._centres > low) & (self._centres < high)] = 0.0

    def _piece(
        self,
        rng: np.random.Generator,
        n_samples: int,
        *,
        stretch: bool,
        at_arrival: bool | None = None,
    ) -> _Sounds:
        """Draw a record, and of it a piece of at most so many samples.

        Args:
            rng: decides.
            n_samples: wanted.
            stretch: whether it may be played slower or faster.
            at_arrival: whether it holds an arrival; None to draw that too.
        """
        options = self._options
        factor = 1.0
        if stretch and rng.random() < options.time_stretch:
            factor = float(np.exp(rng.uniform(*np.log(options.time_stretch_range))))
        if at_arrival is None:
            at_arrival = bool(rng.random() < options.at_arrivals)
        length = int(np.ceil((n_samples - 1) * factor)) + 2
        taught, first = self._draw(rng, length, factor, at_arrival=at_arrival)
        return self._played(taught, first, factor, n_samples)

    def _draw(
        self, rng: np.random.Generator, length: int, factor: float, *, at_arrival: bool
    ) -> tuple[Taught, int]:
        number = self._at_peaks.draw(rng) if at_arrival else None
        if number is not None:
            taught = self._records[number]
            peak = int(rng.choice(taught.peaks))
            edge = int(min(_EDGE_S * SAMPLING_RATE_HZ * factor, 0.4 * length))
            low, high = peak + edge - length, peak - edge
            most = max(len(taught.record.samples) - length, 0)
            low, high = int(np.clip(low, 0, most)), int(np.clip(high, 0, most))
            return taught, int(rng.integers(low, high + 1))
        number = self._anywhere.draw(rng)
        assert number is not None
        taught = self._records[number]
        most = max(len(taught.record.samples) - length, 0)
        return taught, int(rng.integers(0, most + 1))

    def _played(self, taught: Taught, first: int, factor: float, n_samples: int) -> _Sounds:
        record = taught.record
        part = record.samples[first : first + int(np.ceil((n_samples - 1) * factor)) + 2]
        n_real = min(int((len(part) - 1) / factor) + 1, n_samples)
        if factor == 1.0:
            samples = part[:n_real].T.copy()
        else:
            at = np.arange(n_real) * factor
            here = at.astype(np.int64)
            share = (at - here).astype(np.float32)[:, None]
            there = np.minimum(here + 1, len(part) - 1)
            samples = (part[here] * (1.0 - share) + part[there] * share).T.copy()
        n_columns = min(self._n_columns, max(n_real // HOP_SAMPLES, 1))
        centres = self._centres[:n_columns]
        places = (first + centres * factor) * (CURVE_RATE_HZ / SAMPLING_RATE_HZ)
        grid = np.arange(len(taught.known))
        targets = np.stack([np.interp(places, grid, row) for row in taught.targets])
        nearest = np.minimum(np.rint(places).astype(np.int64), len(grid) - 1)
        known = np.where(centres + FRAME_SAMPLES // 2 <= n_real, taught.known[nearest], 0.0)
        return _Sounds(
            samples,
            np.array(record.present),
            targets.astype(np.float32),
            known.astype(np.float32),
        )

    def _filled(self, piece: _Sounds) -> _Sounds:
        """Bring a piece to the length of a stretch by silence of which nothing is known."""
        lacking = self._n_samples - piece.samples.shape[1]
        columns = self._n_columns - len(piece.known)
        return _Sounds(
            np.pad(piece.samples, ((0, 0), (0, lacking))),
            piece.present,
            np.pad(piece.targets, ((0, 0), (0, columns))),
            np.pad(piece.known, (0, columns)),
        )

    def _superpose(self, sounds: _Sounds, rng: np.random.Generator) -> None:
        options = self._options
        if rng.random() >= options.superposition:
            return
        at_arrival = bool(rng.random() >= options.quiet_superposition)
        piece = self._piece(rng, self._n_samples, stretch=True, at_arrival=at_arrival)
        fade = min(2 * _SECOND, piece.samples.shape[1])
        piece.samples[:, -fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        other = self._filled(piece)
        other.known[len(piece.known) :] = 1.0
        both = sounds.present & other.present
        if not both.any():
            return
        level = rng.uniform(*options.superposition_db)
        loudest = _loudest(other.samples[both])
        if not loudest > 0.0:
            return
        ratio = _loudest(sounds.samples[both]) / loudest
        other.samples *= np.float32(ratio * 10.0 ** (level / 20.0))
        sounds.present &= other.present
        other.samples[~sounds.present] = 0.0
        sounds.samples[~sounds.present] = 0.0
        own_power, other_power = self._power(sounds.samples), self._power(other.samples)
        self._doubt(sounds, own_power, other_power)
        self._doubt(other, other_power, own_power)
        sounds.samples += other.samples
        sounds.known *= other.known
        sounds.targets = np.maximum(sounds.targets, other.targets)

    def _add_noise(self, sounds: _Sounds, rng: np.random.Generator) -> None:
        options = self._options
        if rng.random() >= options.noise:
            return
        noise = rng.standard_normal((N_COMPONENTS, self._n_samples), dtype=np.float32)
        low = np.exp(rng.uniform(np.log(1.0), np.log(20.0)))
        high = min(low * np.exp(rng.uniform(np.log(1.5), np.log(40.0))), 49.0)
        if rng.random() < 0.8:
            sections = signal.butter(2, [low, high], "bandpass", fs=SAMPLING_RATE_HZ, output="sos")
            noise = signal.sosfilt(sections, noise, axis=1).astype(np.float32)
        level = -rng.uniform(*options.noise_snr_db)
        ratio = _loudest(sounds.samples) / max(_loudest(noise), 1e-30)
        noise *= np.float32(ratio * 10.0 ** (level / 20.0))
        noise[~sounds.present] = 0.0
        self._doubt(sounds, self._power(sounds.samples), self._power(noise))
        sounds.samples += noise

    def _power(self, samples: Floats) -> Floats:
        """Mean square of the half second from the centre of each column on, and before it."""
        sums = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64).sum(axis=0))])
        ends = np.minimum(self._centres + _SECOND, len(sums) - 1)
        starts = np.maximum(self._centres - _SECOND, 0)
        after = (sums[ends] - sums[self._centres]) / np.maximum(ends - self._centres, 1)
        before = (sums[self._centres] - sums[starts]) / np.maximum(self._centres - starts, 1)
        return np.stack([after, before]).astype(np.float32)

    def _doubt(self, sounds: _Sounds, own: Floats, other: Floats) -> None:
        """Leave out the arrivals of a record that drown in what is laid over it."""
        shown = sounds.targets.max(axis=0) > _SHOWN
        drowned = own[0] < self._options.least_snr**2 * other.max(axis=0)
        sounds.known[shown & drowned] = 0.0

    def _keep(self, present: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
        options = self._options
        drawn, single = rng.random(), int(rng.integers(N_COMPONENTS))
        horizontal = int(rng.integers(_VERTICAL))
        numbers = np.arange(N_COMPONENTS)
        keep = np.ones(N_COMPONENTS, dtype=bool)
        if drawn < options.vertical_only:
            keep = numbers == _VERTICAL
        elif drawn < options.vertical_only + options.horizontal_only:
            keep = numbers == horizontal
        elif drawn < options.vertical_only + options.horizontal_only + options.lose_one:
            keep = numbers != single
        left = present & keep
        return left if left.any() else present


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """Makes the batches of a training; see `workers.Maker`.

    Attributes:
        maker: of stretches.
        count: in a batch.
        seed: of all of them.
    """

    maker: StretchMaker
    count: int
    seed: tuple[int, ...]

    def make(self, number: int) -> tuple[Any, ...]:
        """Make the batch of that number."""
        return self.maker.batch(self.count, [*self.seed, number])


class _Draw:
    """Draws the number of a record, folder by folder.

    Args:
        folders: numbers of the records of each folder.
        weights: of each record.
        most: what a folder weighs at most.
    """

    def __init__(self, folders: Any, weights: Sequence[int], *, most: float) -> None:
        self._numbers: list[NDArray[np.int64]] = []
        self._sums: list[NDArray[np.float64]] = []
        totals = []
        for folder in folders:
            own = np.array([weights[number] for number in folder], dtype=np.float64)
            if own.sum() > 0:
                self._numbers.append(np.array(folder))
                self._sums.append(np.cumsum(own) / own.sum())
                totals.append(min(own.sum(), most) ** _FOLDER_POWER)
        self._totals = np.cumsum(totals) / np.sum(totals) if totals else np.empty(0)

    def draw(self, rng: np.random.Generator) -> int | None:
        if not len(self._totals):
            return None
        folder = min(int(np.searchsorted(self._totals, rng.random())), len(self._totals) - 1)
        sums = self._sums[folder]
        place = min(int(np.searchsorted(sums, rng.random(), side="right")), len(sums) - 1)
        return int(self._numbers[folder][place])


def _turn(sounds: _Sounds, options: StretchesSection, rng: np.random.Generator) -> None:
    samples = sounds.samples
    if rng.random() < options.rotation and sounds.present[:_VERTICAL].all():
        angle = rng.uniform(0.0, 2.0 * np.pi)
        c, s = np.cos(angle), np.sin(angle)
        samples[:_VERTICAL] = np.array([[c, s], [-s, c]], np.float32) @ samples[:_VERTICAL]
    if rng.random() < options.swap:
        order = rng.permutation(N_COMPONENTS)
        sounds.samples, sounds.present = samples[order], sounds.present[order]
    gains = 10.0 ** (rng.uniform(-options.gain_db, options.gain_db, N_COMPONENTS) / 20.0)
    sign = -1.0 if rng.random() < options.polarity else 1.0
    sounds.samples *= (sign * gains).astype(np.float32)[:, None]


@lru_cache(maxsize=256)
def _sections(high_pass_hz: float, low_pass_hz: float) -> NDArray[np.float64]:
    found: NDArray[np.float64] = signal.butter(
        2, [high_pass_hz, low_pass_hz], "bandpass", fs=SAMPLING_RATE_HZ, output="sos"
    )
    return found


def _spoil(sounds: _Sounds, options: StretchesSection, rng: np.random.Generator) -> None:
    """What other filters and instruments at fault do."""
    samples = sounds.samples
    n = samples.shape[1]
    if rng.random() < options.filtered:
        high_pass, low_pass = 0.5, 49.0
        if rng.random() < 0.6:
            high_pass = round(rng.uniform(*options.filtered_highpass_hz), 1)
        if rng.random() < 0.6:
            low_pass = round(rng.uniform(*options.filtered_lowpass_hz))
        samples = signal.sosfilt(_sections(high_pass, low_pass), samples, axis=1)
        samples = samples.astype(np.float32)
    if rng.random() < options.gain_step:
        at = int(rng.integers(n))
        samples[:, at:] *= np.float32(10.0 ** rng.uniform(-1.0, 1.0))
        near = slice(max(at // HOP_SAMPLES - 6, 0), at // HOP_SAMPLES + 13)
        doubtful = sounds.targets[:, near].max(axis=0) > _SHOWN
        sounds.known[near][doubtful] = 0.0
    if rng.random() < options.clipping:
        level = np.float32(np.exp(rng.uniform(np.log(0.03), np.log(0.8))))
        level *= np.abs(samples).max()
        samples = np.clip(samples, -level, level)
    if rng.random() < options.spikes:
        count = int(rng.integers(1, 4))
        size = np.abs(samples).max() * 10.0 ** rng.uniform(-1.0, 1.0)
        places = rng.integers(0, n, count)
        components = rng.integers(0, N_COMPONENTS, count)
        samples[components, places] += (size * rng.choice([-1.0, 1.0], count)).astype(np.float32)
        for place in places:
            near = slice(max(place // HOP_SAMPLES - 6, 0), place // HOP_SAMPLES + 4)
            doubtful = sounds.targets[:, near].max(axis=0) > _SHOWN
            sounds.known[near][doubtful] = 0.0
    samples[~sounds.present] = 0.0
    sounds.samples = samples


def _rms(samples: Floats) -> float:
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean())) if samples.size else 0.0


def _loudest(samples: Floats) -> float:
    """Largest root mean square of a second, all components together."""
    n = samples.shape[1] // _SECOND * _SECOND
    power = np.square(samples[:, :n], dtype=np.float64).sum(axis=0).reshape(-1, _SECOND)
    return float(np.sqrt(power.mean(axis=1).max(initial=0.0)))


def _mirrored(samples: Floats, n: int) -> Floats:
    """The last n samples played backwards; zeros where there are fewer."""
    mirrored = np.zeros((N_COMPONENTS, n), np.float32)
    last = samples[:, ::-1][:, :n]
    mirrored[:, : last.shape[1]] = last
    return mirrored
