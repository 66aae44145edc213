"""Python's log messages in SeisComP's log, and what the pipeline tells of gaps and losses."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from seiscomp import logging as seiscomp_logging

from scperformer.core.statistics import DropReason
from scperformer.types import Pick, SeedId
from scperformer.waveforms.problems import LimitedLog, LoggingObserver

_log = logging.getLogger(__name__)

_PACKAGE = "scperformer"
_WRITERS = MappingProxyType(
    {
        logging.ERROR: seiscomp_logging.error,
        logging.WARNING: seiscomp_logging.warning,
        logging.INFO: seiscomp_logging.info,
        logging.DEBUG: seiscomp_logging.debug,
    }
)

MANY_SAMPLES = 6000
"""Of a channel; a minute at 100 Hz."""
MUCH = 0.01
"""Of all samples; telemetry that is late now and then loses less in a year's records."""

_NAMED = 3
_FILE = "file://"


class Losses:
    """Counts what was lost.

    Attributes:
        n_failed: records that an unexpected error left out.
    """

    def __init__(self) -> None:
        self.n_failed = 0
        self._late: Counter[SeedId] = Counter()
        self._most = 0

    def __bool__(self) -> bool:
        return bool(self._late or self.n_failed)

    def is_disorder(self, n_samples: int) -> bool:
        """Whether so much of `n_samples` was lost that the records cannot be in order of time."""
        return self._most >= MANY_SAMPLES and self._late.total() >= MUCH * n_samples

    def late(self, seed_id: SeedId, n_samples: int) -> None:
        """Count samples that came after their windows had been cut."""
        self._late[seed_id] += n_samples
        self._most = max(self._most, self._late[seed_id])

    def text(self, source: str) -> str:
        """Say what was lost and how to avoid it, with the record stream's URL."""
        lines = []
        if self._late:
            lines.append(f"{self._late_text()}; {_remedy(source)}")
        if self.n_failed:
            lines.append(f"{self.n_failed} records left out by errors; the log names them")
        return "\n".join(lines)

    def _late_text(self) -> str:
        worst = [str(seed_id) for seed_id, _ in self._late.most_common(_NAMED)]
        more = f" and {len(self._late) - _NAMED} more" if len(self._late) > _NAMED else ""
        return (
            f"records not in the order of time: {self._late.total()} samples of "
            f"{', '.join(worst)}{more} lost, because their windows had passed"
        )


def _remedy(source: str) -> str:
    if "://" in source and not source.startswith(_FILE):
        return (
            "write the records to a file, sort it by 'scmssort -u FILE > sorted.mseed' and read "
            "that, or raise lateWait and componentWait if they come live"
        )
    path = source.removeprefix(_FILE)
    name = shlex.quote(path) if path not in ("", "-") else "FILE"
    return f"sort them by 'scmssort -u {name} > sorted.mseed' and read that"


class SeiscompHandler(logging.Handler):
    """Hands Python's log messages on to SeisComP."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message."""
        try:
            level = next((level for level in _WRITERS if record.levelno >= level), logging.DEBUG)
            _WRITERS[level](self.format(record))
        except Exception:
            self.handleError(record)


def bridge() -> None:
    """Send our messages, and warnings of others, to SeisComP's log and nowhere else."""
    handler = SeiscompHandler()
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    # SeisComP's own verbosity decides what is shown.
    logging.getLogger(_PACKAGE).setLevel(logging.DEBUG)


class LogObserver(LoggingObserver):
    """Logs gaps and left-out samples, and counts what came too late."""

    def __init__(self, losses: Losses) -> None:
        super().__init__(LimitedLog(_log))
        self._losses = losses

    def dropped(self, seed_id: SeedId, reason: DropReason, n_samples: int) -> None:
        if reason is DropReason.LATE:
            self._losses.late(seed_id, n_samples)
        super().dropped(seed_id, reason, n_samples)


class DumpingObserver(LogObserver):
    """Writes the filtered window (3, n) of every pick as text, a line a sample: N, E, Z."""

    def picked(self, pick: Pick, window: NDArray[np.float32]) -> None:
        path = Path(f"{pick.public_id}.txt")
        np.savetxt(path, window.T, fmt="%.6g", header=f"{pick.public_id}: N E Z, 100 Hz")
