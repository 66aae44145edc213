"""Pieces scanned in this process; what is wrong with them is told and kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from scperformer.config import Settings
from scperformer.door.asked import as_keywords
from scperformer.errors import InputError
from scperformer.networks.loading import LoadedModel
from scperformer.scanning.listening import Scored
from scperformer.scanning.tally import Tally
from scperformer.scanning.work import Work, Worker
from scperformer.types import Pick
from scperformer.waveforms.local import LocalInputs
from scperformer.waveforms.pieces import Piece
from scperformer.waveforms.problems import InputProblem, log_problem
from scperformer.waveforms.selection import some

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Scan:
    """One scan.

    Attributes:
        model: the model.
        settings: of the picker.
        owner: whose picks they are.
        problems: what was wrong, a sentence each.
    """

    model: LoadedModel
    settings: Settings
    owner: str
    problems: list[str] = field(default_factory=list)

    def run(
        self,
        inputs: LocalInputs,
        *,
        pieces: Iterator[Piece] | None = None,
        listen: Callable[[Piece], Scored] | None = None,
    ) -> Iterator[tuple[Piece, list[Pick]]]:
        """Scan piece by piece; yield those that there was something to look at in.

        Args:
            inputs: what there is.
            pieces: its pieces; by default by day and sensor.
            listen: gives what hears what the network says of a piece.

        Raises:
            InputError: at the end, that there was nothing to look at in any.
        """
        tally = Tally()
        for problem in inputs.index.problems:
            self._tell(problem)
        worker = Worker(Work(lambda: self.model, self.settings, owner=self.owner))
        for piece in inputs.pieces(self._tell) if pieces is None else pieces:
            result = worker.scan(piece, scored=None if listen is None else listen(piece))
            picks = tally.take(piece, result)
            for problem in result.problems:
                self._tell(problem)
            for warning in result.warnings:
                _log.warning("%s", warning)
            if not result.idle:
                yield piece, picks
        sensors: dict[str, list[str]] = {}
        for sensor_id, why in tally.idle_sensors():
            sensors.setdefault(as_keywords(why), []).append(str(sensor_id))
        idle = [f"no window to look at: {some(own)}: {why}" for why, own in sensors.items()]
        if not tally.statistics.windows:
            raise InputError("; ".join([*idle, *self.problems]) or "nothing to look at")
        for text in idle:
            _log.warning("%s", text)
        self.problems += idle

    def _tell(self, problem: InputProblem) -> None:
        log_problem(problem)
        if not problem.is_note:
            self.problems.append(str(problem))
