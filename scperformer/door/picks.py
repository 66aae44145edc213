"""Picks as the door hands them out: a sequence that shows, converts and writes itself."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, overload

from scperformer.errors import ConfigurationError
from scperformer.notebook import pick_table
from scperformer.picks.columns import COLUMNS
from scperformer.picks.pick_files import BY_SUFFIX, open_sink
from scperformer.picks.style import Style
from scperformer.types import Phase, Pick, format_time

if TYPE_CHECKING:
    from pandas import DataFrame


class Picks(Sequence[Pick]):
    """Picks in the order of time, or in that in which they were decided.

    Args:
        picks: the picks.
        style: whose they are, for documents.
        problems: what was wrong with the waveforms, a sentence each.

    Attributes:
        problems: likewise.
    """

    def __init__(
        self,
        picks: Iterable[Pick] = (),
        *,
        style: Style | None = None,
        problems: Iterable[str] = (),
    ) -> None:
        self._picks = tuple(picks)
        self._style = style or Style()
        self.problems = tuple(problems)

    def __len__(self) -> int:
        return len(self._picks)

    @overload
    def __getitem__(self, index: int) -> Pick: ...
    @overload
    def __getitem__(self, index: slice) -> Picks: ...
    def __getitem__(self, index: int | slice) -> Pick | Picks:
        if isinstance(index, slice):
            return Picks(self._picks[index], style=self._style, problems=self.problems)
        return self._picks[index]

    def __repr__(self) -> str:
        numbers = ", ".join(f"{sum(p.phase is phase for p in self)} {phase}" for phase in Phase)
        if not self:
            return "<Picks: none>"
        first, last = (format_time(own) for own in (self[0].time_ns, self[-1].time_ns))
        return f"<Picks: {numbers}, {first} to {last}>"

    def __str__(self) -> str:
        return "\n".join(map(_line, self)) if self else "no picks"

    def _repr_html_(self) -> str:
        return pick_table(self)

    def to_dataframe(self) -> DataFrame:
        """Return a pandas data frame with the columns of the tables, all digits kept.

        Times are UTC to the nanosecond.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        try:
            import pandas  # noqa: PLC0415 - optional
        except ImportError as error:
            raise ConfigurationError(
                "data frames need pandas, which is not installed; pip install scperformer[notebook]"
            ) from error
        rows = [[column.exact(column.of(pick)) for column in COLUMNS] for pick in self]
        frame = pandas.DataFrame(rows, columns=[column.name for column in COLUMNS])
        frame["time"] = pandas.to_datetime(frame["time"].astype("int64"), unit="ns", utc=True)
        return frame

    def to_quakeml(self) -> bytes:
        """Return a QuakeML 1.2 document: one event without origins that holds all picks.

        ``read_events`` of obspy makes a catalogue of it, in an `io.BytesIO`.
        """
        document = io.BytesIO()
        BY_SUFFIX[".qml"].write(document, self, self._now())
        return document.getvalue()

    def write(self, path: str | PathLike[str]) -> None:
        """Write a file; the suffix says which: ``.csv .jsonl .txt .scml .xml .qml .parquet``.

        The file appears complete, or not at all.

        Raises:
            ConfigurationError: an unknown suffix.
            OutputError: it cannot be written.
        """
        with open_sink(Path(fspath(path)), self._now()) as sink:
            sink.write(self)

    def _now(self) -> Style:
        return replace(self._style, created_ns=time.time_ns())


def _line(pick: Pick) -> str:
    return (
        f"{pick.phase} {format_time(pick.time_ns)} +-{pick.uncertainty_s:.2f} s {pick.seed_id} "
        f"{pick.probability:.3f}"
    )
