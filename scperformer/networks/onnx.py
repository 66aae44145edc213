"""Networks computed by ONNX Runtime: where they pick, no TensorFlow is needed."""

from __future__ import annotations

import os
from pathlib import Path

from scperformer.errors import ModelError
from scperformer.networks.engine import Floats
from scperformer.networks.manifest import Manifest
from scperformer.networks.window_classifier import WindowClassifier

EXTRA = "scperformer[onnx]"
SIZES = (64,)
"""Batch sizes. ONNX Runtime keeps the memory of the largest: several in a row are hardly slower."""


class OnnxClassifier(WindowClassifier):
    """Answers windows with an exported network; see `onnx_export`.

    Args:
        manifest: the model's card.
        path: the graph of `classifier.graph`; the checksum is not looked at.
        threads: tiles that are worked on at once, by default one for each processor.

    Raises:
        ModelError: ONNX Runtime is not installed, or cannot use the file.
    """

    def __init__(self, manifest: Manifest, path: Path, *, threads: int | None = None) -> None:
        session = Session(path, threads=1)
        super().__init__(manifest, lambda _: session.answer, sizes=SIZES, threads=threads)


class Session:
    """A graph file, opened on the processor. Several threads may ask it at once.

    Args:
        path: the file.
        threads: that work on one answer, 0 for one for each processor.

    Raises:
        ModelError: ONNX Runtime is not installed, or cannot use the file.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        try:
            import onnxruntime  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ModelError(
                f"{path}: needs ONNX Runtime ({error}): pip install '{EXTRA}'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own errors have no base but this
            raise ModelError(
                f"{path}: ONNX Runtime {onnxruntime.__version__} cannot use it ({error}); "
                "export the model again, or install a newer ONNX Runtime"
            ) from error
        self._names = [value.name for value in self._session.get_inputs()]

    def answer(self, *inputs: Floats) -> Floats:
        """Return the graph's first output for its inputs, in the graph's order."""
        given = dict(zip(self._names, inputs, strict=True))
        answers: Floats = self._session.run(None, given)[0]
        return answers
