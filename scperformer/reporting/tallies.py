"""What is counted of each sensor, and how suspect it looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scperformer.reporting.facts import PieceFacts
from scperformer.reporting.pairing import PhasePair
from scperformer.types import N_COMPONENTS, NS_PER_S, Phase, Pick

WEAK = 0.5
"""Picks of a smaller probability are weak."""

MANY_SUSPECTS = 5.0
"""Suspect picks per hour from which a sensor is suspect."""

_MOST_SUSPECT_SHARE = 0.3
_FEWEST_SUSPECTS = 50
_NS_PER_HOUR = 3600 * NS_PER_S
_MOST_REASONS = 20
_OTHER_REASONS = "other reasons"


@dataclass(slots=True)
class SensorTally:
    """Counts of a sensor.

    Attributes:
        picks: by phase.
        probability_sum: of all picks.
        weak: picks below `WEAK`.
        pairs: P picks that an S follows.
        suspects: weak picks that are in no pair.
        present_ns: time with data of any component.
        first_ns, last_ns: from the first to the last piece, whatever lies between.
        pieces: that were scanned.
        idle_pieces: those in which there was nothing to look at.
        windows: that the network has looked at.
        gaps, unreadable: sums over the pieces.
        left_out: samples by reason.
        fewest_components, most_components: over pieces with data.
    """

    picks: Counter[Phase] = field(default_factory=Counter)
    probability_sum: float = 0.0
    weak: int = 0
    pairs: int = 0
    suspects: int = 0
    present_ns: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    pieces: int = 0
    idle_pieces: int = 0
    windows: int = 0
    gaps: int = 0
    unreadable: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    fewest_components: int = N_COMPONENTS
    most_components: int = 0

    def add(
        self, piece: PieceFacts, present_ns: int, picks: Sequence[Pick], pairs: Sequence[PhasePair]
    ) -> None:
        """Count a piece, its picks and the pairs that they complete."""
        self.pieces += 1
        self.first_ns, self.last_ns = reached(piece, self.first_ns, self.last_ns)
        self.idle_pieces += not piece.windows
        self.windows += piece.windows
        self.gaps += piece.gaps
        self.unreadable += piece.unreadable
        self.present_ns += present_ns
        count_reasons(self.left_out, piece.left_out)
        if present_ns:
            self.fewest_components = min(self.fewest_components, piece.n_components)
            self.most_components = max(self.most_components, piece.n_components)
        for pick in picks:
            self.picks[pick.phase] += 1
            self.probability_sum += pick.probability
            self.weak += pick.probability < WEAK
        self.pairs += len(pairs)
        paired = sum((p.p_probability < WEAK) + (p.s_probability < WEAK) for p in pairs)
        self.suspects += sum(pick.probability < WEAK for pick in picks) - paired

    @property
    def n_picks(self) -> int:
        """Picks of both phases."""
        return self.picks.total()

    @property
    def hours(self) -> float:
        """Time with data in hours."""
        return self.present_ns / _NS_PER_HOUR

    @property
    def span_hours(self) -> float:
        """Hours from the first to the last piece."""
        if self.first_ns is None or self.last_ns is None:
            return 0.0
        return (self.last_ns - self.first_ns) / _NS_PER_HOUR

    @property
    def availability(self) -> float:
        """Share of the time from the first to the last piece with data."""
        return min(self.hours / self.span_hours, 1.0) if self.span_hours else 0.0

    @property
    def suspicion(self) -> float:
        """How suspect it is, 0 to 1: from 0.5 on by the rate of its suspects, or by their share."""
        rate = self.per_hour(self.suspects) / (2 * MANY_SUSPECTS)
        share = self.suspects / self.n_picks if self.n_picks else 0.0
        share *= min(self.suspects / _FEWEST_SUSPECTS, 1.0)
        return min(max(rate, share * 0.5 / _MOST_SUSPECT_SHARE), 1.0)

    @property
    def n_left_out(self) -> int:
        """Samples left out for whatever reason."""
        return self.left_out.total()

    @property
    def mean_probability(self) -> float:
        """Mean over the picks; nan if there are none."""
        return self.probability_sum / self.n_picks if self.n_picks else float("nan")

    @property
    def p_with_s(self) -> float:
        """Share of P picks that an S follows; nan if there is no P."""
        n_p = self.picks[Phase.P]
        return self.pairs / n_p if n_p else float("nan")

    def per_hour(self, count: int) -> float:
        """Return a count for each hour with data; 0 without any."""
        return count / self.hours if self.present_ns else 0.0


def reached(piece: PieceFacts, first_ns: int | None, last_ns: int | None) -> tuple[int, int]:
    """Widen a span of time to a piece."""
    return (
        piece.start_ns if first_ns is None else min(first_ns, piece.start_ns),
        piece.end_ns if last_ns is None else max(last_ns, piece.end_ns),
    )


def count_reasons(counter: Counter[str], more: Mapping[str, int]) -> None:
    """Add samples by reason; no more than some reasons are kept apart."""
    for reason, n_samples in more.items():
        known = reason in counter or len(counter) < _MOST_REASONS
        if n_samples:
            counter[reason if known else _OTHER_REASONS] += n_samples
