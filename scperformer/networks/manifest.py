"""The model card `model.json`: what a model is, what it wants and what it can do.

A model is a folder with a card and a weights file. The card names the weights file and
its SHA-256, so that neither can be exchanged without the other. An exported model has its
graph beside them, whose SHA-256 the card tells too. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scperformer.atomic import AtomicFile
from scperformer.config import DEFAULT_FILTER
from scperformer.core.streaming_shape import (
    UNCALIBRATED,
    Calibration,
    StreamingShape,
    attention_faults,
)
from scperformer.errors import ManifestError, WeightsError
from scperformer.networks.contract import (
    Network,
    parameter_count,
    parse_window_network,
    preprocessing,
    streaming_parameters,
)
from scperformer.types import CLASSES, COMPONENTS

MANIFEST_FILE = "model.json"
WEIGHTS_FILE = "weights.h5"
GRAPH_FILE = "network.onnx"
FORMAT = "scperformer-model"
FORMAT_VERSION = 1
LEGACY_THRESHOLD = 0.95
LEGACY_VERSION = "legacy"
COUNT_WORDS = MappingProxyType({3: "three", 2: "two", 1: "one"})
LEGACY_THRESHOLDS = MappingProxyType(dict.fromkeys(COUNT_WORDS, (LEGACY_THRESHOLD,) * 2))
"""Those of the original program."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PHASES = ("P", "S")
_CHANNELS, _DILATION, _MEMORY, _LOOK_AHEAD = (4, 512), (1, 1024), (1, 256), (0, 100)
_MOST_BLOCKS, _MOST_HEADS = 64, 16
"""Sizes of a streaming network, from least to most."""

_MOST_CALIBRATION = 1000.0

_CONTEXT_GONE = (
    "context: a stage behind the network, which this version no longer has: use the version that "
    "the model was trained with, or train a streaming network"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingCard:
    """What a card says of a streaming network beyond what it says of every network.

    Attributes:
        shape: the network's size.
        calibration: for P and S, factor and summand that bring the network's log-odds to
            true ones.
    """

    shape: StreamingShape
    calibration: Calibration = UNCALIBRATED

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "channels": self.shape.channels,
            "dilations": list(self.shape.dilations),
            "memories": list(self.shape.memories),
            "look_ahead": self.shape.look_ahead,
            "calibration": {
                phase: list(pair) for phase, pair in zip(_PHASES, self.calibration, strict=True)
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A model card.

    Attributes:
        name: the model's name, letters, digits, dots, dashes and underscores.
        version: the model's version, any text.
        network: which network the weights are for.
        thresholds: recommended least probabilities (P, S) for 1, 2 and 3 live components,
            of the network alone.
        streaming: of a streaming network, None for the others.
        weights_sha256: SHA-256 of the weights file, 64 hexadecimal digits.
        weights_file: name of the weights file, in the card's folder.
        graph_sha256: SHA-256 of the graph that ONNX Runtime computes, empty if there is none.
        filter_id: the filter the model was trained with, in SeisComP's grammar.
        licence: SPDX identifier or text.
        training: how it was trained: command, data, teacher, seed, duration, machine.
        scores: what it reached, by data set.
    """

    name: str
    network: Network
    thresholds: Mapping[int, tuple[float, float]]
    weights_sha256: str
    version: str = "1"
    weights_file: str = WEIGHTS_FILE
    graph_sha256: str = ""
    filter_id: str = DEFAULT_FILTER
    licence: str = "MIT"
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    streaming: StreamingCard | None = None

    def to_document(self) -> dict[str, Any]:
        """Return the card as JSON values."""
        own = {} if self.streaming is None else {"streaming": self.streaming.to_document()}
        if self.graph_sha256:
            own["onnx"] = {"file": GRAPH_FILE, "sha256": self.graph_sha256}
        return own | {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "version": self.version,
            "network": self.network.value,
            "parameters": _parameter_count(self.network, self.streaming),
            "components": list(COMPONENTS),
            "classes": list(CLASSES),
            "preprocessing": preprocessing(self.network, self.filter_id),
            "thresholds": _threshold_document(self.thresholds),
            "training": dict(self.training),
            "scores": dict(self.scores),
            "licence": self.licence,
            "weights": {"file": self.weights_file, "sha256": self.weights_sha256},
        }

    def to_text(self) -> str:
        """Return the card as canonical JSON: sorted keys, indent 2, newline at the end.

        Raises:
            ManifestError: the card is not valid, with all faults.
        """
        try:
            text = json.dumps(
                self.to_document(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False
            )
        except (TypeError, ValueError, KeyError) as error:
            raise ManifestError(f"model {self.name!r}: not a card: {error!r}") from error
        parse_manifest(text, f"model {self.name!r}")
        return text + "\n"


def parse_manifest(text: str, source: str) -> Manifest:
    """Read a card's text.

    Args:
        text: JSON.
        source: what error messages call it, such as its path.

    Raises:
        ManifestError: not JSON, or not a valid card; lists all faults.
    """

    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not JSON")

    try:
        document = json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"{source}: not a model card: not valid JSON ({error}); restore the file"
        ) from error
    if faults := _faults(document):
        listed = "\n  ".join(faults)
        raise ManifestError(f"{source}: not a valid model card:\n  {listed}")
    return Manifest(
        name=document["name"],
        version=document["version"],
        network=Network(document["network"]),
        thresholds=_read_thresholds(document["thresholds"]),
        streaming=_read_streaming(document.get("streaming")),
        weights_file=document["weights"]["file"],
        weights_sha256=document["weights"]["sha256"],
        graph_sha256=document.get("onnx", {}).get("sha256", ""),
        filter_id=document["preprocessing"]["filter"],
        licence=document["licence"],
        training=document["training"],
        scores=document["scores"],
    )


def _read_streaming(document: Mapping[str, Any] | None) -> StreamingCard | None:
    if document is None:
        return None
    shape = StreamingShape(
        channels=document["channels"],
        dilations=tuple(document["dilations"]),
        memories=tuple(document["memories"]),
        look_ahead=document["look_ahead"],
    )
    pairs = [document["calibration"][phase] for phase in _PHASES]
    p, s = ((float(factor), float(summand)) for factor, summand in pairs)
    return StreamingCard(shape=shape, calibration=(p, s))


def _parameter_count(network: Network, streaming: StreamingCard | None) -> int:
    if network is not Network.STREAMING:
        return parameter_count(network)
    return 0 if streaming is None else streaming_parameters(streaming.shape)


def _read_thresholds(document: Mapping[str, Any]) -> Mapping[int, tuple[float, float]]:
    return MappingProxyType(
        {
            count: (float(pair["P"]), float(pair["S"]))
            for count, word in COUNT_WORDS.items()
            for pair in [document[word]]
        }
    )


def _threshold_document(thresholds: Mapping[int, tuple[float, float]]) -> dict[str, Any]:
    return {
        word: {"P": thresholds[count][0], "S": thresholds[count][1]}
        for count, word in COUNT_WORDS.items()
    }


def read_manifest(folder: Path) -> Manifest:
    """Read the card of a model folder.

    Raises:
        ManifestError: no card, unreadable, or not valid; lists all faults.
    """
    path = folder / MANIFEST_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"{path}: cannot read the model card ({error}); "
            f"a model is a folder with {MANIFEST_FILE} and its weights"
        ) from error
    return parse_manifest(text, str(path))


def write_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write the card into a model folder, complete or not at all; return its path.

    Raises:
        ManifestError: the card is not valid.
        OutputError: it cannot be written.
    """
    path = folder / MANIFEST_FILE
    text = manifest.to_text()
    with AtomicFile(path, durable=True) as output:
        output.file.write(text.encode())
    return path


def default_manifest(network: str, weights: Path) -> Manifest:
    """Make the card of a weights file that has none, such as the original authors'.

    The name is the file's stem, the thresholds are the original program's 0.95.

    Raises:
        ConfigurationError: no such network.
        WeightsError: the file cannot be read.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", weights.stem)
    return Manifest(
        name=name if name[:1].isalnum() else f"model_{name}",
        version=LEGACY_VERSION,
        network=parse_window_network(network),
        thresholds=LEGACY_THRESHOLDS,
        weights_file=weights.name,
        weights_sha256=file_sha256(weights),
        licence="unknown",
    )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights file ({error})") from error


def check_weights_file(manifest: Manifest, folder: Path) -> Path:
    """Return the path of a model's weights file after checking its SHA-256.

    Raises:
        WeightsError: no such file, or it is not the one that the card names.
    """
    return _checked(folder / manifest.weights_file, manifest.weights_sha256)


def check_graph_file(manifest: Manifest, folder: Path) -> Path:
    """Return the path of an exported model's graph after checking its SHA-256.

    Raises:
        WeightsError: no such file, or it is not the one that the card means.
    """
    return _checked(folder / GRAPH_FILE, manifest.graph_sha256)


def _checked(path: Path, wanted: str) -> Path:
    found = file_sha256(path)
    if found != wanted:
        raise WeightsError(
            f"{path}: SHA-256 is {found}, the model card wants {wanted}; "
            "the file was altered or cut short: restore it, or the card that belongs to it"
        )
    return path


def _faults(document: Any) -> list[str]:
    """Say what is wrong with a card read from JSON, one sentence for each fault."""
    if not isinstance(document, dict):
        return [f"got {_kind(document)}; wanted a JSON object"]
    faults = [f"{key}: missing" for key in _CHECKS if key not in document]
    known = {**_CHECKS, "streaming": _streaming, "onnx": _graph}
    if "context" in document:
        faults.append(_CONTEXT_GONE)
    faults += [f"{key}: no such key" for key in document if key not in {*known, "context"}]
    if (_network_of(document) is Network.STREAMING) != ("streaming" in document):
        faults.append("streaming: wanted for a streaming network, and for no other")
    for key, check in known.items():
        if key in document:
            faults += [f"{key}{fault}" for fault in check(document[key], document)]
    return faults


def _name(value: Any, _: Any) -> Iterator[str]:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        yield f": got {value!r}; wanted letters, digits, dots, dashes and underscores"


def _text(value: Any, _: Any) -> Iterator[str]:
    if not isinstance(value, str) or not value:
        yield f": got {value!r}; wanted text"


def _object(value: Any, _: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f": got {_kind(value)}; wanted an object"


def _exactly(wanted: Any) -> Callable[[Any, Any], Iterator[str]]:
    def check(value: Any, _: Any) -> Iterator[str]:
        if value != wanted or isinstance(value, bool):
            yield f": got {value!r}; wanted {wanted!r}"

    return check


def _network(value: Any, _: Any) -> Iterator[str]:
    if not isinstance(value, str) or value not in set(Network):
        yield f": got {value!r}; wanted one of {', '.join(Network)}"


def _parameters(value: Any, document: Any) -> Iterator[str]:
    network = _network_of(document)
    streaming = document.get("streaming")
    if network is None or (network is Network.STREAMING) != (streaming is not None):
        return
    if streaming is not None and any(_streaming(streaming, document)):
        return
    wanted = _parameter_count(network, _read_streaming(streaming))
    if value != wanted or isinstance(value, bool):
        yield f": got {value!r}; wanted {wanted}, those of {network}"


def _preprocessing(value: Any, document: Any) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f": got {_kind(value)}; wanted an object"
        return
    if not isinstance(value.get("filter"), str):
        yield f".filter: got {value.get('filter')!r}; wanted a filter string, empty for none"
    network = _network_of(document)
    if network is None:
        return
    wanted = preprocessing(network)
    for key in sorted({*wanted, *value} - {"filter"}):
        if value.get(key) != wanted.get(key):
            yield f".{key}: got {value.get(key)!r}; wanted {wanted.get(key)!r}"


def _thresholds(value: Any, _: Any) -> Iterator[str]:
    if not isinstance(value, dict) or set(value) != set(COUNT_WORDS.values()):
        yield f": got {value!r}; wanted an object with {', '.join(COUNT_WORDS.values())}"
        return
    for count, pair in value.items():
        if not isinstance(pair, dict) or set(pair) != set(_PHASES):
            yield f".{count}: got {pair!r}; wanted an object with P and S"
            continue
        for phase, number in pair.items():
            if not _is_number(number) or not 0.0 <= number <= 1.0:
                yield f".{count}.{phase}: got {number!r}; wanted a number from 0 to 1"


def _streaming(value: Any, _: Any) -> Iterator[str]:
    keys = {"channels", "dilations", "memories", "look_ahead", "calibration"}
    if not isinstance(value, dict) or set(value) != keys:
        yield f": got {value!r}; wanted an object with {', '.join(sorted(keys))}"
        return
    yield from _whole(".channels", value["channels"], _CHANNELS)
    yield from _whole(".look_ahead", value["look_ahead"], _LOOK_AHEAD)
    yield from _numbers(".dilations", value["dilations"], _MOST_BLOCKS, _DILATION)
    memories, channels = value["memories"], value["channels"]
    faults = list(_numbers(".memories", memories, _MOST_HEADS, _MEMORY))
    if not faults and type(channels) is int:
        faults += [f".memories: {fault}" for fault in attention_faults(channels, memories)]
    yield from faults
    calibration = value["calibration"]
    if not isinstance(calibration, dict) or set(calibration) != set(_PHASES):
        yield f".calibration: got {calibration!r}; wanted an object with P and S"
        return
    for phase, pair in calibration.items():
        fine = isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair))
        if not fine or pair[0] <= 0 or not max(map(abs, pair)) <= _MOST_CALIBRATION:
            yield (
                f".calibration.{phase}: got {pair!r}; wanted a positive factor and a summand, "
                f"of at most {_MOST_CALIBRATION:g}"
            )


def _numbers(key: str, value: Any, most: int, limits: tuple[int, int]) -> Iterator[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        yield f"{key}: got {value!r}; wanted a list of 1 to {most} numbers"
        return
    for number in value:
        yield from _whole(key, number, limits)


def _whole(key: str, number: Any, limits: tuple[int, int]) -> Iterator[str]:
    low, high = limits
    if type(number) is not int or not low <= number <= high:
        yield f"{key}: got {number!r}; wanted a whole number from {low} to {high}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _weights(value: Any, _: Any) -> Iterator[str]:
    if not isinstance(value, dict) or set(value) != {"file", "sha256"}:
        yield f": got {value!r}; wanted an object with file and sha256"
        return
    name, digest = value["file"], value["sha256"]
    is_text = isinstance(name, str) and name.isprintable()
    if not is_text or "/" in name or name in ("", ".", ".."):
        yield f".file: got {name!r}; wanted the name of a file in the card's folder"
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        yield f".sha256: got {digest!r}; wanted 64 hexadecimal digits in lower case"


def _graph(value: Any, document: Any) -> Iterator[str]:
    yield from _weights(value, document)
    if _network_of(document) is Network.STREAMING:
        yield ": wanted for networks on windows only"
    elif isinstance(value, dict) and value.get("file", GRAPH_FILE) != GRAPH_FILE:
        yield f".file: got {value['file']!r}; wanted {GRAPH_FILE}"


def _network_of(document: dict[str, Any]) -> Network | None:
    value = document.get("network")
    return Network(value) if isinstance(value, str) and value in set(Network) else None


def _kind(value: Any) -> str:
    return type(value).__name__


_CHECKS: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "format": _exactly(FORMAT),
    "format_version": _exactly(FORMAT_VERSION),
    "name": _name,
    "version": _text,
    "network": _network,
    "parameters": _parameters,
    "components": _exactly(list(COMPONENTS)),
    "classes": _exactly(list(CLASSES)),
    "preprocessing": _preprocessing,
    "thresholds": _thresholds,
    "training": _object,
    "scores": _object,
    "licence": _text,
    "weights": _weights,
}
