"""Where windows lie in the records, and cutting them out.

A window is 400 samples; its class refers to its centre, sample 200. Centres are
given as a record's number and a sample within it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from scperformer.datasets.columns import Columns
from scperformer.datasets.records import StationRecord
from scperformer.datasets.window_dataset import WindowDataset
from scperformer.errors import InputError
from scperformer.types import N_COMPONENTS, WINDOW_SAMPLES

HALF = WINDOW_SAMPLES // 2


@dataclass(frozen=True, slots=True, eq=False)
class Centres(Columns):
    """Window centres.

    Attributes:
        record: (n,) int64, number of the record in its bank.
        sample: (n,) int64, the centre's sample within the record.
    """

    record: NDArray[np.int64]
    sample: NDArray[np.int64]


NOWHERE = Centres(np.empty(0, np.int64), np.empty(0, np.int64))


class WindowBank:
    """Records laid end to end, so that many windows are cut in one go.

    Args:
        records: each of 400 samples or more.
        dataset: windows of files, which were cut already.

    Raises:
        InputError: neither records nor windows, or a record shorter than a window.
    """

    def __init__(
        self, records: Sequence[StationRecord], dataset: WindowDataset | None = None
    ) -> None:
        if not records and dataset is None:
            raise InputError("no records to cut windows from; check folders and validation.share")
        for record in records:
            if len(record.samples) < WINDOW_SAMPLES:
                raise InputError(
                    f"{record.sensor_id}: {len(record.samples)} samples, "
                    f"wanted {WINDOW_SAMPLES} or more"
                )
        self.records = tuple(records)
        self.dataset = dataset
        self.lengths = np.array([len(record.samples) for record in records], dtype=np.int64)
        present = [record.present for record in records]
        self.present = np.array(present, dtype=bool).reshape(-1, N_COMPONENTS)
        self._first = np.concatenate([[0], np.cumsum(self.lengths)])[:-1]
        nothing = np.empty((0, N_COMPONENTS), np.float32)
        self._samples = np.concatenate([nothing, *(record.samples for record in records)])
        self._windows = as_strided(
            self._samples.reshape(-1),
            shape=(max(len(self._samples) - WINDOW_SAMPLES + 1, 0), WINDOW_SAMPLES * N_COMPONENTS),
            strides=(N_COMPONENTS * self._samples.itemsize, self._samples.itemsize),
            writeable=False,
        )

    def positions(self, centres: Centres) -> NDArray[np.int64]:
        """Return (n,) int64 numbers of the centres that count through all records."""
        positions: NDArray[np.int64] = self._first[centres.record] + centres.sample
        return positions

    def contains(self, centres: Centres) -> NDArray[np.bool_]:
        """Return which windows lie inside their record, (n,) bool."""
        last = self.lengths[centres.record] - HALF
        inside: NDArray[np.bool_] = (centres.sample >= HALF) & (centres.sample <= last)
        return inside

    def clip(self, centres: Centres) -> Centres:
        """Move centres by as little as their windows need to lie inside the record."""
        last = self.lengths[centres.record] - HALF
        return Centres(centres.record, np.clip(centres.sample, HALF, last))

    def cut(self, centres: Centres) -> NDArray[np.float32]:
        """Return (n, 400, 3) float32 windows, components N, E, Z, not normalised.

        Raises:
            IndexError: a window leaves its record.
        """
        if not self.contains(centres).all():
            raise IndexError("a window leaves its record")
        flat = self._windows[self.positions(centres) - HALF]
        return flat.reshape(-1, WINDOW_SAMPLES, N_COMPONENTS)


def grid(bank: WindowBank, *, step_samples: int) -> Centres:
    """Return a centre every `step_samples` in every record."""
    samples = [np.arange(HALF, length - HALF + 1, step_samples) for length in bank.lengths]
    parts = [
        Centres(np.full(len(part), number, np.int64), part.astype(np.int64))
        for number, part in enumerate(samples)
    ]
    return Centres.join([NOWHERE, *parts])


def anywhere(bank: WindowBank, count: int, rng: np.random.Generator) -> Centres:
    """Return random centres; every possible window is as likely as any other.

    Raises:
        ValueError: there are no records, and `count` is not 0.
    """
    choices = bank.lengths - WINDOW_SAMPLES + 1
    ends = np.cumsum(choices)
    drawn = rng.integers(0, int(ends[-1]) if len(ends) else 0, count)
    number = np.searchsorted(ends, drawn, side="right")
    sample = drawn - (ends[number] - choices[number]) + HALF
    return Centres(number.astype(np.int64), sample.astype(np.int64))


def around(
    bank: WindowBank,
    centres: Centres,
    count: int,
    rng: np.random.Generator,
    *,
    shift_samples: int,
    weights: NDArray[np.float64] | None = None,
) -> Centres:
    """Return random windows near given centres, such as picks.

    Args:
        bank: the records.
        centres: at least one.
        count: how many to draw, with replacement.
        rng: source of chance.
        shift_samples: largest shift to either side, evenly distributed.
        weights: (n,) relative probability of each centre, equal by default.
    """
    share = None if weights is None else np.cumsum(weights / weights.sum())
    if share is None:
        which = rng.integers(0, len(centres), count)
    else:
        which = np.minimum(np.searchsorted(share, rng.random(count)), len(centres) - 1)
    chosen = centres.take(which)
    shift = rng.integers(-shift_samples, shift_samples + 1, count)
    return bank.clip(Centres(chosen.record, chosen.sample + shift))
