"""Taking turns: few requests at a time to a server, whatever the number of processes."""

from __future__ import annotations

import fcntl
import os
import random
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.05


@contextmanager
def turn(host: str, n_at_once: int) -> Iterator[None]:
    """Wait until fewer than `n_at_once` others of this user and machine are at a host.

    A process that dies gives its place back. Where no lock can be had, nobody waits.
    """
    handle = _place(host, n_at_once)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _place(host: str, n_at_once: int) -> int | None:
    name = re.sub(r"[^\w.-]", "_", host)
    folder = Path(tempfile.gettempdir()) / f"scperformer-turns-{os.getuid()}"
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        for number in random.sample(range(n_at_once), n_at_once):
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                handle = os.open(folder / f"{name}-{number}", flags, 0o600)
            except OSError:
                return None
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
            except OSError:  # a file system without locks
                os.close(handle)
                return None
            else:
                return handle
        time.sleep(_POLL_S * random.uniform(0.5, 1.5))
