"""Takes over what version 0.1 kept in files of JSON: journals, positions, outboxes."""

from __future__ import annotations

import fcntl
import json
import logging
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scperformer.errors import ConfigurationError
from scperformer.picks.pick_json import DAMAGED, pick_from_json

_log = logging.getLogger(__name__)


def take_over(folder: Path, connection: sqlite3.Connection) -> list[Path]:
    """Put what version 0.1 has left in a folder into a new store; damaged lines are told.

    Returns:
        The files, to be renamed when the store has been written.

    Raises:
        ConfigurationError: a process of version 0.1 uses the folder.
        OSError, sqlite3.Error: they cannot be read, or the store not written.
    """
    found: list[Path] = []
    for box in [folder, *sorted(folder.glob("outbox-*"))]:
        names = ("cursor.json", "journal.jsonl", "positions.json")
        if own := [box / name for name in names if (box / name).exists()]:
            _check_unused(box / "lock")
        outbox = _Taker(connection, "" if box == folder else box.name)
        for path in own:
            outbox.take_file(path)
        found += own
    if found:
        _log.info("%s: what version 0.1 has left is taken over", folder)
    return found


def rename_files(files: Sequence[Path]) -> None:
    """Give the files names under which nobody looks for them."""
    for path in files:
        path.replace(path.with_name(path.name + ".version-0.1"))


def _check_unused(path: Path) -> None:
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{path.parent}: another process uses it; stop that one or name another folder"
            ) from None


class _Taker:
    """Puts lines into a store, messages into the outbox of a name."""

    def __init__(self, connection: sqlite3.Connection, outbox: str) -> None:
        self._put = connection.execute
        self._outbox = outbox
        self._passed = 0

    def take_file(self, path: Path) -> None:
        n_damaged = 0
        for line in filter(None, path.read_bytes().split(b"\n")):
            try:
                self._take(json.loads(line))
            except (*DAMAGED, sqlite3.IntegrityError):
                n_damaged += 1
        if n_damaged:
            _log.warning("%s: %d damaged lines are left out", path, n_damaged)
        if n_damaged and path.name == "cursor.json":
            self._put("REPLACE INTO outboxes VALUES (?, 0, '', 1)", (self._outbox,))

    def _take(self, values: dict[str, Any]) -> None:
        if "passed" in values:
            last, in_doubt = str(values["last_delivered"]), bool(values["in_doubt"])
            row = (self._outbox, int(values["passed"]), last, in_doubt)
            self._put("REPLACE INTO outboxes VALUES (?, ?, ?, ?)", row)
            self._passed = int(values["passed"])
        for name, serial in values.get("done", {}).items():
            self._put("REPLACE INTO outputs VALUES (?, ?)", (name, int(serial)))
        for sensor in values.get("sensors", ()):
            position = json.dumps(sensor).encode()
            self._put("REPLACE INTO sensors VALUES (?, ?)", (".".join(sensor["sensor"]), position))
        if "pick" in values:
            self._take_pick(values)

    def _take_pick(self, values: dict[str, Any]) -> None:
        pick = pick_from_json(values["pick"])
        if "n" in values:
            row = (int(values["n"]), json.dumps(values["pick"]).encode())
            self._put("REPLACE INTO picks VALUES (?, ?)", row)
            return
        number, message = int(values["number"]), json.dumps(values).encode()
        taken = (self._outbox, pick.public_id, number)
        self._put("INSERT OR IGNORE INTO taken VALUES (?, ?, ?)", taken)
        if number > self._passed:
            self._put("REPLACE INTO messages VALUES (?, ?, ?)", (self._outbox, number, message))
