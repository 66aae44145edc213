"""Windows of a batch laid out for a network, written into a buffer that is used again.

The network's first layer looks at patches: all 22 frames of 3 bins, 3 components each.
With the rows cut into their 11 patches first, a window's patch is one stretch of memory,
and consecutive windows are one strided copy.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from scperformer.networks.contract import PATCH, PATCH_BINS, PATCHES
from scperformer.stft import BINS, COLUMN, FRAMES
from scperformer.types import N_COMPONENTS, WINDOW_SAMPLES, WindowBatch

ABSENT_DECIBELS = np.float32(-1e30)
"""Below every floor, whatever the peak."""

_PATCH_COLUMN = PATCH_BINS * N_COMPONENTS
_LEAST_WINDOWS_A_RUN = 4
_ROWS_A_WINDOW_TO_TURN_ALL = 6

Floats = NDArray[np.float32]


class PatchSource:
    """Reads windows of a batch of columns as patches.

    Args:
        batch: rows are STFT columns in decibels.
    """

    shape: tuple[int, ...] = (PATCHES, PATCH)

    def __init__(self, batch: WindowBatch) -> None:
        self._batch = batch
        self._views: Floats | None = None
        if 0 < len(batch.rows) <= _ROWS_A_WINDOW_TO_TURN_ALL * len(batch):
            self._views, self._starts = _patch_views(batch)

    def read(self, windows: slice, out: Floats) -> None:
        """Write windows as (n, 11, 198) patches; absent components get `ABSENT_DECIBELS`."""
        if self._views is None:
            _read_columns(self._batch, windows, out)
        else:
            _read_views(self._views, self._starts[windows], out)
        columns = out.reshape(-1, PATCHES, FRAMES, PATCH_BINS, N_COMPONENTS)
        _overwrite(columns, self._batch.present[windows], ABSENT_DECIBELS)

    def scale(self, windows: slice, out: Floats) -> None:
        """Write what is subtracted from windows: decibels of their peaks, (n,).

        A window of zeros has no peak: the largest number puts all of it on the floor.
        """
        peak = self._batch.peak[windows].astype(np.float64)
        with np.errstate(divide="ignore"):
            decibels = 10.0 * np.log10(peak)
        out[:] = np.where(peak > 0, decibels, -float(ABSENT_DECIBELS))


class ColumnSource(PatchSource):
    """Reads windows of a batch of columns as spectrograms, (22, 33, 3)."""

    shape = (FRAMES, BINS, N_COMPONENTS)

    def __init__(self, batch: WindowBatch) -> None:
        self._batch = batch

    def read(self, windows: slice, out: Floats) -> None:
        """Write windows as (n, 22, 33, 3); absent components get `ABSENT_DECIBELS`."""
        _take(self._batch, windows, FRAMES, out.reshape(len(out), FRAMES, COLUMN))
        _overwrite(out, self._batch.present[windows], ABSENT_DECIBELS)


class SampleSource:
    """Reads windows of a batch of samples, (400, 3).

    Args:
        batch: rows are samples.
    """

    shape: tuple[int, ...] = (WINDOW_SAMPLES, N_COMPONENTS)

    def __init__(self, batch: WindowBatch) -> None:
        self._batch = batch

    def read(self, windows: slice, out: Floats) -> None:
        """Write windows as (n, 400, 3); absent components are zeros."""
        _take(self._batch, windows, WINDOW_SAMPLES, out)
        _overwrite(out, self._batch.present[windows], np.float32(0.0))

    def scale(self, windows: slice, out: Floats) -> None:
        """Write what windows are divided by: their peaks, 1 for windows of zeros, (n,)."""
        peak = self._batch.peak[windows]
        out[:] = np.where(peak > 0, peak, np.float32(1.0))


def _take(batch: WindowBatch, windows: slice, rows: int, out: Floats) -> None:
    places = batch.starts[windows, np.newaxis] + np.arange(rows) * batch.stride
    # mode="clip" because "raise" goes through a copy; the bounds are checked at the door.
    np.take(batch.rows, places, axis=0, out=out, mode="clip")


def _patch_views(batch: WindowBatch) -> tuple[Floats, NDArray[np.int64]]:
    """Turn the rows to patches.

    Returns:
        (11, n, 198) view: all 22 frames of a patch from each row on, and (n_windows,)
        the place of each window's first row in it.
    """
    stride = batch.stride
    length = -(-len(batch.rows) // stride)
    turned = np.zeros((PATCHES, stride, length, _PATCH_COLUMN), dtype=np.float32)
    for phase in range(stride):
        rows = batch.rows[phase::stride].reshape(-1, PATCHES, _PATCH_COLUMN)
        turned[:, phase, : len(rows)] = rows.transpose(1, 0, 2)
    item = turned.itemsize
    views = as_strided(
        turned,
        shape=(PATCHES, stride * length - FRAMES + 1, PATCH),
        strides=(stride * length * _PATCH_COLUMN * item, _PATCH_COLUMN * item, item),
        writeable=False,
    )
    return views, batch.starts % stride * length + batch.starts // stride


def _read_views(views: Floats, starts: NDArray[np.int64], out: Floats) -> None:
    steps = np.diff(starts)
    bounds = np.flatnonzero(np.diff(steps)) + 1
    if (len(bounds) + 1) * _LEAST_WINDOWS_A_RUN > len(starts):
        for patch in range(PATCHES):
            out[:, patch] = views[patch][starts]
        return
    _read_runs(views, starts, steps, out)


def _read_runs(
    views: Floats, starts: NDArray[np.int64], steps: NDArray[np.int64], out: Floats
) -> None:
    """Copy stretch by stretch of windows that follow each other at a constant step."""
    turned = out.transpose(1, 0, 2)
    first = 0
    while first < len(starts):
        step = int(steps[first]) if first < len(steps) else 1
        same = steps[first:] == step
        n = len(starts) - first if same.all() else int(np.argmin(same)) + 1
        if step <= 0:
            n, step = 1, 1
        begin = int(starts[first])
        turned[:, first : first + n] = views[:, begin : begin + (n - 1) * step + 1 : step]
        first += n


def _read_columns(batch: WindowBatch, windows: slice, out: Floats) -> None:
    """Copy windows that share few rows: turning every row would cost more."""
    columns = np.empty((len(out), FRAMES, COLUMN), dtype=np.float32)
    _take(batch, windows, FRAMES, columns)
    patches = columns.reshape(-1, FRAMES, PATCHES, _PATCH_COLUMN)
    out.reshape(-1, PATCHES, FRAMES, _PATCH_COLUMN)[:] = patches.transpose(0, 2, 1, 3)


def _overwrite(windows: Floats, present: NDArray[np.bool_], value: np.float32) -> None:
    """Set components that are not there; components are the last axis of `windows`."""
    if present.all():
        return
    for component in range(N_COMPONENTS):
        windows[~present[:, component], ..., component] = value
