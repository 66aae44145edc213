"""How often and how long a server that falters is asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

LONGEST_ASKED_S = 300.0
"""A server that asks for a longer pause gets this one."""


class PassingError(Exception):
    """What may be gone at the next attempt.

    Attributes:
        pause_s: how long the server asks to wait, 0 if it does not say.
    """

    def __init__(self, what: str, *, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s
        super().__init__(what)


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds of what is tried.

    Attributes:
        n_attempts: how often a request is made in all.
        first_pause_s: pause behind the first attempt; each further one is twice as long.
        longest_pause_s: no pause is longer, unless the server asks for it.
        silence_s: an answer of which no byte comes for so long is given up.
        answer_s: so long may an answer take in all.
    """

    n_attempts: int = 5
    first_pause_s: float = 2.0
    longest_pause_s: float = 60.0
    silence_s: float = 60.0
    answer_s: float = 600.0

    def pause_s(self, attempt: int, asked_s: float) -> float:
        """Return the pause behind an attempt, counted from 0.

        It is drawn from the upper half of what is due, so that many who failed together do
        not come back together, and is never shorter than the server asks.
        """
        due_s = min(self.first_pause_s * 2.0**attempt, self.longest_pause_s)
        return max(random.uniform(due_s / 2.0, due_s), min(asked_s, LONGEST_ASKED_S))


def insist(ask: Callable[[], T], patience: Patience) -> T:
    """Ask until there is an answer.

    Raises:
        PassingError: the last attempt's, when all have failed.
    """
    for attempt in range(patience.n_attempts - 1):
        try:
            return ask()
        except PassingError as error:
            time.sleep(patience.pause_s(attempt, error.pause_s))
    return ask()
