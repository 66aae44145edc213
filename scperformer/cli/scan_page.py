"""The page that a scan leaves, if it is asked for one."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from scperformer import __version__
from scperformer.config import Settings
from scperformer.errors import InputError
from scperformer.networks.loading import LoadedModel
from scperformer.picks.pick_files import read_pick_file
from scperformer.reporting.facts import PieceFacts, RunFacts
from scperformer.reporting.scan_report import ScanReport
from scperformer.scanning.examples import look_again
from scperformer.scanning.work import PieceResult
from scperformer.setting import settings_of, shown
from scperformer.types import Pick
from scperformer.waveforms.pieces import Piece

Pieces = Callable[[int, int], Iterator[Piece]]


class Page:
    """Gathers what a scan finds.

    Args:
        path: of the page.
        labels: file of picks to compare with, None for none.
        model: the model.
        settings: the picker's.

    Raises:
        InputError: the labels cannot be read.
    """

    def __init__(
        self, path: Path, labels: Path | None, model: LoadedModel, settings: Settings
    ) -> None:
        self.path = path
        self._model = model
        self._settings = settings
        others = {
            info.key: shown(getattr(settings, info.name))
            for info in settings_of(Settings)
            if getattr(settings, info.name) != info.default
        }
        run = RunFacts(
            version=__version__,
            command=shlex.join(["scperformer", *sys.argv[1:]]),
            model=model.classifier.name,
            model_sha256=model.classifier.sha256,
            settings=others,
        )
        picked = None if labels is None else read_pick_file(labels)
        self._report = ScanReport(run, labels=picked)

    def add(self, piece: Piece, result: PieceResult, picks: Sequence[Pick]) -> None:
        """Take a piece; of one that was not scanned whole, its problems alone."""
        for problem in result.problems:
            if not problem.is_note:
                self._report.note(str(problem))
        if not result.is_whole:
            return
        left_out: Counter[str] = Counter()
        for reasons in result.left_out.values():
            left_out.update({str(reason): n for reason, n in reasons.items()})
        statistics = result.statistics
        facts = PieceFacts(
            sensor_id=piece.sensor_id,
            start_ns=piece.start_ns,
            end_ns=piece.end_ns,
            spans_ns=result.spans_ns,
            n_components=result.n_channels,
            gaps=statistics.gaps,
            left_out=left_out,
            unreadable=sum(not problem.is_note for problem in result.problems),
            windows=statistics.windows,
        )
        self._report.add(facts, picks)

    def note(self, problem: str) -> None:
        """Take a problem of the inputs."""
        self._report.note(problem)

    def write(self, pieces: Pieces, *, ended_by: str) -> None:
        """Write the page, with examples that are read again.

        Args:
            pieces: gives the pieces between two times, for the examples.
            ended_by: the signal that ended the scan, empty for none.

        Raises:
            OutputError: it cannot be written.
        """
        for wanted in self._report.wanted_examples():
            own = [
                piece
                for piece in pieces(wanted.start_ns, wanted.end_ns)
                if piece.sensor_id == wanted.sensor_id
            ]
            if own:
                self._show(own[0], wanted.start_ns, wanted.end_ns)
        self._report.write(self.path, ended_by=ended_by)

    def _show(self, piece: Piece, start_ns: int, end_ns: int) -> None:
        try:
            moment = look_again(piece.material, start_ns, end_ns, self._model, self._settings)
        except InputError as error:
            self._report.note(f"{piece.name}: an example cannot be read again: {error}")
            return
        self._report.add_example(
            piece.sensor_id,
            moment.waveform,
            start_ns=moment.start_ns,
            times_ns=moment.times_ns,
            probabilities=moment.probabilities,
            picks=moment.picks,
        )
