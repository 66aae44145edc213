"""How settings are declared: each once, with name, key, type, default, unit, range and help.

A group of settings is a frozen dataclass whose fields `setting` makes. Options, SeisComP's files,
TOML files (see `config_file`), error messages and docs/settings.md are made from the declarations,
so that a new group is one new dataclass.
"""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, get_args, get_type_hints

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
