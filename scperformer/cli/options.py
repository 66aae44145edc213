"""Options that several subcommands share, made from the one definition of the settings."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from scperformer.cli.parser import add_options
from scperformer.config import DEFAULT_AUTHOR, MODEL_FILTER, Settings, parse_threshold
from scperformer.errors import ConfigurationError
from scperformer.monitoring.settings import MonitoringSettings
from scperformer.networks.registry import DEFAULT_MODEL
from scperformer.picks.style import DEFAULT_PRECISION
from scperformer.setting import Setting, settings_of, shown
from scperformer.types import parse_time
from scperformer.waveforms.selection import Selection, parse_selection

_MOST_DIGITS = 15
_UNSET = argparse.SUPPRESS
_METAVARS = MappingProxyType(
    {"s": "SECONDS", "samples": "SAMPLES", "windows": "WINDOWS", "metrics_file": "FILE"}
)

CUSTOM_MODEL = (
    "a model of your own instead: a Python module, or its .py file, with load_model(**arguments), "
    "or an .onnx file"
)
HOW_TO_LOAD = {
    "--loader-argv --loader_argv TEXT": "arguments of --model's load_model, "
    "\"key=value other='with blanks'\"",
    "--cpu": "use the CPU even where a GPU is",
}
_WEIGHTS = {
    "--weights -w FILE": "a weights file instead, ours or the original authors'",
}
_KIND_OF_MODEL = {
    "--cnn": "the model cnn, or what the weights file is for",
    "--gpd": "the model gpd, or what the weights file is for",
    "--model MODULE": CUSTOM_MODEL,
}


def add_setting_options(
    parser: argparse.ArgumentParser,
    *,
    defaults: Mapping[str, Any] = MappingProxyType({}),
    leave_out: Collection[str] = (),
) -> None:
    """Add a group "picker" with an option for every setting that has one and makes sense here.

    The subcommand's `defaults` prevail over the settings'.
    """
    group = parser.add_argument_group("picker")
    group.add_argument(
        "--threshold",
        metavar="VALUE",
        help='least probability of a pick: one number, or "p: 0.9997, s: 0.9995" '
        "(default: as the model's card recommends)",
    )
    for info in settings_of(Settings):
        if info.option and info.name not in leave_out:
            _add_option(group, info, defaults.get(info.name, info.default))


def add_monitoring_options(group: argparse._ArgumentGroup) -> None:
    """Add an option for every setting of monitoring."""
    for info in settings_of(MonitoringSettings):
        _add_option(group, info, info.default)


def _add_option(group: argparse._ArgumentGroup, info: Setting, default: object) -> None:
    text = _in_options(info.short_help).replace("%", "%%")
    if info.kind is bool:
        group.add_argument(
            info.option, dest=info.name, action="store_true", default=_UNSET, help=text
        )
        return
    group.add_argument(
        info.option,
        dest=info.name,
        type=info.kind,
        default=_UNSET,
        metavar=None if info.choices else _METAVARS.get(info.unit or info.name, info.name.upper()),
        choices=info.choices or None,
        help=f"{text} (default: {shown(default) or 'none'})",
    )


def _in_options(text: str) -> str:
    """Name other settings by their options instead of their keys."""
    for info in settings_of(Settings):
        if info.option and not info.key.islower():
            text = text.replace(info.key, info.option)
    return text


def add_owner_options(parser: argparse._ActionsContainer) -> None:
    """Add the options that say whose picks they are."""
    in_ids = "and part of the picks' public ids"
    parser.add_argument(
        "--agency",
        default="",
        metavar="ID",
        help=f"agency id of documents and messages, {in_ids}",
    )
    parser.add_argument(
        "--author",
        default=DEFAULT_AUTHOR,
        metavar="NAME",
        help=f"author of documents and messages, {in_ids} unless it is {DEFAULT_AUTHOR}",
    )


def add_precision_option(parser: argparse._ActionsContainer) -> None:
    """Add the option that says how many digits of a probability are printed."""
    text = "decimals of the probability in .txt files, rounded down; tables have at least 6, "
    parser.add_argument(
        "--print-precision",
        type=_digits,
        default=DEFAULT_PRECISION,
        metavar="DIGITS",
        help=f"{text}documents at least 4 (default: {DEFAULT_PRECISION})",
    )


def _digits(text: str) -> int:
    if text.isdecimal() and int(text) <= _MOST_DIGITS:
        return int(text)
    raise argparse.ArgumentTypeError(f"got {text!r}; wanted 0 to {_MOST_DIGITS}")


def settings_from_options(
    options: argparse.Namespace, *, defaults: Mapping[str, Any] = MappingProxyType({})
) -> Settings:
    """Make the settings from parsed options.

    Raises:
        ConfigurationError: with every fault, each under the name of its option.
    """
    given = vars(options)
    values, names = _given(Settings, given), {}
    if given.get("threshold") is not None:
        thresholds = parse_threshold(given["threshold"])
        values.update(thresholds)
        names.update(dict.fromkeys(thresholds, "--threshold"))
    _check(Settings, values, names)
    if given.get("filter") not in (None, "", MODEL_FILTER):
        check_filter_option(given["filter"])
    return Settings(**{**defaults, **values})


def monitoring_from_options(options: argparse.Namespace) -> MonitoringSettings:
    """Make the settings of monitoring from parsed options.

    Raises:
        ConfigurationError: with every fault, each under the name of its option.
    """
    values = _given(MonitoringSettings, vars(options))
    _check(MonitoringSettings, values, {})
    return MonitoringSettings(**values)


def _given(group: type, options: Mapping[str, Any]) -> dict[str, Any]:
    return {i.name: options[i.name] for i in settings_of(group) if i.name in options}


def _check(group: type, values: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Raise what is wrong with values, under other names than their options' where given."""
    found = (
        info.fault(values[info.name], name=names.get(info.name, info.option))
        for info in settings_of(group)
        if info.name in values
    )
    if faults := [fault for fault in found if fault]:
        raise ConfigurationError(*dict.fromkeys(faults))


def as_typed(fault: str) -> str:
    """Name the option in place of the key of the setting that a fault begins with."""
    key, colon, rest = fault.partition(":")
    options = {info.key: info.option for info in settings_of(Settings) if info.option}
    return f"{options.get(key, key)}{colon}{rest}"


def check_filter_option(text: str) -> None:
    """Read the value of ``--filter``.

    Raises:
        ConfigurationError: not a filter; names the option.
    """
    from scperformer.core.filters import parse_filter  # noqa: PLC0415 - scipy

    try:
        parse_filter(text)
    except ConfigurationError as error:
        raise ConfigurationError(*(f"--{fault}" for fault in error.faults)) from error


def parse_time_option(name: str, text: str | None) -> int | None:
    """Read a time option such as ``2021-04-01T12:35:40``; None if it is unset.

    Raises:
        ConfigurationError: not a time.
    """
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError:
        raise ConfigurationError(
            f"{name}: got {text!r}; wanted a UTC time such as 2021-04-01 or 2021-04-01T12:35:40"
        ) from None


def add_selection_options(group: argparse._ActionsContainer) -> None:
    """Add the options that say which stations and channels are wanted."""
    add_options(
        group,
        {
            "--stations LIST": "stations, with wildcards: 'CI.*,PB.B91?' or '*'; their channels as "
            "NET.STA.LOC.CHA, 'CI.*..HH?', or with selectors, 'CI.TOW2:??HH? ??HN?' (default: "
            "every channel)",
            "--network LIST": "network codes, with wildcards: 'CI,P?' (default: all)",
            "--location LIST": "location codes, which may be empty, with wildcards: '00,1?' or '' "
            "(default: all)",
            "--channels LIST": "channel codes; one that is no seismometer's is picked only where "
            "its first two letters are given, with wildcards: 'HH?,BH?' (default: all)",
        },
    )


def selection_from_options(options: argparse.Namespace) -> Selection:
    """Make the selection from parsed options.

    Raises:
        ConfigurationError: with every fault.
    """
    return parse_selection(
        stations=options.stations,
        networks=options.network,
        locations=options.location,
        channels=options.channels,
    )


def add_model_options(parser: argparse.ArgumentParser, default: str = DEFAULT_MODEL) -> None:
    """Add the options that choose the model."""
    group = parser.add_argument_group("model")
    name = (
        "a model of the registry ('scperformer models list') or a model folder "
        f"(default: {default})"
    )
    add_options(group, {"--model-name NAME": name, **_WEIGHTS})
    kind = group.add_mutually_exclusive_group()
    add_options(kind, _KIND_OF_MODEL)
    add_options(group, HOW_TO_LOAD)
