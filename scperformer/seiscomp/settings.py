"""The settings that only the SeisComP module has, and the names that SeisComP knows.

The picker's own settings come from `scperformer.config`. Names are those of
scautopick wherever it has one. Nothing here imports SeisComP.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from scperformer.config import Settings
from scperformer.monitoring.settings import MonitoringSettings
from scperformer.networks.registry import DEFAULT_MODEL
from scperformer.setting import Range, Setting, check_settings, setting, settings_of

DEFAULT_INIT_TIME_S = 10.0

_OPTIONS = MappingProxyType({"threshold_p": "threshold-p", "threshold_s": "threshold-s"})
"""Options that the command-line tool has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleSettings:
    """Settings of the SeisComP module, checked when made.

    Raises:
        ConfigurationError: with every fault, one sentence each.
    """

    # Rows, as in scperformer.config.
    # fmt: off
    model: str = setting(
        DEFAULT_MODEL, "Name of the model, or its folder; 'scperformer models' lists what there "
        "is.",
        option="--model", binding="model")
    lead_time_s: float = setting(
        120.0, "How far before the start of the module waveforms are requested: the 80 s that the "
        "streaming network remembers, and the time in which a restart loses no pick.",
        Range(0.0, 86400.0, "s"), key="leadTime", option="--before")
    init_time_s: float | None = setting(
        None, "How long the picker is blind at the beginning of each stream; unset, "
        f"{DEFAULT_INIT_TIME_S:g} s in real time and not at all in playback.",
        Range(0.0, 3600.0, "s"), key="initTime", option="--init-time")
    playback: bool = setting(
        False, "Request no time window, so that old records from files or playbacks are picked, "
        "too; leadTime has no effect.",
        option="--playback")
    use_all_streams: bool = setting(
        True, "Where no station has a binding, pick on all streams of seismometers: those in a "
        "file, or those that the inventory has now. As an option it prevails over bindings.",
        key="useAllStreams", option="--any-stream")
    phase_hint_p: str = setting("P", "Phase hint of P picks.", key="phaseHint")
    phase_hint_s: str = setting("S", "Phase hint of S picks.", key="phaseHintS")
    simplified_ids: bool = setting(
        True, "Public ids made of time, phase, stream and eight digits that stand for model, "
        "settings, agency and author, YYYYMMDD.hhmmss.ffffff-P-NET.STA.LOC.CHA-xxxxxxxx, as in "
        "the files of 'scperformer scan --agency'; otherwise SeisComP's publicIDPattern, with the "
        "pick's time and a number that is the same whenever the pick is.",
        key="simplifiedIDs")
    extra_pick_comments: bool = setting(
        False, "Add the comments SNR, decision_delay and components to probability and model.",
        key="extraPickComments", option="--extra-comments")
    comment_id: str = setting(
        "", "Id of a comment that every pick gets; needs comment.text, too.", key="comment.ID")
    comment_text: str = setting(
        "", "Text of a comment that every pick gets; needs comment.ID, too.", key="comment.text")
    amplitude_group: str = setting(
        "AMPLITUDE", "Message group of the snr amplitudes. Picks go to connection.primaryGroup.",
        key="connection.amplitudeGroup")
    outbox: str = setting(
        "", "Folder in which picks wait for the messaging, so that they outlive a restart without "
        "it; unset, they wait in memory. The module's name is appended. @ROOTDIR@ and the like are "
        "understood.")
    export_scml: str = setting(
        "", "Folder of hourly SCML documents that receive every pick as well.", key="export.scml")
    export_quakeml: str = setting(
        "", "Folder of hourly QuakeML documents that receive every pick as well.",
        key="export.quakeml")
    # fmt: on

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

    enabled: bool = setting(True, "Pick at this station.", key="detecEnable")


class Mode(NamedTuple):
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
_FLAGS = ("playback", "extra_pick_comments")


def module_infos() -> Iterator[Setting]:
    """Yield every setting of the module: its own, those of monitoring, then the picker's."""
    yield from settings_of(ModuleSettings)
    yield from settings_of(MonitoringSettings)
    yield from settings_of(Settings)


def binding_infos() -> Iterator[Setting]:
    """Yield every setting of a binding, with the key that bindings use."""
    yield from settings_of(BindingSettings)
    for info in module_infos():
        if info.binding:
            yield replace(info, key=info.binding, optional=True)


def module_options() -> dict[str, Setting]:
    """Return the settings that have a command-line option, by its name without dashes."""
    names = (
        (info.option.removeprefix("--") or _OPTIONS.get(info.name), info) for info in module_infos()
    )
    return {name: info for name, info in names if name}


def is_flag(info: Setting) -> bool:
    """Whether the option of a setting takes no argument; scautopick's booleans take one."""
    return info.name in _FLAGS
