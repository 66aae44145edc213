"""Sources that end: archives replayed in the order of time, and miniSEED from a pipe."""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from pathlib import Path

from scperformer.errors import InputError, RecordError
from scperformer.types import NS_PER_S, Record, SensorId
from scperformer.waveforms.archive import ArchiveGroup, index_inputs
from scperformer.waveforms.mseed_stream import RecordStream, decode_record
from scperformer.waveforms.problems import Report, log_problem
from scperformer.waveforms.selection import EVERYTHING, Selection

_log = logging.getLogger(__name__)

FAST_RECORD_S = 10.0
PACED_RECORD_S = 1.0
_READ_BYTES = 1 << 16
_POLL_S = 0.2

ResumeAt = Callable[[SensorId], int | None]


class Pace:
    """Holds records back until their last sample would have been measured.

    Args:
        speed: data time over wall-clock time; infinite for as fast as may be.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._begun_s = 0.0
        self._begun_ns: int | None = None

    def wait(self, record: Record, stop: threading.Event) -> bool:
        """Wait until a record is due; tell whether the stream still goes on."""
        if self._begun_ns is None:
            self._begun_ns = record.start_ns
            self._begun_s = time.monotonic()
        if self._speed != float("inf"):
            due_s = (record.end_ns - self._begun_ns) / NS_PER_S / self._speed
            stop.wait(max(self._begun_s + due_s - time.monotonic(), 0.0))
        return not stop.is_set()


class ArchiveSource:
    """Files, folders, SDS roots and list files, merged over all sensors.

    Args:
        inputs: files and folders.
        speed: data time over wall-clock time; infinite for as fast as may be.
        start_ns: leave out data before this time.
        selection: stations and channels that are asked for.
        resume_at: where a sensor begins again after a restart, None where it is new.
        report: hears of what is wrong with the files.

    Attributes:
        left_out: channels that are no seismometers, and what they are.

    Raises:
        InputError: there is nothing in the inputs.
    """

    def __init__(
        self,
        inputs: Sequence[Path],
        *,
        speed: float = float("inf"),
        start_ns: int | None = None,
        selection: Selection = EVERYTHING,
        resume_at: ResumeAt | None = None,
        report: Report = log_problem,
    ) -> None:
        self.name = ", ".join(map(str, inputs))
        self._pace = Pace(speed)
        self.is_paced = speed != float("inf")
        self._record_s = PACED_RECORD_S if self.is_paced else FAST_RECORD_S
        self._report = report
        index = index_inputs(inputs, start_ns=start_ns, selection=selection)
        for problem in index.problems:
            report(problem)
        if not index.groups:
            raise InputError(f"{self.name}: no waveforms found")
        self.left_out = index.left_out
        self.groups = list(index.groups)
        if resume_at is not None:
            self.groups = [_resumed(group, resume_at(group.sensor_id)) for group in index.groups]

    def records(self, stop: threading.Event) -> Iterator[Record]:
        """Yield the records of all sensors in the order of their start times."""
        for record in self._merged():
            if not self._pace.wait(record, stop):
                return
            yield record

    def _merged(self) -> Iterator[Record]:
        """Merge the groups; one is opened when its time has come."""
        heap: list[tuple[int, int, Record | None, Iterator[Record]]] = []
        for serial, group in enumerate(self.groups):
            records = group.records(record_s=self._record_s, report=self._report)
            heappush(heap, (group.start_ns, serial, None, records))
        while heap:
            _, serial, record, records = heappop(heap)
            if record is not None:
                yield record
            following = next(records, None)
            if following is not None:
                heappush(heap, (following.start_ns, serial, following, records))


def _resumed(group: ArchiveGroup, resume_ns: int | None) -> ArchiveGroup:
    if resume_ns is None:
        return group
    first_ns = resume_ns
    if group.span.start_ns is not None:
        first_ns = max(resume_ns, group.span.start_ns)
    return replace(group, span=replace(group.span, start_ns=first_ns))


class PipeSource:
    """miniSEED from standard input or a named pipe, unpacked record by record.

    Args:
        path: the pipe; None for standard input.
        speed: data time over wall-clock time; infinite for as they come.
        report: hears of records that cannot be used, a line each.
    """

    is_paced = False

    def __init__(
        self,
        path: Path | None = None,
        *,
        speed: float = float("inf"),
        report: Callable[[str], None] = _log.warning,
    ) -> None:
        self.name = "standard input" if path is None else str(path)
        self._path = path
        self._pace = Pace(speed)
        self._report = report

    def records(self, stop: threading.Event) -> Iterator[Record]:
        """Yield the records as they come."""
        handle = sys.stdin.fileno() if self._path is None else os.open(self._path, os.O_RDONLY)
        stream = RecordStream()
        n_told = 0
        try:
            for data in _chunks(handle, stop):
                for raw in stream.push(data):
                    record = self._decoded(raw)
                    if record is not None:
                        if not self._pace.wait(record, stop):
                            return
                        yield record
                if stream.n_skipped_bytes and not n_told:
                    n_told = stream.n_skipped_bytes
                    self._report(f"{self.name}: bytes that are no miniSEED records are left out")
            stream.finish()
        finally:
            if self._path is not None:
                os.close(handle)
            if stream.n_skipped_bytes:
                self._report(f"{self.name}: {stream.n_skipped_bytes} bytes were no records")

    def _decoded(self, raw: bytes) -> Record | None:
        try:
            return decode_record(raw)
        except RecordError as error:
            self._report(f"{self.name}: {error}")
            return None


def _chunks(handle: int, stop: threading.Event) -> Iterator[bytes]:
    """Yield bytes as soon as there are any, until the other end closes."""
    while not stop.is_set():
        ready, _, _ = select.select([handle], [], [], _POLL_S)
        if ready:
            data = os.read(handle, _READ_BYTES)
            if not data:
                return
            yield data
