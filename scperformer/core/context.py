"""The context stage: what follows what, in the windows of the last half minute.

A window of four seconds cannot tell an S from the P of another event; the windows
before it can. The stage is a small causal network over the sequence of one sensor's
windows (dilated convolutions, van den Oord et al. 2016, arXiv 1609.03499): for every
window it reads what the network answered, a few numbers of what it saw, and how the
amplitudes have changed on the vertical and on the horizontals, and answers P, S or noise
for a window `lag_windows` back. Its memory is finite, so that an answer depends on a
fixed stretch of data and on nothing else, and it is lost at gaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.types import CLASSES, N_COMPONENTS

KERNEL = 3
HIDDEN = 32
LEVEL_LAGS = (2, 6, 12, 25, 50)
"""Windows back with which a window's largest sample is compared."""

_N_LEVELS = 3
"""Levels that are followed: of all components, of the vertical, of the horizontals."""

LEAST_LOG_PROBABILITY = -12.0
LOG_PROBABILITY_SCALE = 4.0
LARGEST_LEVEL_CHANGE = 4.0
LEVEL_SCALE = 2.0
LEAST_PEAK = 1e-37
"""Silence; data may be in any unit, so that nothing that float32 can hold counts as such."""

_ROWS = 128
"""Rows of one matrix product: few enough that no library starts threads for it, and
always the same number, so that an answer does not depend on its neighbours."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ContextShape:
    """Size of a stage.

    Attributes:
        channels: of each layer.
        layers: how many; layer k looks back by 2^(k-1) windows, twice.
        lag_windows: windows that an answer lies behind the latest one.
        embedding: numbers of what the network saw that the stage reads, 0 for none.
    """

    channels: int
    layers: int
    lag_windows: int
    embedding: int = 0

    @property
    def n_features(self) -> int:
        """What the stage reads of a window: answers, levels, their ratio, embedding."""
        return len(CLASSES) + _N_LEVELS * len(LEVEL_LAGS) + 1 + self.embedding

    @property
    def memory_windows(self) -> int:
        """Windows before the latest one that an answer can depend on."""
        return (KERNEL - 1) * ((1 << self.layers) - 1) + max(LEVEL_LAGS)


class ContextState:
    """What the stage remembers of one sensor: the latest values of every layer.

    Args:
        shape: the stage's size.
    """

    __slots__ = ("levels", "n_seen", "own", "values")

    def __init__(self, shape: ContextShape) -> None:
        self.n_seen = 0
        self.levels = np.zeros((max(LEVEL_LAGS), N_COMPONENTS), dtype=np.float32)
        self.own = np.zeros((shape.lag_windows, len(CLASSES)), dtype=np.float32)
        self.values = [
            np.zeros(((KERNEL - 1) * 2**number, shape.channels), dtype=np.float32)
            for number in range(shape.layers)
        ]

    def forget(self) -> None:
        """Begin anew, as behind a gap."""
        self.n_seen = 0
        for array in (self.levels, self.own, *self.values):
            array[:] = 0.0


class ContextStage:
    """The stage with its weights.

    Args:
        shape: its size.
        weights: under the names and with the shapes of `networks.context`.
    """

    def __init__(self, shape: ContextShape, weights: Mapping[str, Floats]) -> None:
        self.shape = shape
        self._weights = {name: np.ascontiguousarray(w, np.float32) for name, w in weights.items()}
        self._kernels = [
            np.ascontiguousarray(
                self._weights[f"layer_{number}/kernel"].reshape(-1, shape.channels)
            )
            for number in range(1, shape.layers + 1)
        ]

    @property
    def embedding(self) -> tuple[Floats, Floats] | None:
        """Kernel (48, e) and bias (e,) of what the stage reads of the network, if anything.

        The network applies them to the input of its last layer, with a hyperbolic tangent.
        """
        if not self.shape.embedding:
            return None
        return self._weights["embedding/kernel"], self._weights["embedding/bias"]

    def start(self) -> ContextState:
        """Return the state of a sensor of which nothing has been seen."""
        return ContextState(self.shape)

    def predict(
        self,
        network_outputs: Floats,
        peaks: Floats,
        states: Sequence[ContextState],
        lengths: Sequence[int],
        ends: Sequence[bool],
    ) -> Floats:
        """Classify consecutive windows of many sensors at once.

        Args:
            network_outputs: (n, 3 + embedding) float32, the network's probabilities and
                embedding, sensor after sensor.
            peaks: (n, 3) float32, largest absolute samples of the windows' components.
            states: of the sensors, one for each run of windows; moved on in place. A
                state may come more than once, in the order of time.
            lengths: how many windows belong to each, 0 allowed.
            ends: behind which of them the sensor is forgotten.

        Returns:
            (n, 3) float32 probabilities; row i is about the window `lag_windows` before
            window i of the same sensor. Rows without such a window say noise.
        """
        answers = np.empty((len(network_outputs), len(CLASSES)), dtype=np.float32)
        for turn in _turns(states, lengths, ends):
            if turn.states:
                part = slice(turn.first, turn.first + sum(turn.lengths))
                answers[part] = self._predict(
                    network_outputs[part], peaks[part], turn.states, turn.lengths
                )
            for state in turn.ended:
                state.forget()
        return answers

    def _predict(
        self,
        network_outputs: Floats,
        peaks: Floats,
        states: Sequence[ContextState],
        lengths: Sequence[int],
    ) -> Floats:
        runs = _Runs(lengths)
        probabilities = network_outputs[:, : len(CLASSES)]
        own: Floats = np.log(np.maximum(probabilities, np.float32(np.exp(LEAST_LOG_PROBABILITY))))
        levels = np.log(np.maximum(peaks, np.float32(LEAST_PEAK)))
        followed = _followed(levels)
        n_seen = runs.of_each([state.n_seen for state in states]) + runs.place
        features: list[Floats] = [
            own / np.float32(LOG_PROBABILITY_SCALE),
            _level_changes(runs, levels, followed, states, n_seen),
            _level_ratio(followed, peaks),
            network_outputs[:, len(CLASSES) :],
        ]
        hidden = self._dense("input", np.concatenate(features, axis=1))
        for number, kernel in enumerate(self._kernels):
            memories = [state.values[number] for state in states]
            behind = runs.follow(hidden, memories, [2 * 2**number, 2**number])
            mixed = _product(np.concatenate([*behind, hidden], axis=1), kernel)
            mixed += self._weights[f"layer_{number + 1}/bias"]
            hidden = hidden + np.maximum(mixed, 0.0)
        logits = _product(self._dense("hidden", hidden), self._weights["logits/kernel"])
        logits += self._weights["logits/bias"]
        logits += self._weights["logits/gain"] * self._lagged(runs, own, states)
        for state, length in zip(states, lengths, strict=True):
            state.n_seen += length
        answers = _softmax(logits)
        answers[n_seen < self.shape.lag_windows] = (0.0, 0.0, 1.0)
        return answers

    def _lagged(self, runs: _Runs, own: Floats, states: Sequence[ContextState]) -> Floats:
        lag = self.shape.lag_windows
        if not lag:
            return own
        (lagged,) = runs.follow(own, [state.own for state in states], [lag])
        return lagged

    def _dense(self, name: str, values: Floats) -> Floats:
        result = _product(values, self._weights[f"{name}/kernel"])
        result += self._weights[f"{name}/bias"]
        return np.maximum(result, 0.0, out=result)


class _Runs:
    """Runs of windows laid end to end, each with a memory of what came before.

    Args:
        lengths: of the runs.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = np.asarray(lengths, dtype=np.int64)
        self._first = np.cumsum(self._lengths) - self._lengths
        self._run = np.repeat(np.arange(len(self._lengths)), self._lengths)
        self.place: NDArray[np.int64] = np.arange(len(self._run)) - self._first[self._run]

    def of_each(self, values: Sequence[int]) -> NDArray[np.int64]:
        """Spread one value a run over its windows."""
        return np.repeat(np.asarray(values, dtype=np.int64), self._lengths)

    def follow(
        self, values: Floats, memories: Sequence[Floats], lags: Sequence[int]
    ) -> list[Floats]:
        """Return what came each of `lags` windows before, out of the memory where needed.

        Each memory is moved on to the latest values, in place.
        """
        depth = len(memories[0])
        both = np.concatenate([*memories, values])
        n_memory = len(memories) * depth
        here = np.arange(len(values)) + n_memory
        edge = (self._run + 1) * depth
        found = []
        for lag in lags:
            rows = np.where(self.place >= lag, here - lag, edge + self.place - lag)
            found.append(both.take(rows, axis=0))
        place = self._lengths[:, None] + np.arange(depth)
        kept = np.arange(len(memories))[:, None] * depth + place
        new = n_memory + self._first[:, None] + place - depth
        latest = both.take(np.where(place < depth, kept, new), axis=0)
        for memory, own in zip(memories, latest, strict=True):
            memory[:] = own
        return found


@dataclass(slots=True, eq=False)
class _Turn:
    """Runs of different sensors that are answered in one go, and who ends behind them."""

    first: int
    states: list[ContextState]
    lengths: list[int]
    ended: list[ContextState]


def _turns(
    states: Sequence[ContextState], lengths: Sequence[int], ends: Sequence[bool]
) -> list[_Turn]:
    """Cut a batch where a sensor comes again: its second run follows on its first."""
    turns = [_Turn(0, [], [], [])]
    seen: set[int] = set()
    first = 0
    for state, length, end in zip(states, lengths, ends, strict=True):
        if length and id(state) in seen:
            turns.append(_Turn(first, [], [], []))
            seen = set()
        if length:
            turns[-1].states.append(state)
            turns[-1].lengths.append(length)
        if length or end:
            seen.add(id(state))
        if end:
            turns[-1].ended.append(state)
        first += length
    return turns


def _level_changes(
    runs: _Runs,
    levels: Floats,
    followed: Floats,
    states: Sequence[ContextState],
    n_seen: NDArray[np.int64],
) -> Floats:
    """Changes of all components' level, the vertical's and the horizontals', (n, 15)."""
    memories = [state.levels for state in states]
    earlier = np.stack(runs.follow(levels, memories, LEVEL_LAGS), axis=1)
    changes = _scaled(followed[:, None] - _followed(earlier))
    changes[n_seen[:, None] < np.asarray(LEVEL_LAGS)] = 0.0
    return changes.transpose(0, 2, 1).reshape(len(levels), -1)


def _followed(levels: Floats) -> Floats:
    """Levels of all components, the vertical and the horizontals, (..., 3)."""
    horizontal = np.maximum(levels[..., 0], levels[..., 1])
    vertical = levels[..., 2]
    return np.stack([np.maximum(horizontal, vertical), vertical, horizontal], axis=-1)


def _level_ratio(followed: Floats, peaks: Floats) -> Floats:
    """The vertical's level over the horizontals', 0 where either is missing, (n, 1)."""
    _, vertical, horizontal = followed.T
    both = (peaks[:, 2] > 0.0) & (peaks[:, :2] > 0.0).any(axis=1)
    ratio: Floats = np.where(both, _scaled(vertical - horizontal), np.float32(0.0))
    return ratio[:, None]


def _scaled(change: Floats) -> Floats:
    limit = np.float32(LARGEST_LEVEL_CHANGE)
    scaled: Floats = np.clip(change, -limit, limit) / np.float32(LEVEL_SCALE)
    return scaled


def _product(values: Floats, kernel: Floats) -> Floats:
    """Matrix product in portions of a fixed number of rows."""
    n = len(values)
    n_full = -(-n // _ROWS) * _ROWS
    if n_full != n:
        values = np.concatenate([values, np.zeros((n_full - n, values.shape[1]), np.float32)])
    result = np.empty((n_full, kernel.shape[1]), dtype=np.float32)
    for first in range(0, n_full, _ROWS):
        rows = slice(first, first + _ROWS)
        np.matmul(values[rows], kernel, out=result[rows])
    return result[:n]


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    answers: Floats = powers / powers.sum(axis=1, keepdims=True)
    return answers
