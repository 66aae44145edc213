"""How settings are declared: each once, with name, key, type, default, unit, range and help.

A group of settings is a frozen dataclass whose fields `setting` makes. Options, SeisComP's files,
TOML files, error messages and docs/settings.md are made from the declarations, so that a new
group is one new dataclass; a `ConfigFile` is a TOML file whose sections are such groups.
"""

from __future__ import annotations

import difflib
import math
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self, get_args, get_type_hints

from scperformer.errors import ConfigurationError

_KINDS: Mapping[type, str] = MappingProxyType(
    {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
)
_MOST_SUGGESTIONS = 3


class Range(NamedTuple):
    """What numbers are allowed, both bounds included, and in which unit."""

    low: float
    high: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.low:.10g} to {self.high:.10g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is known of one setting.

    Attributes:
        name: attribute of its group.
        kind: bool, int, float, str or Path: the type of the value, or of each value of a tuple.
        length: how many values a tuple has, 0 for any number; None if it is no tuple.
        optional: None is allowed, and means that it is unset.
        default: value if nobody says otherwise; `MISSING` if somebody must.
        help: sentences, the first of which says what it is.
        within: range and unit of numbers, None where any is allowed.
        choices: allowed values, empty where any is.
        key: what files call it.
        option: command-line spelling, empty if it has no option of its own.
        binding: key in a SeisComP binding, empty if stations cannot differ.
        former: key that an earlier version had.
        changes_picks: it belongs to what picks' public ids tell apart, thresholds excepted,
            which the card may set.
    """

    name: str
    kind: type
    length: int | None
    optional: bool
    default: Any
    help: str
    within: Range | None
    key: str
    choices: tuple[str, ...] = ()
    option: str = ""
    binding: str = ""
    former: str = ""
    changes_picks: bool = False

    @property
    def unit(self) -> str:
        """Unit of the value, empty if it has none."""
        return self.within.unit if self.within else ""

    @property
    def short_help(self) -> str:
        """The help as a phrase."""
        return (self.help[0].lower() + self.help[1:]).removesuffix(".")

    def fault(self, value: Any, *, name: str = "") -> str | None:
        """Return what is wrong with a value, or None.

        Args:
            value: the value.
            name: what the user calls the setting; by default its key.
        """
        name = name or self.key
        if not self.fits(value):
            return f"{name}: got {value!r}; wanted {self.wanted()}"
        if value is None:
            return None
        values: tuple[Any, ...] = (value,) if self.length is None else value
        if not all(map(self._is_allowed, values)):
            return f"{name}: got {_told(value)}; wanted {self.wanted()}"
        if self.length == 2 and values[0] > values[1]:
            return f"{name}: the first is larger than the second; got {_told(value)}"
        return None

    def fits(self, value: Any) -> bool:
        """Whether a value is of the setting's type."""
        if value is None:
            return self.optional
        if self.length is None:
            return self._is_of_kind(value)
        is_tuple = isinstance(value, tuple) and self.length in (0, len(value))
        return is_tuple and all(map(self._is_of_kind, value))

    def _is_of_kind(self, value: object) -> bool:
        if isinstance(value, bool):
            return self.kind is bool
        return isinstance(value, (int, float) if self.kind is float else self.kind)

    def _is_allowed(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if self.within:
            return bool(self.within.low <= value <= self.within.high)
        return not (isinstance(value, float) and math.isnan(value))

    def wanted(self) -> str:
        """Say what values are allowed."""
        text = f"one of {', '.join(self.choices)}" if self.choices else _KINDS[self.kind]
        if self.within:
            text += f" from {self.within} {self.unit}".rstrip()
        if self.length is None:
            return text
        return f"a list of {self.length}, each {text}" if self.length else f"a list, each {text}"

    def parse(self, text: str) -> Any:
        """Read a value from text; of an optional number, empty text means that it is unset.

        Raises:
            ValueError: not a value of its kind.
        """
        if self.kind is str:
            return text
        word = text.strip()
        if not word and self.optional:
            return None
        return parse_bool(word) if self.kind is bool else self.kind(word)

    def from_toml(self, value: Any, folder: Path) -> Any:
        """Bring a TOML value to the setting's type; one that does not fit `fits` finds."""
        if self.length is not None and isinstance(value, list):
            return tuple(self.from_toml(item, folder) for item in value)
        if self.kind is Path and isinstance(value, str):
            return folder / value
        if self.kind is float and type(value) is int and abs(value) <= sys.float_info.max:
            return float(value)
        return value


def setting(
    default: Any = MISSING, help: str = "", within: Range | None = None, **facts: Any
) -> Any:
    """Declare a field of a group.

    Args:
        default: as in `Setting`, and the following, too.
        help: sentences that end with a full stop.
        within: range and unit.
        facts: choices, key (the attribute's name unless it is given), option, binding, former,
            changes_picks.
    """
    return field(default=default, metadata={"help": help, "within": within, **facts})


@cache
def settings_of(group: type) -> tuple[Setting, ...]:
    """Return what is known of every setting of a group, in the order of declaration."""
    hints = get_type_hints(group)
    found = []
    for item in fields(group):
        if not item.metadata:
            continue
        members = get_args(hints[item.name])
        optional = type(None) in members
        length = None
        if members and not optional:
            length = 0 if Ellipsis in members else len(members)
        declared = {"key": item.name, "default": item.default, **item.metadata}
        declared["choices"] = tuple(declared.get("choices", ()))
        kind = members[0] if members else hints[item.name]
        found.append(
            Setting(name=item.name, kind=kind, length=length, optional=optional, **declared)
        )
    return tuple(found)


def faults_of(group: Any, prefix: str = "") -> list[str]:
    """Return what is wrong with a group's values, each by its key behind a prefix."""
    found = (
        info.fault(getattr(group, info.name), name=f"{prefix}{info.key}")
        for info in settings_of(type(group))  # type: ignore[arg-type]
    )
    return [fault for fault in found if fault]


def check_settings(group: Any) -> None:
    """Check every setting of a group against its declaration.

    Raises:
        ConfigurationError: with every fault, one sentence each.
    """
    if faults := faults_of(group):
        raise ConfigurationError(*faults)


def parse_bool(text: str) -> bool:
    """Read a truth value as SeisComP writes it.

    Raises:
        ValueError: not a truth value.
    """
    word = text.lower()
    if word in ("true", "on", "yes", "1"):
        return True
    if word in ("false", "off", "no", "0"):
        return False
    raise ValueError(f"got {text!r}; wanted true or false")


def alike(word: str, known: Iterable[str]) -> str:
    """Ask, behind a refusal, whether a word that is alike or holds it was meant; or say nothing."""
    candidates, bare = list(known), word.strip("-")
    words = difflib.get_close_matches(word, candidates, n=_MOST_SUGGESTIONS, cutoff=0.7)
    words += [one for one in candidates if len(bare) > 1 and bare in one and one not in words]
    return f"; did you mean {' or '.join(words[:_MOST_SUGGESTIONS])}?" if words else ""


def shown(value: Any) -> str:
    """Write a default for people: empty if it is unset, short if it is a number."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.15g}"
    return repr(list(value) if isinstance(value, tuple) else value)


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
