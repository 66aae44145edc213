"""The traces of a data set in SeisBench's layout as streams to be scored, one read at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

import numpy as np

from scperformer.datasets.seisbench_files import SeisBenchData, TraceRow
from scperformer.datasets.splits import (
    ALL_SPLITS,
    NO_SPLIT,
    SPLIT_WORDS,
    SPLITS,
    split_to_score,
)
from scperformer.errors import InputError, RecordError
from scperformer.evaluation.pick_tables import Stream
from scperformer.evaluation.streams import look_through
from scperformer.types import Pick, Record, SeedId
from scperformer.waveforms.cutting import DecodedRecords, cut_records
from scperformer.waveforms.problems import InputProblem, Report

MOST_NAMED = 10
"""So many traces of a data set that cannot be read are named; the others are counted."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A trace of an open data set; its samples are read when they are asked for.

    Attributes:
        data: the data set.
        row: the trace in its table.
        seed_ids: its channels.
    """

    data: SeisBenchData
    row: TraceRow
    seed_ids: tuple[SeedId, ...]

    def records(self, *, report: Report) -> Iterator[Record]:
        """Yield its records as an archive's: cut on the clock, the components in turns."""
        try:
            whole = self.data.records(self.row)
        except InputError as error:
            report(_problem(self.data.folder, self.row, error))
            return
        yield from merge(*map(_cut, whole), key=lambda part: (part.start_ns, part.seed_id))


def _cut(record: Record) -> Iterator[Record]:
    start_ns = np.array([record.start_ns], dtype=np.int64)
    n = np.array([len(record.samples)], dtype=np.int64)
    return cut_records(
        DecodedRecords(
            record.seed_id, record.sampling_rate_hz, start_ns, n, np.asarray(record.samples)
        )
    )


def _problem(folder: Path, row: TraceRow, error: InputError) -> InputProblem:
    path = folder / f"waveforms{row.chunk}.hdf5"
    what = str(error).removeprefix(f"{path}: ")
    return InputProblem(path, f"trace {what}" if isinstance(error, RecordError) else what, "")


@dataclass(frozen=True, slots=True, eq=False)
class TraceSet:
    """What counts of a data set.

    Attributes:
        streams: the traces that can be read.
        picks: the arrivals of P and S in them.
        n_lost: arrivals that lie in none of them.
        split: the part of the data set that counts, ``all`` or one of `SPLITS`.
    """

    streams: list[tuple[Stream, Trace]]
    picks: list[Pick]
    n_lost: int
    split: str


def read_traces(data: SeisBenchData, *, name: str, split: str | None, report: Report) -> TraceSet:
    """Look through the traces of a data set, one after the other.

    Args:
        data: stays open as long as the traces are read.
        name: of the data set, in the streams.
        split: the part that counts; None for the test traces if there are any, else all.
        report: hears of traces that cannot be read.

    Raises:
        InputError: a table cannot be read, or there are no such traces.
    """
    chosen = _chosen_split(data, split)
    streams: list[tuple[Stream, Trace]] = []
    picks: list[Pick] = []
    faults = _Faults(report)
    n_arrivals = 0
    for row in data.rows():
        if chosen not in (ALL_SPLITS, _split_of(row)):
            continue
        n_arrivals += sum(kind >= 0 for kind, _ in row.arrivals)
        try:
            records = data.records(row)
        except InputError as error:
            faults.add(_problem(data.folder, row, error))
            continue
        trace = Trace(data, row, tuple(record.seed_id for record in records))
        streams.append((_stream(row, records, name), trace))
        picks += row.picks(len(records[0].samples), records[0].sampling_rate_hz)
    faults.close(data.folder)
    return TraceSet(streams, picks, n_arrivals - len(picks), chosen)


def _stream(row: TraceRow, records: Sequence[Record], name: str) -> Stream:
    return look_through(
        records,
        name=row.full_name,
        folder=name,
        sensor_id=records[0].seed_id.sensor_id,
        span_ns=(records[0].start_ns, records[0].end_ns),
        is_record=True,
        event=row.event or ("" if row.start_ns else row.full_name),
    )


def _chosen_split(data: SeisBenchData, wanted: str | None) -> str:
    found = {_split_of(row) for row in data.rows()} if wanted != ALL_SPLITS else set()
    return split_to_score(found, wanted, path=data.folder, what="traces")


def _split_of(row: TraceRow) -> str:
    number = SPLIT_WORDS.get(row.split, NO_SPLIT)
    return "" if number == NO_SPLIT else SPLITS[number]


class _Faults:
    """Tells of the first traces that cannot be read, and counts the others."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._told: set[InputProblem] = set()
        self._n_more = 0

    def add(self, problem: InputProblem) -> None:
        if problem in self._told or len(self._told) >= MOST_NAMED:
            self._n_more += 1
            return
        self._told.add(problem)
        self._report(problem)

    def close(self, folder: Path) -> None:
        if self._n_more:
            self._report(InputProblem(folder, f"{self._n_more} more traces cannot be read", ""))
