"""Streaming resampling to 100 Hz on the absolute grid, free of aliases.

Each output sample is a windowed-sinc interpolation (Kaiser window; Smith,
"Digital Audio Resampling") of the input at a multiple of 10 ms since the epoch,
wherever the input's samples lie. The kernel depends on nothing but that
distance, so an output sample is the same however the input was cut into
packets and whenever it began.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from scperformer.types import NS_PER_S, SAMPLE_NS, SAMPLING_RATE_HZ

_ZERO_CROSSINGS = 12
_KAISER_BETA = 6.0
_CUTOFF = 0.95
"""Half-amplitude frequency as a fraction of the lower of the two Nyquist frequencies."""


class Resampler:
    """Brings one run of samples at another rate to 100 Hz.

    Args:
        start_ns: time of the run's first sample.
        sampling_rate_hz: rate of the input.

    Attributes:
        next_index: grid index (multiples of 10 ms since the epoch) of the next output sample.
    """

    def __init__(self, start_ns: int, sampling_rate_hz: float) -> None:
        self._rate = Fraction(sampling_rate_hz).limit_denominator(1000)
        slower = min(float(self._rate), float(SAMPLING_RATE_HZ))
        self._half_width = int(np.ceil(_ZERO_CROSSINGS * float(self._rate) / slower))
        self._start_ns = start_ns
        self.next_index = -(-start_ns // SAMPLE_NS)
        self._pending: NDArray[np.float64] = np.empty(0)
        self._pending_from = -self._half_width
        self._kernels = self._make_kernels(slower)

    def process(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take input that follows the input before; return the output that is complete."""
        if not len(samples):
            return np.empty(0)
        if self._pending_from == -self._half_width and not len(self._pending):
            self._pending = np.full(self._half_width, samples[0])
        self._pending = np.concatenate([self._pending, samples])
        return self._interpolate()

    def finish(self) -> NDArray[np.float64]:
        """Return the rest of the output, up to where the next input sample would lie."""
        if not len(self._pending):
            return np.empty(0)
        padding = np.full(self._half_width, self._pending[-1])
        self._pending = np.concatenate([self._pending, padding])
        return self._interpolate()

    def _position(self, index: int) -> Fraction:
        """Where an output sample lies, in input samples from the run's start."""
        return Fraction(index * SAMPLE_NS - self._start_ns, NS_PER_S) * self._rate

    def _make_kernels(self, slower_hz: float) -> NDArray[np.float64]:
        """One kernel for each distance between output and input samples, (n, 2 half_width + 1)."""
        n_phases = (self._rate / SAMPLING_RATE_HZ).denominator
        positions = [self._position(self.next_index + k) for k in range(n_phases)]
        fractions = np.array([float(position % 1) for position in positions])
        offsets = np.arange(-self._half_width, self._half_width + 1)
        distance = offsets[None, :] - fractions[:, None]
        width = _CUTOFF * slower_hz / float(self._rate)
        inside = np.clip(1.0 - (distance / (self._half_width + 1)) ** 2, 0.0, None)
        kernels = np.sinc(width * distance) * np.i0(_KAISER_BETA * np.sqrt(inside))
        normalised: NDArray[np.float64] = kernels / kernels.sum(axis=1, keepdims=True)
        return normalised

    def _interpolate(self) -> NDArray[np.float64]:
        first = self._position(self.next_index)
        available = self._pending_from + len(self._pending) - self._half_width
        n_outputs = max(-((first - available) * SAMPLING_RATE_HZ // self._rate), 0)
        if not n_outputs:
            return np.empty(0)
        output = np.empty(n_outputs)
        n_phases = len(self._kernels)
        neighbours = sliding_window_view(self._pending, 2 * self._half_width + 1)
        step = (self._rate / SAMPLING_RATE_HZ).numerator
        for phase in range(min(n_phases, n_outputs)):
            index = self.next_index + phase
            row = int(self._position(index) // 1) - self._half_width - self._pending_from
            count = len(range(phase, n_outputs, n_phases))
            taken = neighbours[row : row + step * (count - 1) + 1 : step]
            output[phase::n_phases] = np.einsum("ij,j->i", taken, self._kernels[phase])
        self._advance(n_outputs)
        return output

    def _advance(self, n_outputs: int) -> None:
        self._kernels = np.roll(self._kernels, -(n_outputs % len(self._kernels)), axis=0)
        self.next_index += n_outputs
        keep_from = int(self._position(self.next_index) // 1) - self._half_width
        cut = max(keep_from - self._pending_from, 0)
        self._pending = self._pending[cut:].copy()
        self._pending_from += cut
