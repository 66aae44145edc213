"""What systemd wants to hear of a service: ready, alive, stopping (sd_notify(3))."""

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Mapping

_log = logging.getLogger(__name__)

_MOST_STATUS = 500


class Notifier:
    """Sends datagrams to the socket that systemd named; where it named none, nothing.

    Args:
        environment: of the process; by default its own.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        own = os.environ if environment is None else environment
        path = own.get("NOTIFY_SOCKET", "")
        # An abstract socket, which has no file, is written with @ in the place of the zero.
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        micros = own.get("WATCHDOG_USEC", "")
        is_ours = own.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        is_watched = bool(path) and is_ours and micros.isdecimal() and int(micros) > 0
        self._every_s = int(micros) / 2e6 if is_watched else 0.0
        self._next_s = -math.inf if is_watched else math.inf

    def ready(self) -> None:
        """Say that the service runs; from now on the watchdog waits for signs of life."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in a line how the service is, for ``systemctl status``."""
        self._send(f"STATUS={' '.join(text.split())[:_MOST_STATUS]}")

    def alive(self, now_s: float) -> None:
        """Say that the main loop turns, twice in the time after which systemd loses patience.

        Args:
            now_s: time of a clock that never goes back.
        """
        if now_s >= self._next_s:
            self._next_s = now_s + self._every_s
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the service comes to its end."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
                own.setblocking(False)
                own.sendto(text.encode(), self._address)
        except OSError as error:
            _log.debug("systemd does not hear %s: %s", text, error)
