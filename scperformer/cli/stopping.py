"""Ending in good order when the system or the user says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SHELL_STATUS = 128


class StopSignal(threading.Event):
    """Set by a signal; knows which, for the exit status that shells expect.

    Attributes:
        number: the signal, 0 for none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    @property
    def name(self) -> str:
        """The signal's name, such as SIGINT."""
        return signal.Signals(self.number).name if self.number else "no signal"

    @property
    def exit_status(self) -> int:
        """What a program that ends by the signal answers: 130 for SIGINT, 143 for SIGTERM."""
        return _SHELL_STATUS + self.number


@contextmanager
def stopping_on_signals(stop: threading.Event, *, at_once: bool = True) -> Iterator[None]:
    """Set `stop` on SIGTERM and SIGINT.

    The first signal is taken notice of; a second one ends the program as usual.

    Args:
        stop: gets set.
        at_once: leave there and then: there is nothing in hand yet. The exit status is
            that of a `StopSignal`, or 0.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def take_notice(number: int, frame: FrameType | None) -> None:
        del frame
        status = 0
        if isinstance(stop, StopSignal):
            stop.number = number
            status = stop.exit_status
        stop.set()
        restore()
        if at_once:
            raise SystemExit(status)

    for number in _SIGNALS:
        signal.signal(number, take_notice)
    try:
        yield
    finally:
        restore()
