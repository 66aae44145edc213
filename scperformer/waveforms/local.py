"""What lies on this machine, found and cut into pieces; archives of years a month at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from pathlib import Path

from scperformer.types import SeedId, format_time
from scperformer.waveforms.archive import NOTHING, ArchiveIndex, index_inputs
from scperformer.waveforms.contents import Span
from scperformer.waveforms.pieces import Piece, cut_into_pieces, n_pieces
from scperformer.waveforms.problems import Report, say_nothing
from scperformer.waveforms.selection import EVERYTHING, Selection, channels_left_out, some
from scperformer.waveforms.years import Years


@dataclass(frozen=True, slots=True)
class LocalInputs:
    """Files, folders, SDS roots and list files.

    Attributes:
        index: what there is; nothing of an archive of years.
        years: the archive of years, None if it is none.
    """

    index: ArchiveIndex
    years: Years | None = None

    @classmethod
    def of(
        cls,
        inputs: Sequence[Path],
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        selection: Selection = EVERYTHING,
    ) -> LocalInputs:
        """Look into inputs; see `index_inputs`."""
        years = None
        if len(inputs) == 1:
            years = Years.of(inputs[0], start_ns=start_ns, end_ns=end_ns, selection=selection)
        if years is not None:
            return cls(NOTHING, years)
        return cls(index_inputs(inputs, start_ns=start_ns, end_ns=end_ns, selection=selection))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to scan."""
        return not self.index.groups and self.years is None

    @property
    def n_pieces(self) -> int:
        """How many pieces there are; of archives of years about."""
        return self.years.n_pieces if self.years else sum(map(n_pieces, self.index.groups))

    @property
    def left_out(self) -> Mapping[SeedId, str]:
        """Channels that are no seismometers, as far as has been looked, and what they are."""
        return self.index.left_out if self.years is None else self.years.left_out

    def pieces(self, report: Report) -> Iterator[Piece]:
        """Yield the pieces by day and sensor; `report` hears what the index does not tell."""
        if self.years is not None:
            yield from self.years.pieces(report)
        groups = sorted(self.index.groups, key=lambda group: (group.sensor_id, group.start_ns))
        yield from merge(*map(cut_into_pieces, groups), key=lambda piece: piece.order)

    def pieces_between(self, start_ns: int, end_ns: int) -> Iterator[Piece]:
        """Yield pieces that touch a time, and few others."""
        span = Span(start_ns, end_ns)
        if self.years is not None:
            yield from replace(self.years, start_ns=start_ns, end_ns=end_ns).pieces(say_nothing)
        groups = [g for g in self.index.groups if span.touches(g.start_ns, g.end_ns)]
        yield from (piece for group in groups for piece in cut_into_pieces(group))

    def why_empty(self, *, start_ns: int | None, end_ns: int | None) -> str:
        """Say why there is no sensor: what is there instead of what is asked for."""
        index = self.index
        if index.covered is not None:
            asked = f"from {format_time(start_ns)} " if start_ns is not None else ""
            asked += f"until {format_time(end_ns)}" if end_ns is not None else "on"
            first, last = map(format_time, index.covered)
            return f"nothing to scan {asked}: the data cover {first} to {last}"
        if index.left_out:
            return f"nothing to scan: {channels_left_out(index.left_out)}"
        if index.not_asked:
            return (
                f"nothing to scan: of {len(index.not_asked)} channels none is asked for "
                f"({some(sorted(map(str, index.not_asked)))})"
            )
        return "nothing to scan in the inputs"
