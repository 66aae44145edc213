"""TensorFlow without Keras, started quietly; Keras, once imported, runs on it.

TensorFlow imports all of Keras, and that scikit-learn where it is installed, to put its
optimizers on a list: 100 MB and a third of the start-up time that a picker never uses.
TensorFlow does without where Keras cannot be imported, so it is hidden meanwhile;
``tf.keras`` and ``import keras`` work afterwards as ever.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_HIDDEN = "keras._tf_keras"
_NOISE = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    b"Compiled cluster using XLA!",
    b" devices.cc:",
    b" single_machine.cc:",
)
_STDERR = 2
_once = threading.Lock()


@contextmanager
def first_compilation() -> Iterator[None]:
    """Drop lines that TensorFlow writes when it compiles for the first time in a process.

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


def _import_tensorflow() -> Any:
    # kapre's layers are TensorFlow's, so Keras must run on it whatever keras.json says.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    hide = "tensorflow" not in sys.modules and "keras" not in sys.modules
    if hide:
        sys.modules[_HIDDEN] = None  # type: ignore[assignment]
    try:
        import tensorflow  # noqa: PLC0415
    finally:
        if hide:
            del sys.modules[_HIDDEN]
    return tensorflow


tf = _import_tensorflow()
