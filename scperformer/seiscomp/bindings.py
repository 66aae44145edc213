"""Bindings: what SeisComP's configuration says of each station."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scperformer.config import Settings
from scperformer.core.sensors import effective_filter
from scperformer.errors import ConfigurationError
from scperformer.seiscomp.settings import binding_infos

_log = logging.getLogger(__name__)

_DEEPEST = 16


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
