"""Writes docs/settings.md, the reference of all settings, from their declarations.

``python -m scperformer.cli.reference`` writes it into the source tree anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path

from scperformer.config import Settings
from scperformer.monitoring.settings import MonitoringSettings
from scperformer.seiscomp.settings import BindingSettings, ModuleSettings
from scperformer.setting import ConfigFile, Setting, settings_of
from scperformer.training.config import TrainingConfig
from scperformer.training.streaming_config import StreamingConfig

PATH = "docs/settings.md"

_HEAD = """\
# Settings

Made by `python -m scperformer.cli.reference` from the declarations; do not edit.

## The picker

A key stands in SeisComP's `scperformer.cfg` and in scconfig, an option on the command line of
`scan`, `stream` and `evaluate` and of the SeisComP module. A binding sets its key for a station.
`--threshold` sets the thresholds; the module has `--threshold-p` and `--threshold-s` instead."""

_MODULE = """\
## The SeisComP module

What it has beside the picker's settings; `seiscomp exec scperformer --help` tells its switches,
too."""

_MONITORING = """\
## Monitoring

For `scperformer stream` and the SeisComP module; [monitoring.md](monitoring.md) says more."""

_TRAINING = """\
## Training on windows

Sections of the TOML file that `scperformer train --config` takes. Paths are relative to that file.
[training.md](training.md) says more."""

_STREAMING = """\
## Training the streaming network

Sections that are not named here are as above."""


def markdown() -> str:
    """Write the reference."""
    places = {"option": "option", "binding": "in a binding"}
    blocks = [
        *(_HEAD, _table(Settings, places)),
        *(_MODULE, _table(ModuleSettings, places)),
        *("A binding has beside these:", _table(BindingSettings, {})),
        *(_MONITORING, _table(MonitoringSettings, {"option": "option"})),
        *(_TRAINING, *_sections(TrainingConfig)),
        *(_STREAMING, *_sections(StreamingConfig, besides=TrainingConfig)),
    ]
    return "\n\n".join(blocks) + "\n"


def _sections(config: type[ConfigFile], besides: type[ConfigFile] = ConfigFile) -> Iterator[str]:
    known = {group for _, group, _ in besides.sections()}
    for _, group, _ in config.sections():
        if group not in known:
            yield f"{(group.__doc__ or '').replace('``', '`')}"
            yield _table(group, {})


def _table(group: type, places: dict[str, str]) -> str:
    """Write a row a setting, with a column for each place where else it can be set."""
    titles = ["key", *places.values(), "default", "allowed", "what it does"]
    rows = [titles, ["---"] * len(titles)]
    for info in settings_of(group):
        names = [info.key, *(getattr(info, place) for place in places)]
        cells = [*(f"`{name}`" if name else "" for name in names), _default(info), _allowed(info)]
        rows.append([*cells, info.help.replace("|", "\\|")])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _default(info: Setting) -> str:
    if info.default in (None, MISSING):
        return "unset" if info.default is None else "must be set"
    return f"`{json.dumps(info.default)}`"


def _allowed(info: Setting) -> str:
    return ", ".join(info.choices) or f"{info.within or ''} {info.unit}".strip()


def main() -> int:
    """Write the file into the source tree."""
    (Path(__file__).resolve().parents[2] / PATH).write_text(markdown(), encoding="utf-8")
    print(PATH)
    return 0


if __name__ == "__main__":
    sys.exit(main())
