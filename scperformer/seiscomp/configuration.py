"""The module's configuration: files, then the command line; and what bindings say of stations."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from scperformer.config import UNHURRIED, Settings
from scperformer.core.sensors import effective_filter
from scperformer.errors import ConfigurationError
from scperformer.monitoring.settings import MonitoringSettings
from scperformer.seiscomp.settings import (
    MODES,
    ModuleSettings,
    binding_infos,
    is_flag,
    module_infos,
    module_options,
)
from scperformer.setting import parse_bool

_log = logging.getLogger(__name__)

_DEEPEST = 16
"""Parameter sets that are based on one another."""

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
        monitoring: what is told of a running module.
        modes: switches of the command line that were given.
        any_stream: ``--any-stream`` was given and is true.
    """

    settings: Settings
    module: ModuleSettings
    monitoring: MonitoringSettings
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
            groups = self.module, self.monitoring, self.settings
            value = next(getattr(own, info.name) for own in groups if hasattr(own, info.name))
            shown = "" if value is None else f"{value}"
            yield f"{info.key:26s}{shown}{f' {info.unit}' if info.unit and shown else ''}".rstrip()


def read_files(app: Any) -> dict[str, Any]:
    """Read from the application's configuration files what they set, by names of settings.

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
    for kind in (Settings, ModuleSettings, MonitoringSettings):
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
    return Configuration(
        made[Settings], made[ModuleSettings], made[MonitoringSettings], modes, any_stream
    )


def _is_offline(modes: frozenset[str]) -> bool:
    return bool(modes & {"ep", "quakeml", "offline"})


def given_modes(command_line: Any) -> frozenset[str]:
    """Return the switches that were given."""
    return frozenset(mode.option for mode in MODES if command_line.hasOption(mode.option))


@dataclass(frozen=True, slots=True)
class Station:
    """What a binding says of a station.

    Attributes:
        network, station: codes.
        location: location code of the detection stream, may be empty.
        stream: first letters of its channels, empty if nobody says.
        enabled: whether to pick.
        model: name of the model, empty for the module's.
        settings: the picker's settings for this station.
    """

    network: str
    station: str
    location: str
    stream: str
    enabled: bool
    model: str
    settings: Settings

    def __str__(self) -> str:
        return f"{self.network}.{self.station}"


@dataclass(slots=True)
class Bindings:
    """The bindings of all stations.

    Attributes:
        stations: by network and station code.
        is_known: whether there is a configuration module at all.
    """

    stations: dict[tuple[str, str], Station] = field(default_factory=dict)
    is_known: bool = False

    def get(self, network: str, station: str) -> Station | None:
        """Return what is said of a station, None if nothing is."""
        return self.stations.get((network, station))


def read_bindings(
    app: Any, settings: Settings, find_setup: Callable[..., Any], find_set: Callable[[str], Any]
) -> Bindings:
    """Read the bindings of the application, under its own name (which may be an alias).

    Args:
        app: the application.
        settings: the module's; a binding prevails over them.
        find_setup: ``datamodel.findSetup``.
        find_set: ``datamodel.ParameterSet.Find``.

    Raises:
        ConfigurationError: values that cannot be used, those of all stations.
    """
    module = app.configModule()
    bindings = Bindings(is_known=module is not None)
    if module is None:
        return bindings
    faults: list[str] = []
    for i in range(module.configStationCount()):
        station = module.configStation(i)
        setup = find_setup(station, app.name(), False)
        if setup is None:
            continue
        codes = station.networkCode(), station.stationCode()
        parameters = _parameters(setup.parameterSetID(), find_set)
        enabled = setup.enabled() and station.enabled() and app.isStationEnabled(*codes)
        try:
            bindings.stations[codes] = _station(codes, parameters, settings, enabled=enabled)
        except ConfigurationError as error:
            faults += [f"{codes[0]}.{codes[1]}: {fault}" for fault in error.faults]
    if faults:
        raise ConfigurationError(*faults)
    return bindings


def _parameters(set_id: str, find_set: Callable[[str], Any]) -> dict[str, str]:
    """Collect the parameters of a set, those of the sets that it is based on first."""
    chain: list[Any] = []
    while set_id and len(chain) < _DEEPEST:
        found = find_set(set_id)
        if found is None:
            _log.warning("parameter set %s is missing", set_id)
            break
        chain.append(found)
        set_id = found.baseID()
    values: dict[str, str] = {}
    for one in reversed(chain):
        values.update(_named_values(one))
    return values


def _named_values(parameter_set: Any) -> Iterator[tuple[str, str]]:
    for i in range(parameter_set.parameterCount()):
        parameter = parameter_set.parameter(i)
        yield parameter.name(), parameter.value()


def _station(
    codes: tuple[str, str], parameters: Mapping[str, str], settings: Settings, *, enabled: bool
) -> Station:
    values, faults = _values(parameters)
    wanted = values.pop("enabled", True)
    model = values.pop("model", "")
    try:
        own = replace(settings, **values)
        effective_filter(own)
    except ConfigurationError as error:
        faults += error.faults
    if faults:
        raise ConfigurationError(*faults)
    return Station(
        network=codes[0],
        station=codes[1],
        location=parameters.get("detecLocid", "").strip(),
        stream=parameters.get("detecStream", "").strip(),
        enabled=enabled and bool(wanted),
        model=str(model),
        settings=own,
    )


def _values(parameters: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Read what a binding sets; an empty value leaves the module's."""
    values: dict[str, Any] = {}
    faults: list[str] = []
    for info in binding_infos():
        text = parameters.get(info.key, "")
        if not text.strip():
            continue
        try:
            values[info.name] = info.parse(text.strip())
        except ValueError as error:
            faults.append(f"{info.key}: {error}")
    return values, faults
