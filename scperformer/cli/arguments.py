"""Rows of options that are declared as data: one that takes a number, one that may be repeated."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Number = tuple[str, float, str, str]
Repeated = tuple[str, str, str]


def add_numbers(group: argparse._ActionsContainer, *rows: Number) -> None:
    """Add options (name, default, what the number is, help); the default tells the type."""
    for name, default, what, text in rows:
        shown = f"{text} (default: {default:g})"
        group.add_argument(name, type=type(default), default=default, metavar=what, help=shown)


def add_repeated(
    group: argparse._ActionsContainer, *rows: Repeated, kind: Callable[[str], Any] = Path
) -> None:
    """Add options (name, what a value is, help) that make a list, empty by default."""
    for name, what, text in rows:
        options: dict[str, Any] = {"type": kind, "default": [], "metavar": what, "help": text}
        group.add_argument(*name.split(), action="append", **options)
