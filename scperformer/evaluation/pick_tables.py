"""Streams, labels and picks as columns of numbers: what scoring works on.

A *stream* is what is scored as one: a sensor in one record file, or a sensor's whole
run in a continuous archive. A *cell* is the smallest part that is counted by itself:
a record's stream, or `BLOCK_S` of a continuous one. Cells that hold the same
earthquake belong to one *group*, which the bootstrap draws as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.datasets.columns import Columns
from scperformer.types import NS_PER_S, Phase, Pick, Polarity, SensorId

PHASES = (Phase.P, Phase.S)
POLARITIES = (None, Polarity.POSITIVE, Polarity.NEGATIVE, Polarity.UNDECIDABLE)
COMPONENT_STRATA = {
    "all": (0, 1, 2, 3),
    "three": (3,),
    "fewer": (0, 1, 2),
    "two": (2,),
    "one": (1,),
}
"""Numbers of live components that are scored by themselves."""

BLOCK_S = 300
"""Length of a cell of a continuous stream."""

_SAME_EVENT_NS = NS_PER_S
_UNKNOWN = {"uncertainty_s": np.nan, "decision_delay_s": np.nan, "polarity": 0, "n_components": 0}
_FRACTIONS = ("probability", "uncertainty_s", "decision_delay_s")

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stream:
    """What is scored as one.

    Attributes:
        name: the record file's name, or the sensor's code.
        folder: the data set that it belongs to.
        sensor_id: the sensor.
        start_ns, end_ns: first and last time of its data.
        duration_s: data of its longest component, without the gaps.
        n_components: components that are not constant.
        is_record: a record cut around an earthquake, not a part of a continuous archive.
        event: the earthquake in it, empty if it is not known.
        blocks: of a continuous stream, the numbers since the epoch of the blocks of
            `BLOCK_S` in which it has data, ascending; empty for all from start to end.
    """

    name: str
    folder: str
    sensor_id: SensorId
    start_ns: int
    end_ns: int
    duration_s: float
    n_components: int
    is_record: bool
    event: str = ""
    blocks: tuple[int, ...] = ()

    @property
    def station(self) -> str:
        return self.sensor_id.station_id


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable(Columns):
    """Arrivals that somebody labelled.

    Attributes:
        stream: (n,) int64, number of the stream.
        phase: (n,) int64, 0 for P and 1 for S.
        time_ns: (n,) int64.
        polarity: (n,) int64, number in `POLARITIES`.
    """

    stream: Indices
    phase: Indices
    time_ns: Indices
    polarity: Indices

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[int, ...]]) -> LabelTable:
        """Make a table of (stream, phase, time_ns), or with the polarity behind them."""
        known = [row if len(row) == len(fields(cls)) else (*row, 0) for row in rows]
        return cls(*np.array(known, dtype=np.int64).reshape(-1, len(fields(cls))).T)


@dataclass(frozen=True, slots=True, eq=False)
class PickTable(Columns):
    """Picks of one picker.

    Attributes:
        stream: (n,) int64, number of the stream.
        phase: (n,) int64, 0 for P and 1 for S.
        time_ns: (n,) int64.
        probability: (n,) float64, 0 to 1.
        uncertainty_s: (n,) float64, nan if not given.
        decision_delay_s: (n,) float64, nan if not given.
        polarity: (n,) int64, number in `POLARITIES`.
        n_components: (n,) int64, live components that it was picked on, 0 if not given.
    """

    stream: Indices
    phase: Indices
    time_ns: Indices
    probability: NDArray[np.float64]
    uncertainty_s: NDArray[np.float64]
    decision_delay_s: NDArray[np.float64]
    polarity: Indices
    n_components: Indices

    @classmethod
    def from_columns(
        cls, stream: Any, phase: Any, time_ns: Any, probability: Any, **others: Any
    ) -> PickTable:
        """Make a table of columns; those left out are unknown throughout."""
        columns = {"stream": stream, "phase": phase, "time_ns": time_ns, "probability": probability}
        columns |= {name: np.full(len(stream), value) for name, value in _UNKNOWN.items()} | others
        arrays: dict[str, Any] = {
            name: np.asarray(column, np.float64 if name in _FRACTIONS else np.int64)
            for name, column in columns.items()
        }
        return cls(**arrays)

    @classmethod
    def of(cls, streams: Sequence[int], picks: Sequence[Pick]) -> PickTable:
        """Make a table of picks and the numbers of their streams."""
        return cls.from_columns(
            streams,
            [PHASES.index(pick.phase) for pick in picks],
            [pick.time_ns for pick in picks],
            [pick.probability for pick in picks],
            uncertainty_s=[pick.uncertainty_s for pick in picks],
            decision_delay_s=[pick.decision_delay_s for pick in picks],
            polarity=[POLARITIES.index(pick.polarity) for pick in picks],
            n_components=[pick.n_components for pick in picks],
        )


def join_picks(tables: Sequence[PickTable]) -> PickTable:
    """Return the rows of tables one after another."""
    return PickTable.join([PickTable.from_columns([], [], [], []), *tables])


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The parts of streams that are counted by themselves.

    Attributes:
        streams: the streams.
        stream: (n_cells,) int64, the stream of each cell, ascending.
        block: (n_cells,) int64, its block since the epoch; of a record, that of its start.
        group: (n_cells,) int64, what the bootstrap draws together.
        n_groups: number of groups.
    """

    streams: tuple[Stream, ...]
    stream: Indices
    block: Indices
    group: Indices
    n_groups: int

    @classmethod
    def of(cls, streams: Sequence[Stream]) -> Cells:
        """Divide streams into cells.

        A record is one cell; its group is its folder's event, or where that is not known
        the records of the folder that begin within a second. A continuous stream has a
        cell for each `BLOCK_S` seconds of the clock; all stations of a folder share a
        block's group, since an earthquake reaches them all.
        """
        numbers: dict[tuple[object, ...], int] = {}
        starts = _cluster_starts(streams)
        rows: list[tuple[int, int, int]] = []
        for index, item in enumerate(streams):
            for block in _blocks(item):
                if item.is_record:
                    key: tuple[object, ...] = (item.folder, "event", item.event or starts[index])
                else:
                    key = (item.folder, "block", block)
                rows.append((index, block, numbers.setdefault(key, len(numbers))))
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return cls(tuple(streams), table[:, 0], table[:, 1], table[:, 2], len(numbers))

    def __len__(self) -> int:
        return len(self.stream)

    @property
    def is_record(self) -> Mask:
        """Which streams are records, (n_streams,)."""
        return np.array([item.is_record for item in self.streams], dtype=np.bool_)

    @property
    def n_components(self) -> Indices:
        """Live components of each stream, (n_streams,)."""
        return np.array([item.n_components for item in self.streams], dtype=np.int64)

    def locate(self, stream: Indices, time_ns: Indices) -> Indices:
        """Return the cell of each time in a stream, or the one before or else after it."""
        cells = np.searchsorted(self.stream, stream)
        counts = np.bincount(self.stream, minlength=len(self.streams))
        for number in np.unique(stream[counts[stream] > 1]):
            rows = np.flatnonzero(stream == number)
            first = int(cells[rows[0]])
            own = self.block[first : first + int(counts[number])]
            places = np.searchsorted(own, block_of(time_ns[rows]), side="right") - 1
            cells[rows] = first + np.maximum(places, 0)
        return np.asarray(cells, np.int64)


def block_of(time_ns: Any) -> Any:
    """Return the number since the epoch of the block of `BLOCK_S` of a time, or of many."""
    return time_ns // (BLOCK_S * NS_PER_S)


def _blocks(stream: Stream) -> Sequence[int]:
    first = block_of(stream.start_ns)
    if stream.is_record:
        return (first,)
    return stream.blocks or range(first, block_of(stream.end_ns - 1) + 1)


def _cluster_starts(streams: Sequence[Stream]) -> dict[int, int]:
    """Give the records of a folder that begin within a second the same number."""
    ordered = sorted(
        (item.folder, item.start_ns, index) for index, item in enumerate(streams) if item.is_record
    )
    clusters: dict[int, int] = {}
    opening: tuple[str, int] | None = None
    for folder, start_ns, index in ordered:
        if opening is None or opening[0] != folder or start_ns - opening[1] > _SAME_EVENT_NS:
            opening = (folder, start_ns)
        clusters[index] = opening[1]
    return clusters
