"""A stream's sources and outputs, made as the command line names them."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from scperformer.delivery.live_sinks import open_live_sink
from scperformer.delivery.outbox import Outbox
from scperformer.delivery.state import StreamState
from scperformer.errors import ConfigurationError
from scperformer.picks.style import DEFAULT_PRECISION, Style
from scperformer.types import Phase, PickSink
from scperformer.waveforms.feed import Source
from scperformer.waveforms.problems import InputProblem, LimitedLog, log_problem
from scperformer.waveforms.replay import ArchiveSource, PipeSource
from scperformer.waveforms.selection import SCHEMES, Selection

STANDARD_INPUT = "-"
FILE = "file://"
_SCHEME_SEPARATOR = "://"
_BUS_CLOSE_S = 1.0
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9.-]+")


def parse_speed(text: str) -> float:
    """Read ``max`` (infinite) or a number of times real time.

    Raises:
        ConfigurationError: neither.
    """
    if text == "max":
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not (speed > 0.0 and math.isfinite(speed)):
        raise ConfigurationError(f"--speed: got {text!r}; wanted a number above 0, or max")
    return speed


def open_sources(
    options: argparse.Namespace,
    *,
    state: StreamState | None,
    speed: float,
    start_ns: int | None,
    selection: Selection,
    log: LimitedLog,
) -> list[Source]:
    """Make the sources; files and folders together make one, in the order of time.

    Streams go on where `state` says; files are replayed at `speed` times real time.

    Raises:
        ConfigurationError: a source or station list that cannot be understood.
        InputError: there is nothing in the files.
    """
    sources: list[Source] = []
    archives: list[Path] = []
    known = {} if state is None else state.positions.station_resume_ns()
    for name in options.sources:
        path = Path(name.removeprefix(FILE))
        if name.startswith(SCHEMES):
            from scperformer.waveforms.seedlink import SeedLinkSource  # noqa: PLC0415 - TLS

            seedlink = SeedLinkSource(
                name,
                selection.requests(),
                resume_at=lambda network, station: known.get((network, station)),
                start_ns=start_ns,
                refresh_s=options.refresh_stations or math.inf,
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
            resume_at=None if state is None else state.positions.resume_ns,
            report=partial(_report, log),
        )
        sources.append(own)
    return sources


def _report(log: LimitedLog, problem: InputProblem) -> None:
    if problem.is_note:
        log_problem(problem)
    else:
        log.warning((problem.path, problem.what), str(problem))


def open_sinks(
    options: argparse.Namespace,
    outputs: Sequence[str],
    *,
    state: StreamState | None,
    amplitude_phases: frozenset[Phase],
) -> list[PickSink]:
    """Open the outputs: files, folders, standard output and messaging servers.

    What waits for messaging servers is kept in `state`; without one, in memory.

    Raises:
        ConfigurationError: an output that cannot be understood.
        OutputError: one that cannot be written.
    """
    style = Style(
        precision=options.print_precision,
        agency=options.agency,
        author=options.author,
        amplitude_phases=amplitude_phases,
    )
    sinks = [open_live_sink(output, style, roll=options.roll) for output in outputs]
    return sinks + [_bus(url, options, state, style) for url in options.bus]


def _bus(
    url: str, options: argparse.Namespace, state: StreamState | None, style: Style
) -> PickSink:
    from scperformer.messaging.bus import BusSink  # noqa: PLC0415 - websockets
    from scperformer.messaging.bus_link import Address, Timing  # noqa: PLC0415
    from scperformer.messaging.publisher import Labels  # noqa: PLC0415

    try:
        address = Address.parse(url)
    except ConfigurationError as error:
        raise ConfigurationError(*(f"--bus: {fault}" for fault in error.faults)) from error
    outbox = None
    if state is not None:
        name = f"outbox-{_NOT_IN_NAME.sub('-', str(address))}"
        outbox = Outbox(state.store, name, amplitude_phases=style.amplitude_phases)
    return BusSink(
        url,
        outbox=outbox,
        labels=Labels(style=replace(style, precision=DEFAULT_PRECISION)),
        ca_file=options.bus_ca,
        timing=Timing(goodbye_timeout_s=_BUS_CLOSE_S),
        close_timeout_s=_BUS_CLOSE_S,
    )
