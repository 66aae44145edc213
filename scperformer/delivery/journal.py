"""The write-ahead journal of picks: nothing reaches an output that does not stand here.

A line a pick, each with a serial number, and lines that say up to which number each
output has taken them. After a crash the journal knows what was decided, and which
outputs may lack some of it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scperformer.atomic import AtomicFile
from scperformer.errors import OutputError
from scperformer.picks.appending import AppendFile
from scperformer.picks.pick_json import DAMAGED, pick_from_json, pick_to_json
from scperformer.types import Pick

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A pick and its number in the order in which picks were decided."""

    serial: int
    pick: Pick


class Journal:
    """A file of picks and of how far each output has come.

    Args:
        path: the file; what a crash has left of it is read, and repaired.

    Attributes:
        entries: the picks that are kept, in order of their numbers.
        cursors: for each output by name, the number of the last pick that it has.

    Raises:
        OutputError: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self.cursors: dict[str, int] = {}
        self._last_serial = 0
        self._read()
        self._file = self._rewritten()

    @property
    def last_serial(self) -> int:
        """Number of the latest pick, 0 before the first."""
        return self._last_serial

    def append(self, picks: Sequence[Pick]) -> list[Entry]:
        """Write picks down; they stand on the disk when it returns.

        Raises:
            OutputError: nothing was written down.
        """
        numbered = enumerate(picks, start=self._last_serial + 1)
        entries = [Entry(serial, pick) for serial, pick in numbered]
        if entries:
            self._file.append(b"".join(_entry_line(entry) for entry in entries))
            self.entries += entries
            self._last_serial = entries[-1].serial
        return entries

    def advance(self, cursors: Mapping[str, int]) -> None:
        """Note how far outputs have come, without waiting for the disk.

        Raises:
            OutputError: it cannot be written.
        """
        news = {name: at for name, at in cursors.items() if self.cursors.get(name) != at}
        if news:
            self._file.append(_line({"done": news}), sync=False)
            self.cursors.update(news)

    def prune(self, is_needed: Callable[[Entry], bool]) -> None:
        """Forget the picks that nobody needs, and the outputs' earlier steps.

        Raises:
            OutputError: the new file cannot be written; the old one is still in use.
        """
        before = self.entries
        self.entries = [entry for entry in before if is_needed(entry)]
        try:
            file = self._rewritten()
        except OutputError:
            self.entries = before
            raise
        self._file.close()
        self._file = file

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> None:
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else [b""]
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be read ({error.strerror})") from error
        n_damaged = 0
        for line in lines[:-1]:
            try:
                self._take(json.loads(line))
            except DAMAGED:
                n_damaged += 1
        if n_damaged:
            _log.warning("%s: %d damaged lines are left out", self.path, n_damaged)
        self.entries.sort(key=lambda entry: entry.serial)

    def _take(self, values: dict[str, Any]) -> None:
        if "last" in values:
            self._last_serial = max(self._last_serial, int(values["last"]))
        if "done" in values:
            self.cursors.update({str(name): int(at) for name, at in values["done"].items()})
        if "pick" in values:
            entry = Entry(int(values["n"]), pick_from_json(values["pick"]))
            self.entries.append(entry)
            self._last_serial = max(self._last_serial, entry.serial)

    def _lines(self) -> Iterator[bytes]:
        yield _line({"last": self._last_serial, "done": self.cursors})
        yield from map(_entry_line, self.entries)

    def _rewritten(self) -> AppendFile:
        with AtomicFile(self.path, durable=True) as output:
            output.file.writelines(self._lines())
        return AppendFile(self.path)


def _entry_line(entry: Entry) -> bytes:
    return _line({"n": entry.serial, "pick": pick_to_json(entry.pick)})


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"
