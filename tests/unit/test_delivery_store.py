"""The store: who may open it, what a damaged or full file does, what version 0.1 has left."""

import fcntl
import json
import logging
import resource
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import astuple
from pathlib import Path

import pytest

from scperformer.delivery.delivery import Delivery, Journal
from scperformer.delivery.outbox import Kind, Outbox
from scperformer.delivery.state import StreamState
from scperformer.delivery.store import Store
from scperformer.errors import ConfigurationError, OutputError
from scperformer.picks.columns import pick_to_json
from scperformer.types import SensorId
from tests.conftest import ROOT
from tests.unit.test_delivery_outbox import killed, numbers, pick

SENSOR = SensorId("IM", "NY.SH", "", "EH")


def in_another_process(code, *arguments, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    options = {"capture_output": True, "text": True, **options}
    return subprocess.run(command, cwd=ROOT, check=False, timeout=60, **options)


OPEN = """
import os, sys; from pathlib import Path
from scperformer.delivery.store import Store
if "nobody" in sys.argv and os.getuid() == 0: os.setuid(65534)
Store(Path(sys.argv[1]))
"""


def test_another_process_is_told(tmp_path):
    store = Store(tmp_path)
    done = in_another_process(OPEN, tmp_path)
    assert "another process uses it; stop that one or name another folder" in done.stderr
    store.close()
    assert in_another_process(OPEN, tmp_path).returncode == 0


@pytest.mark.parametrize("is_new", [True, False])
def test_a_folder_that_is_only_for_reading_is_told(is_new):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not is_new:
            Store(folder).close()
            (folder / "scperformer.sqlite").chmod(0o444)
        folder.chmod(0o555)
        done = in_another_process(OPEN, folder, "nobody")
        folder.chmod(0o755)
    assert "OutputError" in done.stderr
    assert "make it writable, or name another folder" in done.stderr


FULL = """
import sys; from pathlib import Path
from scperformer.delivery.delivery import Journal
from scperformer.delivery.store import Store
from scperformer.errors import OutputError
from tests.unit.test_delivery_outbox import pick
journal, n = Journal(Store(Path(sys.argv[1]))), 0
try:
    while n < 10_000:
        journal.append([pick(n)])
        n += 1
except OutputError as error:
    print(n, error)
"""


def test_a_full_disk_costs_nothing_that_was_written(tmp_path):
    """Every file's disk is full at 300 kB."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    done = in_another_process(FULL, tmp_path, preexec_fn=limit)
    n, _, why = done.stdout.partition(" ")
    assert "cannot be written" in why
    store = Store(tmp_path)
    journal = Journal(store)
    assert list(journal.picks.values()) == [pick(i) for i in range(int(n))]
    assert journal.last_serial == int(n) > 20
    store.close()


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path):
        store = Store(tmp_path)
        Journal(store).append([pick(i) for i in range(300)])
        Outbox(store).append([pick(i) for i in range(300)], created_ns=0)
        store.close()
        return tmp_path

    def opened(self, folder, caplog):
        """Open a damaged store; it is set aside, and that is told."""
        with caplog.at_level(logging.WARNING):
            store = Store(folder)
        [aside] = folder.glob("scperformer.sqlite.damaged-*Z")
        assert any(
            "damaged (" in text and f"set aside as {aside.name}" in text for text in caplog.messages
        )
        return store

    def test_what_can_be_read_goes_on(self, folder, caplog):
        path = folder / "scperformer.sqlite"
        with path.open("r+b") as file:
            file.seek(20 * 4096)
            file.write(b"\xff" * 4096)
        store = self.opened(folder, caplog)
        journal, outbox = Journal(store), Outbox(store)
        waiting = numbers(outbox)
        assert len(journal.picks) + len(waiting) > 300
        assert all(one == pick(serial - 1) for serial, one in journal.picks.items())
        assert outbox.in_doubt
        assert outbox.append([pick(1000)], created_ns=0) == 2
        assert len(outbox.waiting(1000)) == len(waiting) + 2
        journal.append([pick(1000)])
        store.close()
        store = Store(folder)
        assert len(Journal(store).picks) == len(journal.picks)
        store.close()

    @pytest.mark.parametrize("data", [b"no database", b"\0" * 8192, b"SQLite format 3\0"])
    def test_what_is_no_database_counts_as_none(self, folder, data, caplog):
        (folder / "scperformer.sqlite").write_bytes(data)
        store = self.opened(folder, caplog)
        assert not Journal(store).picks
        store.close()

    def test_other_tables_are_not_used(self, folder, caplog):
        store = Store(folder)
        with store.writing() as connection:
            connection.execute("DROP TABLE messages")
            connection.execute("CREATE VIEW messages AS SELECT 1")
        store.close()
        store = self.opened(folder, caplog)
        assert len(Journal(store).picks) == 300
        assert len(Outbox(store)) == 0
        store.close()

    def test_last_changes_without_the_file_are_set_aside(self, tmp_path, caplog):
        box = Outbox(Store(tmp_path))
        box.append([pick(0)], created_ns=0)
        killed(box)
        (tmp_path / "scperformer.sqlite").unlink()
        self.opened(tmp_path, caplog).close()
        assert list(tmp_path.glob("scperformer.sqlite.damaged-*-wal"))


def test_the_file_shrinks_when_the_server_is_back(tmp_path):
    box = Outbox(Store(tmp_path))
    box.append([pick(i) for i in range(5000)], created_ns=0)
    size = (tmp_path / "scperformer.sqlite-wal").stat().st_size
    while entries := box.waiting(1000):
        box.delivered(entries[-1].number)
    box.append([pick(6000)], created_ns=0)
    box.close()
    assert (tmp_path / "scperformer.sqlite").stat().st_size < size / 3


class Version01:
    """Writes what version 0.1 would have left."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()

    def lines(self, name, *values):
        (self.folder / name).write_text("".join(json.dumps(line) + "\n" for line in values))

    def journal(self):
        picks = [{"n": n, "pick": pick_to_json(pick(n))} for n in range(1, 5)]
        self.lines("journal.jsonl", {"last": 0, "done": {}}, *picks, {"done": {"-": 3}})
        position = {"sensor": astuple(SENSOR), "decided_until_ns": 500, "first_ns": 5}
        position["ends_ns"] = {"Z": 600}
        self.lines("positions.json", {"version": 1, "saved": "", "sensors": [position]})

    def outbox(self):
        kinds = [(n, kind) for n in range(4) for kind in Kind]
        entries = [
            {"number": number, "kind": kind, "created_ns": 7, "pick": pick_to_json(pick(n))}
            for number, (n, kind) in enumerate(kinds, 1)
        ]
        self.lines("journal.jsonl", *entries)
        self.lines("cursor.json", {"passed": 3, "last_delivered": "x", "in_doubt": True})


class TestVersion01:
    def check_outbox(self, outbox):
        assert numbers(outbox) == [4, 5, 6, 7, 8]
        assert [entry.pick for entry in outbox.waiting(9)][::2] == [pick(1), pick(2), pick(3)]
        assert (outbox.last_delivered, outbox.in_doubt) == ("x", True)
        assert outbox.append([pick(0), pick(3), pick(4)], created_ns=0) == 2
        assert numbers(outbox)[-2:] == [9, 10]

    def test_a_state_is_taken_over(self, tmp_path):
        Version01(tmp_path).journal()
        Version01(tmp_path / "outbox-scmp-host").outbox()
        for _ in range(2):
            state = StreamState(tmp_path)
            assert state.journal.picks == {n: pick(n) for n in range(1, 5)}
            assert state.journal.cursors == {"-": 3}
            position = state.positions.restored[SENSOR]
            assert (position.decided_until_ns, position.first_ns) == (500, 5)
            assert position.ends_ns == {SENSOR.channel("Z"): 600}
            outbox = Outbox(state.store, "outbox-scmp-host")
            assert numbers(outbox) == [4, 5, 6, 7, 8]
            state.close()
        state = StreamState(tmp_path)
        self.check_outbox(Outbox(state.store, "outbox-scmp-host"))
        state.close()
        assert {path.name for path in tmp_path.rglob("*.*")} == {
            "scperformer.sqlite",
            "journal.jsonl.version-0.1",
            "positions.json.version-0.1",
            "cursor.json.version-0.1",
        }

    def test_an_outbox_is_taken_over(self, tmp_path):
        Version01(tmp_path).outbox()
        outbox = Outbox(Store(tmp_path))
        self.check_outbox(outbox)
        outbox.close()

    def test_damaged_lines_are_told_and_kept(self, tmp_path, caplog):
        old = Version01(tmp_path)
        old.outbox()
        with (tmp_path / "journal.jsonl").open("ab") as file:
            file.write(b'{"number": 9, "ki')
        (tmp_path / "cursor.json").write_text("{")
        outbox = Outbox(Store(tmp_path))
        assert numbers(outbox) == list(range(1, 9))
        assert outbox.in_doubt
        assert caplog.text.count("1 damaged lines are left out") == 2
        assert "number" in (tmp_path / "journal.jsonl.version-0.1").read_text()
        outbox.close()

    def test_while_version_01_runs_it_is_refused(self, tmp_path):
        old = Version01(tmp_path)
        old.journal()
        with (tmp_path / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(ConfigurationError, match="another process uses it"):
                Store(tmp_path)
        state = StreamState(tmp_path)
        assert len(state.journal.picks) == 4
        state.close()


def test_a_failure_in_the_middle_leaves_nothing(tmp_path):
    store = Store(tmp_path)

    def write(error):
        with store.writing() as connection:
            connection.execute("INSERT INTO outputs VALUES ('a', 1)")
            raise error

    with pytest.raises(OutputError, match=r"cannot be written \(no room\)"):
        write(sqlite3.OperationalError("no room"))
    with pytest.raises(KeyboardInterrupt):
        write(KeyboardInterrupt)
    assert store.rows("SELECT * FROM outputs") == []
    store.close()
    with pytest.raises(OutputError, match="closed"):
        store.rows("SELECT * FROM outputs")


def test_a_pick_that_was_written_down_survives_all_later_failures(tmp_path):
    """The journal is written for good before an output has the pick, cursors when they can be."""
    store = Store(tmp_path)
    delivery = Delivery([], journal=Journal(store))
    delivery.emit([pick(0)])
    killed(Outbox(store))
    assert list(Journal(Store(tmp_path)).picks.values()) == [pick(0)]
