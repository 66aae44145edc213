"""Import TensorFlow and Keras quietly, with the backend that the networks need."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
_NOISE = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    b"Compiled cluster using XLA!",
)
_STDERR = 2
_once = threading.Lock()


def prepare_environment() -> None:
    """Set what TensorFlow and Keras read when they are imported.

    kapre's layers are TensorFlow's, so Keras must run on TensorFlow whatever the
    user's ``keras.json`` says. TensorFlow's start-up messages are silenced unless
    the user asked for them with ``TF_CPP_MIN_LOG_LEVEL``.
    """
    os.environ["KERAS_BACKEND"] = _ENVIRONMENT["KERAS_BACKEND"]
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


@contextmanager
def first_compilation() -> Iterator[None]:
    """Drop two lines that XLA writes when it compiles for the first time in a process.

    No setting of TensorFlow reaches them. Whatever else comes on standard error
    meanwhile is passed on afterwards. Later compilations are left alone.
    """
    if not _once.acquire(blocking=False):
        yield
        return
    with tempfile.TemporaryFile() as caught:
        try:
            saved = os.dup(_STDERR)
        except OSError:  # there is no standard error
            yield
            return
        os.dup2(caught.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
            caught.seek(0)
            for line in caught:
                if not any(noise in line for noise in _NOISE):
                    os.write(_STDERR, line)


prepare_environment()
