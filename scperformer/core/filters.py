"""Causal streaming filters, written in SeisComP's filter grammar.

A filter is a chain of stages, ``RMHP(10)>>ITAPER(30)>>BW(4,0.7,2)``. Its state
travels with the stream, so that a split into packets changes nothing, and is
primed on the first sample of each run: the filter behaves as if that sample had
been there for ever. That is what replaces the detrend of an archive.

Stages and their parameters have the meaning of SeisComP's own filters of the
same name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from scperformer.errors import ConfigurationError
from scperformer.types import N_COMPONENTS, SAMPLING_RATE_HZ

Samples = NDArray[np.float64]
Mask = NDArray[np.bool_]

DETREND_FILTER = "BW_HP(2,0.05)"
"""Stands in for the detrend where no filter is set: a high-pass of 20 s."""

_LEAST_POLE_DISTANCE = 0.05
"""Of poles of sections that are multiplied; four of them then cost five digits of sixteen."""

_LONGEST_S = 86_400.0
_STAGE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:\(([^()]*)\))?\s*$")


class Stage(Protocol):
    """One stage of a filter with the state of three components."""

    def prime(self, fresh: Mask, first: Samples) -> Samples:
        """Start the components in `fresh` anew at the constant input `first`, (3,).

        Returns:
            The constant output that belongs to that input, (3,).
        """

    def process(self, samples: Samples) -> Samples:
        """Filter (3, n) samples that follow the ones before."""


class RecursiveSections:
    """A recursive filter or a sum of taps; its state starts at rest around the first sample.

    It comes in sections, (numerator, denominator) each, which go through `lfilter` one by
    one: that does what `sosfilt` does at a third of the cost of a call, and records are
    short. Two sections are made one where that is harmless.
    """

    def __init__(self, sections: Sequence[tuple[Samples, Samples]], gain_at_zero: float) -> None:
        self._sections = sections
        self._gain = gain_at_zero
        self._states = [np.zeros((N_COMPONENTS, max(len(b), len(a)) - 1)) for b, a in sections]
        self._offset = np.zeros(N_COMPONENTS)

    def prime(self, fresh: Mask, first: Samples) -> Samples:
        # The first sample is subtracted instead of solving for the steady state:
        # a constant trace then gives exact zeros, not rounding noise.
        for state in self._states:
            state[fresh] = 0.0
        self._offset[fresh] = first[fresh]
        return self._gain * first

    def process(self, samples: Samples) -> Samples:
        filtered: Samples = samples - self._offset[:, None]
        for number, (numerator, denominator) in enumerate(self._sections):
            filtered, self._states[number] = signal.lfilter(
                numerator, denominator, filtered, zi=self._states[number]
            )
        if self._gain != 0.0:
            filtered += self._gain * self._offset[:, None]
        return filtered


def _joined(sections: list[tuple[Samples, Samples]]) -> list[tuple[Samples, Samples]]:
    """Multiply sections two by two, unless poles so near to 1 would cost digits."""
    far = [bool((np.abs(1.0 - np.roots(a)) > _LEAST_POLE_DISTANCE).all()) for _, a in sections]
    joined: list[tuple[Samples, Samples]] = []
    waits = False
    for (b, a), is_far in zip(sections, far, strict=True):
        if waits and is_far:
            earlier_b, earlier_a = joined.pop()
            joined.append((np.convolve(earlier_b, b), np.convolve(earlier_a, a)))
            waits = False
        else:
            joined.append((b, a))
            waits = is_far
    return joined


class RunningMean:
    """The mean of all samples so far, then of an exponentially fading memory."""

    def __init__(self, length_samples: int, *, subtract: bool) -> None:
        self._length = length_samples
        self._subtract = subtract
        self._count = np.zeros(N_COMPONENTS, dtype=np.int64)
        self._mean = np.zeros(N_COMPONENTS)

    def prime(self, fresh: Mask, first: Samples) -> Samples:
        self._count[fresh] = 0
        self._mean[fresh] = first[fresh]
        return np.zeros_like(first) if self._subtract else first

    def process(self, samples: Samples) -> Samples:
        mean = np.stack([self._follow(c, samples[c]) for c in range(N_COMPONENTS)])
        return samples - mean if self._subtract else mean

    def _follow(self, component: int, samples: Samples) -> Samples:
        count = int(self._count[component])
        n_growing = min(max(self._length - count, 0), len(samples))
        growing = samples[:n_growing]
        steps = np.arange(count + 1, count + n_growing + 1)
        mean = (self._mean[component] * count + np.cumsum(growing)) / steps
        last = float(mean[-1]) if n_growing else float(self._mean[component])
        weight = 1.0 / self._length
        fading, _ = signal.lfilter(
            [weight], [1.0, weight - 1.0], samples[n_growing:], zi=[(1.0 - weight) * last]
        )
        result: Samples = np.concatenate([mean, fading])
        self._count[component] = count + n_growing
        if len(result):
            self._mean[component] = result[-1]
        return result


class InitialTaper:
    """A half-cosine that rises from `offset` over the first samples of a run."""

    def __init__(self, length_samples: int, offset: float) -> None:
        self._length = length_samples
        self._offset = offset
        self._count = np.full(N_COMPONENTS, length_samples, dtype=np.int64)

    def prime(self, fresh: Mask, first: Samples) -> Samples:
        self._count[fresh] = 0
        return np.where(fresh, self._offset, first)

    def process(self, samples: Samples) -> Samples:
        steps = self._count[:, None] + np.arange(samples.shape[1])
        self._count = np.minimum(self._count + samples.shape[1], self._length)
        weight = np.where(
            steps < self._length, 0.5 * (1.0 - np.cos(np.pi * steps / max(self._length, 1))), 1.0
        )
        return (samples - self._offset) * weight + self._offset


class Differentiator:
    """First difference over the sampling interval."""

    def __init__(self) -> None:
        self._last = np.zeros(N_COMPONENTS)

    def prime(self, fresh: Mask, first: Samples) -> Samples:
        self._last[fresh] = first[fresh]
        return np.zeros_like(first)

    def process(self, samples: Samples) -> Samples:
        difference: Samples = np.diff(samples, axis=1, prepend=self._last[:, None])
        difference *= SAMPLING_RATE_HZ
        self._last = samples[:, -1].copy()
        return difference


class Integrator:
    """Trapezoidal integral, zero at the first sample."""

    def __init__(self) -> None:
        self._last = np.zeros(N_COMPONENTS)
        self._sum = np.zeros(N_COMPONENTS)

    def prime(self, fresh: Mask, first: Samples) -> Samples:
        self._last[fresh] = first[fresh]
        self._sum[fresh] = 0.0
        return np.zeros_like(first)

    def process(self, samples: Samples) -> Samples:
        previous = np.concatenate([self._last[:, None], samples[:, :-1]], axis=1)
        total: Samples = self._sum[:, None] + np.cumsum(
            (samples + previous) * (0.5 / SAMPLING_RATE_HZ), axis=1
        )
        self._last = samples[:, -1].copy()
        self._sum = total[:, -1].copy()
        return total


@dataclass(frozen=True, slots=True)
class Filter:
    """A checked filter; `start` gives a fresh state for one sensor.

    Attributes:
        text: the filter in SeisComP's grammar, empty for none.
    """

    text: str
    _makers: tuple[Callable[[], Stage], ...]

    def start(self) -> FilterState:
        """Return a state whose components have to be primed first."""
        return FilterState([make() for make in self._makers])


class FilterState:
    """A filter on its way through one sensor's three components."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages

    def prime(self, fresh: Mask, first: Samples) -> None:
        """Start the components in `fresh`, (3,) bool, anew at their first samples, (3,)."""
        for stage in self._stages:
            first = stage.prime(fresh, first)

    def process(self, samples: Samples) -> Samples:
        """Filter (3, n) float64 samples that follow the ones before; (3, n) float64."""
        if not samples.shape[1]:
            return samples
        for stage in self._stages:
            samples = stage.process(samples)
        return samples


@lru_cache(maxsize=64)
def parse_filter(text: str) -> Filter:
    """Read a filter in SeisComP's grammar, for samples at 100 Hz.

    Known stages: ``BW(order,low,high)`` (also ``BW_BP``), ``BW_HP(order,corner)``,
    ``BW_LP(order,corner)``, ``BW_BS(order,low,high)``, ``BW_HLP(order,low,high)``,
    ``RMHP(seconds)``, ``RM(seconds)``, ``AVG(seconds)``, ``ITAPER(seconds[,offset])``,
    ``DIFF``, ``INT``; chained with ``>>``.

    Args:
        text: the filter; empty for none.

    Raises:
        ConfigurationError: a stage is unknown, or its parameters are.
    """
    parts = text.split(">>") if text.strip() else []
    return Filter(text.strip(), tuple(_parse_stage(part, text) for part in parts))


def _parse_stage(part: str, text: str) -> Callable[[], Stage]:
    match = _STAGE.match(part)
    if match is None:
        raise ConfigurationError(
            f"filter {text!r}: cannot read {part.strip()!r}; wanted stages such as BW_HP(4,2) "
            "joined by >>"
        )
    name, inner = match.group(1).upper(), (match.group(2) or "").strip()
    if name not in _STAGES:
        raise ConfigurationError(
            f"filter {text!r}: unknown stage {match.group(1)}; known are {', '.join(_STAGES)}"
        )
    wanted, make = _STAGES[name]
    try:
        values = [float(word) for word in inner.split(",")] if inner else []
        make(values)
    except (ValueError, IndexError) as error:
        raise ConfigurationError(
            f"filter {text!r}: {name}({inner}): {error}; wanted {wanted}"
        ) from None
    return partial(make, values)


def _check(values: list[float], low: int, high: int) -> None:
    if not low <= len(values) <= high:
        raise ValueError(f"got {len(values)} parameters")
    if not all(math.isfinite(value) for value in values):
        raise ValueError("got a parameter that is not finite")


def _butterworth(kind: str, values: list[float]) -> Stage:
    n_corners = 1 if kind in ("highpass", "lowpass") else 2
    _check(values, 1 + n_corners, 1 + n_corners)
    order, *corners = values
    if order != int(order) or not 1 <= order <= 20:
        raise ValueError(f"got order {order:g}, wanted 1 to 20")
    nyquist_hz = SAMPLING_RATE_HZ / 2
    if not all(0.0 < corner < nyquist_hz for corner in corners):
        raise ValueError(f"a corner lies outside 0 to {nyquist_hz:g} Hz, the Nyquist frequency")
    if n_corners == 2 and not corners[0] < corners[1]:
        raise ValueError("the corners are not in ascending order")
    gain_at_zero = 1.0 if kind in ("lowpass", "bandstop") else 0.0
    return RecursiveSections(_butterworth_sections(kind, int(order), *corners), gain_at_zero)


@lru_cache(maxsize=64)
def _butterworth_sections(kind: str, order: int, *corners: float) -> list[tuple[Samples, Samples]]:
    def design(band: str, *edges: float) -> Samples:
        wanted = edges[0] if len(edges) == 1 else edges
        return np.asarray(signal.butter(order, wanted, band, fs=SAMPLING_RATE_HZ, output="sos"))

    if kind == "highlowpass":
        low, high = corners
        sections = np.concatenate([design("highpass", low), design("lowpass", high)])
    else:
        sections = design(kind, *corners)
    return _joined([(section[:3], section[3:]) for section in sections])


def _length(values: list[float], most: int = 1) -> int:
    """The length in samples that the first of at most so many parameters gives in seconds."""
    _check(values, 1, most)
    length = int(values[0] * SAMPLING_RATE_HZ)
    if length < 1:
        raise ValueError(f"{values[0]:g} s is shorter than a sample")
    if values[0] > _LONGEST_S:
        raise ValueError(f"{values[0]:g} s is longer than a day")
    return length


def _moving_average(values: list[float]) -> Stage:
    length = _length(values)
    return RecursiveSections([(np.full(length, 1.0 / length), np.ones(1))], gain_at_zero=1.0)


def _taper(values: list[float]) -> Stage:
    length = _length(values, most=2)
    return InitialTaper(length, offset=values[1] if len(values) > 1 else 0.0)


def _without_parameters(stage: Callable[[], Stage], values: list[float]) -> Stage:
    _check(values, 0, 0)
    return stage()


_BAND = "order, lower and upper corner in Hz"
_CORNER = "order and corner in Hz"
_SECONDS = "a length in seconds"
_STAGES: dict[str, tuple[str, Callable[[list[float]], Stage]]] = {
    "BW": (_BAND, partial(_butterworth, "bandpass")),
    "BW_BP": (_BAND, partial(_butterworth, "bandpass")),
    "BW_HP": (_CORNER, partial(_butterworth, "highpass")),
    "BW_LP": (_CORNER, partial(_butterworth, "lowpass")),
    "BW_BS": (_BAND, partial(_butterworth, "bandstop")),
    "BW_HLP": (_BAND, partial(_butterworth, "highlowpass")),
    "RMHP": (_SECONDS, lambda values: RunningMean(_length(values), subtract=True)),
    "RM": (_SECONDS, lambda values: RunningMean(_length(values), subtract=False)),
    "AVG": (_SECONDS, _moving_average),
    "ITAPER": ("a length in seconds and, if wanted, an offset", _taper),
    "DIFF": ("no parameters", partial(_without_parameters, Differentiator)),
    "INT": ("no parameters", partial(_without_parameters, Integrator)),
}
