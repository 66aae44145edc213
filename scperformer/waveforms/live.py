"""Sources of a stream as people name them: SeedLink servers, files and folders, pipes."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from scperformer.errors import ConfigurationError
from scperformer.waveforms.feed import Source
from scperformer.waveforms.problems import InputProblem, LimitedLog, log_problem
from scperformer.waveforms.replay import ArchiveSource, PipeSource, ResumeAt
from scperformer.waveforms.selection import EVERYTHING, REFRESH_S, SCHEMES, Selection

STANDARD_INPUT = "-"
FILE = "file://"
_SCHEME_SEPARATOR = "://"


def open_sources(
    names: Sequence[str],
    *,
    selection: Selection = EVERYTHING,
    start_ns: int | None = None,
    speed: float = math.inf,
    refresh_s: float = REFRESH_S,
    resume_station: Callable[[str, str], int | None] = lambda *_: None,
    resume_sensor: ResumeAt | None = None,
    log: LimitedLog | None = None,
) -> list[Source]:
    """Make the sources; files and folders together make one, in the order of time.

    Args:
        names: ``slink://HOST:PORT``, ``slinks://HOST:PORT``, ``file://PATH``, paths, and ``-``
            for standard input.
        selection: stations and channels that are asked for.
        start_ns: begin at this time; None: servers with what comes next, files with what
            they hold.
        speed: files and pipes are replayed at so many times real time.
        refresh_s: how often servers are asked for new stations that a wildcard means.
        resume_station: where a server's station goes on after a restart.
        resume_sensor: where a sensor of files does.
        log: hears of what is wrong with them.

    Raises:
        ConfigurationError: a source that cannot be understood.
        InputError: there is nothing in the files.
    """
    log = log or LimitedLog(logging.getLogger(__name__))
    sources: list[Source] = []
    archives: list[Path] = []
    for name in names:
        path = Path(name.removeprefix(FILE))
        if name.startswith(SCHEMES):
            from scperformer.waveforms.seedlink import SeedLinkSource  # noqa: PLC0415 - TLS

            seedlink = SeedLinkSource(
                name,
                selection.requests(),
                resume_at=resume_station,
                start_ns=start_ns,
                refresh_s=refresh_s,
                log=log,
            )
            sources.append(seedlink)
        elif name == STANDARD_INPUT:
            sources.append(PipeSource(speed=speed, report=log.warn))
        elif _SCHEME_SEPARATOR in name and not name.startswith(FILE):
            raise ConfigurationError(
                f"{name}: unknown kind of source; wanted slink://HOST:PORT, slinks://HOST:PORT, "
                "file://PATH, a path, or - for standard input"
            )
        elif path.is_fifo():
            sources.append(PipeSource(path, speed=speed, report=log.warn))
        else:
            archives.append(path)
    if archives:
        own = ArchiveSource(
            archives,
            speed=speed,
            start_ns=start_ns,
            selection=selection,
            resume_at=resume_sensor,
            report=partial(_report, log),
        )
        sources.append(own)
    return sources


def _report(log: LimitedLog, problem: InputProblem) -> None:
    if problem.is_note:
        log_problem(problem)
    else:
        log.warning((problem.path, problem.what), str(problem))
