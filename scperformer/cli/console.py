"""Standard output and standard error that may be full, or that nobody reads any more.

What a command prints about itself must not cost what it has made: a print that fails is
remembered, the command runs to its end, and then one sentence tells it. Where a pipe was
closed nothing is said, as other Unix tools say nothing. A command whose *results* go to
standard output writes to its file descriptor and hears of a fault at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any, TextIO

EXIT_FAILED = 1
EXIT_CLOSED_PIPE = 141
"""What shells see of a program that SIGPIPE ended."""

Main = Callable[..., int]


class Console:
    """A text stream on which nothing fails.

    Attributes:
        error: the first thing that went wrong, None if nothing did.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.error: OSError | None = None
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, or drop it where that fails."""
        if self._stream is not None and self.error is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self.error = error
        return len(text)

    def flush(self) -> None:
        """Bring out what was written, or drop it where that fails."""
        if self._stream is not None and self.error is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def tidy(main: Main) -> Main:
    """Let a program end with one sentence, or none, where its output goes nowhere."""

    @wraps(main)
    def run(argv: Sequence[str] | None = None) -> int:
        out, err = sys.stdout, sys.stderr
        console, errors = Console(out), Console(err)
        sys.stdout, sys.stderr = console, errors
        try:
            return _ended(main, argv, console)
        finally:
            errors.flush()
            for stream, ours in ((out, console), (err, errors)):
                if ours.error is not None:
                    _discard(stream)
            sys.stdout, sys.stderr = out, err

    return run


def _ended(main: Main, argv: Sequence[str] | None, console: Console) -> int:
    try:
        status = main(argv)
    except SystemExit as end:
        console.flush()
        if console.error is None:
            raise
        status = end.code if isinstance(end.code, int) else EXIT_FAILED
    except BrokenPipeError as error:
        console.error = error
        return EXIT_CLOSED_PIPE
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        print(f"scperformer: {place}{error.strerror or error}", file=sys.stderr)
        return EXIT_FAILED
    console.flush()
    if console.error is None:
        return status
    if isinstance(console.error, BrokenPipeError):
        return EXIT_CLOSED_PIPE
    why = console.error.strerror or console.error
    print(f"scperformer: standard output cannot be written ({why})", file=sys.stderr)
    return status or EXIT_FAILED


def _discard(stream: TextIO | None) -> None:
    """Let the interpreter flush into nothing at its end."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)
