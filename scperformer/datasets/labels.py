"""Picks as labels, and where they lie in the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.windows import Centres, WindowBank
from scperformer.picks.pick_files import read_pick_file
from scperformer.types import CLASSES, SAMPLE_NS, SAMPLING_RATE_HZ, Pick

NOISE = CLASSES.index("noise")


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Labels that fall into records.

    Attributes:
        centres: where they lie.
        classes: (n,) int64, 0 for P and 1 for S.
    """

    centres: Centres
    classes: NDArray[np.int64]


def read_labels(path: Path, *, threshold: float = 0.0) -> list[Pick]:
    """Read the picks of a file whose probability reaches a threshold; see `pick_files`.

    Raises:
        InputError: no such file, no known layout, or a row that cannot be read.
    """
    return [pick for pick in read_pick_file(path) if pick.probability >= threshold]


def place_labels(bank: WindowBank, labels: Iterable[Pick]) -> Arrivals:
    """Find the labels that can be the centre of a window, by station and time.

    A label counts in every record of its station that covers it: in each of two
    overlapping cuts, in each of a station's two sensors.

    Returns:
        Arrivals in the order of the records and, within, of time.
    """
    by_station = defaultdict(list)
    for label in sorted(labels, key=lambda item: (item.time_ns, item.phase)):
        by_station[label.station].append(label)
    found = [
        (number, round((label.time_ns - record.start_ns) / SAMPLE_NS), CLASSES.index(label.phase))
        for number, record in enumerate(bank.records)
        for label in by_station[record.station]
        if record.start_ns <= label.time_ns < record.end_ns
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    centres = Centres(table[:, 0], table[:, 1])
    inside = bank.contains(centres)
    return Arrivals(centres.take(inside), table[inside, 2])


def label_targets(
    bank: WindowBank, centres: Centres, arrivals: Arrivals, *, width_s: float
) -> NDArray[np.float32]:
    """Return target probabilities that follow from labels alone.

    At a distance d from the nearest P, P's probability is
    ``exp(-d^2 / (2 width^2))``, the same for S; noise takes the rest, and where P
    and S overlap they share.

    Args:
        bank: the records.
        centres: window centres.
        arrivals: labels in these records.
        width_s: standard deviation in seconds.

    Returns:
        (n, 3) float32, each row with the sum 1.
    """
    targets = np.zeros((len(centres), len(CLASSES)), np.float32)
    positions = bank.positions(centres)
    labelled = bank.positions(arrivals.centres)
    for phase in range(NOISE):
        distance = _distance(positions, np.sort(labelled[arrivals.classes == phase]))
        targets[:, phase] = np.exp(-0.5 * (distance / (width_s * SAMPLING_RATE_HZ)) ** 2)
    phases = targets.sum(axis=1)
    targets /= np.maximum(phases, 1.0)[:, None]
    targets[:, NOISE] = np.maximum(1.0 - phases, 0.0)
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
