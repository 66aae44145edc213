"""The work on a piece: its records through the pipeline, its picks out.

The overlaps of a piece are read and not counted: the one before it fills the memories of
filters and network, and what is decided late about it is decided in the one behind it.
"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from scperformer.config import Settings
from scperformer.core.statistics import DropReason, Statistics
from scperformer.errors import InputError, ModelError
from scperformer.networks.loading import LoadedModel
from scperformer.scanning.facts import SensorFacts
from scperformer.scanning.listening import ExtraOutputs, PieceListener, Scored, timed
from scperformer.types import Pick, Record, SeedId
from scperformer.waveforms.archive import ArchiveGroup
from scperformer.waveforms.contents import Span
from scperformer.waveforms.pieces import Piece
from scperformer.waveforms.problems import InputProblem


@dataclass(slots=True, kw_only=True)
class PieceResult:
    """What came of a piece.

    Attributes:
        picks: in the order in which they were decided.
        statistics: of the piece without its overlaps.
        problems: faults of its inputs.
        left_out: samples of its channels that were left out, by reason.
        idle: why there was nothing to look at; empty if there was.
        n_channels: channels of which there were samples.
        spans_ns: from when to when there were samples, of any component.
        warnings: lines to be said.
        network_s: time spent in the network.
        extras_failed: scores or drawings could not be written.
        is_whole: it was neither interrupted nor out of reach.
        reached_ns: how far it was read.
    """

    picks: list[Pick] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)
    problems: tuple[InputProblem, ...] = ()
    left_out: Mapping[SeedId, Counter[DropReason]] = field(default_factory=dict)
    idle: str = ""
    n_channels: int = 0
    spans_ns: tuple[tuple[int, int], ...] = ()
    warnings: tuple[str, ...] = ()
    network_s: float = 0.0
    extras_failed: bool = False
    is_whole: bool = True
    reached_ns: int = 0

    @property
    def is_final(self) -> bool:
        """Whether another scan of the same data could find nothing else."""
        return self.is_whole and not any(problem.is_passing for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done with every piece; it is sent to other processes.

    Attributes:
        load: gives the model.
        settings: of the picker.
        owner: whose picks they are.
        extras: scores and drawings that are wanted.
        sha256: of the model's weights, which it must have; empty for any.
        is_timed: measure the time in the network; it does nothing beside its work then.
        token: tells it from other work.
    """

    load: Callable[[], LoadedModel]
    settings: Settings
    owner: str = ""
    extras: ExtraOutputs = field(default_factory=ExtraOutputs)
    sha256: str = ""
    is_timed: bool = False
    token: str = field(default_factory=lambda: secrets.token_hex(8))


class Worker:
    """Scans pieces, one after the other.

    Args:
        work: what is to be done.
        stop: ends the work on a piece where it is.

    Raises:
        ModelError: the model cannot be loaded, or is another one.
    """

    def __init__(self, work: Work, stop: threading.Event | None = None) -> None:
        self._work = work
        self._stop = stop or threading.Event()
        self._model = work.load()
        own = self._model.classifier
        if work.sha256 not in ("", own.sha256):
            raise ModelError(
                f"{own.name}: the weights {own.sha256[:16]} are here, and {work.sha256[:16]} where "
                "the scan was begun; install the same model"
            )
        self._clock = None
        if work.is_timed:
            self._clock = timed(self._model.classifier)
            self._model = replace(self._model, classifier=self._clock)

    def scan(
        self,
        piece: Piece,
        report: Callable[[int], None] | None = None,
        scored: Scored | None = None,
    ) -> PieceResult:
        """Scan a piece; what cannot be read of it is told in the result.

        Args:
            piece: what to scan.
            report: hears how far it is, nanoseconds since its start.
            scored: hears what the network says.
        """
        begun_s = 0.0 if self._clock is None else self._clock.elapsed_s
        report = report or (lambda _: None)
        scan = _PieceScan(piece, self._work, self._model, self._stop, report, scored=scored)
        result = scan.run()
        if self._clock is not None:
            result.network_s = self._clock.elapsed_s - begun_s
        return result


class _PieceScan:
    def __init__(
        self,
        piece: Piece,
        work: Work,
        model: LoadedModel,
        stop: threading.Event,
        report: Callable[[int], None],
        *,
        scored: Scored | None,
    ) -> None:
        self._piece = piece
        self._settings = work.settings
        self._stop = stop
        self._report = report
        self._span = Span(piece.start_ns, piece.end_ns)
        self._facts = SensorFacts()
        self._listener = PieceListener(self._span, work.extras, scored)
        self._pipeline = model.pipeline(work.settings, observer=self._listener, owner=work.owner)
        self._pipeline.batches.catches_up = True  # an archive has nobody waiting
        self._result = PieceResult(reached_ns=piece.start_ns)

    def run(self) -> PieceResult:
        result, listener = self._result, self._listener
        problems: list[InputProblem] = []
        try:
            with self._piece.material.open(
                self._piece.reading_span, report=problems.append
            ) as group:
                records = group.records(report=problems.append, told=self._piece.told)
                self._expect(group)
                found = self._picks(records)
                result.picks = [pick for pick in found if self._span.holds(pick.time_ns)]
                result.is_whole = not self._stop.is_set()
                listener.draw_originals(group)
        except InputError as error:
            problems.append(InputProblem(Path(self._piece.name), str(error), ""))
            result.is_whole = False
        # The piece's, and not those of its overlaps.
        result.statistics.recount(result.picks)
        result.problems = tuple(problems)
        result.left_out = listener.left_out
        result.warnings = tuple(listener.warnings)
        result.extras_failed = listener.has_failed
        result.spans_ns = self._facts.spans_ns
        result.n_channels = self._facts.n_channels
        if not result.statistics.windows:
            result.idle = self._facts.why_idle(self._piece.sensor_id, self._settings)
        return result

    def _expect(self, group: ArchiveGroup) -> None:
        self._pipeline.expect(
            file.seed_id for file in group.files if self._span.touches(file.start_ns, file.end_ns)
        )

    def _picks(self, records: Iterator[Record]) -> Iterator[Pick]:
        """Yield the picks of the piece and of its overlaps."""
        start_ns, end_ns = self._piece.start_ns, self._piece.end_ns
        is_before, is_behind = True, False
        for record in records:
            if self._stop.is_set():
                # What is not decided yet would be with the data that follow: it is no pick.
                yield from self._pipeline.classify_pending()
                break
            if is_before and record.start_ns >= start_ns:
                is_before = False
                yield from self._pipeline.classify_pending()
                self._begin_counting()
            if not is_behind and record.start_ns >= end_ns:
                is_behind = True
                yield from self._pipeline.classify_pending()
                self._end_counting()
            if self._listener.is_on:
                self._facts.note(record)
                self._result.reached_ns = record.start_ns
                self._report(record.start_ns - start_ns)
            yield from self._pipeline.feed(record)
        else:
            yield from self._pipeline.flush()
        if self._listener.is_on:
            self._end_counting()

    def _begin_counting(self) -> None:
        self._pipeline.restart_statistics()
        self._listener.is_on = True

    def _end_counting(self) -> None:
        self._result.statistics = self._pipeline.restart_statistics()
        self._listener.is_on = False
