"""Reading a file in a process of its own first, where a damaged one can end the process.

Some readers in C crash or never return when a file is damaged (libhdf5, obspy's GSE2).
A helper process goes first; when it dies of a file, or does not come to an end, that file
is not read here. What the helper reads is thrown away, and errors that it can raise are
left to the reading itself, which tells them.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)

TIMEOUT_S = 60.0
"""How long the trial of a file may take, and a second more for each megabyte."""

_START_S = 120.0
_READY = b"\n"
_BYTES_A_SECOND = 1 << 20
_MEMORY_BYTES = 1 << 32


class Helper:
    """A process that reads files by one function; it is begun again when it has died.

    Args:
        function: ``module:function``; it takes a path.
    """

    def __init__(self, function: str) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def fault(self, path: Path) -> str:
        """Read a file; say what became of the process, empty if it is well or cannot begin."""
        with self._lock:
            process = self._begun() or self._begun()
            if process is None:
                _log.warning("%s: cannot be tried out in a process of its own", path)
                return ""
            timeout_s = TIMEOUT_S + path.stat().st_size / _BYTES_A_SECOND
            assert process.stdin is not None
            try:
                process.stdin.write(os.fsencode(path.absolute()) + b"\0")
                process.stdin.flush()
                self._wait(process, timeout_s)
            except TimeoutError:
                self.end()
                return f"reading it did not end within {timeout_s:.0f} s"
            except (BrokenPipeError, EOFError):
                code = process.wait()
                self.end()
                return f"reading it ended the process ({_cause(code)})"
            return ""

    def end(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(BrokenPipeError):  # what was not written yet
                process.__exit__(None, None, None)

    def _begun(self) -> subprocess.Popen[bytes] | None:
        """Begin the process if there is none; None if that fails."""
        try:
            return self._started()
        except (OSError, EOFError):
            self.end()
            return None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            package = Path(__file__).resolve().parents[1]
            paths = [str(package), os.environ.get("PYTHONPATH", "")]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scperformer.trial", self._function],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            )
            atexit.register(self.end)
            self._wait(self._process, _START_S)
        return self._process

    def _wait(self, process: subprocess.Popen[bytes], timeout_s: float) -> None:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], timeout_s)
        if not ready:
            raise TimeoutError
        if os.read(process.stdout.fileno(), 1) != _READY:
            raise EOFError


_helpers: dict[str, Helper] = {}


def fault(function: str, path: Path) -> str:
    """Try a file out in a process of its own.

    Args:
        function: ``module:function``; it takes a path.
        path: the file.

    Returns:
        What became of the process, empty if it survived.
    """
    return _helpers.setdefault(function, Helper(function)).fault(path)


def _cause(code: int) -> str:
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"exit status {code}"


def _serve(function: str) -> None:
    """Read the files that standard input names, each name ended by a zero byte."""
    module, _, name = function.partition(":")
    read = getattr(importlib.import_module(module), name)
    _, most_bytes = resource.getrlimit(resource.RLIMIT_AS)
    if most_bytes == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, most_bytes))
    out, names = os.dup(1), sys.stdin.buffer
    os.dup2(2, 1)  # what a library prints is no answer
    os.write(out, _READY)
    pending = b""
    while data := os.read(names.fileno(), 1 << 16):
        *paths, pending = (pending + data).split(b"\0")
        for path in paths:
            with suppress(Exception):
                read(Path(os.fsdecode(path)))
            os.write(out, _READY)


if __name__ == "__main__":
    _serve(sys.argv[1])
