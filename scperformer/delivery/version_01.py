"""Takes over what version 0.1 kept in files of JSON: journals, positions, outboxes."""

from __future__ import annotations

import fcntl
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scperformer.errors import ConfigurationError
from scperformer.picks.columns import DAMAGED, pick_from_json

_log = logging.getLogger(__name__)

_FILES = ("cursor.json", "journal.jsonl", "positions.json")
_Put = Callable[[str, Sequence[Any]], object]


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
        files = [box / name for name in _FILES if (box / name).exists()]
        if files:
            _check_unused(box / "lock")
            _take_files(files, "" if box == folder else box.name, connection.execute)
        found += files
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


def _take_files(files: Sequence[Path], outbox: str, put: _Put) -> None:
    passed = 0
    for path in files:
        n_damaged = 0
        with path.open("rb") as lines:
            for line in lines:
                try:
                    values = json.loads(line)
                    passed = max(passed, int(values.get("passed", 0)))
                    _take(values, outbox, passed, put)
                except (*DAMAGED, sqlite3.IntegrityError):
                    n_damaged += 1
        if n_damaged:
            _log.warning("%s: %d damaged lines are left out", path, n_damaged)
        if n_damaged and path.name == "cursor.json":
            put("REPLACE INTO outboxes VALUES (?, 0, '', 1)", (outbox,))


def _take(values: dict[str, Any], outbox: str, passed: int, put: _Put) -> None:
    """Take a line; of messages up to a number only that there were such picks."""
    if "passed" in values:
        last, in_doubt = str(values["last_delivered"]), bool(values["in_doubt"])
        put("REPLACE INTO outboxes VALUES (?, ?, ?, ?)", (outbox, passed, last, in_doubt))
    for name, serial in values.get("done", {}).items():
        put("REPLACE INTO outputs VALUES (?, ?)", (name, int(serial)))
    for sensor in values.get("sensors", ()):
        row = (".".join(sensor["sensor"]), json.dumps(sensor).encode())
        put("REPLACE INTO sensors VALUES (?, ?)", row)
    if "pick" in values:
        pick = pick_from_json(values["pick"])
        if "n" in values:
            content = json.dumps(values["pick"]).encode()
            put("REPLACE INTO picks VALUES (?, ?)", (int(values["n"]), content))
            return
        number, content = int(values["number"]), json.dumps(values).encode()
        put("INSERT OR IGNORE INTO taken VALUES (?, ?, ?)", (outbox, pick.public_id, number))
        if number > passed:
            put("REPLACE INTO messages VALUES (?, ?, ?)", (outbox, number, content))
