"""Python's log messages in SeisComP's log, and what the pipeline tells."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import MappingProxyType

from seiscomp import logging as seiscomp_logging

from scperformer.core.statistics import DropReason, Observer, split_text
from scperformer.seiscomp.losses import Losses
from scperformer.types import Gap, SeedId, format_time
from scperformer.waveforms.problems import LimitedLog

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


class LogObserver(Observer):
    """Logs gaps and left-out samples, a line for each channel and reason.

    Args:
        losses: counts what came too late.
    """

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._limited = LimitedLog(_log)

    def gap(self, gap: Gap) -> None:
        text = f"{gap.seed_id}: gap of {gap.duration_s:.2f} s at {format_time(gap.start_ns)}"
        self._limited.warning((gap.seed_id, "gap"), text)

    def split(self, channels: Sequence[SeedId]) -> None:
        self._limited.warning(tuple(channels), split_text(channels))

    def dropped(self, seed_id: SeedId, reason: DropReason, n_samples: int) -> None:
        if reason is DropReason.DUPLICATE:
            return
        if reason is DropReason.LATE:
            self._losses.late(seed_id, n_samples)
        text = f"{seed_id}: {n_samples} samples left out: {reason}"
        self._limited.warning((seed_id, reason), text)
