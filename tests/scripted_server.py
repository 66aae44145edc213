"""A server on a real socket that does what a script says, whatever it is asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

Script = Callable[["Visit"], None]


class Visit:
    """A connection, as the script sees it.

    Attributes:
        number: counts the connections from 0.
        is_over: set when the server closes.
        n_sent: bytes sent.
    """

    def __init__(self, client: socket.socket, number: int, is_over: threading.Event) -> None:
        self.number = number
        self.is_over = is_over
        self.n_sent = 0
        self._client = client
        self._data = b""

    def line(self) -> str:
        """Wait for a command."""
        while b"\r" not in self._data:
            more = self._client.recv(4096)
            if not more:
                raise OSError("closed")
            self._data += more
        line, _, self._data = self._data.partition(b"\r")
        return line.strip(b"\n").decode()

    def send(self, data: bytes) -> None:
        self._client.sendall(data)
        self.n_sent += len(data)

    def send_for_ever(self, data: bytes, *, pause_s: float = 0.0) -> None:
        """Send the same until the other side goes away."""
        while not self.is_over.wait(pause_s):
            self.send(data)


class ScriptedServer:
    """Runs the script for each connection; start it as a context manager."""

    def __init__(self, script: Script) -> None:
        self.visits: list[Visit] = []
        self._script = script
        self._is_over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._clients: list[socket.socket] = []

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for client in (self._socket, *self._clients):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self._clients.append(client)
            visit = Visit(client, len(self.visits), self._is_over)
            self.visits.append(visit)
            threading.Thread(target=self._serve, args=(visit, client), daemon=True).start()

    def _serve(self, visit: Visit, client: socket.socket) -> None:
        with suppress(OSError), client:
            self._script(visit)
