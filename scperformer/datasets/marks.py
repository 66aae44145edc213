"""Picks beside the records that they lie in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.records import StationRecord
from scperformer.types import CLASSES, SAMPLE_NS, Pick

_SAME_PICK_SAMPLES = 50


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Picks in a stretch of samples.

    Attributes:
        sample: (n,) float64, where they lie.
        phase: (n,) int64, 0 for P and 1 for S.
        sure: (n,) bool; the others are neither phase nor noise.
    """

    sample: NDArray[np.float64]
    phase: NDArray[np.int64]
    sure: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.sample)

    def moved(self, first: int, factor: float) -> Marks:
        """Return the marks counted from sample `first` on, in steps of `factor` samples."""
        return Marks((self.sample - first) / factor, self.phase, self.sure)

    def within(self, n_samples: int) -> Marks:
        """Return the marks inside the first `n_samples` samples."""
        inside = (self.sample >= 0) & (self.sample < n_samples)
        return Marks(self.sample[inside], self.phase[inside], self.sure[inside])

    def joined(self, other: Marks) -> Marks:
        """Return these and other marks."""
        return Marks(
            np.concatenate([self.sample, other.sample]),
            np.concatenate([self.phase, other.phase]),
            np.concatenate([self.sure, other.sure]),
        )

    def doubted(self, doubtful: NDArray[np.bool_]) -> Marks:
        """Return the marks with some no longer sure."""
        return Marks(self.sample, self.phase, self.sure & ~doubtful)


@dataclass(frozen=True, slots=True, eq=False)
class MarkedRecord:
    """A record and its picks."""

    record: StationRecord
    marks: Marks


def mark_records(
    records: Sequence[StationRecord], tables: Sequence[Sequence[Pick]], least: float
) -> list[MarkedRecord]:
    """Put the picks of tables beside the records that they lie in.

    The picks of the first table are believed; weak ones, and picks of further tables that
    the first does not have, are doubtful.

    Args:
        records: the records.
        tables: picks, table by table.
        least: probability from which a pick of the first table is believed.
    """
    first, *others = tables or [[]]
    believed, further = _by_station(first), _by_station([p for part in others for p in part])
    return [
        MarkedRecord(
            record, _marks(record, believed[record.station], further[record.station], least)
        )
        for record in records
    ]


def _by_station(labels: Sequence[Pick]) -> defaultdict[str, list[Pick]]:
    table: defaultdict[str, list[Pick]] = defaultdict(list)
    for label in labels:
        table[label.station].append(label)
    return table


def _marks(
    record: StationRecord, believed: Sequence[Pick], further: Sequence[Pick], least: float
) -> Marks:
    rows = [(*place, label.probability >= least) for label, place in _inside(record, believed)]
    known = list(rows)
    for _, (sample, phase) in _inside(record, further):
        same = [abs(sample - s) < _SAME_PICK_SAMPLES for s, p, _ in known if p == phase]
        if not any(same):
            rows.append((sample, phase, False))
    rows.sort()
    samples, phases, sure = zip(*rows, strict=True) if rows else ((), (), ())
    return Marks(
        np.array(samples, dtype=np.float64),
        np.array(phases, dtype=np.int64),
        np.array(sure, dtype=bool),
    )


def _inside(record: StationRecord, labels: Sequence[Pick]) -> list[tuple[Pick, tuple[float, int]]]:
    return [
        (label, ((label.time_ns - record.start_ns) / SAMPLE_NS, CLASSES.index(label.phase)))
        for label in labels
        if record.start_ns <= label.time_ns < record.end_ns
    ]
