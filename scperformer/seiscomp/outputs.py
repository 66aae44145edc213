"""Where picks go: the messaging, one document at the end, lines, folders of documents.

Unlike other outputs, these never raise: what cannot be written is told in the log.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from seiscomp import datamodel, io

from scperformer.delivery.outbox import Outbox
from scperformer.errors import OutputError
from scperformer.picks.columns import floored
from scperformer.picks.pick_files import BY_SUFFIX, in_order
from scperformer.picks.rolling import RollingDocuments
from scperformer.picks.style import DEFAULT_PRECISION, Style
from scperformer.seiscomp.messages import Sender
from scperformer.seiscomp.objects import ObjectMaker
from scperformer.types import OutputState, Pick, PickSink, format_time
from scperformer.waveforms.problems import LimitedLog

_log = logging.getLogger(__name__)


class MessagingOutput(PickSink):
    """Puts picks into the outbox and has it emptied.

    Args:
        outbox: where picks wait for the messaging.
        sender: empties it.
        leave_new: leaves out the picks that were sent before a restart.
    """

    def __init__(
        self,
        outbox: Outbox,
        sender: Sender,
        *,
        leave_new: Callable[[list[Pick]], list[Pick]] = list,
    ) -> None:
        self.name = "messaging"
        self._outbox = outbox
        self._sender = sender
        self._leave_new = leave_new
        self._held: list[Pick] = []
        self._limited = LimitedLog(_log)

    @property
    def state(self) -> OutputState:
        """How it is doing."""
        return OutputState(
            name=self.name,
            n_waiting=len(self._held),
            n_kept=self._sender.n_waiting,
            delivered_ns=self._outbox.delivered_ns,
            problem="" if self._sender.is_connected else "the messaging is away",
        )

    def write(self, picks: Sequence[Pick]) -> None:
        self._held += self._leave_new(list(picks))
        self._store()
        self._sender.flush()

    def settle(self, *, at_once: bool = False) -> bool:
        del at_once
        self._store()
        self._sender.retry()
        return not self._held

    def close(self) -> None:
        self.settle()
        if self._sender.n_waiting:
            _log.error("%d messages could not be sent", self._sender.n_waiting)
        if self._held:
            _log.error("%d picks could not be put into the outbox", len(self._held))
        self._outbox.close()

    def _store(self) -> None:
        if not self._held:
            return
        try:
            self._outbox.append(self._held, created_ns=time.time_ns())
            self._held = []
        except OutputError as error:
            self._limited.warning("outbox", f"{error}; {len(self._held)} picks wait in memory")


class LineOutput(PickSink):
    """Prints a line a pick: time, phase, stream, probability, SNR, public id."""

    def write(self, picks: Sequence[Pick]) -> None:
        for pick in picks:
            probability = floored(pick.probability, DEFAULT_PRECISION)
            print(
                f"{format_time(pick.time_ns)} {pick.phase} {pick.seed_id} {probability} "
                f"snr {pick.snr:.3g} {pick.public_id}",
                flush=True,
            )

    def close(self) -> None:
        pass


class DocumentOutput(PickSink):
    """Keeps all picks and writes one document, SCML or QuakeML 1.2, to stdout at the end."""

    def __init__(self, maker: ObjectMaker, *, as_quakeml: bool, formatted: bool) -> None:
        self._maker = maker
        self._as_quakeml = as_quakeml
        self._formatted = formatted
        self._picks: list[Pick] = []

    def write(self, picks: Sequence[Pick]) -> None:
        self._picks += picks

    def close(self) -> None:
        picks = in_order(self._picks)
        created_ns = time.time_ns()
        if self._as_quakeml:
            style = replace(self._maker.style, created_ns=created_ns)
            BY_SUFFIX[".qml"].write(sys.stdout.buffer, picks, style)
            sys.stdout.flush()
            n_picks, n_amplitudes = len(picks), 0
        else:
            n_picks, n_amplitudes = self._write_scml(picks, created_ns)
        print(f"Found {n_picks} picks and {n_amplitudes} amplitudes", file=sys.stderr)

    def _write_scml(self, picks: Sequence[Pick], created_ns: int) -> tuple[int, int]:
        parameters = datamodel.EventParameters()
        for pick in picks:
            made = self._maker.pick(pick, created_ns)
            if made is None:
                continue
            parameters.add(made)
            for comment in self._maker.comments(pick):
                made.add(comment)
            amplitude = self._maker.amplitude(pick, created_ns)
            if amplitude is not None:
                parameters.add(amplitude)
        sys.stdout.flush()
        archive = io.XMLArchive()
        archive.create("-")
        archive.setFormattedOutput(self._formatted)
        archive.writeObject(parameters)
        archive.close()
        return parameters.pickCount(), parameters.amplitudeCount()


class ExportOutput(PickSink):
    """A folder of hourly documents, ``.scml`` or ``.qml``; it is made if it does not exist.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, suffix: str, style: Style) -> None:
        self._documents = RollingDocuments(folder, suffix, style)
        self._limited = LimitedLog(_log)

    def write(self, picks: Sequence[Pick]) -> None:
        try:
            self._documents.write(picks)
            self._documents.settle()
        except OutputError as error:
            self._limited.warning("export", f"{error}")

    def settle(self, *, at_once: bool = False) -> bool:
        del at_once
        self.write([])
        return True

    def close(self) -> None:
        try:
            self._documents.close()
        except OutputError as error:
            _log.error("%s", error)
