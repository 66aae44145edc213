"""Every pick to every output, once: across failures of outputs, crashes and restarts.

Nothing reaches an output that does not stand in the journal. There each pick has a serial
number, and each output the number of the last pick that it has: after a crash the journal
knows what was decided, and which outputs may lack some of it.
"""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from scperformer.delivery.store import Store
from scperformer.errors import OutputError
from scperformer.picks.columns import DAMAGED, pick_from_json, pick_to_json
from scperformer.types import NS_PER_S, OutputState, Phase, Pick, PickSink, SensorId

_log = logging.getLogger(__name__)


SAME_PICK_S = 0.5
"""Picks of a sensor and phase this close, before and after a restart, are one pick."""

_RETRY_S = 5.0
_TELL_S = 60.0
_MOST_WAITING = 100_000
_REMEMBERED_IDS = 50_000
_JOURNAL_PAUSE_S = 0.5


class Journal:
    """The picks of a store, and how far each output has come.

    Args:
        store: where they stand.

    Attributes:
        picks: those that are kept, by number, in the order in which they were decided.
        cursors: for each output by name, the number of the last pick that it has.
        last_serial: number of the latest pick, 0 before the first.

    Raises:
        OutputError: the store cannot be read or written.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.cursors: dict[str, int] = dict(store.rows("SELECT name, serial FROM outputs"))
        self.last_serial = max(self.cursors.values(), default=0)
        self.picks: dict[int, Pick] = {}
        damaged = []
        for serial, pick in store.rows("SELECT serial, pick FROM picks ORDER BY serial"):
            self.last_serial = max(self.last_serial, serial)
            try:
                self.picks[serial] = pick_from_json(json.loads(pick))
            except DAMAGED:
                damaged.append(serial)
        if damaged:
            _log.warning("%s: %d damaged picks are left out", store.path, len(damaged))
            self._delete(damaged)

    def append(self, picks: Sequence[Pick]) -> None:
        """Write picks down; they stand on the disk when it returns.

        Raises:
            OutputError: nothing was written down.
        """
        new = dict(enumerate(picks, start=self.last_serial + 1))
        with self._store.writing() as connection:
            connection.executemany(
                "INSERT INTO picks VALUES (?, ?)",
                ((n, json.dumps(pick_to_json(pick)).encode()) for n, pick in new.items()),
            )
        self.picks |= new
        self.last_serial += len(new)

    def advance(self, cursors: Mapping[str, int]) -> None:
        """Note how far outputs have come, without waiting for the disk.

        Raises:
            OutputError: it cannot be written.
        """
        news = {name: at for name, at in cursors.items() if self.cursors.get(name) != at}
        if news:
            with self._store.writing(durable=False) as connection:
                connection.executemany("REPLACE INTO outputs VALUES (?, ?)", news.items())
            self.cursors |= news

    def prune(self, is_needed: Callable[[int, Pick], bool]) -> None:
        """Forget the picks that nobody needs; `is_needed` hears of number and pick.

        Raises:
            OutputError: it cannot be written; nothing is forgotten.
        """
        gone = [serial for serial, pick in self.picks.items() if not is_needed(serial, pick)]
        self._delete(gone)
        for serial in gone:
            del self.picks[serial]

    def _delete(self, serials: Sequence[int]) -> None:
        with self._store.writing(durable=False) as connection:
            connection.executemany("DELETE FROM picks WHERE serial = ?", zip(serials))


class Emitted:
    """Knows which picks have been given out, in this run and before the restart.

    Args:
        before: picks that were given out before.
        decided_until_ns: for each sensor the time before which all picks were.
        time_correction_ns: what was added to the picks' times.
    """

    def __init__(
        self,
        before: Iterable[Pick] = (),
        decided_until_ns: Mapping[SensorId, int] | None = None,
        *,
        time_correction_ns: int = 0,
    ) -> None:
        self._decided = dict(decided_until_ns or {})
        self._correction_ns = time_correction_ns
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._times: dict[tuple[SensorId, Phase], list[int]] = defaultdict(list)
        for pick in before:
            self._remember(pick)
            self._times[pick.seed_id.sensor_id, pick.phase].append(pick.time_ns)

    def take_new(self, picks: Sequence[Pick]) -> list[Pick]:
        """Return the picks that are new, and remember them."""
        new = []
        for pick in picks:
            if not self._is_known(pick):
                self._remember(pick)
                new.append(pick)
        return new

    def _is_known(self, pick: Pick) -> bool:
        sensor_id = pick.seed_id.sensor_id
        decided_ns = self._decided.get(sensor_id)
        if decided_ns is not None and pick.time_ns - self._correction_ns < decided_ns:
            return True
        if pick.public_id in self._ids:
            return True
        earlier = self._times.get((sensor_id, pick.phase), ())
        same_ns = SAME_PICK_S * NS_PER_S
        return any(abs(time_ns - pick.time_ns) <= same_ns for time_ns in earlier)

    def _remember(self, pick: Pick) -> None:
        self._ids[pick.public_id] = None
        if len(self._ids) > _REMEMBERED_IDS:
            self._ids.popitem(last=False)


@dataclass(slots=True)
class _Outlet:
    """An output, what waits for it, and how far it has come."""

    sink: PickSink
    cursor: int
    waiting: deque[Pick] = field(default_factory=deque)
    retry_at_s: float = 0.0
    told_at_s: float = -_TELL_S
    written_ns: int = 0
    problem: str = ""

    @property
    def state(self) -> OutputState:
        """How it is doing."""
        own = self.sink.state
        return replace(
            own,
            n_waiting=len(self.waiting),
            delivered_ns=self.written_ns if own.delivered_ns is None else own.delivered_ns,
            problem=self.problem or own.problem,
        )

    def push(self, serial: int, *, now_s: float, at_once: bool) -> None:
        """Hand over what waits, up to that number; a failure is told, and tried again later."""
        if now_s < self.retry_at_s and not at_once:
            return
        try:
            if self.waiting:
                self.sink.write(list(self.waiting))
                self.waiting.clear()
                self.written_ns = time.time_ns()
            if self.sink.settle(at_once=at_once):
                self.cursor = max(self.cursor, serial)
            self.retry_at_s, self.problem = 0.0, ""
        except OutputError as error:
            self.retry_at_s, self.problem = now_s + _RETRY_S, str(error)
            if now_s - self.told_at_s >= _TELL_S:
                self.told_at_s = now_s
                _log.error("%s; %d picks wait", error, len(self.waiting))


class Delivery:
    """Writes picks to the journal first, then to every output.

    An output that fails keeps its picks waiting and is tried again; the others go on.
    While the journal cannot be written, or too many picks wait, `emit` does not
    return: the sources wait with it, and nothing is lost.

    Args:
        sinks: the outputs.
        journal: where picks are written down before they go out, None for nowhere.
        emitted: what has been given out before.
        is_stopping: tells that waiting must end.
    """

    def __init__(
        self,
        sinks: Sequence[PickSink],
        *,
        journal: Journal | None = None,
        emitted: Emitted | None = None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._journal = journal
        self._emitted = emitted or Emitted()
        self._is_stopping = is_stopping
        self._outlets = [self._outlet(sink) for sink in sinks]
        if journal is not None:
            journal.advance(self._cursors())

    def _outlet(self, sink: PickSink) -> _Outlet:
        """Find out what an output lacks of what the journal has."""
        if self._journal is None:
            return _Outlet(sink, 0)
        cursor = self._journal.cursors.get(sink.name, self._serial)
        later = [pick for serial, pick in self._journal.picks.items() if serial > cursor]
        waiting = deque(sink.missing(later))
        if waiting:
            _log.info("%s: %d picks from before the restart follow", sink.name, len(waiting))
        return _Outlet(sink, cursor, waiting)

    @property
    def _serial(self) -> int:
        return 0 if self._journal is None else self._journal.last_serial

    @property
    def n_waiting(self) -> int:
        """Picks that some output has not taken yet."""
        return max((len(outlet.waiting) for outlet in self._outlets), default=0)

    @property
    def outputs(self) -> list[OutputState]:
        """How the outputs are doing."""
        return [outlet.state for outlet in self._outlets]

    def emit(self, picks: Sequence[Pick]) -> list[Pick]:
        """Give out the picks that are new; return them."""
        new = self._emitted.take_new(picks)
        if new:
            self._write_down(new)
            for outlet in self._outlets:
                outlet.waiting.extend(new)
            self.push()
        while self.n_waiting > _MOST_WAITING and not self._is_stopping():
            time.sleep(_JOURNAL_PAUSE_S)
            self.push()
        return new

    def push(self, *, at_once: bool = False) -> None:
        """Hand over what waits and is due; `at_once`, all of it.

        Raises:
            BrokenPipeError: nobody reads an output any more; the others have got theirs.
        """
        now_s = time.monotonic()
        closed: BrokenPipeError | None = None
        for outlet in self._outlets:
            try:
                outlet.push(self._serial, now_s=now_s, at_once=at_once)
            except BrokenPipeError as error:
                closed = error
        self._note_cursors()
        if closed is not None:
            raise closed

    def prune(self, is_needed: Callable[[Pick], bool]) -> None:
        """Let the journal forget the picks that all outputs have and nobody needs."""
        if self._journal is None:
            return
        delivered = min(self._cursors().values(), default=self._serial)
        self._journal.prune(lambda serial, pick: serial > delivered or is_needed(pick))

    def close(self) -> int:
        """Hand over all that waits and close the outputs; return how many picks could not go."""
        with suppress(BrokenPipeError):
            self.push(at_once=True)
        left = self.n_waiting
        for outlet in self._outlets:
            try:
                outlet.sink.close()
            except OutputError as error:
                left = max(left, 1)
                _log.error("%s", error)
        return left

    def _write_down(self, picks: list[Pick]) -> None:
        told_at_s = -_TELL_S
        while self._journal is not None:
            try:
                self._journal.append(picks)
                return
            except OutputError as error:
                if self._is_stopping():
                    raise
                if time.monotonic() - told_at_s >= _TELL_S:
                    told_at_s = time.monotonic()
                    _log.error("%s; the stream waits until it can be", error)
                time.sleep(_JOURNAL_PAUSE_S)

    def _cursors(self) -> dict[str, int]:
        return {outlet.sink.name: outlet.cursor for outlet in self._outlets}

    def _note_cursors(self) -> None:
        if self._journal is not None:
            try:
                self._journal.advance(self._cursors())
            except OutputError as error:
                _log.error("%s", error)
