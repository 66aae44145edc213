"""Custom models: a module with ``load_model(**arguments)``, as in the original program, or ONNX."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scperformer.errors import ConfigurationError, ModelError
from scperformer.networks.gather import SampleSource
from scperformer.networks.manifest import file_sha256
from scperformer.networks.onnx import Session
from scperformer.types import CLASSES, N_COMPONENTS, WINDOW_SAMPLES, WindowBatch, WindowInput

LOADER = "load_model"
_CHUNK_WINDOWS = 1024

Predict = Callable[[NDArray[np.float32]], Any]


class CustomClassifier:
    """Answers windows with somebody else's model.

    The model gets (n, 400, 3) float32 windows, at most 1024 at a time, filtered,
    components N, E, Z, divided by their peaks, absent components zero. It answers
    (n, 3 or more): probabilities of P, S and noise in the first three columns. That an
    answer does not depend on the neighbours is the model's own affair.

    Args:
        model: has a method ``predict`` or can be called.
        name: the model's name.
        sha256: what stands for the model in picks: of the ONNX file, or of the loader's file
            and arguments, as the weights are not known.

    Raises:
        ModelError: the model can neither predict nor be called.
    """

    window_input = WindowInput.SAMPLES

    def __init__(self, model: Any, name: str, sha256: str = "") -> None:
        self._predict = _predict_of(model, name)
        self.name = name
        self.sha256 = sha256

    def classify(self, batch: WindowBatch) -> NDArray[np.float32]:
        """Return (n_windows, 3) float32 probabilities of P, S and noise.

        Raises:
            ModelError: the model fails, or its answer has another shape or values that
                are not finite.
        """
        source = SampleSource(batch)
        answers = np.empty((len(batch), len(CLASSES)), dtype=np.float32)
        for start in range(0, len(batch), _CHUNK_WINDOWS):
            part = slice(start, min(start + _CHUNK_WINDOWS, len(batch)))
            windows = np.empty((part.stop - start, WINDOW_SAMPLES, N_COMPONENTS), np.float32)
            peaks = np.empty(len(windows), np.float32)
            source.read(part, windows)
            source.scale(part, peaks)
            windows /= peaks[:, np.newaxis, np.newaxis]
            answers[part] = self._answer(windows)
        return answers

    def _answer(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            answer = np.asarray(self._predict(windows), dtype=np.float32)
        except Exception as error:  # somebody else's code: anything may come
            raise ModelError(f"custom model {self.name}: it failed: {error!r}") from error
        wanted = f"wanted ({len(windows)}, 3): probabilities of P, S and noise"
        if answer.ndim != 2 or len(answer) != len(windows) or answer.shape[1] < len(CLASSES):
            raise ModelError(
                f"custom model {self.name}: it answered {windows.shape} windows with shape "
                f"{answer.shape}; {wanted}"
            )
        answer = answer[:, : len(CLASSES)]
        if not np.isfinite(answer).all():
            raise ModelError(
                f"custom model {self.name}: its answer has values that are not finite; {wanted}"
            )
        return answer


def load_custom(module: str, arguments: str = "") -> CustomClassifier:
    """Load a custom model.

    Args:
        module: dotted import path, found as from the working folder, or path of a .py file;
            or path of an .onnx file, whose one input and first output are those of
            `CustomClassifier`.
        arguments: of its ``load_model``, as `parse_arguments` reads them.

    Raises:
        ConfigurationError: the arguments are not readable, or there are any for ONNX.
        ModelError: no such module, it has no ``load_model``, that fails, or what it
            returns is no model.
    """
    parsed = parse_arguments(arguments)
    if module.endswith(".onnx"):
        if parsed:
            raise ConfigurationError(f"--loader-argv has no meaning for {module}")
        path = Path(module)
        return CustomClassifier(Session(path).answer, path.stem, file_sha256(path))
    loaded = _import(module)
    loader = getattr(loaded, LOADER, None)
    if not callable(loader):
        raise ModelError(
            f"custom model {module}: the module has no function {LOADER}; "
            f"define {LOADER}(**arguments) that returns the model"
        )
    try:
        model = loader(**parsed)
    except Exception as error:  # somebody else's code: anything may come
        given = ", ".join(f"{key}={value!r}" for key, value in parsed.items())
        raise ModelError(f"custom model {module}: {LOADER}({given}) failed: {error!r}") from error
    name = Path(module).stem if module.endswith(".py") else module
    return CustomClassifier(model, name, _fingerprint(loaded, parsed))


def parse_arguments(text: str) -> dict[str, str]:
    """Read ``key=value`` pairs separated by blanks, quoted as in a shell.

    ``path=w.h5 title='two words' empty=`` gives three strings.

    Raises:
        ConfigurationError: with every fault: a pair without ``=``, a key that is no
            name or comes twice, a quote that is not closed.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigurationError(
            f"--loader-argv: got {text!r}: {error}; wanted key=value pairs, quoted as in a shell"
        ) from error
    arguments: dict[str, str] = {}
    faults = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            faults.append(f"--loader-argv: got {word!r}; wanted key=value without blanks around =")
        elif not key.isidentifier():
            faults.append(f"--loader-argv: got the key {key!r}; wanted the name of an argument")
        elif key in arguments:
            faults.append(f"--loader-argv: {key} comes twice; give it once")
        else:
            arguments[key] = value
    if faults:
        raise ConfigurationError(*faults)
    return arguments


def _import(module: str) -> ModuleType:
    path = Path(module)
    try:
        if path.suffix == ".py":
            return _import_file(path)
        with _importable(Path.cwd()):
            return importlib.import_module(module)
    except ModelError:
        raise
    except Exception as error:  # somebody else's code: anything may come
        raise ModelError(
            f"custom model {module}: cannot be imported: {error!r}; "
            "wanted a dotted import path or the path of a .py file"
        ) from error


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"custom model {path}: no such file")
    spec = importlib.util.spec_from_file_location(f"scperformer_custom_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"custom model {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with _importable(path.resolve().parent):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported for a while."""
    entry = os.fspath(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        sys.path.remove(entry)


def _predict_of(model: Any, name: str) -> Predict:
    predict = getattr(model, "predict", None)
    if not callable(predict):
        if not callable(model):
            raise ModelError(
                f"custom model {name}: {LOADER} returned {type(model).__name__}; "
                "wanted an object with predict(windows), or a function"
            )
        predict = model
    if _takes_verbose(predict):
        return lambda windows: predict(windows, verbose=0)
    return predict  # type: ignore[no-any-return]


def _takes_verbose(predict: Callable[..., Any]) -> bool:
    """Tell whether it is like Keras's ``predict``, which draws a progress bar if let."""
    try:
        return "verbose" in inspect.signature(predict).parameters
    except (TypeError, ValueError):
        return False


def _fingerprint(module: ModuleType, arguments: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    if module.__file__ and Path(module.__file__).is_file():
        digest.update(Path(module.__file__).read_bytes())
    for key in sorted(arguments):
        digest.update(f"\0{key}={arguments[key]}".encode())
    return digest.hexdigest()
