"""Writes what SeisComP wants to know of the module, from the one definition of the settings.

``python -m scperformer.seiscomp.describe`` writes ``descriptions/scperformer.xml``,
``descriptions/scperformer.rst`` and ``config/scperformer.cfg`` of the source tree anew.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from xml.sax.saxutils import escape, quoteattr

from scperformer.seiscomp.settings import (
    MODES,
    binding_infos,
    is_flag,
    module_infos,
    module_options,
)
from scperformer.setting import Setting, shown

_NAME = "scperformer"
_WIDTH = 96
_TYPES = MappingProxyType({bool: "boolean", int: "int", float: "double", str: "string"})
_PATHS = ("outbox", "export_scml", "export_quakeml", "metrics_file")
_DESCRIPTION = "Picks P and S phases on three components with a neural network."
_BINDING_DESCRIPTION = (
    "Configures a station for picking. The stream comes from detecStream and detecLocid of the "
    "global binding. What is left unset is as the module's configuration says."
)
_GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "thresholds": "When a phase is picked.",
        "comment": "A comment that every pick gets.",
        "connection": "Message groups.",
        "metrics": "Numbers for Prometheus and 'scperformer status'.",
        "export": "Documents of picks for programs outside the messaging.",
    }
)
_REFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "Generic": "help version config-file plugins daemon auto-shutdown shutdown-master-module "
        "shutdown-master-username",
        "Verbosity": "verbosity v quiet component syslog lockfile console debug log-file",
        "Messaging": "user host timeout primary-group subscribe-group content-type start-stop-msg",
        "Database": "db-driver-list database config-module inventory-db config-db",
        "Records": "record-driver-list record-url record-file record-type",
    }
)


def xml() -> str:
    """Write the description for scconfig: module, command line and binding."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<!-- Made by scperformer.seiscomp.describe; do not edit. -->",
        "<seiscomp>",
        f'  <module name="{_NAME}" category="Processing" inherit-global-bindings="true">',
        *_text(_DESCRIPTION, 4),
        "    <configuration>",
        *_parameters(module_infos(), with_defaults=True),
        "    </configuration>",
        "    <command-line>",
        *_command_line(),
        "    </command-line>",
        "  </module>",
        f'  <binding module="{_NAME}">',
        *_text(_BINDING_DESCRIPTION, 4),
        "    <configuration>",
        *_parameters(binding_infos(), with_defaults=False),
        "    </configuration>",
        "  </binding>",
        "</seiscomp>",
    ]
    return "\n".join(lines) + "\n"


def cfg() -> str:
    """Write the default configuration: every setting with its comment."""
    blocks = ["# Made by scperformer.seiscomp.describe from the definitions of the settings."]
    for info in module_infos():
        comment = textwrap.wrap(_help(info), _WIDTH - 2)
        line = f"{info.key} = {_written(info)}".rstrip()
        line = line if info.default is not None else f"#{line}"
        blocks.append("\n".join([*(f"# {text}" for text in comment), line]))
    return "\n\n".join(blocks) + "\n"


def rst() -> str:
    """Write the documentation that SeisComP puts before the lists of parameters and options."""
    template = Path(__file__).with_name("description.rst.in").read_text(encoding="utf-8")
    return template.replace(
        "@BINDING_KEYS@", _table(binding_infos(), lambda info: info.help)
    ).replace("@KEYS@", _table(module_infos(), lambda info: _written(info) or "unset"))


def _written(info: Setting) -> str:
    """Write a setting's default as SeisComP's configuration files want it."""
    text = shown(info.default)
    is_plain = info.kind is not str or text.replace("_", "").isalnum()
    return text if is_plain else f'"{text}"'


def files() -> dict[str, str]:
    """Return the files by their paths in the source tree."""
    return {
        f"descriptions/{_NAME}.xml": xml(),
        f"descriptions/{_NAME}.rst": rst(),
        f"config/{_NAME}.cfg": cfg(),
    }


def _help(info: Setting) -> str:
    parts = [info.help]
    if info.choices:
        parts.append(f"One of {', '.join(info.choices)}.")
    if info.unit:
        parts.append(f"Unit: {info.unit}.")
    if info.within:
        parts.append(f"Range: {info.within}.")
    return " ".join(parts)


def _parameters(infos: Iterable[Setting], *, with_defaults: bool) -> Iterator[str]:
    """Write parameters, those without a group first: their names hold no dots."""
    groups: dict[str, list[Setting]] = {}
    for info in infos:
        groups.setdefault(info.key.rpartition(".")[0], []).append(info)
    for name, members in sorted(groups.items(), key=lambda item: bool(item[0])):
        indent = 8 if name else 6
        if name:
            yield f'      <group name="{name}">'
            yield from _text(_GROUPS[name], indent)
        for info in members:
            yield from _parameter(info, indent, with_default=with_defaults)
        if name:
            yield "      </group>"


def _parameter(info: Setting, indent: int, *, with_default: bool) -> Iterator[str]:
    kind = "path" if info.name in _PATHS else _TYPES[info.kind]
    attributes = {"name": info.key.rpartition(".")[2], "type": kind}
    if (with_default or info.key == "detecEnable") and info.default is not None:
        attributes["default"] = _written(info)
    if info.unit:
        attributes["unit"] = info.unit
    if info.within:
        attributes["range"] = str(info.within).replace(" to ", ":")
    if info.choices:
        attributes["values"] = ",".join(info.choices)
    written = " ".join(f"{name}={_quoted(value)}" for name, value in attributes.items())
    yield f"{' ' * indent}<parameter {written}>"
    yield from _text(info.help, indent + 2)
    yield f"{' ' * indent}</parameter>"


def _quoted(value: str) -> str:
    return '"' + quoteattr(value)[1:-1].replace('"', "&quot;") + '"'


def _text(text: str, indent: int) -> Iterator[str]:
    pad = " " * indent
    yield f"{pad}<description>"
    for line in textwrap.wrap(escape(text), _WIDTH - indent):
        yield f"{pad}{line}"
    yield f"{pad}</description>"


def _command_line() -> Iterator[str]:
    for name, references in _REFERENCES.items():
        yield f'      <group name="{name}">'
        for reference in references.split():
            yield f"        <optionReference>{name.lower()}#{reference}</optionReference>"
        yield "      </group>"
    yield '      <group name="Mode">'
    for mode in MODES:
        yield f'        <option flag="{mode.short}" long-flag="{mode.option}" argument="">'
        yield from _text(mode.help, 10)
        yield "        </option>"
    yield "      </group>"
    yield '      <group name="Settings">'
    for option, info in module_options().items():
        argument = "" if is_flag(info) else ' argument="arg"'
        yield f'        <option long-flag="{option}"{argument} param-ref="{info.key}"/>'
    yield "      </group>"


def _table(infos: Iterable[Setting], of: Callable[[Setting], str]) -> str:
    lines = [".. csv-table::", "   :widths: 30, 70", ""]
    for info in infos:
        value = of(info).replace('"', '""')
        lines.append(f'   ":confval:`{info.key}`", "{value}"')
    return "\n".join(lines)


def main() -> int:
    """Write the files into the source tree."""
    root = Path(__file__).resolve().parents[2]
    for path, text in files().items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
