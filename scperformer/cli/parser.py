"""A parser of command lines that says what is wrong where it is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from scperformer.setting import alike


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that tells of an unknown option itself, and names those alike.

    Argparse leaves what a subcommand does not know to the parser above it, which then shows
    its own usage.
    """

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
