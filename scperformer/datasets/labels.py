"""Picks as labels, where they lie in the records, and what they say of windows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.columns import Columns
from scperformer.datasets.records import StationRecord
from scperformer.datasets.windows import Centres, WindowBank
from scperformer.picks.pick_files import read_pick_file
from scperformer.types import CLASSES, SAMPLE_NS, SAMPLING_RATE_HZ, Pick

NOISE = CLASSES.index("noise")
_SAME_PICK_SAMPLES = 50


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Labels that fall into records.

    Attributes:
        centres: where they lie.
        classes: (n,) int64, 0 for P and 1 for S.
    """

    centres: Centres
    classes: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Marks(Columns):
    """Picks in a stretch of samples.

    Attributes:
        sample: (n,) float64, where they lie.
        phase: (n,) int64, 0 for P and 1 for S.
        sure: (n,) bool; the others are neither phase nor noise.
    """

    sample: NDArray[np.float64]
    phase: NDArray[np.int64]
    sure: NDArray[np.bool_]

    def moved(self, first: int, factor: float) -> Marks:
        """Return the marks counted from sample `first` on, in steps of `factor` samples."""
        return Marks((self.sample - first) / factor, self.phase, self.sure)

    def within(self, n_samples: int) -> Marks:
        """Return the marks inside the first `n_samples` samples."""
        inside = (self.sample >= 0) & (self.sample < n_samples)
        return self.take(inside)

    def joined(self, other: Marks) -> Marks:
        return Marks.join([self, other])

    def doubted(self, doubtful: NDArray[np.bool_]) -> Marks:
        """Return the marks with some no longer sure."""
        return Marks(self.sample, self.phase, self.sure & ~doubtful)


@dataclass(frozen=True, slots=True, eq=False)
class MarkedRecord:
    """A record and its picks."""

    record: StationRecord
    marks: Marks


def read_labels(path: Path, *, threshold: float = 0.0) -> list[Pick]:
    """Read the picks of a file whose probability reaches a threshold; see `pick_files`.

    Raises:
        InputError: no such file, no known layout, or a row that cannot be read.
    """
    return [pick for pick in read_pick_file(path) if pick.probability >= threshold]


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


def _by_station(labels: Iterable[Pick]) -> defaultdict[str, list[Pick]]:
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


def place_labels(bank: WindowBank, labels: Iterable[Pick]) -> Arrivals:
    """Find the labels that can be the centre of a window, by station and time.

    A label counts in every record of its station that covers it: in each of two
    overlapping cuts, in each of a station's two sensors.

    Returns:
        Arrivals in the order of the records and, within, of time.
    """
    by_station = _by_station(sorted(labels, key=lambda item: (item.time_ns, item.phase)))
    found = [
        (number, round(sample), phase)
        for number, record in enumerate(bank.records)
        for _, (sample, phase) in _inside(record, by_station[record.station])
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    centres = Centres(table[:, 0], table[:, 1])
    inside = bank.contains(centres)
    return Arrivals(centres.take(inside), table[inside, 2])


def label_targets(
    bank: WindowBank, centres: Centres, arrivals: Arrivals, *, width_s: float
) -> NDArray[np.float32]:
    """Return target probabilities that follow from labels alone, by `targets_at`.

    Args:
        bank: the records.
        centres: window centres.
        arrivals: labels in these records.
        width_s: standard deviation in seconds.

    Returns:
        (n, 3) float32, each row with the sum 1.
    """
    positions = bank.positions(centres)
    labelled = bank.positions(arrivals.centres)
    distances = [
        _distance(positions, np.sort(labelled[arrivals.classes == phase])) for phase in range(NOISE)
    ]
    return targets_at(np.stack(distances, axis=-1), width_s=width_s)


def targets_at(
    distances: NDArray[np.int64] | NDArray[np.float64], *, width_s: float
) -> NDArray[np.float32]:
    """Return target probabilities at distances from arrivals.

    At a distance d from the nearest P, P's probability is
    ``exp(-d^2 / (2 width^2))``, the same for S; noise takes the rest, and where P
    and S overlap they share.

    Args:
        distances: (..., 2), samples to the nearest P and S, infinite where there is none.
        width_s: standard deviation in seconds.

    Returns:
        (..., 3) float32, each row with the sum 1.
    """
    targets = np.zeros((*distances.shape[:-1], len(CLASSES)), np.float32)
    targets[..., :NOISE] = np.exp(-0.5 * (distances / (width_s * SAMPLING_RATE_HZ)) ** 2)
    phases = targets.sum(axis=-1)
    targets /= np.maximum(phases, 1.0)[..., None]
    targets[..., NOISE] = np.maximum(1.0 - phases, 0.0)
    return targets


def away_from(
    bank: WindowBank, centres: Centres, arrivals: Arrivals, *, distance_s: float
) -> NDArray[np.bool_]:
    """Return which centres lie at least so far from every label, (n,) bool."""
    labelled = np.sort(bank.positions(arrivals.centres))
    return _distance(bank.positions(centres), labelled) >= distance_s * SAMPLING_RATE_HZ


def _distance(positions: NDArray[np.int64], ordered: NDArray[np.int64]) -> NDArray[np.float64]:
    """Distance of each position to the nearest of ordered ones, infinite if there are none."""
    if not len(ordered):
        return np.full(len(positions), np.inf)
    after = np.searchsorted(ordered, positions)
    left = ordered[np.maximum(after - 1, 0)]
    right = ordered[np.minimum(after, len(ordered) - 1)]
    nearest: NDArray[np.float64] = np.minimum(
        np.abs(positions - left), np.abs(right - positions)
    ).astype(np.float64)
    return nearest
