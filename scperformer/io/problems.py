"""What is wrong with an input: told, counted, and survived."""

from __future__ import annotations

import logging
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
    """

    path: Path
    what: str
    wanted: str
    byte_offset: int | None = None
    lost_bytes: int = 0

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; wanted {self.wanted}"


Report = Callable[[InputProblem], None]


def log_problem(problem: InputProblem) -> None:
    """Write a problem to the log: the report of callers who bring none."""
    _log.warning("%s", problem)


def problem_from_os(path: Path, error: OSError) -> InputProblem:
    """Describe an error of the operating system."""
    if isinstance(error, FileNotFoundError):
        return InputProblem(path, "no such file or folder", "an existing file or folder")
    return InputProblem(path, f"cannot be read ({error.strerror or error})", "a readable file")
