"""The journal of picks: nothing reaches an output that does not stand here.

Each pick has a serial number, and each output the number of the last pick that it has. After
a crash the journal knows what was decided, and which outputs may lack some of it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence

from scperformer.delivery.store import Store
from scperformer.picks.pick_json import DAMAGED, pick_from_json, pick_to_json
from scperformer.types import Pick

_log = logging.getLogger(__name__)


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
        """Forget the picks that nobody needs.

        Args:
            is_needed: tells it of a pick's number and the pick.

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
