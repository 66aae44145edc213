"""The streaming network: a minute of memory at the cost of one column a step.

Seismo-Performer's network made causal: blocks of a dilated causal convolution (van den Oord
et al. 2016, arXiv 1609.03499), a Performer's linear attention (Choromanski et al. 2021, arXiv
2009.14794, with rectified features) and a feed-forward layer, each with a residual and with
normalisation before it (Zhang and Sennrich 2019, "Root Mean Square Layer Normalization"),
over the columns of `core.columns`. What attention has seen is summed up by bundles of columns
on the absolute grid; each head looks back on the current bundle and on a number of its own of
bundles before it, and forgets what is older. An answer about a column comes `look_ahead`
columns later and depends on a fixed stretch of columns and on nothing earlier. The same
arithmetic serves hours of one sensor and the next columns of thousands: NumPy alone, each
number made by products of one shape, so that it does not depend on its neighbours.
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
from scperformer.core.streaming_shape import (
    BUNDLE,
    KERNEL,
    UNCALIBRATED,
    Calibration,
    StreamingShape,
)
from scperformer.stft import LEVEL_COLUMNS
from scperformer.types import CLASSES

EPSILON = np.float32(1e-3)
"""Added to the mean square before its root."""

LEAST_KEY = np.float32(1e-3)
"""Added to queries and keys, so that everything is seen a little."""

LEAST_WEIGHT = np.float32(1e-6)
"""Added to the sum of weights that attention divides by."""

_ROWS = 32
"""Rows of one matrix product: few enough that no library starts threads for it, and always
the same number, so that an answer does not depend on its neighbours."""

_TILE = 128
"""Rows that biases and bounds are laid out for: NumPy adds arrays of one shape several times as
fast as a row or a number to a table. What comes out is the same."""

COLD_COLUMNS = 13
"""Columns behind a start or a gap of which nothing is said: the level does not stand yet."""

_FIRST_SLOTS = 8
_ASKED = ("query", "key", "value")
_NOT_LATER = np.tri(BUNDLE, dtype=np.float32)

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
        self._blocks = [
            _Block(shape, weights, number) for number in range(1, len(shape.dilations) + 1)
        ]
        self._output = _Dense.of(weights, "output")
        self._levels = _Ring(LEVEL_COLUMNS, 2, np.float64)
        self._pools: list[_Pool] = [
            self._levels,
            *(pool for block in self._blocks for pool in block.pools),
        ]
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
        return sum(pool.bytes_per_slot for pool in self._pools)

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
        bundles = _Bundles(runs)
        hidden = self._input(features)
        for block in self._blocks:
            block.follow(hidden, runs, bundles)
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
        for pool in self._pools:
            pool.grow(more)
        self._free += range(self._n_slots + more - 1, self._n_slots - 1, -1)
        self._n_slots += more

    def _clear(self, slot: int) -> None:
        for pool in self._pools:
            pool.values[slot] = 0.0


class _Block:
    """A convolution, attention and a feed-forward layer, each added to what it reads.

    Args:
        shape: of the network.
        weights: of the network.
        number: of the block, from 1.

    Attributes:
        pools: what is remembered.
    """

    def __init__(self, shape: StreamingShape, weights: Mapping[str, Floats], number: int) -> None:
        name = f"block_{number}"
        self._ring = _Ring((KERNEL - 1) * shape.dilations[number - 1], shape.channels)
        self._convolution = _Dense.of(weights, f"{name}/convolution", least=0.0)
        self._mix = _Dense.of(weights, f"{name}/mix")
        self._attention = _Attention(shape, weights, name)
        self._expand = _Dense.of(weights, f"{name}/expand", least=0.0)
        self._contract = _Dense.of(weights, f"{name}/contract")
        self.pools: tuple[_Pool, ...] = (self._ring, *self._attention.pools)

    def follow(self, hidden: Floats, runs: _Runs, bundles: _Bundles) -> None:
        """Work on the next columns, (n, c) float32, in place."""
        hidden += self._mix(self._convolution(self._ring.follow(_normalised(hidden), runs)))
        hidden += self._attention.follow(_normalised(hidden), bundles)
        hidden += self._contract(self._expand(_normalised(hidden)))


class _Attention:
    """Causal linear attention, its sums kept by bundles.

    Of each column and head there are a query, a key and a value with a one behind it, whose
    weighted sum is what the weighted sum of values is divided by.

    Args:
        shape: of the network.
        weights: of the network.
        name: of the block.

    Attributes:
        pools: the sums of the latest whole bundles, and keys and values of the current one.
    """

    def __init__(self, shape: StreamingShape, weights: Mapping[str, Floats], name: str) -> None:
        self._memories = shape.memories
        n_heads, width = self._heads = (len(shape.memories), shape.head_width)
        self._n_features = 2 * n_heads * width
        kernel, bias = (
            np.concatenate([weights[f"{name}/{part}/{kind}"] for part in _ASKED], axis=-1)
            for kind in ("kernel", "bias")
        )
        bias[: self._n_features] += LEAST_KEY
        behind = self._n_features + np.arange(1, n_heads + 1) * width
        least = np.full(kernel.shape[-1] + n_heads, -np.inf)
        least[: self._n_features] = LEAST_KEY
        kernel, bias = np.insert(kernel, behind, 0.0, axis=1), np.insert(bias, behind, 1.0)
        self._ask = _Dense(kernel, bias, least)
        self._join = _Dense.of(weights, f"{name}/join")
        self._sums = _Pool((shape.memories[-1], n_heads, width, width + 1))
        self._current = _Pool((BUNDLE, n_heads * (2 * width + 1)))
        self.pools = (self._sums, self._current)

    def follow(self, values: Floats, bundles: _Bundles) -> Floats:
        """Return what attention adds to the next columns, (n, c) float32."""
        n_heads, width = self._heads
        asked = self._asked(values, bundles)
        slots, places = bundles.earlier
        asked[bundles.earlier_rows, n_heads * width :] = self._current.values[slots, places]
        query, key, value = (
            part.reshape(bundles.n, BUNDLE, n_heads, -1).transpose(0, 2, 1, 3)
            for part in np.split(asked, (n_heads * width, self._n_features), axis=1)
        )
        upright = np.ascontiguousarray(key.swapaxes(2, 3))
        whole = slice(None) if bundles.is_one_step else np.flatnonzero(bundles.is_whole)
        sums = np.zeros((bundles.n, *self._sums.values.shape[2:]), np.float32)
        sums[whole] = np.matmul(upright[whole], value[whole])
        likeness = np.matmul(query, upright)
        likeness *= _NOT_LATER
        told = np.matmul(likeness, value)
        told += np.matmul(query, self._past(sums, bundles))
        told *= np.float32(1.0) / (told[..., -1:] + LEAST_WEIGHT)
        own = np.empty((bundles.n, BUNDLE, n_heads, width), np.float32)
        own[...] = told[..., :-1].transpose(0, 2, 1, 3)
        self._keep(sums, asked[:, n_heads * width :], bundles)
        return self._join(own.reshape(-1, n_heads * width)[bundles.rows])

    def _asked(self, values: Floats, bundles: _Bundles) -> Floats:
        """Return queries, keys, values and ones, (16 n, ...) float32, zeros where no column is."""
        rows = bundles.rows
        if isinstance(rows, slice):  # nearly all its places have a column: laid out first
            laid = np.zeros((bundles.n * BUNDLE, values.shape[1]), np.float32)
            laid[rows] = values
            values = laid
        asked = self._ask(values)
        if isinstance(rows, slice):
            asked[: rows.start] = 0.0
            asked[rows.stop :] = 0.0
            return asked
        laid = np.zeros((bundles.n * BUNDLE, asked.shape[1]), np.float32)
        laid[rows] = asked
        return laid

    def _past(self, sums: Floats, bundles: _Bundles) -> Floats:
        """Return the sums that each bundle looks back on, the nearest added first."""
        depth = self._memories[-1]
        past = np.zeros_like(sums)
        for back in range(1, depth + 1):
            heads = slice(sum(memory < back for memory in self._memories), None)
            early, late = bundles.early(back), bundles.late(back)
            places = (bundles.number[early] - back) % depth
            past[early, heads] += self._sums.values[bundles.slot[early], places, heads]
            if isinstance(late, slice):
                past[late, heads] += sums[:-back, heads]
            elif len(late):
                past[late, heads] += sums[late - back, heads]
        return past

    def _keep(self, sums: Floats, seen: Floats, bundles: _Bundles) -> None:
        depth = self._memories[-1]
        whole = np.flatnonzero(bundles.is_whole & (bundles.left <= depth))
        self._sums.values[bundles.slot[whole], bundles.number[whole] % depth] = sums[whole]
        rows, slots, places = bundles.open_columns
        self._current.values[slots, places] = seen[rows]


class _Dense:
    """An affine map, row by row, and a lower bound on what comes out.

    Args:
        kernel: (..., m).
        bias: (m,).
        least: (m,) lower bounds, or one for all; none if it is -inf.
    """

    __slots__ = ("_bias", "_kernel", "_least")

    def __init__(
        self, kernel: Floats, bias: Floats, least: NDArray[np.float64] | float = -np.inf
    ) -> None:
        self._kernel = np.ascontiguousarray(kernel.reshape(-1, kernel.shape[-1]), np.float32)
        self._bias = np.tile(bias.astype(np.float32), (_TILE, 1))
        bounds = np.broadcast_to(np.asarray(least, np.float32), self._bias.shape)
        self._least = None if np.isneginf(bounds).all() else np.ascontiguousarray(bounds)

    @classmethod
    def of(cls, weights: Mapping[str, Floats], name: str, least: float = -np.inf) -> _Dense:
        return cls(weights[f"{name}/kernel"], weights[f"{name}/bias"], least)

    def __call__(self, values: Floats) -> Floats:
        """Map (n, k) float32, in portions of a fixed number of rows."""
        n, width = values.shape
        n_full = -(-n // _ROWS) * _ROWS
        if n_full != n:
            values = np.concatenate([values, np.zeros((n_full - n, width), np.float32)])
        portions = values.reshape(-1, _ROWS, width)
        result: Floats = np.matmul(portions, self._kernel).reshape(n_full, -1)[:n]
        n_tiled = n // _TILE * _TILE
        self._finish(result[:n_tiled].reshape(-1, *self._bias.shape), _TILE)
        self._finish(result[n_tiled:], n - n_tiled)
        return result

    def _finish(self, result: Floats, n_rows: int) -> None:
        result += self._bias[:n_rows]
        if self._least is not None:
            np.maximum(result, self._least[:n_rows], out=result)


class _Runs:
    """Steps laid end to end, by column.

    Attributes:
        lengths: (steps,) int64.
        first_column: (steps,) int64, where each begins.
        slot: (n,) int64, where each column's sensor is remembered.
        index: (n,) int64, the column's place on the absolute grid.
        place: (n,) int64, its place in its step.
        n_seen: (n,) int64, columns of the sensor before the step.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        lengths = np.array([step.n for step in steps], dtype=np.int64)
        self.lengths = lengths
        self.first_column = np.cumsum(lengths) - lengths
        run = np.repeat(np.arange(len(lengths)), lengths)
        self.place: Integers = np.arange(len(run)) - self.first_column[run]
        self.slot = np.array([step.memory.slot for step in steps], dtype=np.int64)[run]
        self.n_seen = np.array([step.memory.n_seen for step in steps], dtype=np.int64)[run]
        self.index = np.array([step.index for step in steps], dtype=np.int64)[run] + self.place
        self._left = lengths[run] - self.place

    def alike(self) -> list[Integers]:
        """Return the columns of the steps of each length, (steps, length) int64 each."""
        return [
            self.first_column[self.lengths == n][:, None] + np.arange(n)
            for n in np.unique(self.lengths)
        ]

    def first(self, depth: int) -> Integers | slice:
        """Return which columns are among the first so many of their step."""
        if len(self.lengths) == 1:
            return slice(0, depth)
        return np.flatnonzero(self.place < depth)

    def last(self, depth: int) -> Integers | slice:
        """Return which columns are among the last so many of their step."""
        if len(self.lengths) == 1:
            return slice(-depth, None)
        return np.flatnonzero(self._left <= depth)


class _Bundles:
    """Columns of steps laid out in whole bundles of the absolute grid.

    Attributes:
        n: bundles.
        rows: where each column lies among n x 16 places.
        earlier_rows: places of the columns of a first bundle that came before its step.
        earlier: slot of each of these, and its place in its bundle.
        open_columns: places of the columns whose bundle is not whole, slot of each and its
            place in its bundle.
        slot: (n,) int64, where each bundle's sensor is remembered.
        number: (n,) int64, the bundle's number on the absolute grid.
        place: (n,) int64, its place in its step.
        left: (n,) int64, how many whole ones of its step there are from it on.
        is_whole: (n,) bool, whether its last column is there.
        is_one_step: there is one step alone.
    """

    def __init__(self, runs: _Runs) -> None:
        lengths, first = runs.lengths, runs.first_column
        start = runs.index[first]
        behind = start % BUNDLE
        n_whole = (behind + lengths) // BUNDLE
        n = -(-(behind + lengths) // BUNDLE)
        first_bundle = np.cumsum(n) - n
        self.n = int(n.sum())
        run = np.repeat(np.arange(len(n)), n)
        self.place: Integers = np.arange(self.n) - first_bundle[run]
        self.slot: Integers = runs.slot[first][run]
        self.number: Integers = (start // BUNDLE)[run] + self.place
        self.left: Integers = n_whole[run] - self.place
        self.is_whole = self.left > 0
        first_row = first_bundle * BUNDLE + behind
        self.is_one_step = len(n) == 1
        self.rows: Integers | slice = slice(first_row[0], first_row[0] + lengths[0])
        if not self.is_one_step:
            self.rows = np.repeat(first_row - first, lengths) + np.arange(len(runs.slot))
        which = np.repeat(np.arange(len(n)), behind)
        places = np.arange(len(which)) - np.repeat(np.cumsum(behind) - behind, behind)
        self.earlier_rows: Integers = first_bundle[which] * BUNDLE + places
        self.earlier = (runs.slot[first][which], places)
        all_rows = np.arange(self.n * BUNDLE)[self.rows]
        is_open = np.flatnonzero(~self.is_whole[all_rows // BUNDLE])
        self.open_columns = (all_rows[is_open], runs.slot[is_open], runs.index[is_open] % BUNDLE)

    def early(self, back: int) -> Integers | slice:
        """Return which bundles are among the first so many of their step."""
        if self.is_one_step:
            return slice(0, back)
        early = np.flatnonzero(self.place < back)
        return slice(None) if len(early) == self.n else early

    def late(self, back: int) -> Integers | slice:
        """Return which bundles are not."""
        if self.is_one_step:
            return slice(back, None)
        return np.flatnonzero(self.place >= back)


class _Pool:
    """Values of every sensor, by its slot.

    Args:
        shape: of one sensor's.
        dtype: of them.

    Attributes:
        values: (slots, *shape).
    """

    __slots__ = ("values",)

    def __init__(self, shape: tuple[int, ...], dtype: type = np.float32) -> None:
        self.values: NDArray[Any] = np.zeros((0, *shape), dtype)

    def grow(self, more: int) -> None:
        added = np.zeros((more, *self.values.shape[1:]), self.values.dtype)
        self.values = np.concatenate([self.values, added])

    @property
    def bytes_per_slot(self) -> int:
        return math.prod(self.values.shape[1:]) * self.values.itemsize


class _Ring(_Pool):
    """The latest values of every sensor, by their place on the absolute grid.

    Args:
        depth: columns that are remembered.
        width: numbers of a column.
        dtype: of them.
    """

    __slots__ = ("depth",)

    def __init__(self, depth: int, width: int, dtype: type = np.float32) -> None:
        super().__init__((depth, width), dtype)
        self.depth = depth

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
