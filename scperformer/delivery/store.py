"""What outlives a stop or a crash: picks, positions and messages, in one SQLite file."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from scperformer.delivery.version_01 import rename_files, take_over
from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.appending import AppendFile

_log = logging.getLogger(__name__)

FILE_NAME = "scperformer.sqlite"

# A file whose tables differ by a word is not ours: a change here must take older files over.
_NUMBER = "{0} INTEGER NOT NULL CHECK (typeof({0}) = 'integer' AND {0} BETWEEN 0 AND 1 << 60)"
_TABLES = {
    # Picks that were written down, and the number of the last one that each output has.
    "picks": "(serial INTEGER PRIMARY KEY CHECK (serial BETWEEN 1 AND 1 << 60), pick BLOB)",
    "outputs": f"(name TEXT PRIMARY KEY, {_NUMBER.format('serial')}) WITHOUT ROWID",
    # How far each stream has come.
    "sensors": "(name TEXT PRIMARY KEY, position BLOB) WITHOUT ROWID",
    # What waits for messaging servers, the picks taken last, and how far each server is.
    "messages": f"(outbox TEXT, {_NUMBER.format('number')}, message BLOB, "
    "PRIMARY KEY (outbox, number)) WITHOUT ROWID",
    "taken": f"(outbox TEXT, public_id TEXT, {_NUMBER.format('number')}, "
    "PRIMARY KEY (outbox, public_id)) WITHOUT ROWID",
    "outboxes": f"(name TEXT PRIMARY KEY, {_NUMBER.format('number')}, last_delivered TEXT, "
    f"{_NUMBER.format('in_doubt')}) WITHOUT ROWID",
}
_SCHEMA = (
    *(f"CREATE TABLE {name} {columns}" for name, columns in _TABLES.items()),
    "CREATE INDEX taken_numbers ON taken (outbox, number)",
)
_PRAGMAS = (
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "auto_vacuum = FULL",
    "synchronous = FULL",
    # Nobody else opens the file, and no memory is mapped, which a full disk makes dangerous.
    "locking_mode = EXCLUSIVE",
    "journal_mode = WAL",
)
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _error_code(error: BaseException) -> int:
    """Return SQLite's primary code of an error, 0 if it is none of SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _open_database(folder: Path | None) -> sqlite3.Connection:
    """Open the store of a folder for this process alone, or a new one in memory.

    A damaged file is set aside, and what can be read of it goes on; so does what version 0.1
    has left in the folder.

    Raises:
        sqlite3.Error, OSError: it cannot be used; of code ``SQLITE_BUSY`` if others use it.
        ConfigurationError: a process of version 0.1 uses the folder.
    """
    aside, old_files = None, []
    path = Path(":memory:") if folder is None else folder / FILE_NAME
    connection = _connect(path)
    try:
        if fault := _begin(connection, path):
            connection.close()
            aside = _set_aside(path, fault)
            connection = _connect(path)
            _begin(connection, path)
        if not _schema(connection):
            for statement in _SCHEMA:
                connection.execute(statement)
            if aside is not None:
                _salvage(aside, connection)
            elif folder is not None:
                old_files = take_over(folder, connection)
        connection.execute("COMMIT")
        rename_files(old_files)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
    # What is no UTF-8 shall not keep other rows from being read.
    connection.text_factory = lambda data: data.decode(errors="replace")
    return connection


def _begin(connection: sqlite3.Connection, path: Path) -> str:
    """Begin to write, and look through a database; return what is damaged, if anything."""
    wal = _wal(path)
    if wal.exists() and wal.stat().st_size and not path.stat().st_size:
        return "empty, though there are later changes"
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN IMMEDIATE")
        if _schema(connection) not in (set(), set(_SCHEMA)):
            return "it has other tables"
        (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except UnicodeDecodeError:
        return "SQLite names a fault that cannot be printed"
    except sqlite3.DatabaseError as error:
        if _error_code(error) in _DAMAGE:
            return str(error)
        raise
    return "" if answer == "ok" else str(answer)


def _schema(connection: sqlite3.Connection) -> set[str]:
    return {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master") if sql}


def _set_aside(path: Path, fault: str) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    _log.error("%s: damaged (%s); set aside as %s", path, fault, aside.name)
    for old, new in ((path, aside), (_wal(path), _wal(aside))):
        if old.exists():
            old.replace(new)
    return aside


def _salvage(aside: Path, connection: sqlite3.Connection) -> None:
    """Keep what can be read of a damaged database; messages may have been sent already."""
    n = 0
    # More rows than this come only from pages that lead back to themselves.
    most = aside.stat().st_size // 8
    if not most:
        return  # SQLite would remove the changes that lie beside an empty file
    with closing(_connect(aside)) as old:
        whole = set(_readable(old, "SELECT sql FROM sqlite_master"))
        for table, columns in _TABLES.items():
            if (f"CREATE TABLE {table} {columns}",) in whole:
                for row in _readable(old, f"SELECT * FROM {table} LIMIT {most}"):
                    marks = ", ".join("?" * len(row))
                    question = f"INSERT OR IGNORE INTO {table} VALUES ({marks})"
                    n += connection.execute(question, row).rowcount
    connection.execute(
        "INSERT OR IGNORE INTO outboxes SELECT DISTINCT outbox, 0, '', 1 FROM messages"
    )
    connection.execute("UPDATE outboxes SET in_doubt = 1")
    _log.warning("%s: %d rows of it could be read, and are used", aside, n)


def _readable(connection: sqlite3.Connection, question: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows up to the first that cannot be read."""
    with suppress(sqlite3.Error, UnicodeDecodeError):
        yield from connection.execute(question)


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


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
            self._connection = _open_database(folder)
        except (OSError, sqlite3.Error) as error:
            if _error_code(error) == sqlite3.SQLITE_BUSY:
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
