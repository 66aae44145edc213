"""Files of windows in, files of probabilities out: NumPy archives and HDF5."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from scperformer import hdf5, npz
from scperformer.atomic import AtomicFile
from scperformer.errors import InputError, OutputError
from scperformer.types import CLASSES, N_COMPONENTS, WINDOW_SAMPLES

DATASETS = ("windows", "X")
ANSWER_DATASET = "probabilities"
NUMPY_SUFFIXES = (".npz",)
HDF5_SUFFIXES = (".h5", ".hdf5", ".hd5")
_DAMAGED = (*npz.DAMAGED, *hdf5.DAMAGED)
_WANTED = f"N x {WINDOW_SAMPLES} x {N_COMPONENTS} numbers in a dataset 'windows' or 'X'"

Windows = NDArray[np.float32]


class UnlabelledWindows:
    """An open file of windows whose classes are to be predicted.

    Args:
        path: for messages.
        data: the dataset, an array or an open HDF5 dataset.

    Raises:
        InputError: another shape, or not numbers.
    """

    def __init__(self, path: Path, data: Any) -> None:
        self._path = path
        self._data = data
        shape = tuple(data.shape)
        if len(shape) != 3 or shape[1:] != (WINDOW_SAMPLES, N_COMPONENTS):
            raise InputError(f"{path}: the dataset has shape {shape}; wanted {_WANTED}")
        if data.dtype.kind not in "fiu":
            raise InputError(f"{path}: the dataset holds {data.dtype}; wanted {_WANTED}")

    def __len__(self) -> int:
        return int(self._data.shape[0])

    def parts(self, size: int) -> Iterator[Windows]:
        """Yield the windows as (n, 400, 3) float32, n at most `size`.

        Raises:
            InputError: a value is not finite, or the file cannot be read to its end.
        """
        for start in range(0, len(self), size):
            try:
                raw = np.asarray(self._data[start : start + size])
            except _DAMAGED as error:
                raise InputError(f"{self._path}: cannot be read to its end ({error})") from error
            with np.errstate(over="ignore"):
                part = raw.astype(np.float32)
            bad = ~np.isfinite(part).all(axis=(1, 2))
            if bad.any():
                raise InputError(
                    f"{self._path}: window {start + int(np.argmax(bad))} has values that are not "
                    "finite in single precision; leave it out or repair it"
                )
            yield part


@contextmanager
def open_windows(path: Path) -> Iterator[UnlabelledWindows]:
    """Open a file of windows; the suffix tells the format.

    HDF5 files are read part by part. NumPy archives are read at once.

    Raises:
        InputError: no such file, not of its format, no dataset of windows, wrong shape.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; wanted {_WANTED}")
    opened = _opener(path, InputError)
    try:
        file = opened(path)
    except _DAMAGED as error:
        raise InputError(
            f"{path}: not a readable {path.suffix} file, or cut short ({error})"
        ) from error
    with file:
        try:
            windows = UnlabelledWindows(path, _dataset(path, file))
        except _DAMAGED as error:
            raise InputError(f"{path}: cannot be read ({error}); wanted {_WANTED}") from error
        yield windows


def write_probabilities(path: Path, answers: Iterable[Windows], n_windows: int) -> None:
    """Write (n_windows, 3) float32 probabilities, complete or not at all.

    Raises:
        InputError: whatever comes from `answers`.
        OutputError: the file cannot be written.
    """
    check_output_name(path)
    shape = (n_windows, len(CLASSES))
    with AtomicFile(path) as output:
        if path.suffix in NUMPY_SUFFIXES:
            probabilities = np.empty(shape, np.float32)
            _fill(probabilities, answers)
            with output.hidden.open("wb") as file:
                np.savez(file, probabilities=probabilities)
        else:
            with h5py.File(output.hidden, "w") as file:
                _fill(file.create_dataset(ANSWER_DATASET, shape, np.float32), answers)


def check_output_name(path: Path) -> None:
    """Check that a result can get this name.

    Raises:
        OutputError: an unknown suffix, a folder of that name, or no folder to put it in.
    """
    _opener(path, OutputError)
    if path.is_dir() or not path.parent.is_dir():
        raise OutputError(f"{path}: wanted the name of a file in a folder that exists")


def _opener(path: Path, error: type[InputError] | type[OutputError]) -> Any:
    if path.suffix in NUMPY_SUFFIXES:
        return npz.NpzFile
    if path.suffix in HDF5_SUFFIXES:
        return _open_hdf5
    known = " ".join((*NUMPY_SUFFIXES, *HDF5_SUFFIXES))
    raise error(f"{path}: unknown suffix {path.suffix!r}; wanted one of {known}")


def _open_hdf5(path: Path) -> Any:
    fault = hdf5.trial_fault(path)
    if fault:
        raise InputError(f"{path}: a damaged HDF5 file: {fault}; copy it again")
    return h5py.File(path, "r")


def _dataset(path: Path, file: Any) -> Any:
    names = list(file)
    for name in DATASETS:
        if name in names and hasattr(data := file[name], "shape"):
            return data
    found = ", ".join(names) or "none"
    raise InputError(f"{path}: datasets found: {found}; wanted {_WANTED}")


def _fill(table: Any, answers: Iterable[Windows]) -> None:
    start = 0
    for rows in answers:
        table[start : start + len(rows)] = rows
        start += len(rows)
