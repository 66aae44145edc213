"""A parser that says what is wrong where it is wrong, and options as the help shows them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from scperformer.cli import EXIT_NOTHING_DONE
from scperformer.setting import alike

_KINDS = {
    "FILE": Path,
    "FOLDER": Path,
    "N": int,
    "SECONDS": float,
    "PROBABILITY": float,
}

TABLES_OF_PICKS = (
    "Tables of picks, CSV with a header or JSON lines: columns network, station and either phase, "
    "time (a row a pick) or p_time, s_time (a row a record; empty where nobody picked). If known: "
    "file (the record), event, location, channel, probability, polarity (or p_polarity, "
    "s_polarity), uncertainty_s, decision_delay_s; other columns are ignored. Times are UTC, such "
    "as 2019-07-04T16:07:25.5. Crustal phases (Pg, Pn, Sn, ...) count as P or S, others are left "
    "out and counted."
)


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that tells of an unknown option itself, and names those alike.

    Argparse leaves what a subcommand does not know to the parser above it, which then shows
    its own usage.

    Attributes:
        fault_status: how it ends the program where something is wrong.
    """

    fault_status = EXIT_NOTHING_DONE

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.register("type", int, _whole_number)
        self.register("type", float, _number)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; what is unknown ends the program."""
        if args is not None and self._subparsers is None:
            misspelt = [word for word in _options_of(args) if not self._is_known(word)]
            if misspelt:
                self._refuse(misspelt)
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown)
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end the program."""
        self.print_usage(sys.stderr)
        self.exit(self.fault_status, f"{self.prog}: error: {message}\n")

    def _is_known(self, word: str) -> bool:
        return any(
            option.startswith(word) for action in self._actions for option in action.option_strings
        )

    def _refuse(self, unknown: Sequence[str]) -> NoReturn:
        words = [word for word in unknown if word.startswith("-")]
        if not words:
            self.error(f"{' '.join(unknown)}: too much; {self._hint()}")
        options = [option for action in self._actions for option in action.option_strings]
        known = [option for option in options if option.startswith("--")]
        faults = [
            f"{word}: no such option{alike(word, known) or f'; {self._hint()}'}" for word in words
        ]
        self.error("\n  ".join(faults))

    def _hint(self) -> str:
        return f"'{self.prog} --help' tells what there is"


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}; wanted a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}; wanted a number") from None


def _options_of(words: Sequence[str]) -> list[str]:
    """Return the long options among words, without their values."""
    end = words.index("--") if "--" in words else len(words)
    return [word.partition("=")[0] for word in words[:end] if word.startswith("--")]


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
