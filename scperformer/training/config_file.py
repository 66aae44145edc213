"""Reading a training configuration from its TOML file. Paths are relative to that file."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

from scperformer.errors import ConfigurationError
from scperformer.training.config import DataFolder, TrainingConfig, WindowFileSection

_REPEATED = {"data": DataFolder, "windows_file": WindowFileSection}
_FORMER_NAMES = {"hold_apart": "hold_out"}
"""Options of version 0.1 that have another name now."""


def read_config(
    path: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> TrainingConfig:
    """Read a TOML file.

    Args:
        path: the file.
        overrides: values that win over the file's, by section and name.

    Raises:
        ConfigurationError: the file cannot be read; unknown or missing names; values of
            the wrong type or out of range; folders and files that are not there. All
            faults of a kind at once.
    """
    content = read_toml(path)
    for section, values in (overrides or {}).items():
        content[section] = {**content.get(section, {}), **values}
    hints = get_type_hints(TrainingConfig)
    faults = [f"{name}: no such section" for name in content if name not in hints or name == "path"]
    sections: dict[str, Any] = {}
    for name, hint in hints.items():
        if name in _REPEATED:
            tables = content.get(name, [])
            if not isinstance(tables, list):
                faults.append(f"{name}: write it with double brackets, [[{name}]]")
                tables = []
            made = [
                read_section(_REPEATED[name], table, f"{name} {i}", path, faults)
                for i, table in enumerate(tables, 1)
            ]
            sections[name] = tuple(made)
        elif name != "path":
            sections[name] = read_section(hint, content.get(name, {}), name, path, faults)
    if faults:
        raise ConfigurationError(*(f"{path}: {fault}" for fault in faults))
    return TrainingConfig(path=path, **sections)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def read_section(kind: Any, table: Any, name: str, path: Path, faults: list[str]) -> Any:
    """Make a section from its table; add what is wrong to `faults` and return None then."""
    if not isinstance(table, dict):
        faults.append(f"{name}: got {table!r}; wanted a section")
        return None
    table = {_FORMER_NAMES.get(key, key): value for key, value in table.items()}
    hints = get_type_hints(kind)
    n_before = len(faults)
    faults += [f"{name}.{key}: no such option" for key in table if key not in hints]
    values: dict[str, Any] = {}
    for item in fields(kind):
        if item.name in table:
            values[item.name] = _convert(table[item.name], hints[item.name], path.parent)
            if values[item.name] is None:
                wanted = _type_name(hints[item.name])
                faults.append(f"{name}.{item.name}: got {table[item.name]!r}; wanted {wanted}")
        elif item.default is MISSING:
            faults.append(f"{name}.{item.name}: missing; {item.metadata['help']}")
    return kind(**values) if len(faults) == n_before else None


def _convert(value: Any, hint: Any, folder: Path) -> Any:
    """Bring a TOML value to its field's type, None where it does not fit."""
    members = [part for part in getattr(hint, "__args__", ()) if part is not Ellipsis]
    if type(None) in members:
        return _convert(value, members[0], folder)
    if members:
        any_length = Ellipsis in hint.__args__
        if not isinstance(value, list) or not (any_length or len(value) == len(members)):
            return None
        converted = tuple(_convert(item, members[0], folder) for item in value)
        return None if None in converted else converted
    if hint is Path and isinstance(value, str):
        return folder / value
    if hint is float and type(value) is int:
        return float(value) if abs(value) <= sys.float_info.max else None
    return value if type(value) is hint else None


def _type_name(hint: Any) -> str:
    members = [part for part in getattr(hint, "__args__", ()) if part is not Ellipsis]
    if type(None) in members:
        return _type_name(members[0])
    if members:
        number = "" if Ellipsis in hint.__args__ else f"{len(members)} of "
        return f"a list, {number}{_type_name(members[0])}"
    return {str: "text", int: "a whole number", float: "a number", bool: "true or false"}.get(
        hint, "a path"
    )
