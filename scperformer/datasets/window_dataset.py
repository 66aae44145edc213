"""Drawing windows from files that are larger than the memory.

A file is read in blocks of consecutive windows, because single windows scattered over a
disk are slow. Blocks from random places, about `GROUP_WINDOWS` windows together, are in
memory at a time, and their windows are shuffled. Every window comes once before any
comes again. What comes n-th depends on the seed and on n alone, so that a training can
be resumed anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.columns import Columns
from scperformer.datasets.window_file import WindowFile
from scperformer.errors import InputError
from scperformer.types import CLASSES

BLOCK_WINDOWS = 256
GROUP_WINDOWS = 8192
_LARGEST_BLOCK = 2048
_FEWEST_BLOCKS = 4
_SAMPLE_RUN = 32
_ORDER, _SHUFFLE = 1_000_001, 1_000_002
_NOISE = CLASSES.index("noise")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledWindows(Columns):
    """Windows from files: (n, 400, 3) float32 and their labels, (n,) int64."""

    windows: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def targets(self) -> NDArray[np.float32]:
        """The labels as probabilities, (n, 3) float32."""
        return np.eye(len(CLASSES), dtype=np.float32)[self.labels]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Components with a signal, (n, 3) bool; one that is silent throughout is missing."""
        return np.asarray(self.windows.any(axis=1))


class WindowDataset:
    """The windows of files that are used for one purpose.

    Args:
        files: open files.
        uses: for each file (n,) int8, what its windows are for.
        use: the purpose: windows of which `uses` says so belong here.

    Attributes:
        count: how many there are.
        class_counts: how many of P, S and noise.

    Raises:
        InputError: there are none.
    """

    def __init__(
        self, files: Sequence[WindowFile], uses: Sequence[NDArray[np.int8]], use: int
    ) -> None:
        self._files = tuple(files)
        self._mine = [np.equal(column, use) for column in uses]
        blocks: list[tuple[int, int, int, int]] = []
        for number, (file, mine) in enumerate(zip(self._files, self._mine, strict=True)):
            size = _block_windows(file)
            firsts = np.arange(0, len(file), size)
            counts = np.add.reduceat(mine, firsts, dtype=np.int64)
            blocks += [
                (number, int(first), min(int(first) + size, len(file)), int(count))
                for first, count in zip(firsts, counts, strict=True)
                if count
            ]
        self._blocks = np.array(blocks, dtype=np.int64).reshape(-1, 4)
        largest = int((self._blocks[:, 2] - self._blocks[:, 1]).max(initial=1))
        self._group_blocks = max(GROUP_WINDOWS // largest, _FEWEST_BLOCKS)
        self.count = int(self._blocks[:, 3].sum())
        if not self.count:
            names = ", ".join(str(file.path) for file in self._files)
            raise InputError(f"{names}: no windows for this purpose; check their split and use")
        classes = [
            np.bincount(file.labels[mine], minlength=len(CLASSES))
            for file, mine in zip(self._files, self._mine, strict=True)
        ]
        self.class_counts: tuple[int, ...] = tuple(int(n) for n in np.sum(classes, axis=0))

    def batches(
        self, size: int, *, seed: int, start: int = 0, balance: bool = False
    ) -> Iterator[LabelledWindows]:
        """Yield shuffled windows without end.

        Args:
            size: windows at a time.
            seed: decides their order.
            start: number of the first window in that order.
            balance: P, S and noise as often as each other, as far as a group of blocks
                has them: rarer ones are repeated, more frequent ones left out.
        """
        waiting: list[LabelledWindows] = []
        n_waiting = 0
        for group in self._groups(seed=seed, start=start, balance=balance):
            waiting.append(group)
            n_waiting += len(group)
            if n_waiting < size:
                continue
            whole = LabelledWindows.join(waiting)
            last = n_waiting // size * size
            for first in range(0, last, size):
                yield whole.take(slice(first, first + size))
            waiting, n_waiting = [whole.take(slice(last, None))], n_waiting - last

    def sample(self, count: int, rng: np.random.Generator) -> LabelledWindows:
        """Draw windows once, in short runs from all over the files.

        Where there are not so many, all come equally often.
        """
        if count >= self.count:
            whole = self._read_blocks(range(len(self._blocks)))
            return whole.take(rng.permutation(np.resize(np.arange(self.count), count)))
        share = self._blocks[:, 3] / self.count
        parts: list[LabelledWindows] = []
        drawn = 0
        while drawn < count:
            runs = -(-(count - drawn) // _SAMPLE_RUN)
            for number in np.sort(rng.choice(len(self._blocks), runs, p=share)):
                block = self._read_block(int(number))
                first = int(rng.integers(0, max(len(block) - _SAMPLE_RUN, 0) + 1))
                parts.append(block.take(slice(first, first + _SAMPLE_RUN)))
                drawn += len(parts[-1])
        whole = LabelledWindows.join(parts)
        return whole.take(rng.permutation(len(whole))[:count])

    def _groups(self, *, seed: int, start: int, balance: bool) -> Iterator[LabelledWindows]:
        number, skip = divmod(start, self.count)
        while True:
            order = np.random.default_rng([seed, _ORDER, number]).permutation(len(self._blocks))
            for first in range(0, len(order), self._group_blocks):
                group = order[first : first + self._group_blocks]
                size = int(self._blocks[group, 3].sum())
                if skip >= size:
                    skip -= size
                    continue
                rng = np.random.default_rng([seed, _SHUFFLE, number, first])
                windows = self._read_blocks(np.sort(group))
                rows = _balanced(windows.labels, rng) if balance else rng.permutation(size)
                yield windows.take(rows[skip:])
                skip = 0
            number += 1

    def _read_blocks(self, numbers: Iterable[int]) -> LabelledWindows:
        return LabelledWindows.join([self._read_block(int(number)) for number in numbers])

    def _read_block(self, number: int) -> LabelledWindows:
        file, first, end, _ = self._blocks[number].tolist()
        mine = self._mine[file][first:end]
        windows = self._files[file].read(first, end)
        labels = self._files[file].labels[first:end].astype(np.int64)
        # Silence, and what could not be read as numbers, is noise whatever its label says.
        labels[~windows.any(axis=(1, 2))] = _NOISE
        block = LabelledWindows(windows, labels)
        return block if mine.all() else block.take(mine)


def _block_windows(file: WindowFile) -> int:
    """A multiple of the file's chunks, so that no chunk is read twice."""
    chunk = file.chunk_windows
    if chunk > _LARGEST_BLOCK:
        return BLOCK_WINDOWS
    return -(-BLOCK_WINDOWS // chunk) * chunk


def _balanced(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """As many rows as there are labels, each class that occurs as often as the others."""
    classes = [np.flatnonzero(labels == number) for number in range(len(CLASSES))]
    classes = [rng.permutation(members) for members in classes if len(members)]
    each = -(-len(labels) // len(classes))
    rows = np.concatenate([np.resize(members, each) for members in classes])
    mixed: NDArray[np.int64] = rng.permutation(rows)[: len(labels)]
    return mixed
