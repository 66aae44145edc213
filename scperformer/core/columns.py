"""What the streaming network reads of a column: log power against a level of finite memory.

A column is one 64-sample frame of the spectrogram (`scperformer.stft`) of all components.
Its logarithms of power are taken relative to the level: the mean over the live components
of the last 128 columns, exactly these and nothing before. So gain and units do not matter,
and what a column becomes does not depend on where a run of columns began otherwise than by
data that were not there. The mean is that of the fourth root of power, which a spike lifts
little and a dead stretch lowers little.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scperformer.core.spectrogram import log_power_columns
from scperformer.core.streaming_shape import FEATURES
from scperformer.stft import BINS, COLUMN, HOP_SAMPLES, LEVEL_COLUMNS
from scperformer.types import N_COMPONENTS

_HISTORY = LEVEL_COLUMNS - 1
_DOUBLINGS = LEVEL_COLUMNS.bit_length() - 1
_SILENCE = -200.0
_ROOT = 4.0
_OFFSET, _LOW, _HIGH, _SCALE = (np.float32(x) for x in (3.5, -9.0, 18.0, 4.0))

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Rows = NDArray[np.int64] | slice


class PowerColumns:
    """Logarithms of power of consecutive columns, run after run.

    Attributes:
        log_powers: (n, 3, 33) float32, natural logarithms.
        log_totals: (n, 3) float32, of the power of all bins.
        live: (n, 3) bool, components that are present and not silent.
    """

    __slots__ = ("live", "log_powers", "log_totals")

    def __init__(self, log_powers: Floats, log_totals: Floats, present: NDArray[np.bool_]) -> None:
        self.log_powers = log_powers
        self.log_totals = log_totals
        self.live = present & (log_totals > np.float32(_SILENCE))

    @classmethod
    def of(cls, samples: Floats, rows: Rows, present: NDArray[np.bool_]) -> PowerColumns:
        """Compute columns that begin at multiples of 16 samples.

        Args:
            samples: (3, m) float32.
            rows: (n,), which of the columns that begin at every 16th sample are wanted.
            present: (n, 3) bool, components that cover each of them.
        """
        powers, totals = log_power_columns(samples, HOP_SAMPLES)
        return cls(powers[rows], totals[rows], present)

    @classmethod
    def none(cls) -> PowerColumns:
        """Return no columns at all."""
        shape = (0, N_COMPONENTS)
        powers = np.empty((*shape, BINS), np.float32)
        return cls(powers, np.empty(shape, np.float32), np.empty(shape, np.bool_))

    def part(self, rows: slice) -> PowerColumns:
        """Return some of the columns."""
        return PowerColumns(self.log_powers[rows], self.log_totals[rows], self.live[rows])

    def roots(self) -> tuple[Doubles, Doubles]:
        """Return the live components' sum of roots of power and their number, (n,) float64 each."""
        roots = np.exp(self.log_totals.astype(np.float64) / _ROOT)
        roots[~self.live] = 0.0
        # Additions one by one: a sum over an axis may be made in any order.
        total = (roots[:, 0] + roots[:, 1]) + roots[:, 2]
        return total, self.live.sum(axis=1).astype(np.float64)

    def features(self, levels: Doubles) -> Floats:
        """Return what the network reads, (n, 105) float32.

        Args:
            levels: (n,) float64 of each column, from `levels`.
        """
        n = len(self.log_totals)
        level = levels.astype(np.float32)[:, None]
        features = np.empty((n, FEATURES), np.float32)
        bins = features[:, :COLUMN].reshape(n, N_COMPONENTS, BINS)
        np.subtract(self.log_powers, (level - _OFFSET)[:, :, None], out=bins)
        totals = features[:, COLUMN : COLUMN + N_COMPONENTS]
        np.subtract(self.log_totals, level, out=totals)
        relative = features[:, : COLUMN + N_COMPONENTS]
        np.clip(relative, _LOW, _HIGH, out=relative)
        relative /= _SCALE
        if not self.live.all():
            bins[~self.live] = 0.0
            totals[~self.live] = 0.0
        features[:, COLUMN + N_COMPONENTS :] = self.live
        return features


def levels(roots: Doubles, counts: Doubles) -> Doubles:
    """Return the level of each column but the first 127, (..., n) float64.

    Args:
        roots: (..., 127 + n) float64, of consecutive columns; 0 where there was none.
        counts: the same, how many components they are the sum of.

    Every level is made of its own 128 columns in an order of its own, by doubling, so that
    it is the same number whatever lies around it.
    """
    for doubling in range(_DOUBLINGS):
        step = 1 << doubling
        roots = roots[..., step:] + roots[..., :-step]
        counts = counts[..., step:] + counts[..., :-step]
    mean = np.maximum(roots / np.maximum(counts, 1.0), np.exp(_SILENCE / _ROOT))
    found: Doubles = _ROOT * np.log(mean) - np.log(BINS)
    return found


def features_from_start(samples: Floats, present: NDArray[np.bool_]) -> Floats:
    """Return the features of all columns of a stretch before which nothing is known.

    Args:
        samples: (3, m) float32, filtered.
        present: (n, 3) bool, components that cover each column.

    Returns:
        (n, 105) float32.
    """
    columns = PowerColumns.of(samples, slice(None), present)
    roots, counts = (np.concatenate([np.zeros(_HISTORY), a]) for a in columns.roots())
    return columns.features(levels(roots, counts))
