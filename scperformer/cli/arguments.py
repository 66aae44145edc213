"""Options declared as the help shows them, ``--name -n WHAT = default``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KINDS = {"FILE": Path, "FOLDER": Path, "N": int, "SECONDS": float, "PROBABILITY": float}


def add_options(group: argparse._ActionsContainer, options: Mapping[str, str]) -> None:
    """Add options.

    Args:
        group: the parser, or a group of it.
        options: help by declaration. ``WHAT`` stands for the value and tells its type (text,
            but for those of `_KINDS`); a default with a decimal point is no whole number.
            ``...`` behind it: may be repeated and gives a list. Without it: a switch.
    """
    for declaration, text in options.items():
        words, _, default = declaration.partition(" = ")
        names = [word for word in words.split() if word.startswith("-")]
        what = next((word for word in words.split() if not word.startswith("-")), "")
        kind: Any = float if "." in default else _KINDS.get(what, str)
        if not what:
            group.add_argument(*names, action="store_true", help=text)
        elif words.endswith("..."):
            repeated: dict[str, Any] = {"action": "append", "default": []}
            group.add_argument(*names, type=kind, metavar=what, help=text, **repeated)
        else:
            value = kind(default) if default else None
            shown = f"{text} (default: {default})" if default else text
            group.add_argument(*names, type=kind, metavar=what, default=value, help=shown)
