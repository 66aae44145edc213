"""What a scan keeps: results come back whole, and nothing else comes out of the file."""

import errno
import pickle
import sqlite3
import zlib
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path

import pytest

from scperformer.core.statistics import DropReason, SensorCounts, Statistics
from scperformer.errors import ConfigurationError, OutputError
from scperformer.scanning import ledger as ledger_module
from scperformer.scanning.ledger import FILE, Ledger
from scperformer.scanning.work import PieceResult
from scperformer.types import Onset, Phase, Pick, Polarity, SensorId
from scperformer.waveforms.pieces import DAY_NS, Piece, Version
from scperformer.waveforms.problems import InputProblem, problem_from_os

SENSOR = SensorId("XX", "A", "", "HH")
Z = SENSOR.channel("Z")


class Files:
    """Material that has no waveforms."""

    def __init__(self, *versions):
        self._versions = versions

    def versions(self):
        return self._versions


PIECE = Piece(SENSOR, DAY_NS, 2 * DAY_NS, Files(Version("a.mseed", 10, 123)))
FACTS = {"model": "x", "threshold_p": "null"}
PICK = Pick(
    DAY_NS + 1,
    Phase.S,
    Z,
    0.1 + 0.2,
    uncertainty_s=0.01,
    snr=4.5,
    decision_delay_s=2.5,
    polarity=Polarity.NEGATIVE,
    onset=Onset.EMERGENT,
    recipe="0123abcd",
)
RESULT = PieceResult(
    picks=[PICK],
    statistics=Statistics(
        records=3,
        sensors={SENSOR: SensorCounts(windows=7, dropped_samples=Counter({DropReason.LATE: 2}))},
        channels={("XX", "A"): {Z}},
    ),
    problems=(InputProblem(Path("a.mseed"), "bytes lost", "none", byte_offset=3),),
    left_out={Z: Counter({DropReason.LATE: 2})},
    spans_ns=((1, 2), (5, 9)),
    warnings=("hm",),
)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "done") as one:
        one.check(FACTS)
        yield one


def tampered(folder, data):
    with sqlite3.connect(folder / "done" / FILE) as base:
        base.execute("UPDATE pieces SET result = ?", (data,))
    base.close()


def test_a_result_comes_back_as_it_went(tmp_path, ledger):
    assert ledger.known(PIECE) is None
    ledger.note(PIECE, RESULT)
    ledger.close()
    with Ledger(tmp_path / "done") as again:
        again.check(FACTS)
        found = again.known(PIECE)
    for info in fields(PieceResult):
        assert getattr(found, info.name) == getattr(RESULT, info.name), info.name
    assert found.picks[0].public_id == PICK.public_id


@pytest.mark.parametrize(
    "other",
    [
        {"end_ns": 2 * DAY_NS - 5},
        {"origin": "list:3"},
        {"sensor_id": SensorId("XX", "B", "", "HH")},
        {"material": Files(Version("a.mseed", 11, 123))},
        {"material": Files(Version("a.mseed", 10, 124))},
        {"material": Files(Version("a.mseed", 10, 123), Version("b.mseed", 1, 1))},
    ],
)
def test_another_piece_or_other_files_are_not_known(ledger, other):
    ledger.note(PIECE, RESULT)
    assert ledger.known(replace(PIECE, **other)) is None
    assert ledger.known(PIECE) is not None


def test_the_time_of_the_beginning_is_kept(tmp_path, ledger):
    begun_ns = ledger.created_ns
    ledger.close()
    with Ledger(tmp_path / "done") as again:
        assert again.created_ns == begun_ns


def test_other_facts_are_named_all_at_once(tmp_path, ledger):
    ledger.close()
    with Ledger(tmp_path / "done") as again, pytest.raises(ConfigurationError) as caught:
        again.check({"model": "y", "threshold_p": "0.5"})
    assert [
        fault.partition("begun with ")[2].partition(";")[0] for fault in caught.value.faults
    ] == [
        "model x, now it is y",
        "threshold_p null, now it is 0.5",
    ]


def test_a_second_scan_is_kept_out(tmp_path, ledger, monkeypatch):
    monkeypatch.setattr("scperformer.scanning.ledger._BUSY_S", 0.1)
    with pytest.raises(OutputError, match="another scan is at work in it"):
        Ledger(tmp_path / "done")


class Harm:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        zlib.compress(b"x"),
        zlib.compress(pickle.dumps(Harm())),
        zlib.compress(pickle.dumps(5)),
    ],
)
def test_what_is_no_result_is_not_unpacked(tmp_path, ledger, capsys, caplog, data):
    ledger.note(PIECE, RESULT)
    ledger.close()
    tampered(tmp_path, data)
    with Ledger(tmp_path / "done") as again:
        assert again.known(PIECE) is None
    assert "harm" not in capsys.readouterr().out
    assert "scanned again" in caplog.text


def test_a_file_that_is_no_ledger_is_told(tmp_path):
    (tmp_path / FILE).write_bytes(b"no SQLite" * 1000)
    with pytest.raises(OutputError, match="cannot be used"):
        Ledger(tmp_path)


def test_a_full_disk_is_told_once_and_costs_no_more_than_what_it_does_not_take(
    tmp_path, ledger, caplog
):
    pieces = [replace(PIECE, start_ns=PIECE.start_ns + n) for n in range(4)]
    large = replace(RESULT, warnings=tuple(f"{n * n}" for n in range(20_000)))
    ledger._base.execute("PRAGMA max_page_count = 4")
    for piece in pieces[:2]:
        ledger.note(piece, large)
    assert (ledger.n_left, ledger.is_sound) == (2, False)
    ledger._base.execute("PRAGMA max_page_count = 1000000")
    ledger.note(pieces[2], large)
    assert caplog.text.count("cannot be written (database or disk is full)") == 1
    assert [ledger.known(piece) is not None for piece in pieces] == [False, False, True, False]


def test_what_another_attempt_may_read_is_not_kept(ledger):
    unread = problem_from_os(Path("a.mseed"), OSError(errno.ESTALE, "Stale file handle"))
    ledger.note(PIECE, replace(RESULT, problems=(*RESULT.problems, unread)))
    assert ledger.known(PIECE) is None
    ledger.note(PIECE, replace(RESULT, is_whole=False))
    assert ledger.known(PIECE) is None
    assert (ledger.n_left, ledger.is_sound) == (2, True)


def test_a_file_that_changes_while_it_is_read_is_scanned_again(ledger):
    before, after = Version("a.mseed", 10, 123), Version("a.mseed", 11, 124)
    growing = replace(PIECE, material=Files(before))
    assert ledger.known(growing) is None
    growing.material._versions = (after,)
    ledger.note(growing, RESULT)
    assert ledger.known(growing) is None


def test_a_folder_that_was_too_full_to_begin_is_begun_when_there_is_room(tmp_path, monkeypatch):
    facts = {f"setting {n}": "x" * 500 for n in range(40)}
    full = f"{ledger_module._SCHEMA}PRAGMA max_page_count = 5;"
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "_SCHEMA", full)
        with Ledger(tmp_path / "done") as one, pytest.raises(OutputError, match="is full"):
            one.check(facts)
    with Ledger(tmp_path / "done") as again:
        again.check(facts)
