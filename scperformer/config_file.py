"""TOML files of settings: each section a group, read, checked and shown by its declaration."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Self, get_args, get_type_hints

from scperformer.errors import ConfigurationError
from scperformer.setting import alike, faults_of, settings_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """Groups of settings as the sections of a TOML file; paths are relative to that file.

    Attributes:
        path: the file.

    Raises:
        ConfigurationError: when made, with every value out of range and every contradiction.
    """

    path: Path

    def __post_init__(self) -> None:
        faults = [
            fault
            for name, _, _ in self.sections()
            for label, group in _labelled(name, getattr(self, name))
            for fault in faults_of(group, f"{label}.")
        ]
        faults += self.contradictions()
        if faults:
            raise ConfigurationError(*(f"{self.path}: {fault}" for fault in faults))

    def contradictions(self) -> Iterator[str]:
        """Yield what is wrong with more than one value, or with the file system."""
        return iter(())

    @classmethod
    def sections(cls) -> Iterator[tuple[str, type, bool]]:
        """Yield the name of each section, its group, and whether it may come again."""
        for name, hint in get_type_hints(cls).items():
            members = get_args(hint)
            group = members[0] if members else hint
            if isinstance(group, type) and is_dataclass(group):
                yield name, group, bool(members)

    @classmethod
    def read(cls, path: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Self:
        """Read a TOML file.

        Args:
            path: the file.
            overrides: values that win over the file's, by section and name.

        Raises:
            ConfigurationError: the file cannot be read; unknown or missing names and values of
                the wrong type, all at once; or, if there are none, all that is wrong when made.
        """
        content = read_toml(path)
        for name, values in (overrides or {}).items():
            if isinstance(content.setdefault(name, {}), dict):
                content[name].update(values)
        known = [name for name, _, _ in cls.sections()]
        strange = [name for name in content if name not in known]
        faults = [f"{name}: no such section{alike(name, known)}" for name in strange]
        made: dict[str, Any] = {}
        for name, group, is_repeated in cls.sections():
            content.setdefault(name, [] if is_repeated else {})
            if is_repeated and not isinstance(content[name], list):
                faults.append(f"{name}: write it with double brackets, [[{name}]]")
            elif is_repeated:
                made[name] = tuple(
                    _read_group(group, table, label, path.parent, faults)
                    for label, table in _labelled(name, content[name])
                )
            else:
                made[name] = _read_group(group, content[name], name, path.parent, faults)
        if faults:
            raise ConfigurationError(*(f"{path}: {fault}" for fault in faults))
        return cls(path=path, **made)

    def as_card(self) -> dict[str, Any]:
        """Return the sections as JSON takes them, paths relative to the file where they can be."""
        content = asdict(self)
        del content["path"]
        return _plain(content, self.path.parent)  # type: ignore[no-any-return]


def _labelled(name: str, content: Any) -> list[tuple[str, Any]]:
    """Return a section, or each of those that came again, with what faults call it."""
    if isinstance(content, (list, tuple)):
        return [(f"{name} {i}", part) for i, part in enumerate(content, 1)]
    return [(name, content)]


def _read_group(group: type, table: Any, name: str, folder: Path, faults: list[str]) -> Any:
    """Make a group from its table; add what is wrong to `faults`, and return None then."""
    if not isinstance(table, dict):
        faults.append(f"{name}: got {table!r}; wanted a section")
        return None
    infos = settings_of(group)
    former = {info.former: info.key for info in infos if info.former}
    given = {str(former.get(key, key)): value for key, value in table.items()}
    known = [info.key for info in infos]
    strange = [key for key in given if key not in known]
    found = [f"{name}.{key}: no such option{alike(key, known)}" for key in strange]
    values: dict[str, Any] = {}
    for info in infos:
        if info.key in given:
            values[info.name] = info.from_toml(given[info.key], folder)
            if not info.fits(values[info.name]):
                found.append(f"{name}.{info.key}: got {given[info.key]!r}; wanted {info.wanted()}")
        elif info.default is MISSING:
            found.append(f"{name}.{info.key}: missing; {info.short_help}")
    faults += found
    return None if found else group(**values)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        str(content)  # fails where a hexadecimal number has more digits than a message can show
        return content
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error


def _plain(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return (value.relative_to(base) if value.is_relative_to(base) else value).as_posix()
    if isinstance(value, dict):
        return {key: _plain(item, base) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item, base) for item in value]
    return value
