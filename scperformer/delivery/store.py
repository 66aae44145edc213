"""What outlives a stop or a crash: picks, positions and messages, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from scperformer.delivery.database import FILE_NAME, error_code, open_database
from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.appending import AppendFile


class Store:
    """A database in a folder, for one process at a time, or in memory.

    A change stands in it whole or not at all. Calls may come from several threads.

    Args:
        folder: made if it does not exist; None for memory.

    Attributes:
        folder: as given.
        path: the file; its last changes lie beside it, in one that is called ``...-wal``.
        lock: held while the store is read or written.

    Raises:
        ConfigurationError: another process uses the folder.
        OutputError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.path = None if folder is None else folder / FILE_NAME
        self.lock = threading.RLock()
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._connection = open_database(folder)
        except (OSError, sqlite3.Error) as error:
            if error_code(error) == sqlite3.SQLITE_BUSY:
                raise ConfigurationError(
                    f"{folder}: another process uses it; stop that one or name another folder"
                ) from None
            raise OutputError(
                f"{folder}: cannot be used as an outbox or for a state "
                f"({getattr(error, 'strerror', None) or error}); "
                "make it writable, or name another folder"
            ) from error

    def rows(self, question: str, values: Sequence[Any] = ()) -> list[Any]:
        """Return what a SELECT finds.

        Raises:
            OutputError: the file cannot be read.
        """
        with self.lock:
            try:
                return self._connection.execute(question, values).fetchall()
            except sqlite3.Error as error:
                raise OutputError(f"{self.path}: cannot be read ({error})") from error

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Give a connection; what the block does with it is in the store at its end.

        Args:
            durable: wait for the disk. Otherwise a power cut, though no crash, may undo what
                was done last, the later before the earlier.

        Raises:
            OutputError: nothing of it is in the store; the disk may be full.
        """
        with self.lock:
            connection = self._connection
            try:
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise OutputError(f"{self.path}: cannot be written ({error})") from error
            finally:
                with suppress(sqlite3.Error):
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")

    def put_aside(self, reason: str, values: Mapping[str, Any]) -> str:
        """Write what nobody takes to a file beside; say what became of it.

        Raises:
            OutputError: it cannot be written.
        """
        if self.folder is None:
            return "it is lost"
        file = AppendFile(self.folder / "rejected.jsonl")
        try:
            file.append(json.dumps({"reason": reason, **values}).encode() + b"\n")
        finally:
            file.close()
        return f"put aside in {file.path}"

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self.lock:
            self._connection.close()
