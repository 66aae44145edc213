"""Files of picks and labels: which formats there are, what writes and what reads them.

A format is a module of this folder that has what `Codec` asks for, and an entry in `FORMATS`.
"""

from __future__ import annotations

import csv
import importlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from scperformer.atomic import write_bytes
from scperformer.errors import InputError
from scperformer.picks import csv_rows
from scperformer.picks.columns import NAMES, row
from scperformer.picks.style import Style
from scperformer.picks.words import WANTED, Others
from scperformer.types import Pick

_MOST_NAMED = 8
_log = logging.getLogger(__name__)


class Codec(Protocol):
    """A module that writes and reads a format: head, a body for each pick, foot."""

    FOOT: bytes

    def head(self, picks: Sequence[Pick], style: Style) -> bytes:
        """Return what a file of some picks begins with."""

    def body(self, pick: Pick, style: Style) -> bytes:
        """Return what stands in it of a pick; of a table, a line."""

    def read(self, path: Path, others: Others) -> Iterator[Pick]:
        """Read the picks of a file, and count those of other phases than P and S.

        Raises:
            InputError: it is no file of this format, or has a pick that cannot be read.
            OSError, UnicodeDecodeError, csv.Error: it cannot be read at all.
        """


@dataclass(frozen=True, slots=True)
class Format:
    """A format of pick files.

    Attributes:
        module: of this folder, imported when it is needed.
        suffixes: of its files.
        is_document: has a foot; picks that come live go into a folder of documents.
        can_be_read: has `read`.
    """

    module: str
    suffixes: tuple[str, ...]
    is_document: bool = False
    can_be_read: bool = True

    @property
    def codec(self) -> Codec:
        """What writes and reads it."""
        codec: Codec = importlib.import_module(f"scperformer.picks.{self.module}")
        return codec

    def write(self, file: BinaryIO, picks: Sequence[Pick], style: Style) -> None:
        """Write a whole file of picks, in the order wanted."""
        codec = self.codec
        file.write(codec.head(picks, style))
        file.writelines(codec.body(pick, style) for pick in picks)
        file.write(codec.FOOT)


FORMATS = (
    Format("text_lines", (".txt",), can_be_read=False),
    Format("csv_rows", (".csv",)),
    Format("json_lines", (".jsonl",)),
    Format("scml", (".scml", ".xml"), is_document=True),
    Format("quakeml", (".qml", ".quakeml"), is_document=True),
)
BY_SUFFIX = {suffix: kind for kind in FORMATS for suffix in kind.suffixes}
"""Formats by suffix, in small letters."""


def read_pick_file(path: Path) -> list[Pick]:
    """Read picks or labels; other phases than P and S are left out and counted in the log.

    Of QuakeML and SCML, rejected picks are left out; a pick's event is known where an
    origin names it.

    Raises:
        InputError: no such file, no known layout, or a row that cannot be read.
    """
    kind, others = BY_SUFFIX.get(path.suffix.lower()), Others()
    if kind is None or not kind.can_be_read:
        known = " ".join(suffix for suffix, its in BY_SUFFIX.items() if its.can_be_read)
        raise InputError(f"{path}: unknown suffix {path.suffix!r}; wanted one of {known}")
    try:
        picks = list(kind.codec.read(path, others))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {WANTED}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if others:
        named = ", ".join(f"{name or 'unnamed'} {n}" for name, n in others.most_common(_MOST_NAMED))
        _log.warning(
            "%s: %d picks of other phases than P and S left out: %s%s",
            path,
            others.total(),
            named,
            ", ..." if len(others) > _MOST_NAMED else "",
        )
    return picks


def record_files(path: Path) -> list[str]:
    """Return the record files that a label file lists, also those without any label.

    Empty if the file has no column ``file``.

    Raises:
        InputError: the file cannot be read.
    """
    if path.suffix.lower() != ".csv":
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = [(item.get("file") or "").strip() for item in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    return list(dict.fromkeys(name for name in names if name))


def write_picks(path: Path, files: Sequence[str], picks: Sequence[Pick]) -> None:
    """Write picks as this program's CSV with the record file of each in front.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [csv_rows.line("file", *NAMES)]
    for file, pick in zip(files, picks, strict=True):
        lines.append(csv_rows.line(file, *row(pick).values()))
    write_bytes(path, b"".join(lines))
