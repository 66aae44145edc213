"""Files of windows with labels: HDF5 with `X`, (n, 400, 3), and `Y`, (n,).

`X` float32 and `Y` int8 are the original program's format. What `scperformer dataset` writes
has beside them, a row a window: `split` (0 training, 1 validation, 2 test), `event`, `station`
and `trace` (texts), `components` (live ones), `time_ns` (of the window's centre, 0 if it is not
known) and `shift_samples` (the centre minus the pick, 0 for noise).

Labels and splits are read at once, windows as they are needed; windows are written as they
come: a file of any size needs bounded memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from scperformer import hdf5
from scperformer.atomic import AtomicFile, Closing
from scperformer.datasets.splits import (
    NO_SPLIT,
    SPLIT_WORDS,
    SPLITS,
    TRAIN,
    VALIDATION,
    stretches,
)
from scperformer.errors import InputError, OutputError
from scperformer.types import CLASSES, COMPONENTS, N_COMPONENTS, SAMPLING_RATE_HZ, WINDOW_SAMPLES

WINDOWS_DATASET, LABELS_DATASET, SPLIT_DATASET = "X", "Y", "split"
FORMAT, FORMAT_VERSION = "scperformer-windows", 1
CHUNK_WINDOWS = 128
_WAITING_WINDOWS = 512
_COLUMN_CHUNK = 4096
_COLUMNS: Mapping[str, tuple[str, Any]] = {
    LABELS_DATASET: ("label", np.int8),
    SPLIT_DATASET: ("split", np.int8),
    "components": ("n_components", np.int8),
    "time_ns": ("time_ns", np.int64),
    "shift_samples": ("shift_samples", np.int16),
    "event": ("event", h5py.string_dtype()),
    "station": ("station", h5py.string_dtype()),
    "trace": ("trace", h5py.string_dtype()),
}
"""Datasets beside the windows: of which attribute of a `LabelledWindow`, of what type."""


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


@dataclass(frozen=True, slots=True, eq=False)
class LabelledWindow:
    """A window and what is known of it.

    Attributes:
        samples: (400, 3) float32, components N, E, Z, largest absolute sample 1.
        label: 0 for P, 1 for S, 2 for noise, at the window's centre.
        split: number of `splits.SPLITS`.
        event: name of the earthquake, of the nearest one for noise; may be empty.
        station: ``NET.STA``.
        trace: the sensor or trace that it was cut from.
        n_components: live components.
        time_ns: time of the centre, 0 if it is not known.
        shift_samples: centre minus pick, 0 for noise.
    """

    samples: NDArray[np.float32]
    label: int
    split: int
    event: str
    station: str
    trace: str
    n_components: int
    time_ns: int
    shift_samples: int


class WindowWriter(Closing):
    """Writes one file of windows, complete or not at all.

    As a context manager it closes, or discards if an exception came.

    Args:
        path: the file to be; one that exists is replaced in the end.
        attributes: what the file says of itself, as JSON takes it.

    Attributes:
        counts: windows written, by (split, label).

    Raises:
        OutputError: it cannot be written there.
    """

    def __init__(self, path: Path, attributes: Mapping[str, Any]) -> None:
        self.path = path
        self.counts: Counter[tuple[int, int]] = Counter()
        self._waiting: list[LabelledWindow] = []
        self._output = AtomicFile(path)
        self._file = h5py.File(self._output.hidden, "w")
        self._create(attributes)

    def write(self, window: LabelledWindow) -> None:
        """Add a window.

        Raises:
            OutputError: the disk is full, or the like.
        """
        self._waiting.append(window)
        self.counts[window.split, window.label] += 1
        if len(self._waiting) >= _WAITING_WINDOWS:
            self._append()

    def close(self) -> None:
        """Bring everything to the disk and give the file its name.

        Raises:
            OutputError: it cannot be written.
        """
        self._append()
        try:
            self._file.close()
        except (OSError, RuntimeError) as error:
            self.discard()
            raise OutputError(f"{self.path}: cannot be written ({error})") from error
        self._output.close()

    def discard(self) -> None:
        """Leave no trace."""
        with suppress(OSError, RuntimeError):
            self._file.close()
        self._output.discard()

    def _create(self, attributes: Mapping[str, Any]) -> None:
        self._file.attrs["format"] = FORMAT
        self._file.attrs["format_version"] = FORMAT_VERSION
        self._file.attrs["classes"] = list(CLASSES)
        self._file.attrs["components"] = list(COMPONENTS)
        self._file.attrs["splits"] = list(SPLITS)
        self._file.attrs["sampling_rate_hz"] = SAMPLING_RATE_HZ
        self._file.attrs["made"] = json.dumps(attributes, sort_keys=True, default=str)
        shape = (WINDOW_SAMPLES, N_COMPONENTS)
        self._add_column(WINDOWS_DATASET, np.float32, shape, CHUNK_WINDOWS)
        for name, (_, kind) in _COLUMNS.items():
            self._add_column(name, kind, (), _COLUMN_CHUNK)

    def _add_column(self, name: str, kind: Any, shape: tuple[int, ...], chunk: int) -> None:
        self._file.create_dataset(
            name, (0, *shape), kind, maxshape=(None, *shape), chunks=(chunk, *shape)
        )

    def _append(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        columns: dict[str, Any] = {WINDOWS_DATASET: np.stack([w.samples for w in waiting])}
        for name, (attribute, _) in _COLUMNS.items():
            columns[name] = [getattr(window, attribute) for window in waiting]
        try:
            for name, values in columns.items():
                dataset = self._file[name]
                first = len(dataset)
                dataset.resize(first + len(waiting), axis=0)
                dataset[first:] = values
        except (OSError, RuntimeError) as error:
            raise OutputError(f"{self.path}: cannot be written ({error})") from error


class SplitWriter(Closing):
    """Writes windows into one file, or into a file for each split.

    Args:
        path: the file to be; ``NAME_train.h5`` and so on beside it if `apart`.
        attributes: as `WindowWriter` has them.
        apart: a file for each split.
    """

    def __init__(self, path: Path, attributes: Mapping[str, Any], *, apart: bool) -> None:
        self._path = path
        self._attributes = attributes
        self._apart = apart
        self._writers: dict[int, WindowWriter] = {}
        if not apart:
            self._writer(0)

    @property
    def counts(self) -> Counter[tuple[int, int]]:
        """Windows written, by (split, label)."""
        return sum((writer.counts for writer in self._writers.values()), Counter())

    @property
    def paths(self) -> list[Path]:
        return [self._writers[key].path for key in sorted(self._writers)]

    def write(self, window: LabelledWindow) -> None:
        """Add a window; see `WindowWriter.write`."""
        self._writer(window.split if self._apart else 0).write(window)

    def close(self) -> None:
        """Complete the files; one that cannot be written leaves no trace, nor do those behind it.

        Raises:
            OutputError: a file cannot be written.
        """
        try:
            for writer in self._writers.values():
                writer.close()
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave no trace of what is not complete."""
        for writer in self._writers.values():
            writer.discard()

    def _writer(self, key: int) -> WindowWriter:
        if key not in self._writers:
            path = self._path
            if self._apart:
                path = path.with_name(f"{path.stem}_{SPLITS[key]}{path.suffix}")
            self._writers[key] = WindowWriter(path, self._attributes)
        return self._writers[key]


def describe_counts(counts: Mapping[tuple[int, int], int]) -> Sequence[str]:
    """Return a small table: windows of each class in each split that has any."""
    lines = [f"{'':<12}" + "".join(f"{name:>10}" for name in (*CLASSES, "all"))]
    for number, split in (*enumerate(SPLITS), (NO_SPLIT, "no split")):
        if not any(counts.get((number, label)) for label in range(len(CLASSES))):
            continue
        row = [counts.get((number, label), 0) for label in range(len(CLASSES))]
        lines.append(f"{split:<12}" + "".join(f"{count:>10}" for count in (*row, sum(row))))
    return lines


def empty_splits(counts: Mapping[tuple[int, int], int], shares: Sequence[float]) -> Sequence[str]:
    """Return a line for each split that was to have windows and has none."""
    filled = {split for split, _ in counts}
    return [
        f"no window for {name}: too few earthquakes or stations to divide, or too large ones; "
        "see --split-by and --event-gap"
        for number, (name, share) in enumerate(zip(SPLITS, shares, strict=True))
        if share > 0.0 and number not in filled
    ]


def require_windows(counts: Mapping[tuple[int, int], int]) -> None:
    """Check that there is anything to write.

    Raises:
        InputError: no windows.
    """
    if not sum(counts.values()):
        raise InputError(
            "no window could be cut: no pick lies in a waveform; check that the picks' times, "
            "networks and stations are those of the waveforms"
        )
