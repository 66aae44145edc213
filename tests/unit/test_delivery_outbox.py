"""The outbox: order, what survives a crash, what a full disk and damaged messages do."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scperformer.delivery import outbox as module
from scperformer.delivery.outbox import Entry, Kind, Outbox
from scperformer.delivery.store import Store
from scperformer.errors import ConfigurationError, OutputError
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


def disk_outbox(folder, **kwargs) -> Outbox:
    return Outbox(Store(folder), **kwargs)


def killed(box: Outbox) -> None:
    """Leave the files as they are at this moment, as the end of a process does."""
    path = box._store.path
    left = {file: file.read_bytes() for file in path.parent.glob(f"{path.name}*")}
    box.close()
    for file, data in left.items():
        file.write_bytes(data)


def full_disk(box: Outbox) -> None:
    """Let the file grow no more."""
    [(pages,)] = box._store.rows("PRAGMA page_count")
    box._store.rows(f"PRAGMA max_page_count = {pages}")


def room(box: Outbox) -> None:
    box._store.rows("PRAGMA max_page_count = 1000000")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "outbox"


@pytest.fixture(params=["memory", "disk"])
def box(request, folder):
    box = Outbox() if request.param == "memory" else disk_outbox(folder)
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
    if box._store.folder is not None:
        [line] = (folder / "rejected.jsonl").read_text().splitlines()
        aside = json.loads(line)
        assert (aside["reason"], aside["number"], aside["kind"]) == ("414 no", 1, "pick")


def test_a_pick_is_taken_once(box):
    assert box.append([pick(0), pick(1), pick(0)], created_ns=0) == 4
    assert box.append([pick(1), pick(2)], created_ns=0) == 2
    assert [entry.pick for entry in box.waiting(9)][::2] == [pick(0), pick(1), pick(2)]


def test_a_pick_is_taken_once_over_a_restart(folder):
    one = disk_outbox(folder)
    one.append([pick(0), pick(1)], created_ns=0)
    one.waiting(4)
    one.delivered(2)
    killed(one)
    two = disk_outbox(folder)
    assert two.append([pick(0), pick(1), pick(2)], created_ns=0) == 2
    assert numbers(two) == [3, 4, 5, 6]


def test_a_crash_loses_nothing_that_was_taken(folder):
    one = disk_outbox(folder)
    one.append([pick(i) for i in range(3)], created_ns=7)
    wanted = one.waiting(9)
    one.delivered(2)
    killed(one)
    two = disk_outbox(folder)
    assert two.waiting(9) == wanted[2:]
    assert (len(two), two.last_delivered) == (4, wanted[1].public_id)
    two.delivered(6)
    two.close()
    three = disk_outbox(folder)
    assert (len(three), three.waiting(9)) == (0, [])
    three.append([pick(9)], created_ns=0)
    assert numbers(three) == [7, 8]


def test_doubt_outlives_a_crash(folder):
    one = disk_outbox(folder)
    one.append([pick(0)], created_ns=0)
    assert not one.in_doubt
    killed(one)
    two = disk_outbox(folder)
    assert not two.in_doubt
    two.doubt(True)
    killed(two)
    three = disk_outbox(folder)
    assert three.in_doubt
    assert numbers(three) == [1, 2]
    three.doubt(False)
    three.close()
    assert not disk_outbox(folder).in_doubt


def test_numbers_go_on_where_all_was_delivered(folder):
    one = disk_outbox(folder)
    one.append([pick(0)], created_ns=0)
    one.waiting(2)
    one.delivered(2)
    one.close()
    two = disk_outbox(folder)
    two.append([pick(1)], created_ns=0)
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
    with_odd = disk_outbox(folder)
    with_odd.append([odd], created_ns=0)
    killed(with_odd)
    box = disk_outbox(folder)
    again = box.waiting(1)[0].pick
    assert again.public_id == odd.public_id
    assert (again.probability, again.n_components) == (0.1, 3)
    assert math.isnan(again.uncertainty_s)
    assert math.isnan(again.decision_delay_s)
    for (message,) in box._store.rows("SELECT message FROM messages"):
        json.loads(message, parse_constant=pytest.fail)


@pytest.mark.parametrize("cut", [1, 2, 5000])
def test_what_was_half_written_is_left_out(folder, cut):
    one = disk_outbox(folder)
    one.append([pick(0)], created_ns=0)
    one.append([pick(1)], created_ns=0)
    killed(one)
    wal = folder / "scperformer.sqlite-wal"
    wal.write_bytes(wal.read_bytes()[:-cut])
    two = disk_outbox(folder)
    assert numbers(two) == [1, 2]
    two.append([pick(2)], created_ns=0)
    assert numbers(two) == [1, 2, 3, 4]


def test_zeros_after_a_power_cut_are_left_out(folder):
    one = disk_outbox(folder)
    one.append([pick(0)], created_ns=0)
    killed(one)
    with (folder / "scperformer.sqlite-wal").open("ab") as file:
        file.write(bytes(4096))
    assert numbers(disk_outbox(folder)) == [1, 2]


def test_a_damaged_message_is_put_aside_and_the_rest_goes_on(folder, caplog):
    one = disk_outbox(folder)
    one.append([pick(0), pick(1)], created_ns=0)
    with one._store.writing() as connection:
        connection.execute(
            "UPDATE messages SET message = replace(message, 'number', 'nimber') WHERE number = 2"
        )
    killed(one)
    two = disk_outbox(folder)
    assert numbers(two) == [1, 3, 4]
    assert len(two) == 3
    assert "a message is damaged; put aside in" in caplog.text
    assert "nimber" in (folder / "rejected.jsonl").read_text()
    two.delivered(3)
    assert numbers(two) == [4]
    killed(two)
    assert numbers(disk_outbox(folder)) == [4]


def test_one_process_at_a_time(folder):
    one = disk_outbox(folder)
    with pytest.raises(ConfigurationError, match="another process"):
        disk_outbox(folder)
    one.close()
    disk_outbox(folder).close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be used as an outbox"):
        disk_outbox(tmp_path / "file" / "outbox")


def test_a_full_disk_takes_nothing(folder):
    box = disk_outbox(folder)
    box.append([pick(i) for i in range(9)], created_ns=0)
    full_disk(box)
    n = len(box)
    with pytest.raises(OutputError, match=r"is full\); \d+ messages were not taken"):
        box.append([pick(i) for i in range(9, 99)], created_ns=0)
    assert len(box) == n
    room(box)
    assert box.append([pick(i) for i in range(9, 99)], created_ns=0) == 180
    assert numbers(box) == list(range(1, 199))
    killed(box)
    assert numbers(disk_outbox(folder)) == list(range(1, 199))


def test_a_full_disk_does_not_stop_delivery(folder, monkeypatch, caplog):
    box = disk_outbox(folder)
    box.append([pick(0)], created_ns=0)
    box.waiting(2)
    monkeypatch.setattr(box._store, "writing", lambda **_: (_ for _ in ()).throw(OutputError("x")))
    box.delivered(1)
    assert numbers(box) == [2]
    assert "cannot be noted" in caplog.text


def test_the_store_does_not_grow_for_ever(folder, monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED_MESSAGES", 150)
    box = disk_outbox(folder)
    largest = 0
    for i in range(200):
        box.append([pick(i)], created_ns=0)
        if i % 3 == 0:
            waiting = box.waiting(20)
            box.delivered(waiting[len(waiting) // 2].number)
        [(pages,)] = box._store.rows("PRAGMA page_count")
        largest = max(largest, 4096 * pages)
    assert largest < 200_000
    assert box._store.rows("SELECT count(*) FROM taken") == [(76,)]
    left = box.waiting(1000)
    assert [entry.number for entry in left] == list(range(left[0].number, 401))
    killed(box)
    again = disk_outbox(folder)
    assert again.waiting(1000) == left
    assert again.append([pick(199), pick(left[0].number // 2 - 5)], created_ns=0) == 0


def test_a_long_absence_stays_on_disk(folder):
    box = disk_outbox(folder)
    box.append([pick(i) for i in range(500)], created_ns=0)
    assert len(box) == 1000
    assert len(box.waiting(20)) == 20
    assert len(box._loaded) == 20


def test_memory_has_a_limit(caplog):
    box = Outbox(limit=4)
    box.append([pick(i) for i in range(4)], created_ns=0)
    assert numbers(box) == [5, 6, 7, 8]
    assert box.dropped == 4
    assert "the oldest are lost" in caplog.text


def test_files_are_those_that_are_documented(folder):
    box = disk_outbox(folder)
    box.append([pick(0)], created_ns=0)
    box.waiting(2)
    box.delivered(1)
    box.rejected("no")
    names = sorted(path.name for path in Path(folder).iterdir())
    assert names == ["rejected.jsonl", "scperformer.sqlite", "scperformer.sqlite-wal"]
    box.close()
    names = sorted(path.name for path in Path(folder).iterdir())
    assert names == ["rejected.jsonl", "scperformer.sqlite"]
