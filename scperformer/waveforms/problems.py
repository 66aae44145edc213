"""What is wrong with an input: told, counted, and survived."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scperformer.core.statistics import DropReason, Observer, split_text
from scperformer.types import Gap, SeedId, format_time

MOST_LINES = 1000
_MOST_KEYS = 100_000
_LASTING = {
    DropReason.SAMPLING_RATE,
    DropReason.COMPONENT,
    DropReason.RIVAL,
    DropReason.FAINT,
    DropReason.EMPTY,
}

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
        is_passing: nothing is wrong with the data: another attempt may have them.
    """

    path: Path
    what: str
    wanted: str
    byte_offset: int | None = None
    lost_bytes: int = 0
    is_note: bool = False
    is_passing: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" + (f"; wanted {self.wanted}" if self.wanted else "")


Report = Callable[[InputProblem], None]


def log_problem(problem: InputProblem) -> None:
    """Write a problem to the log: the report of callers who bring none."""
    _log.log(logging.INFO if problem.is_note else logging.WARNING, "%s", problem)


def say_nothing(problem: InputProblem) -> None:
    """Keep silent: the report of callers whose problems were told, or will be, elsewhere."""
    del problem


def problem_from_os(path: Path, error: OSError) -> InputProblem:
    """Describe an error of the operating system."""
    if os.path.islink(path) and not os.path.exists(path):
        what = f"a link to {os.readlink(path)}, which leads nowhere"
        return InputProblem(path, what, "a link to an existing file or folder", is_passing=True)
    if isinstance(error, FileNotFoundError):
        what, wanted = "no such file or folder", "an existing file or folder"
        return InputProblem(path, what, wanted, is_passing=True)
    what = f"cannot be read ({error.strerror or error})"
    return InputProblem(path, what, "a readable file", is_passing=True)


class LimitedLog:
    """Writes a warning at once when a problem is new, then at most one an interval.

    Hostile inputs can have new problems without end: of all together at most `MOST_LINES`
    are written an interval.

    Args:
        logger: where lines go.
        interval_s: least time between two lines of one problem.

    Attributes:
        n_warnings: how often problems were told, written or not.
    """

    def __init__(self, logger: logging.Logger, *, interval_s: float = 600.0) -> None:
        self.n_warnings = 0
        self._logger = logger
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._told_at_s: dict[Hashable, float] = {}
        self._silent: Counter[Hashable] = Counter()
        self._since_s = 0.0
        self._n_lines = 0

    def warning(self, key: Hashable, message: str, *, with_traceback: bool = False) -> None:
        """Tell of a problem.

        Args:
            key: what makes it the same problem, such as the channel and the reason.
            message: the line, beginning with the stream's code.
            with_traceback: of the exception that is being handled.
        """
        with self._lock:
            now_s = time.monotonic()
            if len(self._told_at_s) > _MOST_KEYS:
                self._told_at_s.clear()
                self._silent.clear()
            told_at_s = self._told_at_s.get(key)
            self.n_warnings += 1
            if told_at_s is not None and now_s - told_at_s < self._interval_s:
                self._silent[key] += 1
                return
            if now_s - self._since_s >= self._interval_s:
                self._since_s, self._n_lines = now_s, 0
            self._n_lines += 1
            if self._n_lines > MOST_LINES:
                if self._n_lines == MOST_LINES + 1:
                    text = "%d lines of problems; further ones are counted, not told, for %.0f s"
                    self._logger.warning(text, MOST_LINES, self._since_s + self._interval_s - now_s)
                return
            self._told_at_s[key] = now_s
            n_silent = self._silent.pop(key, 0)
        more = f" ({n_silent} more since the last line)" if n_silent else ""
        self._logger.warning("%s%s", message, more, exc_info=with_traceback)

    def warn(self, message: str) -> None:
        """Tell of a problem that is known by its text up to the second colon."""
        self.warning(tuple(message.split(": ")[:2]), message)


class LoggingObserver(Observer):
    """Logs a pipeline's gaps and left-out samples, a line for each channel and reason.

    Args:
        passing: for what comes and goes.
        lasting: for what stays until somebody changes it; None for the same log.
    """

    def __init__(self, passing: LimitedLog, lasting: LimitedLog | None = None) -> None:
        self._passing = passing
        self._lasting = lasting or passing

    def gap(self, gap: Gap) -> None:
        text = f"{gap.seed_id}: gap of {gap.duration_s:.2f} s at {format_time(gap.start_ns)}"
        self._passing.warning((gap.seed_id, "gap"), text)

    def split(self, channels: Sequence[SeedId]) -> None:
        self._lasting.warning(tuple(channels), split_text(channels))

    def dropped(self, seed_id: SeedId, reason: DropReason, n_samples: int) -> None:
        if reason is DropReason.DUPLICATE:
            return
        log = self._lasting if reason in _LASTING else self._passing
        log.warning((seed_id, reason), f"{seed_id}: {n_samples} samples left out: {reason}")
