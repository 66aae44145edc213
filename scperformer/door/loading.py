"""How a picker is made: a model, and settings by the names that they have elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from scperformer.config import DEFAULT_AUTHOR, Settings, parse_threshold
from scperformer.door.asked import in_python_words
from scperformer.door.picker import Picker
from scperformer.errors import ConfigurationError
from scperformer.networks.contract import Network
from scperformer.networks.loading import (
    LoadedModel,
    load_folder,
    load_module,
    load_weights_file,
)
from scperformer.networks.registry import DEFAULT_MODEL
from scperformer.setting import Setting, alike, settings_of

THRESHOLDS = ("threshold", "thresholds")


def load(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    network: str = Network.PERFORMER,
    arguments: str = "",
    agency: str = "",
    author: str = DEFAULT_AUTHOR,
    **settings: Any,
) -> Picker:
    """Load a model and make a picker of it.

    Args:
        model: a model of the registry (``scperformer models list``), a model folder, a
            weights file, or a Python file with ``load_model(**arguments)``.
        network: what a weights file is for: performer, cnn or gpd.
        arguments: of a Python file's ``load_model``, as ``--loader-argv`` has them.
        agency: agency id of documents, and part of the picks' public ids.
        author: author of documents, and part of the public ids unless it is the default.
        settings: settings of the picker, by any name that they have: ``min_distance_s``,
            ``dead_time`` as in ``--dead-time``, or ``thresholds.deadTime`` as in SeisComP's
            files; docs/settings.md lists them. ``threshold`` takes a number,
            ``{"P": 0.9, "S": 0.8}`` or the command line's text; ``filter=None`` is none.

    Returns:
        The picker.

    Raises:
        ConfigurationError: an unknown setting, or one that has no such value; all faults at
            once.
        ModelError: there is no such model, or it cannot be used.

    >>> picker = load("streaming", threshold=0.5, dead_time=2.0)
    >>> picker
    <Picker: streaming, threshold_p=0.5, threshold_s=0.5, min_distance_s=2.0>
    >>> load(dead_tim=2.0)
    Traceback (most recent call last):
    ...
    scperformer.errors.ConfigurationError: dead_tim: no such setting; did you mean dead_time?
    """
    given = read_settings(settings)
    with in_python_words():
        loaded = _load_model(os.fspath(model), network, arguments)
        return Picker(loaded, given, agency=agency, author=author)


def _load_model(model: str, network: str, arguments: str) -> LoadedModel:
    path = Path(model)
    if not path.is_file():
        return load_folder(model)
    if path.suffix == ".py":
        return load_module(model, arguments)
    return load_weights_file(network, path)


def read_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by the attributes of `Settings`.

    Raises:
        ConfigurationError: with every fault, each under the name that was given.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    known = _by_any_name()
    for name, value in given.items():
        if name in THRESHOLDS:
            try:
                pairs = _thresholds(value)
            except ConfigurationError as error:
                faults += [fault.replace("--threshold", name) for fault in error.faults]
                continue
        elif name in known:
            info = known[name]
            pairs = {info.name: "" if info.kind is str and value is None else value}
        else:
            faults.append(f"{name}: no such setting{alike(name, [*known, *THRESHOLDS])}")
            continue
        infos = {info.name: info for info in settings_of(Settings)}
        found = (infos[key].fault(item, name=name) for key, item in pairs.items())
        faults += dict.fromkeys(fault for fault in found if fault)
        values |= pairs
    if faults:
        raise ConfigurationError(*faults)
    return values


def _thresholds(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return parse_threshold(", ".join(f"{phase}: {least}" for phase, least in value.items()))
    if isinstance(value, str):
        return parse_threshold(value)
    return {"threshold_p": value, "threshold_s": value}


@cache
def _by_any_name() -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for info in settings_of(Settings):
        option = info.option.removeprefix("--").replace("-", "_")
        found |= dict.fromkeys(filter(None, (info.name, option, info.key)), info)
    return found
