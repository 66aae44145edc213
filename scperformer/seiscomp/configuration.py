"""The module's configuration: files first, then the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from scperformer.config import UNHURRIED, Settings
from scperformer.core.sensors import effective_filter
from scperformer.errors import ConfigurationError
from scperformer.seiscomp.settings import (
    MODES,
    ModuleSettings,
    is_flag,
    module_infos,
    module_options,
)
from scperformer.setting import parse_bool

_WORDS = MappingProxyType({bool: "Bool", int: "Int", float: "Double", str: "String"})
_OPTION_WORDS = MappingProxyType({**_WORDS, bool: "String"})
"""What SeisComP calls the types in the names of its methods; its options know no truth values."""

_SEISCOMP_ERRORS = (RuntimeError, ValueError)
"""What SeisComP's Python makes of any exception of its own, whatever the reason."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the operator wants.

    Attributes:
        settings: the picker's.
        module: the module's own.
        modes: switches of the command line that were given.
        any_stream: ``--any-stream`` was given and is true.
    """

    settings: Settings
    module: ModuleSettings
    modes: frozenset[str]
    any_stream: bool

    @property
    def writes_document(self) -> bool:
        """Whether one document at the end holds all picks."""
        return bool(self.modes & {"ep", "quakeml"})

    @property
    def is_offline(self) -> bool:
        """Whether there is no messaging."""
        return _is_offline(self.modes)

    @property
    def sends(self) -> bool:
        """Whether picks are sent."""
        return not self.is_offline and "test" not in self.modes

    def lines(self) -> Iterator[str]:
        """Describe it, a line a setting."""
        for info in module_infos():
            own = self.module if hasattr(self.module, info.name) else self.settings
            value = getattr(own, info.name)
            shown = "" if value is None else f"{value}"
            yield f"{info.key:26s}{shown}{f' {info.unit}' if info.unit and shown else ''}".rstrip()


def read_files(app: Any) -> dict[str, Any]:
    """Read from the configuration files what they set, by names of settings.

    Args:
        app: the application, with configuration, configGetBool and its sisters.

    Raises:
        ConfigurationError: values of another kind, all of them.
    """
    values: dict[str, Any] = {}
    faults = []
    given = set(app.configuration().names())
    for info in module_infos():
        try:
            values[info.name] = getattr(app, f"configGet{_WORDS[info.kind]}")(info.key)
        except _SEISCOMP_ERRORS:
            if info.key in given:
                text = app.configGetString(info.key)
                faults.append(f"{info.key}: got {text!r}; wanted {info.wanted()}")
    if faults:
        raise ConfigurationError(*faults)
    return values


def declare_options(command_line: Any) -> None:
    """Add the module's options to SeisComP's own."""
    command_line.addGroup("Mode")
    for mode in MODES:
        spelling = f"{mode.option},{mode.short}" if mode.short else mode.option
        command_line.addOption("Mode", spelling, mode.help)
    command_line.addGroup("Settings")
    for option, info in module_options().items():
        word = "" if is_flag(info) else _OPTION_WORDS[info.kind]
        getattr(command_line, f"add{word}Option")("Settings", option, info.help)


def read_options(command_line: Any) -> dict[str, Any]:
    """Read the options that were given, by names of settings.

    Raises:
        ConfigurationError: truth values that are none, all of them.
    """
    values: dict[str, Any] = {}
    faults = []
    for option, info in module_options().items():
        if not command_line.hasOption(option):
            continue
        try:
            if is_flag(info):
                values[info.name] = True
            else:
                value = getattr(command_line, f"option{_OPTION_WORDS[info.kind]}")(option)
                values[info.name] = parse_bool(value) if info.kind is bool else value
        except ValueError as error:
            faults.append(f"--{option}: {error}")
    if faults:
        raise ConfigurationError(*faults)
    return values


def configure(
    files: Mapping[str, Any], options: Mapping[str, Any], modes: frozenset[str]
) -> Configuration:
    """Put the configuration together; options prevail over files.

    Raises:
        ConfigurationError: values out of their range, or a filter that cannot be read.
    """
    values = {**files, **(UNHURRIED if _is_offline(modes) else {}), **options}
    faults: list[str] = []
    made: dict[type, Any] = {}
    for kind in (Settings, ModuleSettings):
        names = {item.name for item in fields(kind)}
        try:
            made[kind] = kind(**{n: v for n, v in values.items() if n in names})
            if kind is Settings:
                effective_filter(made[kind])
        except ConfigurationError as error:
            faults += error.faults
    if faults:
        raise ConfigurationError(*faults)
    any_stream = options.get("use_all_streams") is True
    return Configuration(made[Settings], made[ModuleSettings], modes, any_stream)


def _is_offline(modes: frozenset[str]) -> bool:
    return bool(modes & {"ep", "quakeml", "offline"})


def given_modes(command_line: Any) -> frozenset[str]:
    """Return the switches that were given."""
    return frozenset(mode.option for mode in MODES if command_line.hasOption(mode.option))
