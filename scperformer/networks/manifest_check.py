"""What is wrong with a model card: every fault, one sentence each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from scperformer.networks.contract import DIM, Network, parameter_count, preprocessing
from scperformer.types import CLASSES, COMPONENTS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COUNTS = ("three", "two", "one")
_PHASES = ("P", "S")


def check_document(document: Any) -> list[str]:
    """Return what is wrong with a card read from JSON; empty if nothing is."""
    if not isinstance(document, dict):
        return [f"got {_kind(document)}; wanted a JSON object"]
    faults = [f"{key}: missing" for key in _CHECKS if key not in document]
    known = {**_CHECKS, "context": _context}
    faults += [f"{key}: no such key" for key in document if key not in known]
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
    if network is not None and (value != parameter_count(network) or isinstance(value, bool)):
        yield f": got {value!r}; wanted {parameter_count(network)}, those of {network}"


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
    if not isinstance(value, dict) or set(value) != set(_COUNTS):
        yield f": got {value!r}; wanted an object with {', '.join(_COUNTS)}"
        return
    for count, pair in value.items():
        if not isinstance(pair, dict) or set(pair) != set(_PHASES):
            yield f".{count}: got {pair!r}; wanted an object with P and S"
            continue
        for phase, number in pair.items():
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                yield f".{count}.{phase}: got {number!r}; wanted a number from 0 to 1"
            elif not 0.0 <= number <= 1.0:
                yield f".{count}.{phase}: got {number}; wanted a number from 0 to 1"


def _context(value: Any, document: Any) -> Iterator[str]:
    sizes = {
        "channels": (1, 512),
        "layers": (1, 10),
        "lag_windows": (0, 12),
        "embedding": (0, DIM),
    }
    if not isinstance(value, dict) or set(value) != {*sizes, "thresholds"}:
        yield f": got {value!r}; wanted an object with {', '.join(sizes)} and thresholds"
        return
    for key, (low, high) in sizes.items():
        number = value[key]
        if type(number) is not int or not low <= number <= high:
            yield f".{key}: got {number!r}; wanted a whole number from {low} to {high}"
    for fault in _thresholds(value["thresholds"], document):
        yield f".thresholds{fault}"


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


def _network_of(document: dict[str, Any]) -> Network | None:
    value = document.get("network")
    return Network(value) if isinstance(value, str) and value in set(Network) else None


def _kind(value: Any) -> str:
    return type(value).__name__


_CHECKS: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "format": _exactly("scperformer-model"),
    "format_version": _exactly(1),
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
