"""Ending in good order when the system or the user says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stopping_on_signals(stop: threading.Event, *, at_once: bool = True) -> Iterator[None]:
    """Set `stop` on SIGTERM and SIGINT.

    The first signal is taken notice of; a second one ends the program as usual.

    Args:
        stop: gets set.
        at_once: leave with exit status 0 there and then: there is nothing in hand yet.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def take_notice(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()
        restore()
        if at_once:
            raise SystemExit(0)

    for number in _SIGNALS:
        signal.signal(number, take_notice)
    try:
        yield
    finally:
        restore()
