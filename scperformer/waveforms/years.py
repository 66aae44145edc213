"""SDS archives of many years, looked into a month at a time.

Names tell beforehand how many days of how many sensors there are; files are opened when their
month comes, so that an index takes as much room for ten years as for two months.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path

from scperformer.types import SeedId, SensorId
from scperformer.waveforms.archive import index_inputs
from scperformer.waveforms.contents import Span
from scperformer.waveforms.inputs import Days, files_below, is_sds_root
from scperformer.waveforms.pieces import AFTER_NS, BEFORE_NS, DAY_NS, Piece, cut_into_pieces
from scperformer.waveforms.problems import InputProblem, Report, say_nothing
from scperformer.waveforms.selection import Chooser, Selection

MONTH_DAYS = 32


@dataclass(slots=True)
class Years:
    """An SDS root.

    Attributes:
        root: the folder.
        selection: what is asked for.
        start_ns, end_ns: times of interest, None for all.
        n_pieces: about how many pieces there are, as the names tell.
        first_day, last_day: days since 1970 of the first and the last file.
        left_out: channels that are no seismometers, as far as has been looked.
    """

    root: Path
    selection: Selection
    start_ns: int | None
    end_ns: int | None
    n_pieces: int = 0
    first_day: int = 0
    last_day: int = -1
    left_out: dict[SeedId, str] = field(default_factory=dict)
    _told: set[InputProblem] = field(default_factory=set)

    @classmethod
    def of(
        cls, root: Path, *, selection: Selection, start_ns: int | None, end_ns: int | None
    ) -> Years | None:
        """Read an archive's names; None if it is no SDS root, or not longer than two months."""
        if not is_sds_root(root):
            return None
        found = cls(root, selection, start_ns, end_ns)
        days = Days.of(start_ns, end_ns)
        chooser = Chooser(selection)
        seen: set[tuple[int, SensorId]] = set()
        year = 0
        for _, file in files_below(root, days=days, report=say_nothing):
            if file is None or not days.has(file) or not chooser.takes(file.seed_id, None):
                continue
            if file.day.year != year:  # years come one after the other
                found.n_pieces += len(seen)
                year = file.day.year
                seen.clear()
            day = file.span_ns[0] // DAY_NS
            seen.add((day, file.seed_id.sensor_id))
            found.first_day = day if found.last_day < 0 else min(found.first_day, day)
            found.last_day = max(found.last_day, day)
        found.n_pieces += len(seen)
        return found if found.last_day - found.first_day >= 2 * MONTH_DAYS else None

    def pieces(self, report: Report) -> Iterator[Piece]:
        """Yield the pieces by day and sensor; problems are reported once each."""

        def once(problem: InputProblem) -> None:
            if problem not in self._told:
                self._told.add(problem)
                report(problem)

        for day in range(self.first_day - 1, self.last_day + 2, MONTH_DAYS):
            start_ns, end_ns = day * DAY_NS, (day + MONTH_DAYS) * DAY_NS
            if not Span(self.start_ns, self.end_ns).touches(start_ns, end_ns):
                continue
            index = index_inputs(
                [self.root],
                start_ns=_later(self.start_ns, start_ns - BEFORE_NS),
                end_ns=_earlier(self.end_ns, end_ns + AFTER_NS),
                selection=self.selection,
            )
            self.left_out |= index.left_out
            for problem in index.problems:
                once(problem)
            for piece in merge(*map(cut_into_pieces, index.groups), key=lambda one: one.order):
                if start_ns <= piece.start_ns < end_ns:
                    yield piece


def _later(asked_ns: int | None, ns: int) -> int:
    return ns if asked_ns is None else max(asked_ns, ns)


def _earlier(asked_ns: int | None, ns: int) -> int:
    return ns if asked_ns is None else min(asked_ns, ns)
