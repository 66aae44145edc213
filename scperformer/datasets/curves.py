"""What teachers say of records, sample by sample: soft targets, analysts' picks first.

A file of curves is a NumPy archive with two entries a record: ``NET_STA_ANYTHING`` (or
``NET.STA``), uint8 (2 t, n), probability times 255, 50 samples a second, for each of t
teachers the row of P, then that of S; and ``<the same>/start``, UTC of the first sample.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from scperformer import npz
from scperformer.datasets.labels import MarkedRecord, Marks
from scperformer.datasets.records import StationRecord
from scperformer.errors import InputError
from scperformer.types import NS_PER_S, SAMPLING_RATE_HZ, parse_time

CURVE_RATE_HZ = 50
_SAMPLE_NS = NS_PER_S // CURVE_RATE_HZ
_PHASES = 2
_LEAST = 0.01
_SHARPENING = 0.6
_ARRIVES, _SUSPECTED = 0.35, 0.15
"""Targets from which on something arrives, or may."""
_START = "/start"
_STATION = re.compile(r"([^._]+)[._]([^._]+)")

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """What teachers say of a stretch of one station.

    Attributes:
        name: of the record, without a suffix.
        start_ns: time of the first value.
        values: (t, 2, n) uint8, P and S of each teacher, probability times 255.
    """

    name: str
    start_ns: int
    values: NDArray[np.uint8]


def read_curves(path: Path) -> dict[str, list[Curves]]:
    """Read a file of curves; return them by station, ``NET.STA``.

    Raises:
        InputError: it cannot be read, or an entry is not a record's curves.
    """
    found: defaultdict[str, list[Curves]] = defaultdict(list)
    try:
        with npz.NpzFile(path) as archive:
            for name in archive:
                if name.endswith(_START):
                    continue
                match = _STATION.match(name)
                values = archive[name]
                if match is None or values.ndim != 2 or values.dtype != np.uint8 or len(values) % 2:
                    raise InputError(
                        f"{path}: {name}: got {values.dtype} {values.shape}; wanted curves of "
                        "NET_STA_..., uint8 (2 t, n)"
                    )
                start_ns = parse_time(str(archive[f"{name}{_START}"]))
                own = Curves(name, start_ns, values.reshape(-1, _PHASES, values.shape[1]))
                found[".".join(match.groups())].append(own)
    except npz.DAMAGED as error:
        raise InputError(f"{path}: cannot read the curves: {error}") from error
    return dict(found)


def mean_opinion(curves: NDArray[np.uint8], voices: Sequence[Sequence[float]]) -> Floats:
    """Return one curve for P and S each from those of several teachers.

    It is the mean of their log-odds, which lets a sure voice count more than the mean of
    probabilities does, brought back to a probability and sharpened.

    Args:
        curves: (t, 2, n) uint8.
        voices: for P and for S, the weight of each teacher.

    Returns:
        (2, n) float32, 0 where no teacher sees anything.
    """
    smooth = gaussian_filter1d(curves / np.float32(255.0), 0.06 * CURVE_RATE_HZ, axis=-1)
    odds = np.log((smooth + _LEAST) / (1.0 + _LEAST - smooth))
    weights = np.asarray(voices, dtype=np.float64)
    weights = weights / weights.sum(axis=1, keepdims=True)
    mean = np.einsum("tpn,pt->pn", odds, weights)
    floor = (_LEAST / (1.0 + 2.0 * _LEAST)) ** _SHARPENING
    sharp = (1.0 / (1.0 + np.exp(-mean))) ** _SHARPENING
    opinion: Floats = np.clip((sharp - floor) / (1.0 - floor), 0.0, 1.0).astype(np.float32)
    return opinion


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """A record and what is to be said of it.

    Attributes:
        record: the record.
        targets: (2, n) float32, probability of P and S, 50 a second.
        known: (n,) float32, 1 where that is known.
        peaks: samples of the record at which something arrives.
    """

    record: StationRecord
    targets: Floats
    known: Floats
    peaks: NDArray[np.int64]


def teach(
    marked: MarkedRecord,
    curves: Sequence[Curves] | None,
    *,
    voices: Sequence[Sequence[float]],
    width_s: float,
) -> Taught:
    """Put the opinion of teachers and the picks of analysts together.

    Where an analyst picked, a Gaussian stands in place of what the teachers say within
    five of its widths, and their other phase is damped there. A record of a folder without
    curves is taken to hold what was picked and nothing else; otherwise it is known where
    curves are.

    Args:
        marked: the record with its analysts' picks.
        curves: those of its station; None if its folder has none at all.
        voices: see `mean_opinion`.
        width_s: standard deviation of the Gaussian.
    """
    record = marked.record
    n = len(record.samples) // (SAMPLING_RATE_HZ // CURVE_RATE_HZ) + 1
    targets = np.zeros((_PHASES, n), np.float32)
    known = np.full(n, 1.0 if curves is None else 0.0, np.float32)
    for part in curves or ():
        first = round((part.start_ns - record.start_ns) / _SAMPLE_NS)
        low, high = max(first, 0), min(first + part.values.shape[2], n)
        if high > low:
            opinion = mean_opinion(part.values, voices)
            targets[:, low:high] = opinion[:, low - first : high - first]
            known[low:high] = 1.0
    picked = np.zeros_like(targets)
    spoken_for = np.zeros(targets.shape, np.bool_)
    for sample, phase, sure in zip(*_columns(marked), strict=True):
        if sure:
            near, distance_s = _around(sample, 5.0 * width_s, n)
            shape = np.exp(-0.5 * (distance_s / width_s) ** 2)
            picked[phase, near] = np.maximum(picked[phase, near], shape)
            spoken_for[phase, near] = True
            known[near] = 1.0
    targets[spoken_for] = 0.0
    targets = np.maximum(targets * (1.0 - picked[::-1]), picked)
    for sample, _, sure in zip(*_columns(marked), strict=True):
        if not sure:
            near, _ = _around(sample, 5.0 * width_s, n)
            known[near][targets[:, near].max(axis=0) < 0.3] = 0.0
    return Taught(record, targets, known, _peaks(targets))


def with_doubts(marked: MarkedRecord, taught: Taught) -> MarkedRecord:
    """Add what teachers suspect and nobody picked, as doubtful: neither right nor wrong.

    Args:
        marked: a record and its picks.
        taught: what is to be said of it.
    """
    marks = marked.marks
    step = SAMPLING_RATE_HZ // CURVE_RATE_HZ
    samples, phases = [marks.sample], [marks.phase]
    for phase, curve in enumerate(taught.targets):
        places = _tops(curve, _SUSPECTED) * step
        own = marks.sample[(marks.phase == phase) & marks.sure]
        alone = [s for s in places if not (np.abs(own - s) < SAMPLING_RATE_HZ / 2).any()]
        samples.append(np.array(alone, dtype=np.float64))
        phases.append(np.full(len(alone), phase, dtype=np.int64))
    n_added = sum(map(len, samples[1:]))
    sure = np.concatenate([marks.sure, np.zeros(n_added, np.bool_)])
    return MarkedRecord(marked.record, Marks(np.concatenate(samples), np.concatenate(phases), sure))


def _around(sample: float, most_s: float, n: int) -> tuple[slice, NDArray[np.float64]]:
    """Return which of n values lie around a sample of the record, and how far from it."""
    place = sample * CURVE_RATE_HZ / SAMPLING_RATE_HZ
    reach = most_s * CURVE_RATE_HZ
    near = slice(max(int(np.ceil(place - reach)), 0), min(int(place + reach) + 1, n))
    return near, (np.arange(n)[near] - place) / CURVE_RATE_HZ


def _columns(marked: MarkedRecord) -> tuple[NDArray[Any], ...]:
    return marked.marks.sample, marked.marks.phase, marked.marks.sure


def _peaks(targets: Floats) -> NDArray[np.int64]:
    return _tops(targets.max(axis=0), _ARRIVES) * (SAMPLING_RATE_HZ // CURVE_RATE_HZ)


def _tops(curve: Floats, least: float) -> NDArray[np.int64]:
    """Return where a curve has a maximum of a least height."""
    inner = curve[1:-1]
    return np.flatnonzero((inner > least) & (inner >= curve[:-2]) & (inner > curve[2:])) + 1
