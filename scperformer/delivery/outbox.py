"""Messages on their way to a messaging server: kept until the server has acknowledged them.

On disk an outbox is a folder. ``journal.jsonl`` has a line a message, in order, brought to
the disk before `DiskOutbox.append` returns; ``cursor.json`` tells how far the server is;
``rejected.jsonl`` holds what it would not have. Nothing of a long absence of the server is
held in memory but the next few messages.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import logging
import os
import shutil
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from scperformer.atomic import AtomicFile
from scperformer.delivery.outbox_entries import (
    Entry,
    Kind,
    Recent,
    entry_line,
    entry_values,
    new_entries,
    parse_entry,
)
from scperformer.errors import OutputError
from scperformer.picks.pick_json import DAMAGED
from scperformer.types import ALL_PHASES, Phase, Pick

__all__ = ["DiskOutbox", "Entry", "Kind", "MemoryOutbox", "Outbox"]

COMPACT_BYTES = 8 * 1024 * 1024
MEMORY_LIMIT = 100_000

_log = logging.getLogger(__name__)


class Outbox(Protocol):
    """Where messages wait, in order. Calls may come from several threads."""

    @property
    def last_delivered(self) -> str:
        """Public id of the last message that was delivered, empty if there is none."""

    @property
    def in_doubt(self) -> bool:
        """Whether the first messages may have been sent already; kept over a crash."""

    def __len__(self) -> int:
        """Return how many messages wait."""

    def append(self, picks: Sequence[Pick], *, created_ns: int) -> int:
        """Take picks and return how many messages that makes.

        A pick that was taken lately is left out.

        Raises:
            OutputError: they cannot be kept; none of them was taken.
        """

    def waiting(self, limit: int) -> list[Entry]:
        """Return the messages that have waited longest."""

    def doubt(self, doubt: bool) -> None:
        """Set `in_doubt`: before the first message is sent, and when none is under way."""

    def delivered(self, number: int) -> None:
        """Forget the messages up to this number."""

    def rejected(self, reason: str) -> None:
        """Put aside the message that has waited longest."""

    def close(self) -> None:
        """Let go of files."""


class MemoryOutbox:
    """An outbox that a crash empties; beyond a limit the oldest messages are dropped.

    Args:
        limit: most messages.
        amplitude_phases: phases whose picks come with an amplitude.
    """

    def __init__(
        self, *, limit: int = MEMORY_LIMIT, amplitude_phases: frozenset[Phase] = ALL_PHASES
    ) -> None:
        self._phases = amplitude_phases
        self.last_delivered = ""
        self.in_doubt = False
        self.dropped = 0
        self._limit = limit
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque()
        self._recent = Recent()
        self._number = 0

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, picks: Sequence[Pick], *, created_ns: int) -> int:
        with self._lock:
            entries = new_entries(
                self._recent.new(picks), self._number, created_ns, amplitude_phases=self._phases
            )
            self._recent.add(picks)
            self._number += len(entries)
            self._entries.extend(entries)
            self._drop(len(self._entries) - self._limit)
            return len(entries)

    def waiting(self, limit: int) -> list[Entry]:
        with self._lock:
            return list(itertools.islice(self._entries, limit))

    def doubt(self, doubt: bool) -> None:
        self.in_doubt = doubt

    def delivered(self, number: int) -> None:
        with self._lock:
            while self._entries and self._entries[0].number <= number:
                self.last_delivered = self._entries.popleft().public_id

    def rejected(self, reason: str) -> None:
        with self._lock:
            entry = self._entries.popleft()
        _log.error("%s: the server rejects it (%s); it is lost", entry.public_id, reason)

    def close(self) -> None:
        pass

    def _drop(self, count: int) -> None:
        if count > 0 and not self.dropped:
            _log.error("more than %d messages wait; the oldest are lost", self._limit)
        for _ in range(count):
            self._entries.popleft()
            self.dropped += 1


class DiskOutbox:
    """An outbox in a folder that outlives the process.

    Args:
        folder: made if missing; no two processes can use it at a time.

    Raises:
        OutputError: the folder cannot be used, or another process uses it.
    """

    def __init__(self, folder: Path, *, amplitude_phases: frozenset[Phase] = ALL_PHASES) -> None:
        self._phases = amplitude_phases
        self.folder = folder
        self._lock = threading.Lock()
        self._recent = Recent()
        self._loaded: deque[tuple[Entry, int]] = deque()
        self._waiting = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._owner = _own(folder)
            self._passed, self.last_delivered, self.in_doubt = self._read_cursor()
            self._open_journal()
            self._load()
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be used as an outbox ({error.strerror or error}); "
                "make it writable, or name another folder"
            ) from error

    def __len__(self) -> int:
        return self._waiting

    def append(self, picks: Sequence[Pick], *, created_ns: int) -> int:
        with self._lock:
            entries = new_entries(
                self._recent.new(picks), self._number, created_ns, amplitude_phases=self._phases
            )
            data = b"".join(map(entry_line, entries))
            if not data:
                return 0
            try:
                _write_at(self._writer, self._size, data)
            except OSError as error:
                with suppress(OSError):
                    self._writer.truncate(self._size)
                raise OutputError(
                    f"{self.folder}: the journal cannot be written ({error.strerror}); "
                    f"{len(entries)} messages were not taken"
                ) from error
            self._size += len(data)
            self._recent.add(picks)
            self._number += len(entries)
            self._waiting += len(entries)
            return len(entries)

    def waiting(self, limit: int) -> list[Entry]:
        with self._lock:
            while len(self._loaded) < limit and self._read_at < self._size:
                self._load_one()
            return [entry for entry, _ in itertools.islice(self._loaded, limit)]

    def doubt(self, doubt: bool) -> None:
        if doubt != self.in_doubt:
            with self._lock:
                self.in_doubt = doubt
                self._note()

    def delivered(self, number: int) -> None:
        with self._lock:
            self._advance(number)

    def rejected(self, reason: str) -> None:
        with self._lock:
            entry, _ = self._loaded[0]
            _log.error(
                "%s: the server rejects it (%s); put aside in %s",
                entry.public_id,
                reason,
                self.folder / "rejected.jsonl",
            )
            self._put_aside({"reason": reason, **entry_values(entry)})
            self._advance(entry.number, delivered=False)

    def close(self) -> None:
        with self._lock:
            self._reader.close()
            self._writer.close()
            self._owner.close()

    def _advance(self, number: int, *, delivered: bool = True) -> None:
        while self._loaded and self._loaded[0][0].number <= number:
            entry, self._done_at = self._loaded.popleft()
            self._passed = entry.number
            self.last_delivered = entry.public_id if delivered else self.last_delivered
            self._waiting -= 1
        self._note()

    def _note(self) -> None:
        """Bring to the disk how far the server is."""
        try:
            self._write_cursor()
            if self._done_at >= max(COMPACT_BYTES, self._size - self._done_at):
                self._compact()
        except (OSError, OutputError) as error:
            _log.error("%s: what was delivered cannot be noted: %s", self.folder, error)

    def _open_journal(self) -> None:
        path = self.folder / "journal.jsonl"
        path.touch()
        self._reader = path.open("rb")
        # Without a buffer, so that nothing of a failed write comes out later.
        self._writer = path.open("r+b", buffering=0)

    def _load(self) -> None:
        """Go through the journal: count what waits, cut off what was half written."""
        self._size = self._done_at = last = n_lost = 0
        self._bad: set[int] = set()
        for line in self._reader:
            if not line.endswith(b"\n"):
                _log.warning("%s: the journal's last line was cut off; removed", self.folder)
                break
            self._size += len(line)
            entry = parse_entry(line)
            # Numbers are given one by one; only lost lines leave a gap.
            most = max(last, self._passed) + n_lost + 1
            if entry is None or not last < entry.number <= (most if last else entry.number):
                self._damaged(line, passed=last < self._passed)
                self._bad.add(self._size - len(line))
                n_lost += 1
                continue
            last, n_lost = entry.number, 0
            self._recent.add([entry.pick])
            if last <= self._passed:
                self._done_at = self._size
            else:
                self._waiting += 1
        self._writer.truncate(self._size)
        self._number = max(self._passed, last)
        self._read_at = self._done_at

    def _damaged(self, line: bytes, *, passed: bool) -> None:
        if not passed:
            text = line.decode(errors="replace").rstrip("\n")
            _log.error("%s: the journal has a damaged line; put aside", self.folder)
            self._put_aside({"reason": "damaged", "line": text})

    def _load_one(self) -> None:
        self._reader.seek(self._read_at)
        line = self._reader.readline()
        is_bad = self._read_at in self._bad
        self._read_at += len(line)
        entry = None if is_bad else parse_entry(line)
        if entry is not None and entry.number > self._passed:
            self._loaded.append((entry, self._read_at))

    def _compact(self) -> None:
        """Begin a new journal without the older half of what was delivered."""
        self._reader.seek(self._done_at // 2)
        self._reader.readline()
        start = self._reader.tell()
        with AtomicFile(self.folder / "journal.jsonl", durable=True) as new:
            shutil.copyfileobj(self._reader, new.file)
        self._reader.close()
        self._writer.close()
        self._open_journal()
        self._size -= start
        self._read_at -= start
        self._done_at -= start
        self._loaded = deque((entry, at - start) for entry, at in self._loaded)
        self._bad = {at - start for at in self._bad if at >= start}

    def _read_cursor(self) -> tuple[int, str, bool]:
        path = self.folder / "cursor.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return int(values["passed"]), str(values["last_delivered"]), bool(values["in_doubt"])
        except FileNotFoundError:
            return 0, "", False
        except DAMAGED as error:
            _log.error("%s: not readable (%r); all of the journal waits again", path, error)
            return 0, "", True

    def _write_cursor(self) -> None:
        values = {
            "passed": self._passed,
            "last_delivered": self.last_delivered,
            "in_doubt": self.in_doubt,
        }
        with AtomicFile(self.folder / "cursor.json", durable=True) as cursor:
            cursor.file.write((json.dumps(values) + "\n").encode())

    def _put_aside(self, values: Mapping[str, Any]) -> None:
        with (self.folder / "rejected.jsonl").open("ab") as file:
            file.write((json.dumps(values) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())


def _own(folder: Path) -> BinaryIO:
    owner = (folder / "lock").open("ab")
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner.close()
        raise OutputError(
            f"{folder}: another process publishes from this outbox; name another folder"
        ) from error
    return owner


def _write_at(file: FileIO, offset: int, data: bytes) -> None:
    file.seek(offset)
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())
