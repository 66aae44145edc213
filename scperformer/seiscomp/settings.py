"""The settings that only the SeisComP module has, and the names that SeisComP knows.

The picker's own settings come from `scperformer.config`. Names are those of
scautopick wherever it has one. Nothing here imports SeisComP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from scperformer.config import SettingInfo, Settings, check_settings, setting, setting_infos
from scperformer.networks.registry import DEFAULT_MODEL

DEFAULT_INIT_TIME_S = 10.0

_OWN_OPTIONS = MappingProxyType({"threshold_p": "threshold-p", "threshold_s": "threshold-s"})
_BINDING_KEYS = MappingProxyType({"filter": "detecFilter", "time_correction_s": "timeCorr"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSettings:
    """Settings of the SeisComP module, checked when made.

    Raises:
        ConfigurationError: with every fault, one sentence each.
    """

    model: str = setting(
        DEFAULT_MODEL,
        key="model",
        help="Name of the model, or its folder; 'scperformer models' lists what there is.",
        options=("--model",),
        per_station=True,
    )
    lead_time_s: float = setting(
        60.0,
        key="leadTime",
        help="How far before the start of the module waveforms are requested. A restart within "
        "this time loses no pick.",
        unit="s",
        low=0.0,
        high=86400.0,
        options=("--before",),
    )
    init_time_s: float | None = setting(
        None,
        key="initTime",
        help="How long the picker is blind at the beginning of each stream; unset, "
        f"{DEFAULT_INIT_TIME_S:g} s in real time and not at all in playback.",
        unit="s",
        low=0.0,
        high=3600.0,
        options=("--init-time",),
    )
    playback: bool = setting(
        False,
        key="playback",
        help="Request no time window, so that old records from files or playbacks are picked, "
        "too; leadTime has no effect.",
        options=("--playback",),
    )
    use_all_streams: bool = setting(
        True,
        key="useAllStreams",
        help="Where no station has a binding, pick on all streams of seismometers: those in a "
        "file, or those that the inventory has now. As an option it prevails over bindings.",
        options=("--any-stream",),
    )
    phase_hint_p: str = setting("P", key="phaseHint", help="Phase hint of P picks.")
    phase_hint_s: str = setting("S", key="phaseHintS", help="Phase hint of S picks.")
    simplified_ids: bool = setting(
        True,
        key="simplifiedIDs",
        help="Public ids made of time, phase, stream and eight digits that stand for model, "
        "settings, agency and author, YYYYMMDD.hhmmss.ffffff-P-NET.STA.LOC.CHA-xxxxxxxx, as in "
        "the files of 'scperformer scan --agency'; otherwise SeisComP's publicIDPattern, with the "
        "pick's time and a number that is the same whenever the pick is.",
    )
    extra_pick_comments: bool = setting(
        False,
        key="extraPickComments",
        help="Add the comments SNR, decision_delay and components to probability and model.",
        options=("--extra-comments",),
    )
    comment_id: str = setting(
        "", key="comment.ID", help="Id of a comment that every pick gets; needs comment.text, too."
    )
    comment_text: str = setting(
        "",
        key="comment.text",
        help="Text of a comment that every pick gets; needs comment.ID, too.",
    )
    amplitude_group: str = setting(
        "AMPLITUDE",
        key="connection.amplitudeGroup",
        help="Message group of the snr amplitudes. Picks go to connection.primaryGroup.",
    )
    outbox: str = setting(
        "",
        key="outbox",
        help="Folder in which picks wait for the messaging, so that they outlive a restart "
        "without it; unset, they wait in memory. The module's name is appended. "
        "@ROOTDIR@ and the like are understood.",
    )
    export_scml: str = setting(
        "",
        key="export.scml",
        help="Folder of hourly SCML documents that receive every pick as well.",
    )
    export_quakeml: str = setting(
        "",
        key="export.quakeml",
        help="Folder of hourly QuakeML documents that receive every pick as well.",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def blind_s(self) -> float:
        """How long the picker is blind at the beginning of each stream."""
        if self.init_time_s is not None:
            return self.init_time_s
        return 0.0 if self.playback else DEFAULT_INIT_TIME_S


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingSettings:
    """Settings that only a binding has."""

    enabled: bool = setting(
        True,
        key="detecEnable",
        help="Pick at this station.",
        per_station=True,
    )


@dataclass(frozen=True, slots=True)
class Mode:
    """A switch of the command line."""

    option: str
    help: str
    short: str = ""


MODES = (
    Mode("ep", "Write all picks and amplitudes as event parameters (XML) to standard output at "
         "the end; implies --offline. Consider --playback for old records."),
    Mode("quakeml", "Write QuakeML 1.2 instead of SeisComP's XML; implies --ep."),
    Mode("offline", "Do not connect to a messaging server; a line a pick on standard output."),
    Mode("test", "Run as usual, but send nothing."),
    Mode("dump-config", "Print the configuration of the module and its stations, and exit."),
    Mode("dump-records", "With --offline or --ep: write the filtered window of every pick to the "
         "file PUBLICID.txt in the current folder."),
    Mode("db-disable", "Do not use the database at all."),
    Mode("formatted", "Indent the XML of --ep.", short="f"),
)  # fmt: skip
MODE_FLAGS = ("playback", "extra_pick_comments")


def module_infos() -> Iterator[SettingInfo]:
    """Yield every setting of the module: its own, then the picker's."""
    yield from setting_infos(ModuleSettings)
    yield from setting_infos(Settings)


def binding_infos() -> Iterator[SettingInfo]:
    """Yield every setting of a binding, with the key that bindings use."""
    yield from setting_infos(BindingSettings)
    for info in module_infos():
        if info.per_station:
            yield replace(info, key=_BINDING_KEYS.get(info.name, info.key), optional=True)


def option_of(info: SettingInfo) -> str:
    """Name the command-line option of a setting, without dashes; empty if it has none."""
    if info.options:
        return info.options[0].removeprefix("--")
    return _OWN_OPTIONS.get(info.name, "")


def is_flag(info: SettingInfo) -> bool:
    """Whether the option of a setting takes no argument; scautopick's booleans take one."""
    return info.name in MODE_FLAGS


def parse_value(info: SettingInfo, text: str) -> Any:
    """Read a setting's value from text; empty text of a number means that it is unset.

    Raises:
        ValueError: not a value of its kind.
    """
    words = text.strip()
    if info.kind is str:
        return text
    if not words and info.optional:
        return None
    if info.kind is bool:
        return parse_bool(words)
    return info.kind(words)


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
