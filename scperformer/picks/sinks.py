"""Files of picks, in the format that their suffix names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from scperformer.atomic import AtomicFile, Closing
from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.pick_files import BY_SUFFIX
from scperformer.picks.style import Style
from scperformer.types import Pick, PickSink

Writer = Callable[[BinaryIO, Sequence[Pick]], None]


class FileSink(Closing, PickSink):
    """Collects picks and writes them, sorted by time, when closed.

    The file appears complete at `close`, or not at all. Picks with the same public id
    are one pick. As a context manager it discards what it has if an exception came.

    Args:
        path: the file to be.
        writer: writes sorted picks.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def __init__(self, path: Path, writer: Writer) -> None:
        self.name = str(path.absolute())
        self.path = path
        self._writer = writer
        self._picks: list[Pick] = []
        self._output: AtomicFile | None = AtomicFile(path, durable=True)

    def write(self, picks: Sequence[Pick]) -> None:
        """Take picks, in any order.

        Raises:
            OutputError: the sink has been closed.
        """
        if self._output is None:
            raise OutputError(f"{self.path}: closed; nothing more can be written")
        self._picks.extend(picks)

    def close(self) -> None:
        """Write the file; a second call does nothing.

        Raises:
            OutputError: the file cannot be written.
        """
        output, self._output = self._output, None
        if output is None:
            return
        with output:
            self._writer(output.file, in_order(self._picks))

    def discard(self) -> None:
        """Close without writing anything."""
        output, self._output = self._output, None
        if output is not None:
            output.discard()


def open_sink(path: Path, style: Style | None = None) -> FileSink:
    """Open a file of picks: ``.txt .csv .jsonl .scml .xml .qml .quakeml``.

    Args:
        path: the file to be.
        style: how they are written.

    Raises:
        ConfigurationError: an unknown suffix.
        OutputError: the folder cannot be written to.
    """
    kind = BY_SUFFIX.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(BY_SUFFIX)
        raise ConfigurationError(
            f"{path}: unknown suffix {path.suffix.lower()!r}; wanted one of {known}"
        )
    return FileSink(path, partial(kind.write, style=style or Style()))


def in_order(picks: Iterable[Pick]) -> list[Pick]:
    """Sort picks by time and leave out repetitions."""
    ordered = sorted(picks, key=lambda pick: (pick.time_ns, pick.phase, pick.seed_id, pick.recipe))
    unique: dict[str, Pick] = {}
    for pick in ordered:
        unique.setdefault(pick.public_id, pick)
    return list(unique.values())
