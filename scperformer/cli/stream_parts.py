"""A stream's speed and outputs, made as the command line names them."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import replace

from scperformer.delivery.live_sinks import open_live_sink
from scperformer.delivery.outbox import Outbox
from scperformer.delivery.state import StreamState
from scperformer.errors import ConfigurationError
from scperformer.picks.style import DEFAULT_PRECISION, Style
from scperformer.types import Phase, PickSink

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
