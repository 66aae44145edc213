"""The streaming network: a minute of memory at the cost of one column a step.

Causal dilated convolutions (van den Oord et al. 2016, arXiv 1609.03499) with residuals and
normalisation before them (Zhang and Sennrich 2019, "Root Mean Square Layer Normalization"),
over the columns of `core.columns`. An answer about a column comes `look_ahead` columns
later and depends on a fixed stretch of columns and on nothing earlier. The same arithmetic
serves hours of one sensor and the next columns of thousands: NumPy alone, each number made
from its own row by products of one shape, so that it does not depend on its neighbours.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.core.columns import PowerColumns, levels
from scperformer.core.streaming_shape import KERNEL, UNCALIBRATED, Calibration, StreamingShape
from scperformer.stft import LEVEL_COLUMNS
from scperformer.types import CLASSES

EPSILON = np.float32(1e-3)
"""Added to the mean square before its root."""

_ROWS = 32
"""Rows of one matrix product: few enough that no library starts threads for it, and always
the same number, so that an answer does not depend on its neighbours."""

COLD_COLUMNS = 13
"""Columns behind a start or a gap of which nothing is said: the level does not stand yet."""

_FIRST_SLOTS = 8

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class Memory:
    """What the network remembers of one sensor: a slot in its pool.

    Attributes:
        slot: its number.
        n_seen: columns since the last gap.
    """

    __slots__ = ("__weakref__", "n_seen", "slot")

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.n_seen = 0


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The next columns of one sensor.

    Attributes:
        memory: of the sensor; moved on in place. It may come more than once in a
            sequence of steps, in the order of time.
        index: of the first column, counted on the absolute grid.
        n: how many columns, 0 allowed.
        ends: the sensor is forgotten behind them.
    """

    memory: Memory
    index: int
    n: int
    ends: bool


class StreamingNetwork:
    """The network with its weights and all that it remembers of its sensors.

    Args:
        shape: its size.
        weights: under the names and with the shapes of `networks.streaming`.
        name: the model's name.
        sha256: of its weights, hexadecimal, empty if it is not known.
        calibration: brings the network's log-odds to true ones.
    """

    def __init__(
        self,
        shape: StreamingShape,
        weights: Mapping[str, Floats],
        *,
        name: str = "streaming",
        sha256: str = "",
        calibration: Calibration = UNCALIBRATED,
    ) -> None:
        self.shape = shape
        self.name = name
        self.sha256 = sha256
        self._calibration = np.array(calibration, dtype=np.float32).T
        self._input = _Dense.of(weights, "input")
        self._layers = [
            (
                _Dense.of(weights, f"layer_{number}/convolution"),
                _Dense.of(weights, f"layer_{number}/mix"),
            )
            for number in range(1, len(shape.dilations) + 1)
        ]
        self._output = _Dense.of(weights, "output")
        self._rings = [
            _Ring((KERNEL - 1) * dilation, shape.channels) for dilation in shape.dilations
        ]
        self._levels = _Ring(LEVEL_COLUMNS, 2, np.float64)
        self._n_slots = 0
        self._free: list[int] = []

    def remember(self) -> Memory:
        """Return the memory of a sensor of which nothing has been seen.

        Its slot is used again when nothing refers to it any longer.
        """
        if not self._free:
            self._grow()
        memory = Memory(self._free.pop())
        self._clear(memory.slot)
        weakref.finalize(memory, self._free.append, memory.slot)
        return memory

    @property
    def bytes_per_sensor(self) -> int:
        """Size of a memory."""
        return sum(ring.bytes_per_slot for ring in (*self._rings, self._levels))

    def predict(self, columns: PowerColumns, steps: Sequence[Step]) -> Floats:
        """Classify the next columns of many sensors at once.

        Args:
            columns: step after step.
            steps: whose they are.

        Returns:
            (n, 3) float32 probabilities of P, S and noise; row i is about the column
            `look_ahead` before column i of the same sensor. Rows about a column that is not
            there or is among the first 2 s of a stretch say noise.
        """
        roots, counts = columns.roots()
        answers = np.empty((len(roots), len(CLASSES)), dtype=np.float32)
        first = 0
        for turn in _turns(steps):
            n = sum(step.n for step in turn)
            part = slice(first, first + n)
            first += n
            if n:
                answers[part] = self._predict(columns.part(part), roots[part], counts[part], turn)
            for step in turn:
                if step.ends:
                    self._clear(step.memory.slot)
                    step.memory.n_seen = 0
        return answers

    def _predict(
        self,
        columns: PowerColumns,
        roots: NDArray[np.float64],
        counts: NDArray[np.float64],
        turn: Sequence[Step],
    ) -> Floats:
        runs = _Runs([step for step in turn if step.n])
        features = columns.features(self._level(runs, roots, counts))
        hidden = self._input(features)
        for ring, (convolution, mix) in zip(self._rings, self._layers, strict=True):
            seen = ring.follow(_normalised(hidden), runs)
            mixed = convolution(seen)
            np.maximum(mixed, np.float32(0.0), out=mixed)
            hidden += mix(mixed)
        answers = _probabilities(self._output(_normalised(hidden)), self._calibration)
        n_before = runs.n_seen + runs.place
        answers[n_before < self.shape.look_ahead + COLD_COLUMNS] = (0.0, 0.0, 1.0)
        for step in turn:
            step.memory.n_seen += step.n
        return answers

    def _level(
        self, runs: _Runs, roots: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Levels of all columns, run by run; runs of one length at once."""
        found = np.empty(len(roots))
        ring = self._levels
        values = np.stack([roots, counts], axis=1)
        for rows in runs.alike():
            own = values[rows]
            slots = runs.slot[rows[:, 0]]
            index = runs.index[rows[:, 0]]
            history = ring.before(slots, index, LEVEL_COLUMNS - 1)
            both = np.concatenate([history, own], axis=1)
            found[rows] = levels(both[..., 0], both[..., 1])
        ring.keep(values, runs)
        return found

    def _grow(self) -> None:
        more = max(self._n_slots, _FIRST_SLOTS)
        for ring in (*self._rings, self._levels):
            ring.grow(more)
        self._free += range(self._n_slots + more - 1, self._n_slots - 1, -1)
        self._n_slots += more

    def _clear(self, slot: int) -> None:
        for ring in (*self._rings, self._levels):
            ring.values[slot] = 0.0


class _Dense:
    """An affine map, row by row."""

    __slots__ = ("_bias", "_kernel")

    def __init__(self, kernel: Floats, bias: Floats) -> None:
        self._kernel = np.ascontiguousarray(kernel.reshape(-1, kernel.shape[-1]), np.float32)
        self._bias = np.ascontiguousarray(bias, np.float32)

    @classmethod
    def of(cls, weights: Mapping[str, Floats], name: str) -> _Dense:
        return cls(weights[f"{name}/kernel"], weights[f"{name}/bias"])

    def __call__(self, values: Floats) -> Floats:
        """Map (n, k) float32, in portions of a fixed number of rows."""
        n, width = values.shape
        n_full = -(-n // _ROWS) * _ROWS
        if n_full != n:
            values = np.concatenate([values, np.zeros((n_full - n, width), np.float32)])
        portions = values.reshape(-1, _ROWS, width)
        result: Floats = np.matmul(portions, self._kernel).reshape(n_full, -1)[:n]
        result += self._bias
        return result


class _Runs:
    """Steps laid end to end, by column.

    Attributes:
        slot: (n,) int64, where each column's sensor is remembered.
        index: (n,) int64, the column's place on the absolute grid.
        place: (n,) int64, its place in its step.
        n_seen: (n,) int64, columns of the sensor before the step.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        lengths = np.array([step.n for step in steps], dtype=np.int64)
        self._lengths = lengths
        self._first = np.cumsum(lengths) - lengths
        run = np.repeat(np.arange(len(lengths)), lengths)
        self.place: Integers = np.arange(len(run)) - self._first[run]
        self.slot = np.array([step.memory.slot for step in steps], dtype=np.int64)[run]
        self.n_seen = np.array([step.memory.n_seen for step in steps], dtype=np.int64)[run]
        self.index = np.array([step.index for step in steps], dtype=np.int64)[run] + self.place
        self._left = lengths[run] - self.place

    def alike(self) -> list[Integers]:
        """Return the columns of the steps of each length, (steps, length) int64 each."""
        return [
            self._first[self._lengths == n][:, None] + np.arange(n)
            for n in np.unique(self._lengths)
        ]

    def first(self, depth: int) -> Integers | slice:
        """Return which columns are among the first so many of their step."""
        if len(self._lengths) == 1:
            return slice(0, depth)
        return np.flatnonzero(self.place < depth)

    def last(self, depth: int) -> Integers | slice:
        """Return which columns are among the last so many of their step."""
        if len(self._lengths) == 1:
            return slice(-depth, None)
        return np.flatnonzero(self._left <= depth)


class _Ring:
    """The latest values of every sensor, by their place on the absolute grid.

    Args:
        depth: columns that are remembered.
        width: numbers of a column.
        dtype: of them.

    Attributes:
        values: (slots, depth, width).
    """

    __slots__ = ("depth", "values")

    def __init__(self, depth: int, width: int, dtype: type = np.float32) -> None:
        self.depth = depth
        self.values: NDArray[Any] = np.zeros((0, depth, width), dtype)

    def grow(self, more: int) -> None:
        added = np.zeros((more, *self.values.shape[1:]), self.values.dtype)
        self.values = np.concatenate([self.values, added])

    @property
    def bytes_per_slot(self) -> int:
        return math.prod(self.values.shape[1:]) * self.values.itemsize

    def before(self, slots: Integers, index: Integers, n: int) -> NDArray[Any]:
        """Return the n values before an index, (slots, n, width)."""
        places = (index[:, None] - n + np.arange(n)) % self.depth
        values: NDArray[Any] = self.values[slots[:, None], places]
        return values

    def keep(self, values: NDArray[Any], runs: _Runs) -> None:
        """Take over new values."""
        last = runs.last(self.depth)
        self.values[runs.slot[last], runs.index[last] % self.depth] = values[last]

    def follow(self, values: Floats, runs: _Runs) -> Floats:
        """Return beside each value those half the depth and the depth before; take it over.

        Args:
            values: (n, c) float32.
            runs: whose they are.

        Returns:
            (n, 3 c) float32, the earliest first.
        """
        n, c = values.shape
        seen = np.empty((n, KERNEL * c), np.float32)
        seen[:, -c:] = values
        for number, lag in enumerate((self.depth, self.depth // 2)):
            own = seen[:, number * c : (number + 1) * c]
            own[lag:] = values[: max(n - lag, 0)]
            early = runs.first(lag)
            places = (runs.index[early] - lag) % self.depth
            own[early] = self.values[runs.slot[early], places]
        self.keep(values, runs)
        return seen


def _turns(steps: Sequence[Step]) -> list[list[Step]]:
    """Cut a sequence where a sensor comes again: its second step follows on its first."""
    turns: list[list[Step]] = [[]]
    seen: set[int] = set()
    for step in steps:
        if id(step.memory) in seen:
            turns.append([])
            seen = set()
        turns[-1].append(step)
        seen.add(id(step.memory))
    return turns


def _normalised(values: Floats) -> Floats:
    """Divide each row by its root mean square."""
    mean = np.einsum("ij,ij->i", values, values) / np.float32(values.shape[1])
    normal: Floats = values * (np.float32(1.0) / np.sqrt(mean + EPSILON))[:, None]
    return normal


def _probabilities(logits: Floats, calibration: Floats) -> Floats:
    """Calibrated probabilities of P, S and noise, (n, 3), from logits."""
    p, s, noise = logits.T
    odds = np.stack([p - np.logaddexp(s, noise), s - np.logaddexp(p, noise)], axis=1)
    factor, summand = calibration
    answers = np.empty_like(logits)
    answers[:, :2] = 1.0 / (1.0 + np.exp(-(odds * factor + summand)))
    phases = answers[:, 0] + answers[:, 1]
    answers[:, :2] /= np.maximum(phases, np.float32(1.0))[:, None]
    answers[:, 2] = np.maximum(np.float32(1.0) - phases, np.float32(0.0))
    return answers
