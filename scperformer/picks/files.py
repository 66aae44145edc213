"""Files that appear complete or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scperformer.errors import OutputError


@contextmanager
def moved_into_place(path: Path) -> Iterator[Path]:
    """Give a hidden path beside a file's place to write to; move it there at the end.

    The folder is made if it is not there. After an error nothing is left behind.

    Raises:
        OutputError: it cannot be written.
    """
    hidden = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield hidden
        os.replace(hidden, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        hidden.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, complete or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with moved_into_place(path) as hidden:
        hidden.write_bytes(content)
