"""The original program's list file: a line a station, its component files on it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST_BYTES = 1 << 24
"""A larger file is no list of files."""

_QUOTES = re.compile("[\"']")
_BLANKS = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class ListLine:
    """The files of one line.

    Attributes:
        number: counted from 1.
        paths: as resolved; they need not exist.
    """

    number: int
    paths: tuple[Path, ...]


def list_lines(path: Path) -> list[ListLine] | None:
    """Read a list file.

    Names are separated by white space and may be quoted; blank lines and lines that
    begin with ``#`` say nothing. A relative name is looked for from the current
    folder, then from the list file's.

    Returns:
        The lines, or None if the file is not text, or far too long.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES or b"\x00" in data[:4096]:
        return None
    text = data.decode("utf-8-sig", "surrogateescape")
    return list(_lines(text, path.parent))


def names_existing_files(lines: list[ListLine]) -> bool:
    """Tell whether a line names a file that is there."""
    return any(_exists(path) for line in lines for path in line.paths)


def _lines(text: str, folder: Path) -> Iterator[ListLine]:
    for number, line in enumerate(text.splitlines(), start=1):
        names = _split(line)
        if names and not names[0].startswith("#"):
            yield ListLine(number, tuple(_resolve(name, folder) for name in names))


def _split(line: str) -> list[str]:
    if _QUOTES.search(line) is None:  # shlex takes a microsecond a letter
        return [word for word in _BLANKS.split(line) if word]
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.escape = ""
    try:
        return list(lexer)
    except ValueError:  # a quote that is part of a name
        return line.split()


def _resolve(name: str, folder: Path) -> Path:
    path = Path(name.replace("\x00", ""))
    beside = folder / path
    return beside if not _exists(path) and _exists(beside) else path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that no file system takes
        return False
