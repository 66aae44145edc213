"""Files of windows with labels: HDF5 with `X`, (n, 400, 3), and `Y`, (n,).

The original program's format; `scperformer dataset` writes it too, with a `split`
beside. Labels and splits (a byte or two a window) are read at once, windows as they
are needed, so that a file of any size can be opened.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from scperformer import hdf5
from scperformer.datasets.splits import (
    NO_SPLIT,
    SPLIT_WORDS,
    SPLITS,
    TRAIN,
    VALIDATION,
    stretches,
)
from scperformer.errors import InputError
from scperformer.types import CLASSES, N_COMPONENTS, WINDOW_SAMPLES

WINDOWS_DATASET, LABELS_DATASET, SPLIT_DATASET = "X", "Y", "split"


class Use(StrEnum):
    """What the windows of a file are for."""

    SPLIT = "split"
    TRAINING = "training"
    VALIDATION = "validation"


@dataclass(frozen=True, slots=True, eq=False)
class WindowFile:
    """An open file of windows with labels.

    Attributes:
        path: where it lies.
        windows: the open dataset, (n, 400, 3).
        labels: (n,) int8, 0 for P, 1 for S, 2 for noise.
        split: (n,) int8, numbers of `SPLITS`, or `NO_SPLIT`; None if the file has none.
    """

    path: Path
    windows: Any
    labels: NDArray[np.int8]
    split: NDArray[np.int8] | None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file; it stays open as long as this lives.

        Raises:
            InputError: no such file, not HDF5, or its datasets are not as wanted.
        """
        wanted = f"wanted windows in {WINDOWS_DATASET} and labels in {LABELS_DATASET}"
        fault = hdf5.trial_fault(path) if path.is_file() else ""
        if fault:
            raise InputError(f"{path}: a damaged HDF5 file: {fault}; {wanted}")
        try:
            file = h5py.File(path, "r")
            windows = _windows(file, path)
            n = len(windows)
            labels = _labels(file, path, n)
            split = _split(file, path, n) if SPLIT_DATASET in file else None
        except hdf5.DAMAGED as error:
            raise InputError(
                f"{path}: no HDF5 file that can be read ({error}); {wanted}"
            ) from error
        return cls(path, windows, labels, split)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def chunk_windows(self) -> int:
        """Windows in one chunk of the file, 1 if it is contiguous."""
        chunks = self.windows.chunks
        return int(chunks[0]) if chunks else 1

    @property
    def counts(self) -> Counter[tuple[int, int]]:
        """Windows by (split, label); all in `NO_SPLIT` if the file has no split."""
        split = np.full(len(self), NO_SPLIT) if self.split is None else self.split
        return Counter(zip(split.tolist(), self.labels.tolist(), strict=True))

    def read(self, first: int, end: int) -> NDArray[np.float32]:
        """Return the windows from `first` to before `end`, (n, 400, 3) float32.

        Values that are not finite, and nothing else, become zeros with their window.

        Raises:
            InputError: the file cannot be read there.
        """
        try:
            raw = np.asarray(self.windows[first:end])
        except hdf5.DAMAGED as error:
            raise InputError(
                f"{self.path}: windows {first} to {end} cannot be read ({error}); the file is "
                "cut short or damaged: copy it again"
            ) from error
        with np.errstate(over="ignore"):
            part = raw.astype(np.float32)
        bad = ~np.isfinite(part).all(axis=(1, 2))
        if bad.any():
            part[bad] = 0.0
        return part

    def uses(self, use: Use, *, share: float, seed: int) -> NDArray[np.int8]:
        """Say what each window is for, (n,) int8: TRAIN, VALIDATION, or else unused.

        Args:
            use: whether the file's own split decides, or all are for one thing.
            share: of a file without a split, this share is held out, in
                contiguous stretches, because neighbours resemble each other.
            seed: decides where the stretches lie.
        """
        if use is Use.TRAINING:
            return np.full(len(self), TRAIN, np.int8)
        if use is Use.VALIDATION:
            return np.full(len(self), VALIDATION, np.int8)
        if self.split is not None:
            return self.split
        return stretches(len(self), share=share, seed=seed)


def _windows(file: h5py.File, path: Path) -> Any:
    wanted = f"wanted N x {WINDOW_SAMPLES} x {N_COMPONENTS} numbers"
    data = file.get(WINDOWS_DATASET)
    if not isinstance(data, h5py.Dataset):
        found = ", ".join(file) or "none"
        raise InputError(f"{path}: no dataset {WINDOWS_DATASET} (found: {found}); {wanted}")
    if data.ndim != 3 or data.shape[1:] != (WINDOW_SAMPLES, N_COMPONENTS):
        raise InputError(f"{path}: {WINDOWS_DATASET} has the shape {data.shape}; {wanted}")
    if data.dtype.kind not in "fiu":
        raise InputError(f"{path}: {WINDOWS_DATASET} holds {data.dtype}; {wanted}")
    if not len(data):
        raise InputError(f"{path}: no windows in it; {wanted}")
    hdf5.check_chunks(data)
    return data


def _labels(file: h5py.File, path: Path, n: int) -> NDArray[np.int8]:
    wanted = f"wanted {n} labels: " + ", ".join(f"{i} for {c}" for i, c in enumerate(CLASSES))
    labels = _column(file, path, LABELS_DATASET, wanted)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.shape[1] == len(CLASSES):
        labels = labels.argmax(axis=1)
    if labels.shape != (n,):
        raise InputError(f"{path}: {LABELS_DATASET} has the shape {labels.shape}; {wanted}")
    if labels.dtype.kind not in "fiub" or not np.isin(labels, range(len(CLASSES))).all():
        raise InputError(f"{path}: {LABELS_DATASET} holds other values; {wanted}")
    return labels.astype(np.int8)


def _split(file: h5py.File, path: Path, n: int) -> NDArray[np.int8]:
    wanted = f"wanted {n} numbers: " + ", ".join(f"{i} for {s}" for i, s in enumerate(SPLITS))
    split = _column(file, path, SPLIT_DATASET, wanted)
    if split.shape != (n,):
        raise InputError(f"{path}: {SPLIT_DATASET} has the shape {split.shape}; {wanted}")
    if split.dtype.kind in "OSU":
        words = [_word(item) for item in split]
        return np.array([SPLIT_WORDS.get(word, NO_SPLIT) for word in words], np.int8)
    known = np.isin(split, range(len(SPLITS)))
    return np.where(known, split, NO_SPLIT).astype(np.int8)


def _word(item: Any) -> str:
    return (item.decode(errors="replace") if isinstance(item, bytes) else str(item)).lower()


def _column(file: h5py.File, path: Path, name: str, wanted: str) -> NDArray[Any]:
    data = file.get(name)
    if not isinstance(data, h5py.Dataset):
        raise InputError(f"{path}: no dataset {name}; {wanted}")
    try:
        return hdf5.read_whole(data)
    except hdf5.DAMAGED as error:
        raise InputError(f"{path}: {name} cannot be read ({error}); {wanted}") from error
