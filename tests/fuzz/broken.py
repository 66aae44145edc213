"""Targets that fail in every way there is: what the runner is tested with."""

from __future__ import annotations

import logging
import os
import time

from tests.fuzz.targets import Target


def _crash(data: bytes) -> None:
    os.abort()


def _hang(data: bytes) -> None:
    time.sleep(60.0)


def _memory(data: bytes) -> None:
    bytearray(b"x" * (300 << 20))


def _exception(data: bytes) -> None:
    raise ZeroDivisionError


def _log(data: bytes) -> None:
    try:
        raise KeyError("told in a log, with its traceback")
    except KeyError:
        logging.getLogger("reader").exception("unexpected")


BROKEN = {
    target.name: target
    for target in (
        Target("crash", lambda: _crash, "broken"),
        Target("hang", lambda: _hang, "broken", timeout_s=1.0),
        Target("memory", lambda: _memory, "broken"),
        Target("ZeroDivisionError", lambda: _exception, "broken"),
        Target("KeyError", lambda: _log, "broken"),
    )
}
