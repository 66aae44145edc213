"""Three components of a sensor brought together."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from scperformer.core.channels import GridChunk
from scperformer.core.raw import RawRun
from scperformer.naming import NO_CODES, Codes, component_places, holders
from scperformer.types import N_COMPONENTS


@lru_cache(maxsize=16)
def component_flags(flags: tuple[bool, ...]) -> NDArray[np.bool_]:
    """Return flags of the components as a shared array that cannot be written."""
    array = np.array(flags)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Aligned samples of three components over which their presence does not change.

    Attributes:
        index: grid index of the first sample.
        samples: (3, n) float64, zeros where a component is absent.
        present: (3,) bool, from `component_flags`.
        fresh: (3,) bool, components whose run begins with this block, likewise.
        offset_ns: (3,) int64, true time minus grid time; the same array as long as it
            does not change.
        letters: component letters in the order N, E, Z; empty where unknown.
        raw: what the present components recorded; None where one is absent.
    """

    index: int
    samples: NDArray[np.float64]
    present: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    offset_ns: NDArray[np.int64]
    letters: tuple[str, ...]
    raw: tuple[RawRun | None, ...]

    @property
    def end(self) -> int:
        """Grid index that follows the last sample."""
        return self.index + int(self.samples.shape[1])


class Assembler:
    """Aligns the chunks of a sensor's components into blocks of three.

    Which component stands in which place is decided anew wherever one begins or ends
    (`naming.holders`), so that a component may go on under another name.

    A sensor goes on as far as all its components are known. One that stays behind
    is given up, for the moment, once the others run ahead of it by more than
    `wait_samples`. While it is missing the others go no further than to the
    beginning of the latest record, so that it can come back without a loss; what
    it sends for the time already passed is too late.

    Args:
        wait_samples: how far the others may run ahead.
        largest_block: longest block in samples.
        expected: components that will come; if empty, the sensor waits for three
            before it begins.
        codes: further component letters.

    Attributes:
        unused: samples that were left out because another component held their place.
    """

    def __init__(
        self,
        wait_samples: int,
        largest_block: int,
        expected: frozenset[str] = frozenset(),
        codes: Codes = NO_CODES,
    ) -> None:
        self.unused: Counter[str] = Counter()
        self._codes = codes
        self._heard = expected
        self._wait = wait_samples
        self._largest = largest_block
        self._chunks: dict[str, deque[GridChunk]] = {letter: deque() for letter in expected}
        self._known_to: dict[str, int | None] = dict.fromkeys(expected)
        self._complete = bool(expected)
        self._position: int | None = None
        self._front = 0
        self._previous_end = -1
        self._previous_letters: tuple[str, ...] = ("",) * N_COMPONENTS
        self._offsets_ns = [0] * N_COMPONENTS
        self._offset_ns = np.zeros(N_COMPONENTS, dtype=np.int64)
        self._names: tuple[str, ...] = ("",) * N_COMPONENTS

    def hear(self, letter: str) -> None:
        """Learn that the sensor has a component."""
        self._heard |= {letter}

    def has_place(self, letter: str) -> bool:
        """Whether a component would be used if it were alone."""
        return letter in holders(frozenset((letter,)), self._heard, self._codes)

    def push(self, letter: str, chunk: GridChunk) -> int:
        """Take a chunk; return how many of its samples came too late.

        A chunk says nothing of how far the sensor has come: it may be the end of a long
        record in which samples are missing. `note_front` does.
        """
        queue = self._chunks.get(letter)
        if queue is None:
            queue = self._chunks[letter] = deque()
            self.hear(letter)
        self._known_to[letter] = chunk.end
        n_late: int = 0
        if self._position is not None and chunk.index < self._position:
            n_late = min(self._position - chunk.index, len(chunk.samples))
            if n_late == len(chunk.samples):
                return n_late
            chunk = replace(chunk, index=self._position, samples=chunk.samples[n_late:], fresh=True)
        queue.append(chunk)
        return n_late

    def note_front(self, index: int) -> None:
        """Learn that a record beginning at `index` has arrived, whatever waits for it."""
        self._front = max(self._front, index)

    def advance(self, *, final: bool = False) -> Iterator[Block]:
        """Yield the blocks that are certain; all that there is if `final`."""
        if not final and self._nothing_new():
            return
        horizon = self._horizon(final=final)
        if horizon is None:
            return
        if self._position is None:
            first = min(queue[0].index for queue in self._chunks.values() if queue)
            if horizon <= first:
                # Nothing is certain yet; a component that begins earlier may still come.
                return
            self._position = first
        while self._position < horizon:
            block = self._next_block(horizon)
            if block is not None:
                yield block

    def _nothing_new(self) -> bool:
        """The usual case between two components' records: one is awaited, and may be."""
        if self._position is None:
            return False
        known = [k for k in self._known_to.values() if k is not None]
        return bool(known) and self._position >= min(known) >= self._front - self._wait

    def _horizon(self, *, final: bool) -> int | None:
        """How far the sensor may go, None if it may not begin yet."""
        heads = [queue[0].index for queue in self._chunks.values() if queue]
        if not heads:
            return None
        self._forget_superseded()
        first = self._position if self._position is not None else min(heads)
        known = [first if k is None else k for k in self._known_to.values()]
        if final:
            return max(known)
        if self._position is None and not self._complete:
            places = component_places(frozenset(self._chunks), self._codes)
            self._complete = len(places) == N_COMPONENTS
            if not self._complete and self._front - first <= self._wait:
                return None
        awaited = [k for k in known if self._front - k <= self._wait]
        horizon = min(awaited, default=max(known))
        return horizon if len(awaited) == len(known) else min(horizon, self._front)

    def _forget_superseded(self) -> None:
        """Await no component that has been given up while three others are there."""
        if len(self._known_to) <= N_COMPONENTS or not all(self._previous_letters):
            return
        for letter, known_to in list(self._known_to.items()):
            silent = known_to is None or self._front - known_to > self._wait
            if silent and letter not in self._previous_letters:
                del self._known_to[letter]

    def _next_block(self, horizon: int) -> Block | None:
        assert self._position is not None
        position = self._position
        heads = {letter: self._head(letter, position) for letter in self._chunks}
        active = frozenset(
            letter for letter, head in heads.items() if head is not None and head.index <= position
        )
        ends = [
            head.end if letter in active else head.index
            for letter, head in heads.items()
            if head is not None
        ]
        if not active:
            self._position = min([horizon, *ends])
            return None
        self._position = end = min([horizon, position + self._largest, *ends])
        letters = holders(active, self._heard, self._codes)
        for letter in active.difference(letters):
            self.unused[letter] += end - position
        if not any(letters):
            return None
        return self._cut([heads.get(letter) for letter in letters], letters, position, end)

    def _head(self, letter: str, position: int) -> GridChunk | None:
        queue = self._chunks.get(letter)
        while queue and queue[0].end <= position:
            queue.popleft()
        return queue[0] if queue else None

    def _cut(
        self, heads: list[GridChunk | None], letters: tuple[str, ...], position: int, end: int
    ) -> Block:
        samples = np.zeros((N_COMPONENTS, end - position))
        present = [False] * N_COMPONENTS
        fresh = [False] * N_COMPONENTS
        offset_ns = [0] * N_COMPONENTS
        follows = position == self._previous_end
        for place, head in enumerate(heads):
            if head is None:
                continue
            present[place] = True
            samples[place] = head.samples[position - head.index : end - head.index]
            offset_ns[place] = head.offset_ns
            same = follows and self._previous_letters[place] == letters[place]
            fresh[place] = not same or (head.fresh and head.index == position)
        if offset_ns != self._offsets_ns:
            self._offsets_ns, self._offset_ns = offset_ns, np.array(offset_ns)
        self._previous_end = end
        self._previous_letters = letters
        if letters != self._names:
            self._names = tuple(n or then for n, then in zip(letters, self._names, strict=True))
        return Block(
            index=position,
            samples=samples,
            present=component_flags(tuple(present)),
            fresh=component_flags(tuple(fresh)),
            offset_ns=self._offset_ns,
            letters=self._names,
            raw=tuple(None if head is None else head.raw for head in heads),
        )
