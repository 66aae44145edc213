"""Outputs that grow while the data come in: lines one by one, documents by hour or day."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks import tables
from scperformer.picks.appending import AppendFile
from scperformer.picks.sinks import DEFAULT_PRECISION, DEFAULT_SCML_VERSION
from scperformer.types import ALL_PHASES, Phase, Pick, PickSink

STANDARD_OUTPUT = "-"
_STANDARD_HANDLE = 1
TABLE_SUFFIXES = (".jsonl", ".csv", ".txt")
DOCUMENT_SUFFIXES = (".scml", ".xml", ".qml", ".quakeml")

# Where lines are looked for after a crash: far more than can be written between two notes.
_TAIL_BYTES = 1 << 24

Render = Callable[[Pick], bytes]


class LiveSink(PickSink, Protocol):
    """An output that lasts longer than the program, and can tell what it has."""

    @property
    def name(self) -> str:
        """What the output is called, the same after a restart."""

    def missing(self, picks: Sequence[Pick]) -> list[Pick]:
        """Return those of some picks that the output does not hold."""

    def settle(self, *, at_once: bool = False) -> bool:
        """Bring to the disk what waits and is due, or all of it `at_once`.

        Returns:
            Whether everything that was written is safe.

        Raises:
            OutputError: it cannot be written now; it still waits.
        """


@runtime_checkable
class KeepingSink(Protocol):
    """An output that keeps what it has taken until a receiver has acknowledged it."""

    @property
    def name(self) -> str:
        """What the output is called."""

    @property
    def n_kept(self) -> int:
        """Messages that are not acknowledged yet."""


class AppendingSink:
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
        self.path = path
        self._render = render
        self._header = header
        self._file = AppendFile(path)
        self._begin()

    @property
    def name(self) -> str:
        """The absolute path."""
        return str(self.path.absolute())

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

    def settle(self, *, at_once: bool = False) -> bool:
        """Everything written is safe already."""
        del at_once
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class StandardOutput:
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

    def missing(self, picks: Sequence[Pick]) -> list[Pick]:
        """Return all picks."""
        return list(picks)

    def settle(self, *, at_once: bool = False) -> bool:
        """Everything printed is gone."""
        del at_once
        return True

    def close(self) -> None:
        """Leave standard output open."""


def open_live_sink(
    output: str,
    *,
    precision: int = DEFAULT_PRECISION,
    roll: str = "hour",
    agency: str = "",
    author: str = "scperformer",
    scml_version: str = DEFAULT_SCML_VERSION,
    amplitude_phases: frozenset[Phase] = ALL_PHASES,
) -> LiveSink:
    """Open an output by its name.

    Args:
        output: ``-`` for JSON lines on standard output; a file ``.jsonl .csv .txt``; or
            a folder of documents ``.scml .xml .qml .quakeml``.
        precision: digits of probabilities; CSV and JSONL have at least 6, documents 4.
        roll: hour or day: what a document spans.
        agency: agency of documents.
        author: author of documents.
        scml_version: schema version of SCML documents.
        amplitude_phases: phases whose picks come with an amplitude in SCML documents.

    Raises:
        ConfigurationError: an unknown suffix, period or schema version.
        OutputError: it cannot be written.
    """
    if output == STANDARD_OUTPUT:
        return StandardOutput(_renderer(".jsonl", precision))
    path = Path(output)
    suffix = path.suffix.lower()
    if suffix in TABLE_SUFFIXES:
        header = _lines(tables.write_csv, [], precision) if suffix == ".csv" else b""
        return AppendingSink(path, _renderer(suffix, precision), header=header)
    if suffix not in DOCUMENT_SUFFIXES:
        known = ", ".join((STANDARD_OUTPUT, *TABLE_SUFFIXES, *DOCUMENT_SUFFIXES))
        raise ConfigurationError(f"{path}: unknown suffix {suffix!r}; wanted one of {known}")
    from scperformer.picks import rolling  # noqa: PLC0415 - lxml

    kind = rolling.document_format(
        suffix,
        precision=precision,
        agency=agency,
        author=author,
        scml_version=scml_version,
        amplitude_phases=amplitude_phases,
    )
    return rolling.RollingDocuments(path, kind, roll=roll)


def _renderer(suffix: str, precision: int) -> Render:
    writers: dict[str, Callable[..., None]] = {
        ".txt": tables.write_text,
        ".csv": tables.write_csv,
        ".jsonl": tables.write_jsonl,
    }
    return partial(_line, writers[suffix], precision)


def _line(writer: Callable[..., None], precision: int, pick: Pick) -> bytes:
    return _lines(writer, [pick], precision).splitlines(keepends=True)[-1]


def _lines(writer: Callable[..., None], picks: Sequence[Pick], precision: int) -> bytes:
    buffer = io.BytesIO()
    writer(buffer, picks, precision=precision)
    return buffer.getvalue()
