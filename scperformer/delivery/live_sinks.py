"""Outputs that grow while the data come in: lines one by one, documents by hour or day."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.appending import AppendFile
from scperformer.picks.pick_files import BY_SUFFIX
from scperformer.picks.rolling import RollingDocuments
from scperformer.picks.style import Style
from scperformer.types import Pick, PickSink

STANDARD_OUTPUT = "-"
_STANDARD_HANDLE = 1

# Where lines are looked for after a crash: far more than can be written between two notes.
_TAIL_BYTES = 1 << 24

Render = Callable[[Pick], bytes]


class AppendingSink(PickSink):
    """A file of lines, each pick on the disk when `write` returns.

    A partial last line, left by a crash, is cut off at the start. A file that is
    moved away (log rotation) is begun anew.

    Args:
        path: the file; what it holds is kept.
        render: gives a pick's line, with its end.
        header: first line of a new file, empty for none.

    Raises:
        OutputError: the file cannot be written, or begins with another header.
    """

    def __init__(self, path: Path, render: Render, *, header: bytes = b"") -> None:
        self.name = str(path.absolute())
        self.path = path
        self._render = render
        self._header = header
        self._file = AppendFile(path)
        self._begin()

    def _begin(self) -> None:
        if not self._header:
            return
        if self._file.size == 0:
            self._file.append(self._header)
            return
        with self.path.open("rb") as file:
            if file.readline() != self._header:
                wanted = self._header.decode().strip()
                raise OutputError(
                    f"{self.path}: begins with other columns; wanted {wanted}; name another file"
                )

    def write(self, picks: Sequence[Pick]) -> None:
        """Add picks; they stand on the disk when it returns.

        Raises:
            OutputError: nothing was added.
        """
        if not picks:
            return
        self._file.follow()
        self._begin()
        self._file.append(b"".join(map(self._render, picks)))

    def missing(self, picks: Sequence[Pick]) -> list[Pick]:
        """Return the picks whose lines do not stand near the end of the file."""
        wanted = {self._render(pick).rstrip(b"\n") for pick in picks}
        there = Counter(line for line in self._file.tail(_TAIL_BYTES) if line in wanted)
        absent: list[Pick] = []
        for pick in picks:
            line = self._render(pick).rstrip(b"\n")
            there[line] -= 1
            if there[line] < 0:
                absent.append(pick)
        return absent

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class StandardOutput(PickSink):
    """Lines on standard output, pick by pick; what was printed is not known later.

    No line comes twice or in part: after a failure `write` expects the same picks again, with
    new ones behind them, and goes on where it stopped.

    Args:
        render: gives a pick's line, with its end.
        handle: the file descriptor; that of standard output by default.

    Raises:
        OutputError: standard output was closed before the program began.
    """

    name = STANDARD_OUTPUT

    def __init__(self, render: Render, *, handle: int = _STANDARD_HANDLE) -> None:
        if handle == _STANDARD_HANDLE and sys.__stdout__ is None:
            raise OutputError("standard output is closed; name a file with --out")
        self._render = render
        self._handle = handle
        self._rest = b""
        self._n_begun = 0

    def write(self, picks: Sequence[Pick]) -> None:
        """Print picks.

        Raises:
            BrokenPipeError: nobody reads any more.
            OutputError: they cannot be printed now.
        """
        self._push()
        for number, pick in enumerate(picks[self._n_begun :], self._n_begun + 1):
            self._rest, self._n_begun = self._render(pick), number
            self._push()
        self._n_begun = 0

    def _push(self) -> None:
        """Print what is left of the line that was begun."""
        try:
            while self._rest:
                self._rest = self._rest[os.write(self._handle, self._rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"standard output cannot be written ({error.strerror})") from error

    def close(self) -> None:
        """Leave standard output open."""


def open_live_sink(output: str, style: Style | None = None, *, roll: str = "hour") -> PickSink:
    """Open an output by its name.

    Args:
        output: ``-`` for JSON lines on standard output; a file ``.jsonl .csv .txt``; or
            a folder of documents ``.scml .xml .qml .quakeml``.
        style: how picks are written; documents have the time of writing.
        roll: hour or day: what a document spans.

    Raises:
        ConfigurationError: an unknown suffix or period.
        OutputError: it cannot be written.
    """
    style = style or Style()
    path = Path(output)
    suffix = ".jsonl" if output == STANDARD_OUTPUT else path.suffix.lower()
    kind = BY_SUFFIX.get(suffix)
    if kind is None:
        known = ", ".join((STANDARD_OUTPUT, *BY_SUFFIX))
        raise ConfigurationError(f"{path}: unknown suffix {suffix!r}; wanted one of {known}")
    if kind.is_document:
        return RollingDocuments(path, suffix, style, roll=roll)
    render = partial(kind.codec.body, style=style)
    if output == STANDARD_OUTPUT:
        return StandardOutput(render)
    return AppendingSink(path, render, header=kind.codec.head([], style))
