"""A folder of SCML or QuakeML documents, one an hour or day of pick times.

Every document is complete at every moment: a new version takes the place of the
old one in one step. Picks that a document holds are not put into it again.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from scperformer.atomic import AtomicFile, remove_leftovers
from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.pick_files import BY_SUFFIX
from scperformer.picks.style import Style
from scperformer.types import Pick, PickSink, format_time

_log = logging.getLogger(__name__)

ROLLS = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d"}
_PICK_ID = re.compile(rb'<pick publicID="([^"]*)"')
_DOCUMENTS = re.compile(r"[0-9T-]{10,13}\.\w+")
_KNOWN_DOCUMENTS = 8
_COST_SHARE = 0.05


class RollingDocuments(PickSink):
    """Picks in documents by the hour or day of their time.

    A document is written anew at once while that is cheap; a large one waits until
    writing has become a small share of the time.

    Args:
        folder: where the documents are; made if it does not exist.
        suffix: of the documents, in small letters; it tells their format.
        style: how they are written; their creation time is that of writing.
        roll: hour or day.

    Raises:
        ConfigurationError: an unknown period.
        OutputError: the folder cannot be made, or is a file.
    """

    def __init__(self, folder: Path, suffix: str, style: Style, *, roll: str = "hour") -> None:
        if roll not in ROLLS:
            raise ConfigurationError(f"roll: got {roll!r}; wanted one of {', '.join(ROLLS)}")
        self.name = str(folder.absolute())
        self.folder = folder
        self._suffix = suffix
        self._kind = BY_SUFFIX[suffix]
        self._codec = self._kind.codec
        self._style = style
        self._pattern = ROLLS[roll]
        self._waiting: dict[str, dict[bytes, Pick]] = {}
        self._known: dict[str, set[bytes]] = {}
        self._due_s = 0.0
        make_folder(folder, _DOCUMENTS)

    def write(self, picks: Sequence[Pick]) -> None:
        """Take picks; `settle` writes them."""
        for pick in picks:
            ids = self._ids_in(self._period(pick))
            own = self._id_of(pick)
            if own not in ids:
                self._waiting.setdefault(self._period(pick), {})[own] = pick

    def missing(self, picks: Sequence[Pick]) -> list[Pick]:
        """Return the picks that no document holds."""
        return [pick for pick in picks if self._id_of(pick) not in self._ids_in(self._period(pick))]

    def settle(self, *, at_once: bool = False) -> bool:
        """Write the documents anew that have new picks.

        Raises:
            OutputError: a document cannot be written; its picks still wait.
        """
        if self._waiting and (at_once or time.monotonic() >= self._due_s):
            begun_s = time.monotonic()
            for period in sorted(self._waiting):
                try:
                    self._extend(period, self._waiting[period])
                except OSError as error:
                    what = f"cannot be written ({error.strerror})"
                    raise OutputError(f"{self._path(period)}: {what}") from error
                del self._waiting[period]
            now_s = time.monotonic()
            self._due_s = now_s + (now_s - begun_s) / _COST_SHARE
        return not self._waiting

    def close(self) -> None:
        """Write what waits.

        Raises:
            OutputError: a document cannot be written.
        """
        self.settle(at_once=True)

    def _period(self, pick: Pick) -> str:
        return format_time(pick.time_ns, self._pattern)

    def _path(self, period: str) -> Path:
        return self.folder / f"{period}{self._suffix}"

    def _style_now(self) -> Style:
        return replace(self._style, created_ns=time.time_ns())

    def _body(self, pick: Pick) -> bytes:
        return self._codec.body(pick, self._style_now())

    def _id_of(self, pick: Pick) -> bytes:
        found = _PICK_ID.search(self._body(pick))
        assert found is not None
        return found[1]

    def _ids_in(self, period: str) -> set[bytes]:
        """Public ids in a document, as they are spelt there; those of a few are remembered."""
        ids = self._known.pop(period, None)
        if ids is None:
            ids = set(_PICK_ID.findall(self._read(period)))
        self._known[period] = ids
        while len(self._known) > _KNOWN_DOCUMENTS:
            self._known.pop(next(iter(self._known)))
        return ids

    def _read(self, period: str) -> bytes:
        try:
            return self._path(period).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise OutputError(f"{self._path(period)}: cannot be read ({error.strerror})") from error

    def _extend(self, period: str, picks: dict[bytes, Pick]) -> None:
        path = self._path(period)
        length = self._length_without_footer(path)
        with AtomicFile(path, durable=True) as output:
            if length is None:
                self._kind.write(output.file, list(picks.values()), self._style_now())
            else:
                with path.open("rb") as old:
                    _copy(old, output.file, length)
                output.file.writelines(map(self._body, picks.values()))
                output.file.write(self._codec.FOOT)
        self._ids_in(period).update(picks)

    def _length_without_footer(self, path: Path) -> int | None:
        """Say how much of a document to keep; None if there is none, or it is damaged."""
        footer = self._codec.FOOT
        try:
            with path.open("rb") as file:
                length = file.seek(0, os.SEEK_END) - len(footer)
                if length > 0:
                    file.seek(length)
                    if file.read() == footer:
                        return length
        except FileNotFoundError:
            return None
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns() // 1_000_000_000}")
        _log.error("%s: does not end as a document of ours; set aside as %s", path, aside.name)
        path.rename(aside)
        return None


def make_folder(folder: Path, documents: re.Pattern[str]) -> list[Path]:
    """Make the folder of documents of such names, if it is not there; return what it has.

    What a crash has left of them goes.

    Raises:
        OutputError: it cannot be made, or is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder, documents)
        return sorted(path for path in folder.iterdir() if documents.fullmatch(path.name))
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made ({error.strerror}); documents roll in a folder of that name"
        ) from error


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    while length > 0 and (part := source.read(min(length, 1 << 20))):
        target.write(part)
        length -= len(part)
