"""How far a long scan is: a bar on a terminal, a line a minute in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from tqdm import tqdm

from scperformer.waveforms.pieces import Piece

_LINE_S = 60.0


class Progress:
    """Counts pieces.

    Args:
        total: how many there are, None if that is not known.
        say: writes a line.
    """

    def __init__(self, total: int | None, say: Callable[[str], None]) -> None:
        self._total = total
        self._say = say
        self._n_done = self._n_known = 0
        self._part = 0.0
        self._begun_s = time.monotonic()
        self._due_s = self._begun_s + _LINE_S
        self._bar = tqdm(
            total=total, unit="station-day", leave=False, disable=None, file=sys.stderr
        )

    def within(self, piece: Piece) -> Callable[[int], None]:
        """Return what takes how far a piece is, in nanoseconds."""
        length_ns = max(piece.end_ns - piece.start_ns, 1)
        self._bar.set_description_str(piece.name, refresh=False)

        def report(done_ns: int) -> None:
            part = min(done_ns / length_ns, 1.0)
            self._bar.update(part - self._part)
            self._part = part
            self._line()

        return report

    def done(self, piece: Piece, *, known: bool) -> None:
        """Count a piece."""
        self._n_done += 1
        self._n_known += known
        self._bar.set_description_str(piece.name, refresh=False)
        self._bar.update(1.0 - self._part)
        self._part = 0.0
        self._line()

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _line(self) -> None:
        now_s = time.monotonic()
        if not self._bar.disable or now_s < self._due_s:
            return
        self._due_s = now_s + _LINE_S
        n_scanned = self._n_done - self._n_known
        a_minute = n_scanned / (now_s - self._begun_s) * 60.0
        of_all = "" if self._total is None else f" of {self._total:,}"
        left = ""
        if self._total is not None and n_scanned:
            left_s = (self._total - self._n_done) / a_minute * 60.0
            left = f", {_duration(left_s)} left"
        self._say(f"{self._n_done:,}{of_all} station-days, {a_minute:.1f} a minute{left}")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60.0)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 2880 else f"{minutes // 1440} days"
