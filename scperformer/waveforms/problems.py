"""What is wrong with an input: told, counted, and survived."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InputProblem:
    """A fault of one input; everything that could be read of it is still used.

    Attributes:
        path: the file or folder.
        what: what happened.
        wanted: what would have been right.
        byte_offset: first byte of the damage, None where no byte is to blame.
        lost_bytes: bytes that could not be used.
        is_note: nothing was lost: worth a line, but no failure.
    """

    path: Path
    what: str
    wanted: str
    byte_offset: int | None = None
    lost_bytes: int = 0
    is_note: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" + (f"; wanted {self.wanted}" if self.wanted else "")


Report = Callable[[InputProblem], None]


def log_problem(problem: InputProblem) -> None:
    """Write a problem to the log: the report of callers who bring none."""
    _log.log(logging.INFO if problem.is_note else logging.WARNING, "%s", problem)


def problem_from_os(path: Path, error: OSError) -> InputProblem:
    """Describe an error of the operating system."""
    if os.path.islink(path) and not os.path.exists(path):
        what = f"a link to {os.readlink(path)}, which leads nowhere"
        return InputProblem(path, what, "a link to an existing file or folder")
    if isinstance(error, FileNotFoundError):
        return InputProblem(path, "no such file or folder", "an existing file or folder")
    return InputProblem(path, f"cannot be read ({error.strerror or error})", "a readable file")
