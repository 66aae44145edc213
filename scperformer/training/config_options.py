"""How an option of the training configuration is declared: default, range, line of help."""

from __future__ import annotations

from dataclasses import MISSING, field
from typing import Any


def option(
    default: Any = MISSING,
    *,
    help: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Return a field of a section.

    Args:
        default: its value where the file says nothing; without one it is mandatory.
        help: one line.
        low: least value of a number.
        high: largest value of a number.
        choices: texts that are possible, empty for any.
    """
    metadata = {**described(help), "low": low, "high": high, "choices": choices}
    return field(default=default, metadata=metadata)


def described(help: str) -> dict[str, Any]:
    """Return the metadata of a field that has neither range nor choices."""
    return {"help": help, "low": None, "high": None, "choices": ()}
