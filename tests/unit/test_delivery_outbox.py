"""The outbox: order, what survives a crash, what a damaged journal does."""

import json
import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scperformer.delivery import outbox as module
from scperformer.delivery.outbox import DiskOutbox, Entry, Kind, MemoryOutbox
from scperformer.errors import OutputError
from scperformer.types import Pick, SeedId
from tests.picks import PICK

FIRST = replace(
    PICK,
    time_ns=1_600_000_000_123_456_789,
    seed_id=SeedId("IM", "NY.SH", "", "EHZ"),
    probability=0.1 + 0.2,
    model="ä",
)


def pick(i: int, **changes) -> Pick:
    return replace(FIRST, time_ns=FIRST.time_ns + i * 1_000_000_000, **changes)


def numbers(box) -> list[int]:
    return [entry.number for entry in box.waiting(1000)]


def killed(box: DiskOutbox) -> None:
    """Let go of the files without a word, as the end of a process does."""
    box._reader.close()
    box._writer.close()
    box._owner.close()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "outbox"


@pytest.fixture(params=["memory", "disk"])
def box(request, folder):
    box = MemoryOutbox() if request.param == "memory" else DiskOutbox(folder)
    yield box
    box.close()


def test_a_pick_is_two_messages_in_order(box):
    assert box.append([pick(0), pick(1)], created_ns=5) == 4
    assert box.waiting(10) == [
        Entry(1, Kind.PICK, 5, pick(0)),
        Entry(2, Kind.AMPLITUDE, 5, pick(0)),
        Entry(3, Kind.PICK, 5, pick(1)),
        Entry(4, Kind.AMPLITUDE, 5, pick(1)),
    ]
    assert len(box) == 4
    assert numbers(box)[:2] == [entry.number for entry in box.waiting(2)]


def test_without_an_snr_there_is_no_amplitude(box):
    assert box.append([pick(0, snr=math.nan), pick(1, snr=math.inf)], created_ns=0) == 2
    assert [entry.kind for entry in box.waiting(9)] == [Kind.PICK, Kind.PICK]


def test_what_is_delivered_is_forgotten(box):
    box.append([pick(0), pick(1)], created_ns=0)
    assert box.last_delivered == ""
    box.waiting(3)
    box.delivered(3)
    assert numbers(box) == [4]
    assert len(box) == 1
    assert box.last_delivered == pick(1).public_id
    box.delivered(2)
    assert numbers(box) == [4]


def test_what_is_rejected_is_put_aside(box, folder):
    box.append([pick(0)], created_ns=0)
    box.waiting(1)
    box.rejected("414 no")
    assert numbers(box) == [2]
    assert box.last_delivered == ""
    if isinstance(box, DiskOutbox):
        [line] = (folder / "rejected.jsonl").read_text().splitlines()
        aside = json.loads(line)
        assert (aside["reason"], aside["number"], aside["kind"]) == ("414 no", 1, "pick")


def test_a_pick_is_taken_once(box):
    assert box.append([pick(0), pick(1), pick(0)], created_ns=0) == 4
    assert box.append([pick(1), pick(2)], created_ns=0) == 2
    assert [entry.pick for entry in box.waiting(9)][::2] == [pick(0), pick(1), pick(2)]


def test_a_pick_is_taken_once_over_a_restart(folder):
    one = DiskOutbox(folder)
    one.append([pick(0), pick(1)], created_ns=0)
    one.waiting(4)
    one.delivered(2)
    killed(one)
    two = DiskOutbox(folder)
    assert two.append([pick(0), pick(1), pick(2)], created_ns=0) == 2
    assert numbers(two) == [3, 4, 5, 6]


def test_a_crash_loses_nothing_that_was_taken(folder):
    one = DiskOutbox(folder)
    one.append([pick(i) for i in range(3)], created_ns=7)
    wanted = one.waiting(9)
    one.delivered(2)
    killed(one)
    two = DiskOutbox(folder)
    assert two.waiting(9) == wanted[2:]
    assert (len(two), two.last_delivered) == (4, wanted[1].public_id)
    two.delivered(6)
    two.close()
    three = DiskOutbox(folder)
    assert (len(three), three.waiting(9)) == (0, [])
    three.append([pick(9)], created_ns=0)
    assert numbers(three) == [7, 8]


def test_doubt_outlives_a_crash(folder):
    one = DiskOutbox(folder)
    one.append([pick(0)], created_ns=0)
    assert not one.in_doubt
    killed(one)
    two = DiskOutbox(folder)
    assert not two.in_doubt
    two.doubt(True)
    killed(two)
    three = DiskOutbox(folder)
    assert three.in_doubt
    assert numbers(three) == [1, 2]
    three.doubt(False)
    three.close()
    assert not DiskOutbox(folder).in_doubt


def test_numbers_go_on_where_the_journal_is_gone(folder):
    one = DiskOutbox(folder)
    one.append([pick(0)], created_ns=0)
    one.waiting(2)
    one.delivered(2)
    one.close()
    (folder / "journal.jsonl").unlink()
    two = DiskOutbox(folder)
    two.append([pick(0)], created_ns=0)
    assert numbers(two) == [3, 4]


def test_values_come_back_as_they_were(folder):
    odd = replace(
        FIRST,
        time_ns=np.int64(FIRST.time_ns),
        probability=np.float64(0.1),
        uncertainty_s=math.inf,
        decision_delay_s=math.nan,
        n_components=np.int64(3),
        seed_id=SeedId("", "a b", '"', "\n"),
    )
    with_odd = DiskOutbox(folder)
    with_odd.append([odd], created_ns=0)
    killed(with_odd)
    again = DiskOutbox(folder).waiting(1)[0].pick
    assert again.public_id == odd.public_id
    assert (again.probability, again.n_components) == (0.1, 3)
    assert math.isnan(again.uncertainty_s)
    assert math.isnan(again.decision_delay_s)
    json.loads((folder / "journal.jsonl").read_text().splitlines()[0], parse_constant=pytest.fail)


@pytest.mark.parametrize("cut", [1, 2, 100])
def test_a_line_that_was_cut_off_is_removed(folder, cut, caplog):
    one = DiskOutbox(folder)
    one.append([pick(0), pick(1)], created_ns=0)
    killed(one)
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])
    with caplog.at_level(logging.WARNING):
        two = DiskOutbox(folder)
    assert "cut off" in caplog.text
    assert numbers(two) == [1, 2, 3]
    two.append([pick(2)], created_ns=0)
    assert numbers(two) == [1, 2, 3, 4, 5]
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_zeros_after_a_power_cut_are_removed(folder):
    one = DiskOutbox(folder)
    one.append([pick(0)], created_ns=0)
    killed(one)
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(bytes(4096))
    assert numbers(DiskOutbox(folder)) == [1, 2]


def test_a_damaged_line_is_put_aside_and_the_rest_goes_on(folder):
    one = DiskOutbox(folder)
    one.append([pick(0), pick(1)], created_ns=0)
    killed(one)
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[1] = b"{" + lines[1][1:].replace(b"number", b"nimber")
    journal.write_bytes(b"".join(lines))
    two = DiskOutbox(folder)
    assert numbers(two) == [1, 3, 4]
    assert len(two) == 3
    assert "nimber" in (folder / "rejected.jsonl").read_text()
    two.delivered(3)
    assert numbers(two) == [4]


def test_a_cursor_that_cannot_be_read_repeats_rather_than_loses(folder, caplog):
    one = DiskOutbox(folder)
    one.append([pick(0)], created_ns=0)
    one.waiting(2)
    one.delivered(1)
    one.close()
    (folder / "cursor.json").write_text("{")
    assert numbers(DiskOutbox(folder)) == [1, 2]
    assert "cursor.json: not readable" in caplog.text


def test_one_process_at_a_time(folder):
    one = DiskOutbox(folder)
    with pytest.raises(OutputError, match="another process"):
        DiskOutbox(folder)
    one.close()
    DiskOutbox(folder).close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be used as an outbox"):
        DiskOutbox(tmp_path / "file" / "outbox")


def test_a_full_disk_takes_nothing(folder, monkeypatch):
    box = DiskOutbox(folder)
    box.append([pick(0)], created_ns=0)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OutputError, match="2 messages were not taken"):
        box.append([pick(1)], created_ns=0)
    monkeypatch.undo()
    assert box.append([pick(1)], created_ns=0) == 2
    assert numbers(box) == [1, 2, 3, 4]
    killed(box)
    assert numbers(DiskOutbox(folder)) == [1, 2, 3, 4]


def test_a_full_disk_does_not_stop_delivery(folder, monkeypatch, caplog):
    box = DiskOutbox(folder)
    box.append([pick(0)], created_ns=0)
    box.waiting(2)
    monkeypatch.setattr(
        module, "AtomicFile", lambda *_, **__: (_ for _ in ()).throw(OutputError("x"))
    )
    box.delivered(1)
    assert numbers(box) == [2]
    assert "cannot be noted" in caplog.text


def test_the_journal_does_not_grow_for_ever(folder, monkeypatch):
    monkeypatch.setattr(module, "COMPACT_BYTES", 20_000)
    box = DiskOutbox(folder)
    largest = 0
    for i in range(200):
        box.append([pick(i)], created_ns=0)
        if i % 3 == 0:
            waiting = box.waiting(20)
            box.delivered(waiting[len(waiting) // 2].number)
        largest = max(largest, (folder / "journal.jsonl").stat().st_size)
    assert largest < 200_000
    left = box.waiting(1000)
    assert [entry.number for entry in left] == list(range(left[0].number, 401))
    killed(box)
    again = DiskOutbox(folder)
    assert again.waiting(1000) == left
    assert again.append([pick(199), pick(left[0].number // 2 - 5)], created_ns=0) == 0


def test_a_long_absence_stays_on_disk(folder):
    box = DiskOutbox(folder)
    box.append([pick(i) for i in range(500)], created_ns=0)
    assert len(box) == 1000
    assert len(box.waiting(20)) == 20
    assert len(box._loaded) == 20


def test_memory_has_a_limit(caplog):
    box = MemoryOutbox(limit=4)
    box.append([pick(i) for i in range(4)], created_ns=0)
    assert numbers(box) == [5, 6, 7, 8]
    assert box.dropped == 4
    assert "the oldest are lost" in caplog.text


def test_files_are_those_that_are_documented(folder):
    box = DiskOutbox(folder)
    box.append([pick(0)], created_ns=0)
    box.waiting(2)
    box.delivered(1)
    box.rejected("no")
    names = sorted(path.name for path in Path(folder).iterdir())
    assert names == ["cursor.json", "journal.jsonl", "lock", "rejected.jsonl"]
