"""Results in order, whoever is ready first, and no more under way than can be begun."""

import threading

from scperformer.scanning.crew import in_order
from scperformer.scanning.work import PieceResult
from scperformer.types import SensorId
from scperformer.waveforms.pieces import DAY_NS, Piece

PIECES = [Piece(SensorId("XX", f"S{n:02}", "", "HH"), DAY_NS, 2 * DAY_NS, None) for n in range(20)]


class Crew:
    """Begins pieces at once, and counts how many are under way."""

    def __init__(self, most):
        self.most = most
        self.under_way = 0
        self.highest = 0
        self.begun = []
        self.cancelled = []

    def begin(self, piece):
        self.under_way += 1
        self.highest = max(self.highest, self.under_way)
        self.begun.append(piece)
        return Task(self, piece)


class Task:
    def __init__(self, crew, piece):
        self._crew = crew
        self._piece = piece

    def result(self):
        self._crew.under_way -= 1
        return None if self._piece in self._crew.cancelled else PieceResult()

    def cancel(self):
        self._crew.cancelled.append(self._piece)


def known_of(pieces):
    results = {id(piece): PieceResult() for piece in pieces}
    return lambda piece: results.get(id(piece))


def test_known_and_new_pieces_come_in_order_and_few_are_under_way():
    crew = Crew(4)
    before = PIECES[3:8] + PIECES[15:16]
    found = list(in_order(iter(PIECES), crew, known_of(before), threading.Event()))
    assert [piece for piece, _, _ in found] == PIECES
    assert [piece for piece, _, was_known in found if was_known] == before
    assert crew.begun == [piece for piece in PIECES if piece not in before]
    assert crew.highest <= 4


def test_what_is_known_at_the_front_is_handed_on_at_once():
    crew, seen = Crew(4), []

    def pieces():
        for piece in PIECES:
            seen.append(piece)
            yield piece

    results = in_order(pieces(), crew, known_of(PIECES), threading.Event())
    next(results)
    assert len(seen) == 1


def test_after_a_stop_nothing_is_begun_and_what_is_under_way_ends():
    crew, stop = Crew(4), threading.Event()
    found = []
    for piece, _, _ in in_order(iter(PIECES), crew, known_of([]), stop):
        found.append(piece)
        if len(found) == 5:
            stop.set()
    assert found == PIECES[:5]
    assert len(crew.begun) <= 5 + 4
    assert crew.under_way == 0
