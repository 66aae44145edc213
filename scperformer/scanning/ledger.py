"""What a scan has done, kept in a folder, so that it can go on where it was ended.

An SQLite file with a row for each piece: what its input files were, and all that came of it.
The picks that a scan writes come from there or from the pieces scanned now, in one order; so
what is written in the end does not depend on where it was interrupted.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
import sqlite3
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scperformer import __version__
from scperformer.atomic import Closing
from scperformer.core.statistics import DropReason, SensorCounts, Statistics
from scperformer.errors import ConfigurationError, OutputError
from scperformer.scanning.work import PieceResult
from scperformer.types import Onset, Phase, Pick, Polarity, SeedId, SensorId
from scperformer.waveforms.pieces import Piece
from scperformer.waveforms.problems import InputProblem

FILE = "scan.sqlite"
FORMAT = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pieces (
    sensor TEXT NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    origin TEXT NOT NULL,
    versions TEXT NOT NULL,
    result BLOB NOT NULL,
    PRIMARY KEY (start_ns, sensor, end_ns, origin)
) WITHOUT ROWID;
"""
_BUSY_S = 5.0
_CREATED = "created_ns"
_log = logging.getLogger(__name__)


class Ledger(Closing):
    """The folder of a scan that can be resumed.

    Args:
        folder: made if it is not there.

    Attributes:
        created_ns: when it was begun; documents say so, and so are the same afterwards.
        n_left: pieces that the next scan has to scan again.
        is_sound: all could be read and written that was to be.

    Raises:
        OutputError: it cannot be made, read or written, or another scan is at work in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.executescript(_SCHEMA)
            self._facts = dict(self._base.execute("SELECT key, value FROM facts"))
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self.created_ns = int(self._facts.pop(_CREATED, time.time_ns()))
        self.n_left = 0
        self.is_sound = True
        self._asked: dict[tuple[str, int, int, str], str] = {}

    def check(self, facts: Mapping[str, str]) -> None:
        """Compare what decides about picks with that of the scan that began; keep it if none did.

        Raises:
            ConfigurationError: it is another scan's, with every difference.
            OutputError: it cannot be written.
        """
        facts = {"format": str(FORMAT), "version": __version__, **facts}
        if not self._facts:
            rows = [*facts.items(), (_CREATED, str(self.created_ns))]
            try:
                self._base.execute("BEGIN")
                self._base.executemany("INSERT INTO facts VALUES (?, ?)", rows)
                self._base.execute("COMMIT")
            except sqlite3.Error as error:
                raise self._failed(error) from error
            return
        faults = [
            f"--resume: {self._folder} was begun with {key} {self._facts.get(key) or 'none'}, now "
            f"it is {value or 'none'}; go on as it was begun, or name another folder"
            for key, value in facts.items()
            if self._facts.get(key) != value
        ]
        if faults:
            raise ConfigurationError(*faults)

    def known(self, piece: Piece) -> PieceResult | None:
        """Return what came of a piece; None if it is not done or its files have changed.

        What its files are at this moment is what `note` keeps: they may change while they
        are read.
        """
        where = "WHERE sensor = ? AND start_ns = ? AND end_ns = ? AND origin = ?"
        versions = self._asked[_key(piece)] = _versions(piece)
        try:
            row = self._base.execute(
                f"SELECT versions, result FROM pieces {where}", _key(piece)
            ).fetchone()
            if row is None or row[0] != versions:
                return None
            result = _unpacked(row[1])
        except sqlite3.Error as error:
            self._tell(f"cannot be read ({error}); pieces are scanned again")
            return None
        except ValueError as error:
            _log.warning("%s: %s is %s; scanned again", self._path, piece.name, error)
            return None
        del self._asked[_key(piece)]
        return result

    def note(self, piece: Piece, result: PieceResult) -> None:
        """Keep what came of a piece, unless another attempt may find more.

        What cannot be kept, as where the disk is full, is told and counted.
        """
        versions = self._asked.pop(_key(piece), None) or _versions(piece)
        if not result.is_final:
            self.n_left += 1
            return
        row = (*_key(piece), versions, _packed(result))
        try:
            self._base.execute("INSERT OR REPLACE INTO pieces VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            self.n_left += 1
            self._tell(f"cannot be written ({error}); the scan goes on, and tries again")

    def close(self) -> None:
        """Let another scan have the folder."""
        self._base.close()

    def _tell(self, fault: str) -> None:
        if self.is_sound:
            _log.warning("%s: %s", self._path, fault)
        self.is_sound = False

    def _failed(self, error: sqlite3.Error) -> OutputError:
        busy = getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY"
        why = "another scan is at work in it" if busy else error
        return OutputError(f"{self._path}: cannot be used ({why})")


def _key(piece: Piece) -> tuple[str, int, int, str]:
    return str(piece.sensor_id), piece.start_ns, piece.end_ns, piece.origin


def _versions(piece: Piece) -> str:
    return json.dumps(piece.material.versions())


_KINDS = {
    f"{kind.__module__}.{kind.__qualname__}": kind
    for kind in (
        PieceResult,
        Statistics,
        SensorCounts,
        Pick,
        Phase,
        Polarity,
        Onset,
        SeedId,
        SensorId,
        DropReason,
        InputProblem,
        Counter,
        type(Path()),
    )
}


class _Unpickler(pickle.Unpickler):
    """Makes nothing but the parts of a result, whatever stands in the file."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KINDS[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a result") from None


def _packed(result: PieceResult) -> bytes:
    return zlib.compress(pickle.dumps(result, protocol=5), 1)


def _unpacked(data: bytes) -> PieceResult:
    """Unpack a result.

    Raises:
        ValueError: it is none.
    """
    try:
        result = _Unpickler(io.BytesIO(zlib.decompress(data))).load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"damaged: {error}") from error
    if not isinstance(result, PieceResult):
        raise ValueError("damaged: no result")
    return result
